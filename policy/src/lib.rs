//! Kubernetes network policy: labels, selectors, rules, resolution, compilation to tables, explanation.
