//! `networking.k8s.io/v1` NetworkPolicy.

use abi::Direction;
use ipnetwork::IpNetwork;

use super::cidr_group::cidr;
use super::cluster;
use super::label_selector::{self, Keys, LabelSelector};
use super::meta::Meta;
use super::reader::{Field, Fields};
use crate::cidr::{canonical, contains};
use crate::label::Source;
use crate::peer_selector::{CidrScope, CidrSelector, PeerSelector, Peers};
use crate::pod::{NAMESPACE, NAMESPACE_LABELS};
use crate::policy_key::{PolicyKey, PolicyKind, RuleRef};
use crate::port::{PortMatch, PortSelector, Ports, Protocol};
use crate::rule::{Action, Policy, Rule, Spec, Subject, Tier};
use crate::selector::{Requirement, Selector};

/// A NetworkPolicy, with Kubernetes' defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Name, namespace and labels.
    pub meta: Meta,
    /// The pods of its namespace that it is about.
    pub pod_selector: LabelSelector,
    /// Whether it is about ingress.
    pub affects_ingress: bool,
    /// Whether it is about egress.
    pub affects_egress: bool,
    /// What may come in.
    pub ingress: Vec<NetworkPolicyRule>,
    /// What may go out.
    pub egress: Vec<NetworkPolicyRule>,
    /// Where its spec stands.
    pub origin: RuleRef,
}

/// One item of `ingress` or `egress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicyRule {
    /// `from` or `to`; everyone where empty.
    pub peers: Vec<NetworkPolicyPeer>,
    /// `ports`; all where empty.
    pub ports: Vec<NetworkPolicyPort>,
    /// Where it stands.
    pub origin: RuleRef,
}

/// One item of `from` or `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkPolicyPeer {
    /// Pods of namespaces.
    Pods {
        /// Which pods; all where absent.
        pods: Option<LabelSelector>,
        /// Of which namespaces; the policy's where absent.
        namespaces: Option<LabelSelector>,
    },
    /// Addresses, whoever has them.
    IpBlock {
        /// These,
        cidr: IpNetwork,
        /// save these.
        except: Vec<IpNetwork>,
    },
}

/// One item of `ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicyPort {
    /// The protocol.
    pub protocol: Protocol,
    /// The port, ports or name.
    pub port: PortMatch,
}

impl NetworkPolicy {
    /// Its name among policies.
    #[must_use]
    pub fn key(&self) -> PolicyKey {
        key(&self.meta)
    }

    /// As rules.
    #[must_use]
    pub fn normalise(&self) -> Policy {
        let rules = [(Direction::Ingress, &self.ingress), (Direction::Egress, &self.egress)];
        let rules = rules.into_iter().flat_map(|(direction, rules)| {
            rules.iter().map(move |rule| Rule {
                direction,
                peers: self.peers(&rule.peers),
                ports: ports(&rule.ports),
                action: Action::Allow,
                l7: None,
                authentication: None,
                log: None,
                origin: rule.origin.clone(),
            })
        });
        let spec = Spec {
            subject: Subject::Endpoints(in_namespace(pods(&self.pod_selector), self.meta.namespace())),
            tier: Tier::Normal,
            deny_ingress: self.affects_ingress,
            deny_egress: self.affects_egress,
            // Rules of a direction that policyTypes leaves out have no effect.
            rules: rules
                .filter(|rule| match rule.direction {
                    Direction::Ingress => self.affects_ingress,
                    Direction::Egress => self.affects_egress,
                })
                .collect(),
            origin: self.origin.clone(),
        };
        Policy { key: self.key(), specs: vec![spec] }
    }

    fn peers(&self, peers: &[NetworkPolicyPeer]) -> Peers {
        if peers.is_empty() {
            return Peers::Any;
        }
        let selector = |peer: &NetworkPolicyPeer| match peer {
            NetworkPolicyPeer::IpBlock { cidr, except } => PeerSelector::Cidr(CidrSelector {
                cidr: *cidr,
                except: except.clone(),
                scope: CidrScope::Everyone,
            }),
            NetworkPolicyPeer::Pods { pods: wanted, namespaces } => {
                let selector = wanted.as_ref().map_or_else(Selector::everything, pods);
                PeerSelector::Labels(match namespaces {
                    None => in_namespace(selector, self.meta.namespace()),
                    Some(namespaces) => {
                        let of_namespaces =
                            namespaces.selector(|key| (Source::K8s, format!("{NAMESPACE_LABELS}{key}")));
                        // Only pods have namespaces: without this, NotIn would match all else too.
                        of_namespaces
                            .requirements()
                            .iter()
                            .cloned()
                            .fold(selector, Selector::and)
                            .and(Requirement::exists(Source::K8s, NAMESPACE))
                    }
                })
            }
        };
        Peers::OneOf(peers.iter().map(selector).collect())
    }
}

fn pods(selector: &LabelSelector) -> Selector {
    selector.selector(|key| (Source::K8s, key.to_owned()))
}

fn in_namespace(selector: Selector, namespace: &str) -> Selector {
    selector.and(Requirement::equals(Source::K8s, NAMESPACE, namespace))
}

fn ports(ports: &[NetworkPolicyPort]) -> Ports {
    if ports.is_empty() {
        return Ports::Any;
    }
    let selector = |port: &NetworkPolicyPort| PortSelector {
        protocols: [port.protocol].into(),
        port: port.port.clone(),
    };
    Ports::OneOf(ports.iter().map(selector).collect())
}

fn key(meta: &Meta) -> PolicyKey {
    PolicyKey { kind: PolicyKind::NetworkPolicy, namespace: meta.namespace.clone(), name: meta.name.clone() }
}

/// Reads a policy. The second value is set where the policy is wrong but its subjects are known.
pub(super) fn read(meta: Meta, mut object: Fields<'_>) -> (Option<NetworkPolicy>, Option<Policy>) {
    let report = object.field.report;
    let spec_field = object.get("spec");
    object.ignore(&["status"]);
    object.refuse_others();
    let Some(field) = spec_field else {
        let policy = without_spec(&object.field, meta);
        return if report.count() == 0 { (Some(policy), None) } else { (None, Some(policy.normalise())) };
    };
    let Some(mut spec) = field.object() else { return (None, None) };
    // Absent means all pods, as the API server fills it in.
    let pod_selector = match spec.get("podSelector") {
        Some(selector) => label_selector::read(&selector, Keys::Plain),
        None => Some(LabelSelector::default()),
    };
    let types = spec.get("policyTypes");
    let before_types = report.count();
    let named: Option<Vec<Direction>> = types.as_ref().map(policy_types).filter(|named| !named.is_empty());
    let types_valid = report.count() == before_types;
    let (ingress_field, egress_field) = (spec.get("ingress"), spec.get("egress"));
    let names_egress = egress_field.as_ref().is_some_and(|field| !field.is_empty_list());
    let list = |field: &Option<Field<'_>>, peers_key| {
        let items = field.as_ref().and_then(Field::list).unwrap_or_default();
        items.iter().map(|item| rule(item, &meta, peers_key)).collect::<Vec<_>>()
    };
    let ingress = list(&ingress_field, "from");
    let egress = list(&egress_field, "to");
    spec.finish();

    let Some(pod_selector) = pod_selector else { return (None, None) };
    let has_type = |direction| named.as_ref().map(|named| named.contains(&direction));
    let policy = NetworkPolicy {
        affects_ingress: has_type(Direction::Ingress).unwrap_or(true),
        affects_egress: has_type(Direction::Egress).unwrap_or(!egress.is_empty()),
        pod_selector,
        ingress,
        egress,
        origin: field.origin(key(&meta)),
        meta,
    };
    if report.count() == 0 {
        return (Some(policy), None);
    }
    let mut closed = policy.normalise();
    for spec in &mut closed.specs {
        spec.rules.clear();
        // Where the types are wrong, so is what they leave out.
        spec.deny_ingress |= !types_valid;
        spec.deny_egress |= (!types_valid || types.is_none()) && names_egress;
    }
    (None, Some(closed))
}

/// What the API server makes of a policy without a spec: every field has its default.
fn without_spec(object: &Field<'_>, meta: Meta) -> NetworkPolicy {
    NetworkPolicy {
        pod_selector: LabelSelector::default(),
        affects_ingress: true,
        affects_egress: false,
        ingress: Vec::new(),
        egress: Vec::new(),
        origin: object.origin(key(&meta)),
        meta,
    }
}

fn policy_types(field: &Field<'_>) -> Vec<Direction> {
    let read = |item: &Field<'_>| {
        let name = item.string()?;
        match name.as_str() {
            "Ingress" => Some(Direction::Ingress),
            "Egress" => Some(Direction::Egress),
            _ => {
                item.error(format!("{name:?} is not a policy type"), "Ingress or Egress");
                None
            }
        }
    };
    let items = field.list().unwrap_or_default();
    if items.len() > 2 {
        field.error("has more than two items", "Ingress and Egress, once each");
    }
    items.iter().filter_map(read).collect()
}

/// Reads a rule. What is wrong in it is noted, and makes the whole policy invalid.
fn rule(field: &Field<'_>, meta: &Meta, peers_key: &'static str) -> NetworkPolicyRule {
    let mut rule =
        NetworkPolicyRule { peers: Vec::new(), ports: Vec::new(), origin: field.origin(key(meta)) };
    if let Some(mut fields) = field.object() {
        let mut list = |key| fields.get(key).and_then(|field| field.list()).unwrap_or_default();
        rule.peers = list(peers_key).iter().filter_map(peer).collect();
        rule.ports = list("ports").iter().filter_map(port).collect();
        fields.finish();
    }
    rule
}

fn peer(field: &Field<'_>) -> Option<NetworkPolicyPeer> {
    let mut fields = field.object()?;
    let (pods, namespaces) = (fields.get("podSelector"), fields.get("namespaceSelector"));
    let block = fields.get("ipBlock");
    fields.finish();
    match (&block, &pods, &namespaces) {
        (Some(block), None, None) => ip_block(block),
        (Some(block), ..) => {
            block.error("ipBlock stands beside a selector", "put it into an item of its own");
            None
        }
        (None, None, None) => {
            field.error("selects nothing", "podSelector, namespaceSelector or ipBlock");
            None
        }
        (None, ..) => {
            let read = |field: &Option<Field<'_>>| match field {
                None => Some(None),
                Some(field) => label_selector::read(field, Keys::Plain).map(Some),
            };
            let (pods, namespaces) = (read(&pods), read(&namespaces));
            Some(NetworkPolicyPeer::Pods { pods: pods?, namespaces: namespaces? })
        }
    }
}

fn ip_block(field: &Field<'_>) -> Option<NetworkPolicyPeer> {
    let mut fields = field.object()?;
    let outer = fields.require("cidr", "such as 10.0.0.0/8").and_then(|field| cidr(&field)).map(canonical);
    let items = fields.get("except").and_then(|field| field.list()).unwrap_or_default();
    fields.finish();
    let outer = outer?;
    let inner = |item: &Field<'_>| {
        let except = canonical(cidr(item)?);
        if !contains(outer, except) || except == outer {
            item.error(
                format!("{except} does not lie strictly inside {outer}"),
                "except takes parts of cidr away",
            );
            return None;
        }
        Some(except)
    };
    let except = items.iter().filter_map(inner).collect();
    Some(NetworkPolicyPeer::IpBlock { cidr: outer, except })
}

fn port(field: &Field<'_>) -> Option<NetworkPolicyPort> {
    let mut fields = field.object()?;
    let protocol = cluster::protocol(&mut fields);
    let (port, end) = (fields.get("port"), fields.get("endPort"));
    fields.finish();
    let first = match &port {
        None => Some(PortMatch::All),
        Some(field) => match field.value().as_str() {
            Some(name) if is_port_name(name) => Some(PortMatch::Named(name.to_owned())),
            Some(name) => {
                let help = "a number without quotes, or at most 15 lower-case letters, digits and '-', with a letter";
                field.error(format!("{name:?} is not the name of a port"), help);
                None
            }
            None => field.port().map(|port| PortMatch::Range(port, port)),
        },
    };
    let last = end.as_ref().and_then(Field::port);
    let matched = match (first, &end, last) {
        (first, None, _) => first,
        (Some(PortMatch::Range(first, _)), Some(_), Some(last)) if last >= first => {
            Some(PortMatch::Range(first, last))
        }
        (Some(PortMatch::Range(first, _)), Some(end), Some(last)) => {
            end.error(format!("endPort {last} is below port {first}"), format!("at least {first}"));
            None
        }
        (Some(PortMatch::All | PortMatch::Named(_)), Some(end), _) => {
            end.error("endPort needs a numeric port", "port: the first of the range");
            None
        }
        _ => None,
    };
    Some(NetworkPolicyPort { protocol: protocol?, port: matched? })
}

/// Whether this is a service name as in RFC 6335 §5.1.
pub(super) fn is_port_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.bytes().any(|b| b.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}
