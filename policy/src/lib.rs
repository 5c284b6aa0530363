//! Kubernetes network policy: from manifests to the tables that a datapath looks up, and back to the line of the
//! policy that decided.
//!
//! # The way through
//! 1. [`manifest::parse`] reads NetworkPolicy, Cilium's two kinds of policies and ClusterNetworkPolicy (and the
//!    namespaces, nodes, pods and services beside them), or says what is wrong, where, and what would be right.
//! 2. [`pod_labels`] tells what makes a pod's identity; an [`IdentityAllocator`] numbers it.
//! 3. A [`Repository`] holds policies and who has which address. It answers what an address is to policies (its
//!    identity, together with the CIDRs in use that cover it), which rules hold for a pod, and compiles them.
//! 4. [`Compiled`] has the [`Tables`]: peer to class, port to class, a cell for each pair of classes; and the rules
//!    behind each cell. [`Repository::explain`] answers for one packet.
//! 5. [`oracle::Oracle`] answers the same question from the objects alone, slowly. Tests compare the two.
//!
//! ```
//! use abi::{Direction, Identity, proto};
//! use netloom_policy::{Repository, manifest, pod_labels};
//!
//! let text = "
//! apiVersion: v1
//! kind: Pod
//! metadata: {name: web-0, namespace: shop, labels: {app: web}}
//! ---
//! apiVersion: v1
//! kind: Pod
//! metadata: {name: db-0, namespace: shop, labels: {app: db}}
//! ---
//! apiVersion: networking.k8s.io/v1
//! kind: NetworkPolicy
//! metadata: {name: db, namespace: shop}
//! spec:
//!   podSelector: {matchLabels: {app: db}}
//!   ingress:
//!   - from: [{podSelector: {matchLabels: {app: web}}}]
//!     ports: [{port: 5432}]
//! ";
//! let mut labels = Vec::new();
//! let mut repository = Repository::default();
//! for object in manifest::parse(text, "shop.yaml", 1) {
//!     let object = object?;
//!     if let manifest::Object::Pod(pod) = &object {
//!         labels.push(pod_labels(pod, &Default::default()));
//!     }
//!     repository.set_policies(object.policy());
//! }
//! let [web, db] = [labels[0].clone(), labels[1].clone()];
//! let addr = "10.244.0.7".parse()?;
//! repository.set_address(addr, Identity(256), web);
//!
//! let peer = repository.peer(addr);
//! let compiled = repository.compile(&db, Direction::Ingress);
//! let (cell, peer_class, port_class) = compiled.tables.lookup(peer, proto::TCP, 5432);
//! assert_eq!(cell.action, abi::CellAction::Allow as u8);
//! let rule = compiled.reasons(peer_class, port_class)[0];
//! assert_eq!(rule.to_string(), "NetworkPolicy shop/db spec.ingress[0] (shop.yaml:16)");
//!
//! let other = repository.explain(&db, Direction::Ingress, peer, proto::TCP, 22);
//! assert!(!other.allowed());
//! assert_eq!(other.closed_by[0].to_string(), "NetworkPolicy shop/db spec (shop.yaml:13)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it means, where implementations differ
//! - An `ipBlock` of a NetworkPolicy matches whoever has the address, pods and nodes too, as Kubernetes says. CIDRs
//!   of Cilium's policies match only what lies outside the cluster, as Cilium says.
//! - Labels that the [`LabelFilter`] leaves out select nothing, as in Cilium; Kubernetes would let them.
//! - A named port may be another number with each pod: for egress, a rule is about pairs of peer and port. Pods
//!   whose named ports differ have different identities.
//! - Rules without ports hold for every protocol; rules with ports for TCP, UDP and SCTP only, never for ICMP.
//! - Tables say what policies say. That a pod's own node may always reach it is the datapath's affair.
//!
//! # What it does not do
//! No files, sockets, clocks, threads or Kubernetes client. Every field of the language is read and compiled into
//! verdicts; what a proxy has to do about layer 7 is only named, as [`l7::L7`].

mod address_map;
pub mod cidr;
pub mod cluster;
mod cluster_name;
mod compile;
pub mod convert;
mod diagnostic;
pub mod diff;
mod facts;
pub mod identity;
pub mod judge;
pub mod l7;
pub mod label;
mod label_filter;
pub mod manifest;
mod name_pattern;
pub mod node;
pub mod oracle;
mod peer_selector;
mod peers;
pub mod pod;
mod policy_key;
mod port;
mod repository;
mod resolve;
pub mod review;
mod rule;
pub mod selector;
mod selector_cache;
mod settings;
mod shared_labels;
mod slots;
mod tables;
mod verdict;

pub use address_map::AddressMap;
pub use cidr::CidrRegistry;
pub use cluster_name::{ClusterName, InvalidClusterName};
pub use compile::Compiled;
pub use diagnostic::{Diagnostic, Renderer};
pub use facts::{ServiceFacts, ServiceKey};
pub use identity::{IdentityAllocator, LocalIdentities, reserved_labels};
pub use label::{Label, LabelSet, Source};
pub use label_filter::{InvalidLabelFilter, LabelFilter};
pub use name_pattern::{InvalidName, NamePattern};
pub use node::{host_labels, node_labels};
pub use peer_selector::{
    CidrGroupSelector, CidrScope, CidrSelector, Named, PeerSelector, Peers, ServiceSelector,
};
pub use pod::{PodLabelling, pod_labels};
pub use policy_key::{PolicyKey, PolicyKind, RuleRef};
pub use port::{PortMatch, PortSelector, Ports, Protocol};
pub use repository::{Numbers, Repository};
pub use resolve::{Explanation, Holding, Resolved};
pub use rule::{Action, Authentication, Policy, Rule, Spec, Subject, Tier};
pub use selector::Selector;
pub use settings::{Enforcement, Settings, UnknownEnforcement};
pub use shared_labels::SharedLabels;
pub use tables::{PortRange, Tables, prefixes};
pub use verdict::Verdict;
