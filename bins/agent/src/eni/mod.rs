//! ENI mode: the node's pods have addresses of the instance's own network interfaces on AWS.
//!
//! The operator makes interfaces and prefixes, and says in `status.eni` of the node's CiliumNode what there is.
//! This is the node's side of it. Agents have no permission of EC2's, and nothing here takes anything away on the
//! word of the instance metadata service: it lags, and leaves things out.
//!
//! | file | what |
//! |---|---|
//! | [`keys`] | what is configured |
//! | [`netconf`] | the same, in a network configuration, which wins |
//! | [`metadata`] | what the instance is: asked once |
//! | [`wishes`] | what of all this the node's object says |
//! | [`listed`] | what the operator says there is |
//! | [`node`] | that, what was said before and is in use, and the links |
//! | `follow` | how prefixes are taken over and given back |
//! | `foreign` | addresses that pods of this node have of another network |
//! | [`demand`] | what the node says it needs and uses, and when |
//! | [`ip_masq`] | destinations that are not masqueraded, in ip-masq-agent's file |

pub mod demand;
pub(crate) mod follow;
pub(crate) mod foreign;
pub mod ip_masq;
pub mod keys;
pub mod listed;
pub mod metadata;
pub mod netconf;
pub mod node;
pub mod wishes;

pub use demand::{Demand, Publish};
pub use ip_masq::IpMasq;
pub use keys::EniArgs;
pub use listed::Listed;
pub use node::{Known, NodeEnis};
pub use wishes::Wishes;
