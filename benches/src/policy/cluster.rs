//! A cluster to measure: who is in it.

use std::net::{IpAddr, Ipv4Addr};

use ::policy::pod::{CLUSTER, NAMED_PORTS, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT};
use ::policy::{Label, LabelSet, Source};
use abi::Identity;

/// Namespaces.
pub(super) const NAMESPACES: u32 = 10;
/// What runs in each of them.
pub(super) const APPS: [&str; 11] =
    ["api", "auth", "billing", "cart", "catalog", "db", "frontend", "mail", "queue", "search", "worker"];
/// A label of pods, whatever their app.
pub(super) const COMPONENTS: [&str; 4] = ["server", "cache", "job", "sidecar"];
/// One subject for each app of each namespace: as many as the pods that a node has by default.
pub(super) const SUBJECTS: u32 = NAMESPACES * APPS.len() as u32;

/// A pod by its number: its identity, address and labels. The first [`SUBJECTS`] are the subjects.
pub(super) fn pod(number: u32) -> (IpAddr, Identity, LabelSet) {
    let address = Ipv4Addr::from(0x0a40_0000 + number * 5);
    (address.into(), Identity(Identity::CLUSTER_MIN.0 + number), labels(number))
}

pub(super) fn namespace(number: u32) -> String {
    format!("team-{}", number % NAMESPACES)
}

fn pick(from: &[&'static str], number: u32) -> &'static str {
    from[number as usize % from.len()]
}

/// The app of a number.
pub(super) fn app(number: u32) -> &'static str {
    pick(&APPS, number)
}

/// What makes a pod's identity, as [`policy::pod_labels`] would have it: no two pods have the same.
fn labels(number: u32) -> LabelSet {
    let namespace = namespace(number);
    let (app, variant) = (app(number / NAMESPACES), number / SUBJECTS);
    let of_namespace = |key: &str, value: &str| Label::k8s(format!("{NAMESPACE_LABELS}{key}"), value);
    [
        Label::k8s("app", app),
        Label::k8s("component", pick(&COMPONENTS, variant)),
        Label::k8s("version", format!("v{}", variant % 8)),
        Label::k8s("app.kubernetes.io/instance", format!("{app}-{variant}")),
        Label::k8s(CLUSTER, ::policy::ClusterName::default().as_str()),
        Label::k8s(NAMESPACE, &namespace),
        Label::k8s(SERVICE_ACCOUNT, app),
        of_namespace("kubernetes.io/metadata.name", &namespace),
        of_namespace("env", if number.is_multiple_of(2) { "production" } else { "staging" }),
        // The same name is another port here and there.
        Label::new(Source::Generated, NAMED_PORTS, format!("http.TCP.{}", 8080 + variant % 3)),
    ]
    .into_iter()
    .collect()
}
