//! The project's own tooling: demo, tests, prebuilt eBPF objects, kernels.

fn main() {}
