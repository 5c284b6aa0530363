//! Kubernetes' label selectors as people write them, and what keys and values of labels may look like.
//!
//! ```
//! use selector::LabelSelector;
//!
//! let selector: LabelSelector = "app in (web, api), tier != test, !canary".parse()?;
//! let labels = [("app", "api"), ("tier", "front")];
//! assert!(selector.matches(|key| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)));
//! assert!(selector.names("canary") && !selector.names("web"));
//! # Ok::<(), selector::InvalidSelector>(())
//! ```
//!
//! The grammar is that of `k8s.io/apimachinery/pkg/labels`. Selectors as objects (`matchLabels`, `matchExpressions`)
//! are not its business.

mod label_selector;
pub mod words;

pub use label_selector::{InvalidSelector, LabelSelector};
