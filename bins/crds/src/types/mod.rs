//! The resources as programs read and write them, with Cilium's field names.
//!
//! They accept whatever the schema accepts: one strange object must not make a whole list unreadable. So addresses
//! and prefixes are strings, numbers are as wide as the schema says, and an enum is a string with constants beside
//! it. Fields that nothing here reads (an endpoint's controllers, health and log) are left out: writing goes by
//! server-side apply, which leaves other owners' fields alone.

mod cidr_group;
mod endpoint;
mod endpoint_slice;
mod identity;
mod network_policy;
pub mod node;
mod node_config;
mod pod_ip_pool;

pub use cidr_group::{CidrGroupSpec, CiliumCIDRGroup};
pub use endpoint::{
    AddressPair, CiliumEndpoint, EndpointIdentifiers, EndpointIdentity, EndpointNetworking, EndpointPolicy,
    EndpointStatus, NamedPort, PolicyDirection, state,
};
pub use endpoint_slice::{CiliumEndpointSlice, CoreEndpoint};
pub use identity::{CiliumIdentity, HEARTBEAT_ANNOTATION};
pub use network_policy::{
    CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy, NetworkPolicyCondition, NetworkPolicyStatus,
};
pub use node::CiliumNode;
pub use node_config::{CiliumNodeConfig, NodeConfigSpec};
pub use pod_ip_pool::{CiliumPodIPPool, IpPoolSpec, PoolFamily};
