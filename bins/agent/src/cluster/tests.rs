//! Random changes in both modes: after each of them the cluster is what a model says that works everything out anew, and
//! what it says has changed is all that has.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use abi::{Identity, Peer};
use api::PodRef;
use policy::manifest::{Object, ObjectKey, Pod, parse};
use policy::{LabelSet, pod_labels, reserved_labels};
use proptest::prelude::*;

use super::{Beginnings, Cluster, Holder, Numbers};
use crate::source::{Change, RemoteEndpoint};

const NODE: &str = "n0";
/// Small domains, so that things meet.
const ADDRESSES: u8 = 5;
/// What this node's links have.
const OWN: [u8; 4] = [192, 0, 2, 1];

#[derive(Clone, Debug)]
enum Step {
    Pod {
        pod: u8,
        node: u8,
        app: u8,
        ips: Vec<u8>,
        finished: bool,
    },
    PodGone(u8),
    Endpoint {
        pod: u8,
        here: bool,
        number: u8,
        ips: Vec<u8>,
    },
    EndpointGone(u8),
    /// All endpoints are told anew but one, after a list that broke off.
    EndpointList {
        without: u8,
    },
    Identity {
        number: u8,
        pod: u8,
        app: u8,
    },
    IdentityGone(u8),
    Node {
        node: u8,
        label: u8,
        ips: Vec<u8>,
    },
    NodeGone(u8),
    Local {
        pod: u8,
        ips: Vec<u8>,
    },
    LocalGone(u8),
    Namespace {
        namespace: u8,
        label: u8,
    },
    NamespaceGone(u8),
    ApiServer(Vec<u8>),
    Policy {
        cidr: u8,
    },
    PolicyGone,
}

fn step() -> impl Strategy<Value = Step> {
    let ips = || prop::collection::btree_set(0..ADDRESSES, 0..3).prop_map(|ips| ips.into_iter().collect());
    let few = || 0..3u8;
    prop_oneof![
        (0..4u8, few(), few(), ips(), prop::bool::weighted(0.1))
            .prop_map(|(pod, node, app, ips, finished)| Step::Pod { pod, node, app, ips, finished }),
        (0..4u8).prop_map(Step::PodGone),
        (0..4u8, prop::bool::weighted(0.2), 0..4u8, ips()).prop_map(
            |(pod, here, number, ips): (u8, bool, u8, Vec<u8>)| Step::Endpoint {
                pod,
                here,
                number,
                ips: ips.into_iter().take(1).collect()
            }
        ),
        (0..4u8).prop_map(Step::EndpointGone),
        (0..6u8).prop_map(|without| Step::EndpointList { without }),
        (0..4u8, 0..4u8, few()).prop_map(|(number, pod, app)| Step::Identity { number, pod, app }),
        (0..4u8).prop_map(Step::IdentityGone),
        (few(), 0..2u8, ips()).prop_map(|(node, label, ips)| Step::Node { node, label, ips }),
        few().prop_map(Step::NodeGone),
        (0..4u8, ips()).prop_map(|(pod, ips)| Step::Local { pod, ips }),
        (0..4u8).prop_map(Step::LocalGone),
        (0..2u8, 0..2u8).prop_map(|(namespace, label)| Step::Namespace { namespace, label }),
        (0..2u8).prop_map(Step::NamespaceGone),
        ips().prop_map(Step::ApiServer),
        (30..=32u8).prop_map(|cidr| Step::Policy { cidr }),
        Just(Step::PolicyGone),
    ]
}

fn address(number: u8) -> IpAddr {
    [10, 0, 0, number].into()
}

fn addresses(numbers: &[u8]) -> Vec<IpAddr> {
    numbers.iter().map(|number| address(*number)).collect()
}

/// Two pods in each of two namespaces.
fn name(pod: u8) -> PodRef {
    PodRef { namespace: format!("ns{}", pod / 2), name: format!("p{pod}") }
}

fn holder(pod: u8) -> Holder {
    let PodRef { namespace, name } = name(pod);
    Holder::Pod(namespace.into(), name.into())
}

fn number(number: u8) -> Identity {
    Identity(300 + u32::from(number))
}

fn object(text: &str) -> Object {
    parse(text, "test.yaml", 1).remove(0).unwrap()
}

fn pod_object(pod: u8, node: u8, app: u8, ips: &[u8], finished: bool) -> Pod {
    let PodRef { namespace, name } = name(pod);
    let ips: Vec<String> = addresses(ips).iter().map(|ip| format!("{{ip: {ip}}}")).collect();
    let phase = if finished { "Failed" } else { "Running" };
    let text = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}, labels: {{app: a{app}}}}}, \
         spec: {{nodeName: n{node}, containers: []}}, status: {{phase: {phase}, podIPs: [{}]}}}}",
        ips.join(", ")
    );
    match object(&text) {
        Object::Pod(pod) => pod,
        other => unreachable!("{other:?}"),
    }
}

fn key(kind: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey { kind: kind.into(), namespace: namespace.map(Into::into), name: name.into() }
}

/// Who may have an address; the order is that in which the model lists them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claimer {
    Pod(u8),
    Node(u8),
}

/// Everything that was told, as it was told.
#[derive(Clone, Default)]
struct Model {
    given: bool,
    pods: BTreeMap<u8, Pod>,
    /// Objects that are gone, of pods that are connected.
    gone: BTreeMap<u8, Pod>,
    endpoints: BTreeMap<u8, (bool, Identity, Vec<IpAddr>)>,
    numbers: BTreeMap<Identity, LabelSet>,
    counting: HashMap<LabelSet, Identity>,
    nodes: BTreeMap<u8, (u8, Vec<IpAddr>)>,
    locals: BTreeMap<u8, Vec<IpAddr>>,
    who: BTreeMap<u8, (Option<Identity>, LabelSet)>,
    namespaces: BTreeMap<u8, u8>,
    api_server: BTreeSet<IpAddr>,
    claims: Vec<(IpAddr, Claimer)>,
}

impl Model {
    fn labels(&self, pod: &Pod) -> LabelSet {
        let namespace: u8 = pod.meta.namespace()[2..].parse().unwrap();
        let of_namespace =
            self.namespaces.get(&namespace).map(|label| ("team".to_owned(), format!("t{label}")));
        pod_labels(pod, &of_namespace.into_iter().collect())
    }

    fn forget_number(&mut self, number: Identity) {
        let Some(labels) = self.numbers.remove(&number) else { return };
        if self.counting.get(&labels) == Some(&number) {
            self.counting.remove(&labels);
            if let Some((other, _)) = self.numbers.iter().find(|(_, other)| **other == labels) {
                self.counting.insert(labels, *other);
            }
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Pod { pod, node, app, ips, finished } => {
                self.gone.remove(pod);
                self.pods.insert(*pod, pod_object(*pod, *node, *app, ips, *finished));
            }
            Step::PodGone(pod) => {
                if let Some(object) = self.pods.remove(pod)
                    && self.locals.contains_key(pod)
                {
                    self.gone.insert(*pod, object);
                }
            }
            Step::Endpoint { pod, here, number: published, ips } => {
                self.endpoints.insert(*pod, (*here, number(*published), addresses(ips)));
            }
            Step::EndpointGone(pod) | Step::EndpointList { without: pod } => {
                self.endpoints.remove(pod);
            }
            Step::Identity { number: given, pod, app } if self.given => {
                let labels = self.labels(&pod_object(*pod, 0, *app, &[], false));
                let given = number(*given);
                if self.numbers.get(&given) != Some(&labels) {
                    self.forget_number(given);
                }
                for who in self.who.values_mut().filter(|who| who.0 == Some(given) && who.1 != labels) {
                    *who = (None, reserved_labels(Identity::INIT));
                }
                self.numbers.insert(given, labels.clone());
                self.counting.insert(labels, given);
            }
            Step::IdentityGone(gone) => self.forget_number(number(*gone)),
            Step::Node { node, label, ips } => drop(self.nodes.insert(*node, (*label, addresses(ips)))),
            Step::NodeGone(node) => drop(self.nodes.remove(node)),
            Step::Local { pod, ips } => drop(self.locals.insert(*pod, addresses(ips))),
            Step::LocalGone(pod) => {
                self.locals.remove(pod);
                self.gone.remove(pod);
                self.who.remove(pod);
            }
            Step::Namespace { namespace, label } => drop(self.namespaces.insert(*namespace, *label)),
            Step::NamespaceGone(namespace) => drop(self.namespaces.remove(namespace)),
            Step::ApiServer(ips) => self.api_server = addresses(ips).into_iter().collect(),
            Step::Identity { .. } | Step::Policy { .. } | Step::PolicyGone => {}
        }
        for pod in self.locals.keys() {
            let who = self.who.entry(*pod).or_insert_with(|| (None, reserved_labels(Identity::INIT)));
            let Some(object) = self.pods.get(pod).or_else(|| self.gone.get(pod)) else { continue };
            let of_namespace = object.meta.namespace()[2..].parse::<u8>().unwrap();
            let team =
                self.namespaces.get(&of_namespace).map(|label| ("team".to_owned(), format!("t{label}")));
            let labels = pod_labels(object, &team.into_iter().collect());
            match self.counting.get(&labels) {
                Some(number) => *who = (Some(*number), labels),
                None if !self.given => *who = (None, labels),
                None => {}
            }
        }
        self.claim();
    }

    fn addresses_of(&self, pod: u8) -> Vec<IpAddr> {
        let object = self.pods.get(&pod).or_else(|| self.gone.get(&pod));
        if let Some(local) = self.locals.get(&pod) {
            return local.clone();
        }
        if object.is_some_and(|pod| pod.node_name.as_deref() == Some(NODE)) {
            return Vec::new();
        }
        match (self.endpoints.get(&pod), object) {
            (Some((false, _, ips)), _) => ips.clone(),
            (_, Some(object)) if !object.is_finished() => object.ips.clone(),
            _ => Vec::new(),
        }
    }

    fn claim(&mut self) {
        let pods =
            (0..4).flat_map(|pod| self.addresses_of(pod).into_iter().map(move |ip| (ip, Claimer::Pod(pod))));
        let nodes = self.nodes.iter().flat_map(|(node, (_, ips))| {
            let own = (*node == 0).then(|| OWN.into());
            ips.iter().copied().chain(own).map(|ip| (ip, Claimer::Node(*node)))
        });
        let own = [(IpAddr::from(OWN), Claimer::Node(0))];
        let all: BTreeSet<(IpAddr, Claimer)> = pods.chain(nodes).chain(own).collect();
        self.claims.retain(|claim| all.contains(claim));
        let new: Vec<_> = all.into_iter().filter(|claim| !self.claims.contains(claim)).collect();
        self.claims.extend(new);
    }

    /// Who has an address, with the number where it is certain.
    fn holder(&self, ip: IpAddr) -> Option<(Holder, Option<Identity>, LabelSet)> {
        let unmanaged = || (Some(Identity::UNMANAGED), reserved_labels(Identity::UNMANAGED));
        let claims = self.claims.iter().filter(|(claimed, _)| *claimed == ip);
        // Nobody comes over this node and its pods; a node is believed before a pod that is nobody's.
        let standing = |claimer: &Claimer| match claimer {
            Claimer::Node(0) => 2,
            Claimer::Pod(pod) if self.locals.contains_key(pod) => 2,
            Claimer::Node(_) => 1,
            Claimer::Pod(_) => 0,
        };
        let Some((_, claimer)) = claims.max_by_key(|(_, claimer)| standing(claimer)) else {
            let labels = ["reserved:world", "reserved:world-ipv4", "reserved:kube-apiserver"];
            let labels = labels.iter().map(|label| label.parse().unwrap()).collect();
            return self.api_server.contains(&ip).then_some((Holder::ApiServer, None, labels));
        };
        let (holder, (number, labels)) = match claimer {
            Claimer::Node(node) => {
                let label = self.nodes.get(node).map(|(label, _)| format!("node:rack=r{label}"));
                let serves = self.claims.iter().any(|(ip, by)| by == claimer && self.api_server.contains(ip));
                let reserved = match (*node, serves) {
                    (0, false) => vec!["reserved:host"],
                    (0, true) => vec!["reserved:host", "reserved:kube-apiserver"],
                    (_, false) => vec!["reserved:remote-node"],
                    (_, true) => vec!["reserved:remote-node", "reserved:kube-apiserver"],
                };
                let labels = reserved.into_iter().chain(label.as_deref()).map(|label| label.parse().unwrap());
                let number = (*node == 0).then_some(Identity::HOST);
                (Holder::Node(format!("n{node}")), (number, labels.collect()))
            }
            Claimer::Pod(pod) => {
                let who = if self.locals.contains_key(pod) {
                    self.who[pod].clone()
                } else if let Some((_, number, _)) = self.endpoints.get(pod) {
                    let known = self.numbers.get(number);
                    known.map_or_else(unmanaged, |labels| (Some(*number), labels.clone()))
                } else {
                    let labels = self.labels(&self.pods[pod]);
                    match self.counting.get(&labels) {
                        Some(number) => (Some(*number), labels),
                        None if self.given => unmanaged(),
                        None => (None, labels),
                    }
                };
                (holder(*pod), who)
            }
        };
        Some((holder, number, labels))
    }
}

fn endpoint(pod: u8, here: bool, identity: Identity, addresses: Vec<IpAddr>) -> Change {
    let node = Some(if here { OWN.into() } else { [192, 0, 2, 9].into() });
    Change::Endpoint(RemoteEndpoint { pod: name(pod), node, identity, addresses })
}

/// Tells the cluster.
fn tell(cluster: &mut Cluster, model: &Model, step: &Step) {
    let set = |text: &str| Change::Set(Box::new(object(text)));
    let list = |ips: &[u8], format: fn(IpAddr) -> String| {
        addresses(ips).into_iter().map(format).collect::<Vec<_>>().join(", ")
    };
    let change = match step {
        Step::Pod { pod, node, app, ips, finished } => {
            Change::Set(Box::new(Object::Pod(pod_object(*pod, *node, *app, ips, *finished))))
        }
        Step::PodGone(pod) => Change::Removed(key("Pod", Some(&name(*pod).namespace), &name(*pod).name)),
        Step::Endpoint { pod, here, number: published, ips } => {
            endpoint(*pod, *here, number(*published), addresses(ips))
        }
        Step::EndpointGone(pod) => Change::EndpointGone(name(*pod)),
        Step::EndpointList { without } => {
            for breaks_off in [true, false] {
                cluster.apply(Change::EndpointsBegin);
                for (pod, (here, number, ips)) in &model.endpoints {
                    if breaks_off || pod != without {
                        cluster.apply(endpoint(*pod, *here, *number, ips.clone()));
                    }
                }
            }
            Change::EndpointsEnd
        }
        Step::Identity { number: given, pod, app } => {
            Change::Identity(number(*given), model.labels(&pod_object(*pod, 0, *app, &[], false)))
        }
        Step::IdentityGone(gone) => Change::IdentityGone(number(*gone)),
        Step::Node { node, label, ips } => set(&format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: n{node}, labels: {{rack: r{label}}}}}, \
             status: {{addresses: [{}]}}}}",
            list(ips, |ip| format!("{{type: InternalIP, address: {ip}}}"))
        )),
        Step::NodeGone(node) => Change::Removed(key("Node", None, &format!("n{node}"))),
        Step::Local { pod, ips } => return cluster.set_local(Some(&name(*pod)), &addresses(ips)),
        Step::LocalGone(pod) => {
            if let Some(ips) = model.locals.get(pod) {
                cluster.remove_local(Some(&name(*pod)), ips);
            }
            return;
        }
        Step::Namespace { namespace, label } => set(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: ns{namespace}, labels: {{team: t{label}}}}}}}"
        )),
        Step::NamespaceGone(namespace) => Change::Removed(key("Namespace", None, &format!("ns{namespace}"))),
        Step::ApiServer(ips) => set(&format!(
            "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, \
             metadata: {{name: s, namespace: default, labels: {{kubernetes.io/service-name: kubernetes}}}}, \
             endpoints: [{}]}}",
            list(ips, |ip| format!("{{addresses: [{ip}]}}"))
        )),
        Step::Policy { cidr } => set(&format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: ns0}}, \
             spec: {{podSelector: {{}}, ingress: [{{from: [{{ipBlock: {{cidr: 10.0.0.0/{cidr}}}}}]}}]}}}}"
        )),
        Step::PolicyGone => Change::Removed(key("NetworkPolicy", Some("ns0"), "p")),
    };
    cluster.apply(change);
}

fn compare(given: bool, steps: &[Step]) -> Result<(), TestCaseError> {
    let identities = if given { Numbers::given() } else { Numbers::default() };
    let beginnings = Beginnings { identities, ..Beginnings::default() };
    let mut cluster = Cluster::new(NODE, beginnings, vec![OWN.into()]);
    let mut model = Model { given, ..Model::default() };
    let mut mirror: BTreeMap<IpAddr, (Peer, bool)> = BTreeMap::new();
    let mut first = true;
    for (at, step) in steps.iter().enumerate() {
        tell(&mut cluster, &model, step);
        model.take(step);
        // Several changes are one to whoever asks seldom.
        if at % 3 == 1 && at + 1 < steps.len() {
            continue;
        }
        let changed = cluster.take_changed();
        prop_assert_eq!(changed.addresses.is_none(), first);
        first = false;
        let all: Vec<IpAddr> = (0..ADDRESSES).map(address).chain([IpAddr::from(OWN)]).collect();
        for ip in changed.addresses.map_or_else(|| all.clone(), |addresses| addresses.into_iter().collect()) {
            match cluster.repository.known_peer(ip) {
                Some(peer) => mirror.insert(ip, (peer, cluster.is_elsewhere(ip))),
                None => mirror.remove(&ip),
            };
        }
        let mut number_of: HashMap<LabelSet, Identity> = HashMap::new();
        for ip in all {
            let peer = cluster.repository.known_peer(ip);
            prop_assert_eq!(mirror.get(&ip).copied(), peer.map(|peer| (peer, cluster.is_elsewhere(ip))));
            let Some((holder, number, labels)) = model.holder(ip) else {
                prop_assert_eq!((cluster.holder(ip), peer), (None, None), "{} after {:?}", ip, step);
                continue;
            };
            prop_assert_eq!(cluster.holder(ip), Some(holder), "{} after {:?}", ip, step);
            let peer = peer.unwrap();
            prop_assert_eq!(
                cluster.repository.labels(peer.identity),
                Some(&labels),
                "{} after {:?}",
                ip,
                step
            );
            if let Some(number) = number {
                prop_assert_eq!(peer.identity, number, "{} after {:?}", ip, step);
            } else {
                let same = *number_of.entry(labels).or_insert(peer.identity);
                prop_assert_eq!(same, peer.identity);
            }
        }
        for (pod, (number, labels)) in &model.who {
            let known = cluster.labels(&name(*pod));
            let is_known = number.is_some() || (!given && *labels != reserved_labels(Identity::INIT));
            prop_assert_eq!(known, is_known.then(|| labels.clone()), "{:?} after {:?}", name(*pod), step);
        }
    }
    // Nothing is left of what is gone.
    for pod in 0..4 {
        cluster.remove_local(Some(&name(pod)), model.locals.get(&pod).map_or(&[], Vec::as_slice));
        cluster.apply(Change::EndpointGone(name(pod)));
        let PodRef { namespace, name } = name(pod);
        cluster.apply(Change::Removed(key("Pod", Some(&namespace), &name)));
    }
    prop_assert_eq!((cluster.pods.len(), cluster.by_labels.len()), (0, 0));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers_of_the_node_itself(steps in prop::collection::vec(step(), 1..60)) {
        compare(false, &steps)?;
    }

    #[test]
    fn numbers_of_the_cluster(steps in prop::collection::vec(step(), 1..60)) {
        compare(true, &steps)?;
    }
}

#[test]
fn who_has_no_number_yet_is_asked_for_once_and_stays_closed() {
    let beginnings = Beginnings { identities: Numbers::given(), ..Beginnings::default() };
    let mut cluster = Cluster::new(NODE, beginnings, vec![OWN.into()]);
    let pod = pod_object(0, 0, 0, &[], false);
    let labels = pod_labels(&pod, &BTreeMap::new());
    cluster.set_local(Some(&name(0)), &[address(1)]);
    assert!(cluster.take_wanted().is_empty());
    cluster.apply(Change::Set(Box::new(Object::Pod(pod))));
    cluster.apply(Change::Set(Box::new(Object::Pod(pod_object(1, 0, 0, &[], false)))));
    assert_eq!(cluster.take_wanted(), std::slice::from_ref(&labels));
    assert_eq!((cluster.identity(address(1)), cluster.labels(&name(0))), (Identity::INIT, None));
    assert!(!cluster.is_identified(&name(0)));

    cluster.apply(Change::Identity(Identity(300), labels.clone()));
    assert_eq!((cluster.identity(address(1)), cluster.is_identified(&name(0))), (Identity(300), true));
    assert!(cluster.take_wanted().is_empty());
    // The store lost its data: the pod stays who it was, and its labels need a number again.
    cluster.apply(Change::Removed(key("Pod", Some("ns0"), "p0")));
    cluster.apply(Change::IdentityGone(Identity(300)));
    assert_eq!(cluster.identity(address(1)), Identity(300));
    assert_eq!((cluster.labels(&name(0)), cluster.take_wanted()), (Some(labels.clone()), vec![labels]));
}
