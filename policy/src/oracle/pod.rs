//! What is known of a pod before anybody asks.

use std::collections::BTreeMap;

use super::labels::Labels;
use crate::label::{Label, Source};
use crate::label_filter::LabelFilter;
use crate::manifest::Pod;
use crate::pod::{CLUSTER, NAMESPACE, NAMESPACE_LABELS, NAMESPACE_NAME, SERVICE_ACCOUNT};

/// The name of the one cluster that it knows.
const CLUSTER_NAME: &str = "default";

/// A pod's labels, as each kind of policy sees them.
#[derive(Clone, Debug)]
pub(super) struct PodLabels {
    /// What Kubernetes' selectors see: its own labels, without those that Cilium's default filter leaves out (they select
    /// nothing), and with those that Cilium adds.
    pub(super) own: BTreeMap<String, String>,
    /// The name of its namespace.
    pub(super) namespace: String,
    /// The labels of its namespace.
    pub(super) of_namespace: BTreeMap<String, String>,
    /// All of it, as Cilium's selectors see it.
    pub(super) cilium: Labels,
}

impl PodLabels {
    /// `namespaces` has the labels of those that are known.
    pub(super) fn of(pod: &Pod, namespaces: &BTreeMap<String, BTreeMap<String, String>>) -> Self {
        let namespace = pod.meta.namespace().to_owned();
        let filter = LabelFilter::default();
        let counts = |key: &str, value: &str| filter.accepts(&Label::k8s(key, value));
        let mut of_namespace = namespaces.get(&namespace).cloned().unwrap_or_default();
        of_namespace.insert(NAMESPACE_NAME.to_owned(), namespace.clone());
        of_namespace.retain(|key, value| counts(&format!("{NAMESPACE_LABELS}{key}"), value));
        // A pod cannot claim by a label of its own what only its namespace can say.
        let may_claim = |key: &str| key != NAMESPACE && !key.starts_with("io.cilium.k8s.");
        let mut own = pod.meta.labels.clone();
        own.retain(|key, value| may_claim(key) && counts(key, value));
        let mut cilium = Labels::default();
        cilium.add_all(Source::K8s, &own);
        cilium.add(Source::K8s, NAMESPACE, &namespace);
        cilium.add(Source::K8s, CLUSTER, CLUSTER_NAME);
        for (key, value) in &of_namespace {
            cilium.add(Source::K8s, format!("{NAMESPACE_LABELS}{key}"), value);
        }
        if let Some(account) = &pod.service_account {
            cilium.add(Source::K8s, SERVICE_ACCOUNT, account);
        }
        own.insert(NAMESPACE.to_owned(), namespace.clone());
        own.insert(CLUSTER.to_owned(), CLUSTER_NAME.to_owned());
        own.extend(pod.service_account.iter().map(|account| (SERVICE_ACCOUNT.to_owned(), account.clone())));
        own.extend(
            of_namespace.iter().map(|(key, value)| (format!("{NAMESPACE_LABELS}{key}"), value.clone())),
        );
        Self { own, namespace, of_namespace, cilium }
    }
}
