//! The custom resources of `cilium.io`: their types, and their definitions with validation and printer columns.
//!
//! [`types`] are what programs read and write. [`definitions()`] are what an API server is told about them: the
//! schemas are built by small functions, so that `spec` and `specs` of the policies, and the two policy kinds, share
//! one rule. [`older()`] and [`newer()`]
//! decide which of two definitions stays.
//!
//! ```
//! use crds::CiliumIdentity;
//!
//! let text = r#"{"apiVersion": "cilium.io/v2", "kind": "CiliumIdentity", "metadata": {"name": "4711"},
//!                "security-labels": {"k8s:app": "web"}}"#;
//! let identity: CiliumIdentity = serde_json::from_str(text)?;
//! assert_eq!(identity.security_labels["k8s:app"], "web");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! What this crate does not do: it opens no connection (`kubernetes` does), and it gives policies no meaning
//! (`policy` does): they stay JSON here.

mod definitions;
mod metadata;
mod resource;
pub mod schema_version;
pub mod types;

pub use definitions::definitions;
pub use schema_version::{newer, older};
pub use types::{
    AddressPair, CiliumCIDRGroup, CiliumClusterwideNetworkPolicy, CiliumEndpoint, CiliumEndpointSlice,
    CiliumIdentity, CiliumNetworkPolicy, CiliumNode, CiliumNodeConfig, CiliumPodIPPool,
};

/// The API group of every resource here.
pub const GROUP: &str = "cilium.io";
