//! Tests against the kernel, in namespaces of their own. One that cannot run here prints `skipped:` and why.

mod eni;
mod masquerade;
mod net;
mod netns;
mod plan;
mod pod;
mod support;
