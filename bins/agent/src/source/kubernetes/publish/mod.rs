//! What the node tells the cluster: which objects should be in the API, and which requests bring them there.
//!
//! [`Publisher`] takes [`Report`]s and looks at what the API has told. It sends nothing itself: it says which
//! [`Call`]s are due, and is told what became of them. What is wanted is derived anew each time, so a report, a loss in
//! the API and a failure are dealt with alike: what differs is written again, after a pause that grows.

mod call;
mod endpoint;
mod node;
#[cfg(test)]
mod tests;
mod work;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use abi::Identity;
use api::{Attachment, PodRef};
use kubernetes::refusal::{is_conflict, is_missing};
use policy::{LabelSet, reserved_labels};

use super::picture::Picture;
use crate::endpoint::stable_hash;
use crate::source::{Published, RemoteEndpoint, Report};
use node::{Desired, OfEni};
use work::Work;

pub(super) use call::Call;

/// Requests that are under way at once, at most.
const AT_ONCE: usize = 8;
/// How long what was written may take to come back through a watch before it is thought lost.
const SETTLES: Duration = Duration::from_secs(5);
/// The same for this node's own object: nobody gets pods before it says that the node connects them.
const NODE_SETTLES: Duration = Duration::from_millis(300);
/// The same where the operator has to gather it into slices first.
const SLICES_SETTLE: Duration = Duration::from_secs(60);
/// How long a pod without a number is not told to others: it will have one soon.
const NUMBERED_SOON: Duration = Duration::from_secs(1);
/// When a number that somebody was said to have may be tried again.
const FORGIVEN: Duration = Duration::from_secs(60);
/// How long a node may be busy before the cluster is told that it cannot connect pods.
const BUSY: Duration = Duration::from_secs(10);

/// What the publisher was configured with.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// This node's name.
    pub(super) node: String,
    /// Which boot of the machine this is.
    pub(super) boot_id: String,
    /// Whether the node's ranges of pod addresses come from its Node.
    pub(super) ranges_of_node: bool,
    /// Whether agents give out numbers.
    pub(super) allocates: bool,
    /// Whether endpoints come back in slices.
    pub(super) slices: bool,
}

/// What a call is about. Of each, one is under way at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Identity(LabelSet, Identity),
    Mark(Identity),
    Endpoint(PodRef),
    Node,
}

/// A pod of this node.
#[derive(Debug)]
struct Local {
    published: Published,
    since: Instant,
    /// What was last written successfully, as a number, and when.
    written: Option<(u64, Instant)>,
}

/// Brings what this node has to tell into the API.
#[derive(Debug)]
pub(super) struct Publisher {
    terms: Terms,
    /// Labels that a number was asked for.
    wanted: HashSet<LabelSet>,
    pods: BTreeMap<PodRef, Local>,
    gone: BTreeMap<PodRef, Attachment>,
    ready: Option<(bool, Instant)>,
    /// What is to be said of network interfaces.
    eni: OfEni,
    /// Whether the node has been ready once: all its pods were reported then.
    settled: bool,
    works: HashMap<Subject, Work>,
    /// What endpoints say that are being written, as a number.
    writing: HashMap<PodRef, u64>,
    /// Numbers that somebody has of whom the watch has not told yet, and since when that is known.
    refused: BTreeMap<Identity, Instant>,
    random: RandomState,
    drawn: u64,
}

impl Publisher {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            wanted: HashSet::new(),
            pods: BTreeMap::new(),
            gone: BTreeMap::new(),
            ready: None,
            eni: OfEni::default(),
            settled: false,
            works: HashMap::new(),
            writing: HashMap::new(),
            refused: BTreeMap::new(),
            random: RandomState::new(),
            drawn: 0,
        }
    }

    /// Takes note of what the node has to tell.
    pub(super) fn report(&mut self, report: Report, now: Instant) {
        match report {
            Report::IdentityWanted(labels) => _ = self.wanted.insert(labels),
            Report::Endpoint(published) => {
                let pod = published.pod.clone();
                self.gone.remove(&pod);
                match self.pods.get_mut(&pod) {
                    Some(local) => local.published = *published,
                    None => {
                        let local = Local { published: *published, since: now, written: None };
                        self.pods.insert(pod, local);
                    }
                }
            }
            // A pod of the same name may have come before the old one was gone.
            Report::EndpointGone(pod, attachment) => {
                let is_current =
                    self.pods.get(&pod).is_none_or(|local| local.published.attachment == attachment);
                if is_current {
                    self.pods.remove(&pod);
                    self.gone.insert(pod, attachment);
                }
            }
            Report::Wishes(wishes) => self.eni.wishes = Some(*wishes),
            Report::Addresses(addresses) => self.eni.addresses = Some(addresses),
            Report::Introduction(introduction) => self.eni.introduction = introduction,
            Report::Drained(drained) => self.eni.drained = Some(drained),
            Report::Ready(ready) => {
                self.settled |= ready;
                if self.ready.is_none_or(|(before, _)| before != ready) {
                    self.ready = Some((ready, now));
                }
            }
        }
    }

    /// The calls that are due, and when to ask again if nothing happens.
    pub(super) fn due(&mut self, picture: &Picture, now: Instant) -> (Vec<(Subject, Call)>, Option<Instant>) {
        // Before everything was told, what is not known may be there all the same.
        if !picture.is_complete() {
            return (Vec::new(), None);
        }
        let mut next: Option<Instant> = None;
        let mut wake = |moment: Instant| next = Some(next.map_or(moment, |next| next.min(moment)));
        let mut candidates = Vec::new();
        self.node(picture, now, &mut candidates, &mut wake);
        self.identities(picture, now, &mut candidates);
        self.endpoints(picture, now, &mut candidates, &mut wake);
        let subjects: HashSet<&Subject> = candidates.iter().map(|(subject, _)| subject).collect();
        self.works.retain(|subject, work| subjects.contains(subject) || !work.is_over(now));
        let under_way = self.works.values().filter(|work| work.in_flight).count();
        let mut room = AT_ONCE.saturating_sub(under_way);
        let mut due = Vec::new();
        for (subject, call) in candidates {
            let work = self.works.entry(subject.clone()).or_default();
            if work.in_flight || room == 0 {
                continue;
            }
            if let Some(moment) = work.waits_until(now) {
                wake(moment);
                continue;
            }
            work.start();
            room -= 1;
            if let Call::ApplyEndpoint { object, .. } = &call
                && let Subject::Endpoint(pod) = &subject
            {
                self.writing.insert(pod.clone(), fingerprint(object));
            }
            due.push((subject, call));
        }
        (due, next)
    }

    /// Takes note of what became of a call.
    pub(super) fn done(&mut self, subject: &Subject, call: &Call, outcome: &kube::Result<()>, now: Instant) {
        let jitter = self.draw() as f64 / u64::MAX as f64;
        let work = self.works.entry(subject.clone()).or_default();
        let Err(error) = outcome else {
            // An endpoint may be another a moment later; what was written of it is known.
            let settles = match call {
                Call::ApplyEndpoint { .. } => Duration::ZERO,
                Call::CreateNode(_) | Call::PatchNode(..) => NODE_SETTLES,
                _ => SETTLES,
            };
            work.done(now, settles);
            match (subject, call) {
                (Subject::Endpoint(pod), Call::ApplyEndpoint { .. }) => {
                    let written = self.writing.remove(pod).map(|written| (written, now));
                    if let Some(local) = self.pods.get_mut(pod) {
                        local.written = written;
                    }
                }
                (Subject::Endpoint(pod), Call::DeleteEndpoint { .. }) => _ = self.gone.remove(pod),
                _ => {}
            }
            return;
        };
        match call {
            // Somebody has that number, or was quicker with the same: the watch tells, and only if it does not, another
            // number is taken.
            Call::CreateIdentity(number, _) if is_conflict(error) => {
                work.done(now, SETTLES);
                self.refused.entry(*number).or_insert(now);
            }
            Call::ApplyEndpoint { .. } | Call::DeleteEndpoint { .. } if is_conflict(error) => {
                work.again(now, jitter);
            }
            Call::UnmarkIdentity(..) if is_conflict(error) || is_missing(error) => {
                work.again(now, jitter);
            }
            _ => {
                tracing::warn!(subject = %describe(subject), %error, "not written yet, tried again");
                work.failed(now, error.into(), jitter);
            }
        }
    }

    /// Whether a pod is connected whose object the API does not have.
    pub(super) fn has_orphans(&self, picture: &Picture) -> bool {
        self.pods.keys().any(|pod| !picture.owners.contains_key(pod))
    }

    fn node(
        &self,
        picture: &Picture,
        now: Instant,
        calls: &mut Vec<(Subject, Call)>,
        wake: &mut impl FnMut(Instant),
    ) {
        let Some(own) = &picture.nodes.own else { return };
        // What it owned would be collected, as often as it is made.
        if picture.nodes.own_is_gone {
            return;
        }
        let ready = match self.ready {
            Some((false, since)) if now < since + BUSY => {
                wake(since + BUSY);
                None
            }
            ready => ready.map(|(ready, _)| ready),
        };
        let ranges = self.terms.ranges_of_node.then_some(own.pod_cidrs.as_slice());
        let desired = Desired {
            name: &self.terms.node,
            own,
            boot_id: &self.terms.boot_id,
            ready,
            ranges,
            eni: &self.eni,
        };
        match &picture.nodes.published {
            Some(present) => {
                let patch = desired.patch(present);
                calls.extend(patch.map(|patch| (Subject::Node, Call::PatchNode(desired.name.into(), patch))));
            }
            None => {
                let object = desired.object(picture.nodes.last_ranges());
                calls.push((Subject::Node, Call::CreateNode(Box::new(object))));
            }
        }
    }

    fn identities(&mut self, picture: &Picture, now: Instant, calls: &mut Vec<(Subject, Call)>) {
        self.wanted.retain(|labels| picture.identities.of(labels).is_none());
        // Labels that are not known yet are nobody's.
        let unknown = reserved_labels(Identity::INIT);
        let local = self.pods.values().map(|local| &local.published);
        let local = local.filter(|pod| is_numbered(pod.identity) && pod.labels != unknown);
        let in_use: HashSet<LabelSet> = local.map(|pod| pod.labels.clone()).collect();
        for labels in &in_use {
            if let Some(number) = picture.identities.of(labels)
                && let Some(version) = picture.identities.marked(number)
            {
                calls.push((Subject::Mark(number), Call::UnmarkIdentity(number, version.to_owned())));
            }
        }
        if !self.terms.allocates {
            return;
        }
        // In order, so that nodes that want the same ask for the same.
        let missing: BTreeSet<LabelSet> = in_use
            .into_iter()
            .filter(|labels| picture.identities.of(labels).is_none())
            .chain(self.wanted.iter().cloned())
            .collect();
        self.refused.retain(|number, since| picture.identities.is_free(*number) && now < *since + FORGIVEN);
        let mut taken = HashSet::new();
        for labels in missing {
            match self.free_number(picture, &labels, now, &taken) {
                Some(number) => {
                    taken.insert(number);
                    let subject = Subject::Identity(labels.clone(), number);
                    calls.push((subject, Call::CreateIdentity(number, labels)));
                }
                None => tracing::error!(%labels, "no number is free for these labels"),
            }
        }
    }

    fn endpoints(
        &self,
        picture: &Picture,
        now: Instant,
        calls: &mut Vec<(Subject, Call)>,
        wake: &mut impl FnMut(Instant),
    ) {
        let Some(own) = &picture.nodes.own else { return };
        let settles = if self.terms.slices { SLICES_SETTLE } else { SETTLES };
        let nodes: BTreeSet<_> = own.ips();
        for (pod, local) in &self.pods {
            // Its object comes, or it is gone and the runtime will say so.
            let (Some(owner), Some(node)) = (picture.owners.get(pod), own.address()) else { continue };
            if local.published.identity == Identity::INIT && now < local.since + NUMBERED_SOON {
                wake(local.since + NUMBERED_SOON);
                continue;
            }
            let object = endpoint::object(&local.published, owner, node);
            let is_written = local.written.is_some_and(|(written, since)| {
                let is_there = || is_as_told(picture.endpoints.own().get(pod), &local.published);
                if now < since + settles && !is_there() {
                    wake(since + settles);
                }
                written == fingerprint(&object) && (now < since + settles || is_there())
            });
            if !is_written {
                let is_own = picture.endpoints.own().contains_key(pod);
                let call = Call::ApplyEndpoint { object: Box::new(object), nodes: nodes.clone(), is_own };
                calls.push((Subject::Endpoint(pod.clone()), call));
            }
        }
        let delete = |pod: &PodRef, attachment: Option<String>| {
            let call = Call::DeleteEndpoint { pod: pod.clone(), nodes: nodes.clone(), attachment };
            (Subject::Endpoint(pod.clone()), call)
        };
        calls.extend(
            self.gone.iter().map(|(pod, attachment)| delete(pod, Some(endpoint::attachment_id(attachment)))),
        );
        // What an earlier agent wrote of pods that have gone since.
        if self.settled {
            let left = picture.endpoints.own().keys();
            let left = left.filter(|pod| !self.pods.contains_key(*pod) && !self.gone.contains_key(*pod));
            calls.extend(left.map(|pod| delete(pod, None)));
        }
    }

    /// A number that stands for nothing, the same on all nodes: the one that pods with these labels have, or one that
    /// follows from the labels. So when many nodes need it at once, one of them makes it, and no other one is made.
    fn free_number(
        &self,
        picture: &Picture,
        labels: &LabelSet,
        now: Instant,
        taken: &HashSet<Identity>,
    ) -> Option<Identity> {
        let (first, last) = (Identity::CLUSTER_MIN.0, Identity::CLUSTER_MAX.0);
        let count = u64::from(last - first) + 1;
        let start = stable_hash(&labels.to_string()) % count;
        let held = self.pods.values().filter(|local| local.published.labels == *labels);
        let held =
            held.map(|local| local.published.identity).filter(|held| held.0 >= first && held.0 <= last);
        let others = (0..count).filter_map(|step| {
            let offset = u32::try_from((start + step) % count).ok()?;
            Some(Identity(first + offset))
        });
        held.chain(others).find(|number| {
            // What was refused may be ours: the watch is waited for, though not for ever.
            let is_refused = self.refused.get(number).is_some_and(|since| now >= *since + SETTLES);
            picture.identities.is_free(*number) && !taken.contains(number) && !is_refused
        })
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.random.hash_one(self.drawn)
    }
}

/// Whether a number is of the cluster's, or is about to be.
const fn is_numbered(identity: Identity) -> bool {
    identity.0 == Identity::INIT.0
        || (identity.0 >= Identity::CLUSTER_MIN.0 && identity.0 <= Identity::CLUSTER_MAX.0)
}

/// Whether the API has an endpoint as it should be.
fn is_as_told(told: Option<&RemoteEndpoint>, published: &Published) -> bool {
    told.is_some_and(|told| {
        told.identity == published.identity
            && told.addresses.len() == published.addresses.len()
            && published.addresses.iter().all(|address| told.addresses.contains(address))
    })
}

fn fingerprint(object: &crds::CiliumEndpoint) -> u64 {
    stable_hash(&serde_json::to_string(object).unwrap_or_default())
}

fn describe(subject: &Subject) -> String {
    match subject {
        Subject::Identity(labels, number) => format!("CiliumIdentity {} of {labels}", number.0),
        Subject::Mark(identity) => format!("CiliumIdentity {}", identity.0),
        Subject::Endpoint(pod) => format!("CiliumEndpoint {pod}"),
        Subject::Node => "CiliumNode".to_owned(),
    }
}
