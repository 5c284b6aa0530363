//! Answers by compiled tables, with the rules behind them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use abi::{CidrSet, Direction, Identity, Peer};

use super::engine::{Endpoint, Engine, Other, Question};
use super::trouble::Trouble;
use crate::cluster::{Cluster, End};
use crate::compile::Compiled;
use crate::facts::{ServiceFacts, ServiceKey};
use crate::identity::{IdentityAllocator, LocalIdentities, reserved_labels};
use crate::label::{Label, LabelSet};
use crate::manifest::Object;
use crate::node::{host_labels, node_labels};
use crate::repository::{Numbers, Repository};
use crate::resolve::{Explanation, Resolved};
use crate::settings::Settings;
use crate::verdict::Verdict;

/// The identities that have no address of their own in a cluster's objects.
const FIXED: [Identity; 9] = [
    Identity::HOST,
    Identity::WORLD,
    Identity::UNMANAGED,
    Identity::HEALTH,
    Identity::INIT,
    Identity::REMOTE_NODE,
    Identity::KUBE_APISERVER,
    Identity::INGRESS,
    Identity::UNKNOWN,
];

/// A cluster's policies and peers, for all its nodes at once: each node is there twice, as its own pods see it and
/// as all others do.
#[derive(Clone, Debug)]
pub struct Peers {
    repository: Repository,
    /// Of each kind of pod.
    pods: Vec<Identity>,
    /// Of each node.
    nodes: Vec<NodePeers>,
}

#[derive(Clone, Debug)]
struct NodePeers {
    own: Identity,
    other: Identity,
    /// Its labels as a subject of host policies.
    subject: LabelSet,
}

impl Peers {
    /// Takes policies and peers from a cluster.
    ///
    /// # Errors
    /// When there are more kinds of pods or nodes than identities.
    pub fn new(cluster: &Cluster, settings: Settings) -> Result<Self, Trouble> {
        let mut repository = Repository::new(settings, Numbers::default());
        for object in cluster.objects() {
            match object {
                Object::CidrGroup(group) => {
                    let labels =
                        group.meta.labels.iter().map(|(key, value)| Label::k8s(key, value)).collect();
                    repository.set_cidr_group(
                        &group.meta.name,
                        labels,
                        group.cidrs.iter().copied().collect(),
                    );
                }
                Object::Service(service) => {
                    let (namespace, name) = (service.meta.namespace().to_owned(), service.meta.name.clone());
                    let facts = ServiceFacts {
                        labels: service.meta.labels.clone(),
                        selector: service.selector.clone(),
                        addresses: cluster
                            .slices(&namespace, &name)
                            .flat_map(|slice| slice.addresses.iter().copied())
                            .collect(),
                    };
                    repository.set_service(ServiceKey { namespace, name }, facts);
                }
                _ => {}
            }
        }
        repository.set_policies(cluster.policies());
        let mut known = Self { repository, pods: Vec::new(), nodes: Vec::new() };
        // Numbers of the local range are those of what DNS taught, which the repository gives out itself.
        let mut identities = LocalIdentities::remote_nodes();
        known.add_outside(cluster, &mut identities)?;
        known.add_nodes(cluster, &mut identities)?;
        known.add_pods(cluster)?;
        Ok(known)
    }

    fn add_outside(&mut self, cluster: &Cluster, identities: &mut LocalIdentities) -> Result<(), Trouble> {
        for (addr, names) in cluster.names().iter() {
            self.repository.set_names(addr, names.clone());
        }
        for identity in FIXED {
            self.repository.add_identity(identity, reserved_labels(identity));
        }
        // The API server of a managed cluster is no node of it.
        for addr in cluster.apiservers().iter().filter(|addr| cluster.owner(**addr) == End::Outside) {
            let outside = if addr.is_ipv4() { Identity::WORLD_IPV4 } else { Identity::WORLD_IPV6 };
            let labels: LabelSet =
                reserved_labels(outside).iter().cloned().chain([Label::reserved("kube-apiserver")]).collect();
            let identity = identities.allocate(&labels)?;
            self.repository.set_address(*addr, identity, labels);
        }
        Ok(())
    }

    fn add_nodes(&mut self, cluster: &Cluster, identities: &mut LocalIdentities) -> Result<(), Trouble> {
        for (index, facts) in cluster.nodes().iter().enumerate() {
            let Some(node) = cluster.node_object(index) else { continue };
            let labels = |role| -> LabelSet {
                let api = facts.serves_api.then(|| Label::reserved("kube-apiserver"));
                node_labels(node, role).iter().cloned().chain(api).collect()
            };
            let (as_own, as_other) = (labels(Identity::HOST), labels(Identity::REMOTE_NODE));
            let peers = NodePeers {
                own: identities.allocate(&as_own)?,
                other: identities.allocate(&as_other)?,
                subject: host_labels(node),
            };
            for addr in facts.addresses.iter().copied().map(Some).chain([None]) {
                self.add(addr, peers.own, &as_own);
                self.add(addr, peers.other, &as_other);
            }
            self.nodes.push(peers);
        }
        Ok(())
    }

    fn add_pods(&mut self, cluster: &Cluster) -> Result<(), Trouble> {
        let mut identities = LocalIdentities::cluster();
        for facts in cluster.pods() {
            // Kinds are numbered as they come.
            if facts.kind == self.pods.len() {
                self.pods.push(identities.allocate(&facts.labels)?);
            }
            let identity = self.pods[facts.kind];
            for addr in &facts.addresses {
                self.add(Some(*addr), identity, &facts.labels);
            }
            if facts.addresses.is_empty() {
                self.add(None, identity, &facts.labels);
            }
        }
        Ok(())
    }

    fn add(&mut self, addr: Option<IpAddr>, identity: Identity, labels: &LabelSet) {
        match addr {
            Some(addr) => self.repository.add_holder(addr, identity, labels),
            None => self.repository.add_identity(identity, labels.clone()),
        }
    }

    /// What a peer is to policies.
    fn peer(&self, cluster: &Cluster, question: &Question) -> Peer {
        let identity = match question.peer {
            Other::Pod(pod) => self.pods[cluster.pods()[pod].kind],
            Other::OwnNode(node) => self.nodes[node].own,
            Other::OtherNode(node) => self.nodes[node].other,
            Other::Fixed(identity) => identity,
            Other::Outside => match question.addr {
                Some(addr) => return self.repository.peer(addr),
                None => Identity::WORLD,
            },
        };
        let cidrs = question.addr.map_or(CidrSet::EMPTY, |addr| self.repository.cidrs_of(addr));
        Peer { identity, cidrs }
    }
}

/// When tables are compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Explaining {
    /// Always: every verdict comes from tables. The rules are asked too, and must agree.
    #[default]
    ByTables,
    /// Once a subject was asked so much that tables are cheaper than not to have them. Until then, rules alone.
    Cheapest,
}

/// How many different questions about a subject are answered without its tables.
const FEW: u32 = 256;

/// Answers by compiled tables.
pub struct TablesEngine<'a> {
    cluster: &'a Cluster,
    peers: &'a Peers,
    explaining: Explaining,
    /// A copy, because tables are compiled in place. None until some are.
    compiling: Option<Repository>,
    subjects: HashMap<(Kind, Direction), Subject<'a>>,
    /// Pods of the same labels get the same answers.
    known: HashMap<(Kind, Direction, Peer, u8, u16), Arc<Explanation>>,
}

/// Subjects that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Pod(usize),
    Node(usize),
}

struct Subject<'a> {
    labels: &'a LabelSet,
    resolved: Resolved<'a>,
    asked: u32,
    compiled: Option<Arc<Compiled>>,
}

impl<'a> TablesEngine<'a> {
    /// Asks the policies of a cluster.
    #[must_use]
    pub fn new(cluster: &'a Cluster, peers: &'a Peers, explaining: Explaining) -> Self {
        Self { cluster, peers, explaining, compiling: None, subjects: HashMap::new(), known: HashMap::new() }
    }

    fn labels(&self, kind: Kind, subject: Endpoint) -> &'a LabelSet {
        match (kind, subject) {
            (Kind::Node(node), _) => &self.peers.nodes[node].subject,
            (Kind::Pod(_), Endpoint::Pod(pod) | Endpoint::Node(pod)) => &self.cluster.pods()[pod].labels,
        }
    }
}

impl Engine for TablesEngine<'_> {
    fn ask(&mut self, question: &Question) -> Result<Arc<Explanation>, Trouble> {
        let Question { subject, direction, proto, port, .. } = *question;
        let kind = match subject {
            Endpoint::Pod(pod) => Kind::Pod(self.cluster.pods()[pod].kind),
            Endpoint::Node(node) => Kind::Node(node),
        };
        let peer = self.peers.peer(self.cluster, question);
        let key = (kind, direction, peer, proto, port);
        if let Some(known) = self.known.get(&key) {
            return Ok(Arc::clone(known));
        }
        let labels = self.labels(kind, subject);
        let peers = self.peers;
        let subject = self.subjects.entry((kind, direction)).or_insert_with(|| Subject {
            labels,
            resolved: peers.repository.resolve(labels, direction),
            asked: 0,
            compiled: None,
        });
        let explanation = peers.repository.judge(&subject.resolved, subject.labels, peer, proto, port);
        subject.asked += 1;
        let worth_it = self.explaining == Explaining::ByTables || subject.asked > FEW;
        if subject.compiled.is_none() && worth_it {
            let repository = self.compiling.get_or_insert_with(|| peers.repository.clone());
            subject.compiled = Some(repository.compile(subject.labels, direction));
        }
        if let Some(compiled) = &subject.compiled {
            let tables = Verdict::of_cell(compiled.tables.lookup(peer, proto, port).0);
            if tables != explanation.verdict {
                return Err(Trouble::Disagreement { tables, rules: explanation.verdict });
            }
        }
        let explanation = Arc::new(explanation);
        self.known.insert(key, Arc::clone(&explanation));
        Ok(explanation)
    }
}
