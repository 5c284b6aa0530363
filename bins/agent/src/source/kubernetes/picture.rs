//! What the API has told, and what follows from it. No I/O but for what is kept for the next agent: policies as they were
//! valid last, and this node's ranges.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use api::PodRef;
use kube::api::DynamicObject;
use kubernetes::refusal;
use kubernetes::watch::{Event, Key};

use super::endpoints::Endpoints;
use super::identities::Identities;
use super::kind::Kind;
use super::lost::Lost;
use super::nodes::{Nodes, OwnNode};
use super::owner::Owner;
use super::stored::Stored;
use super::watches::Told;
use crate::source::Change;

/// Failures of a kind's watch are told this often at most.
const QUIET: Duration = Duration::from_secs(60);

/// What the API has told.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) identities: Identities,
    pub(super) endpoints: Endpoints,
    pub(super) nodes: Nodes,
    /// What the endpoints of this node's pods say of their pods.
    pub(super) owners: BTreeMap<PodRef, Owner>,
    stored: Stored,
    /// What the API server lost, and is in force all the same.
    pub(super) lost: Lost,
    /// The kinds that were told as a whole, or of which it is known that the API does not have them.
    complete: BTreeSet<Kind>,
    /// All kinds that are watched.
    wanted: Vec<Kind>,
    /// Whether something was told that decides what this node publishes.
    stirred: bool,
    /// When a failure of each kind's watch was last told.
    complained: BTreeMap<Kind, Instant>,
}

impl Picture {
    /// Nothing is known of these kinds yet.
    ///
    /// # Errors
    /// When what an earlier agent kept cannot be read.
    pub(super) fn open(node: &str, wanted: Vec<Kind>, last_valid: PathBuf, ranges: PathBuf) -> Result<Self> {
        Ok(Self {
            identities: Identities::default(),
            endpoints: Endpoints::default(),
            nodes: Nodes::open(node.to_owned(), ranges)?,
            owners: BTreeMap::new(),
            stored: Stored::new(last_valid),
            lost: Lost::default(),
            complete: BTreeSet::new(),
            wanted,
            stirred: false,
            complained: BTreeMap::new(),
        })
    }

    /// Whether something was told since the last call that decides what this node publishes.
    pub(super) const fn take_stirred(&mut self) -> bool {
        std::mem::replace(&mut self.stirred, false)
    }

    /// The kinds that were not told as a whole yet.
    pub(super) fn missing(&self) -> impl Iterator<Item = Kind> + '_ {
        self.wanted.iter().copied().filter(|kind| !self.complete.contains(kind))
    }

    /// Whether all kinds were told as a whole.
    pub(super) fn is_complete(&self) -> bool {
        self.missing().next().is_none()
    }

    /// Takes note of what a watch tells. True where the rest of the agent may be behind for it.
    pub(super) fn take(&mut self, told: Told, changes: &mut Vec<Change>) -> bool {
        let (before, was_complete) = (changes.len(), self.is_complete());
        let own_before = self.endpoints.own_revision();
        self.stirred |= match &told {
            Told::Stored(kind, event) => *kind == Kind::Pod || matches!(event, Event::Lost(_)),
            Told::Node(_) | Told::CiliumNode(_) | Told::Identity(_) => true,
            // Those of other nodes are many.
            Told::Endpoint(_) | Told::Slice(_) => false,
        };
        match told {
            Told::Stored(kind, event) => self.take_stored(kind, event, changes),
            Told::Node(event) => match event {
                Event::Set(node) => {
                    let own = OwnNode::new(*node);
                    self.endpoints.set_own_addresses(own.ips());
                    self.nodes.own = Some(own);
                    self.nodes.own_is_gone = false;
                }
                // An agent whose Node is gone goes on with what it knows.
                Event::Gone(_) | Event::Lost(_) => self.nodes.own_is_gone = true,
                other => self.progress(Kind::Node, &other),
            },
            Told::CiliumNode(event) => match event {
                Event::Set(object) => self.nodes.set(*object, changes),
                Event::Gone(key) | Event::Lost(key) => self.nodes.remove(key.name(), changes),
                other => self.progress(Kind::CiliumNode, &other),
            },
            Told::Identity(event) => match event {
                Event::Set(object) => self.identities.set(&object, changes),
                Event::Gone(key) | Event::Lost(key) => {
                    if let Ok(number) = key.name().parse() {
                        self.identities.remove(abi::Identity(number), changes);
                    }
                }
                other => self.progress(Kind::CiliumIdentity, &other),
            },
            Told::Endpoint(event) => match event {
                Event::Set(object) => self.endpoints.set(*object, changes),
                Event::Gone(key) | Event::Lost(key) => self.endpoints.remove(&key, changes),
                Event::Listing => self.endpoints.begin_list(changes),
                other => {
                    if matches!(other, Event::Synced) {
                        self.endpoints.end_list(changes);
                    }
                    self.progress(Kind::CiliumEndpoint, &other);
                }
            },
            Told::Slice(event) => match event {
                Event::Set(object) => self.endpoints.set_slice(*object, changes),
                Event::Gone(key) | Event::Lost(key) => self.endpoints.remove_slice(&key, changes),
                other => self.progress(Kind::CiliumEndpointSlice, &other),
            },
        }
        let is_complete = self.is_complete();
        self.stirred |= is_complete != was_complete || own_before != self.endpoints.own_revision();
        if is_complete && !was_complete {
            self.stored.forget_others();
        }
        is_complete && (changes.len() > before || !was_complete)
    }

    fn take_stored(&mut self, kind: Kind, event: Event<DynamicObject>, changes: &mut Vec<Change>) {
        match event {
            Event::Set(object) => {
                if kind == Kind::Pod {
                    self.owners.insert(pod_ref(&Key::of(&*object)), Owner::new(&object));
                }
                self.lost.forget(kind, &Key::of(&*object));
                self.stored.set(kind, *object, changes);
            }
            Event::Lost(key) if Lost::keeps(kind) => self.lost.note(kind, key, Instant::now()),
            Event::Gone(key) | Event::Lost(key) => {
                if kind == Kind::Pod {
                    self.owners.remove(&pod_ref(&key));
                }
                self.lost.forget(kind, &key);
                self.stored.remove(kind, &key, changes);
            }
            other => self.progress(kind, &other),
        }
    }

    /// What the server lost, and need not stay any more, is gone.
    pub(super) fn give_up_lost(&mut self, now: Instant, changes: &mut Vec<Change>) {
        for (kind, key) in self.lost.take_due(now) {
            self.stored.remove(kind, &key, changes);
        }
    }

    /// Takes note of how far a watch is.
    fn progress<K>(&mut self, kind: Kind, event: &Event<K>) {
        match event {
            Event::Synced => _ = self.complete.insert(kind),
            Event::Failed(error) => {
                let is_missing = refusal::is_unknown_kind(error);
                if is_missing && !kind.is_required() {
                    self.complete.insert(kind);
                    tracing::debug!(kind = kind.name(), "the API does not have this kind");
                } else if is_missing {
                    tracing::debug!(kind = kind.name(), "waiting until the API has this kind");
                } else {
                    let now = Instant::now();
                    let quiet = self.complained.get(&kind).is_some_and(|last| now < *last + QUIET);
                    if !quiet {
                        self.complained.insert(kind, now);
                        tracing::warn!(kind = kind.name(), %error, "a watch failed: what is known stays, and it is tried again");
                    }
                }
            }
            Event::Set(_) | Event::Gone(_) | Event::Lost(_) | Event::Listing => {}
        }
    }
}

fn pod_ref(key: &Key) -> PodRef {
    PodRef { namespace: key.namespace().to_owned(), name: key.name().to_owned() }
}
