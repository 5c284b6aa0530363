//! What NetworkPolicies become, and that it means the same.

mod cases;
mod meaning;
