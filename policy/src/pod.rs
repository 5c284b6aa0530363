//! The labels that make a pod's identity.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster_name::ClusterName;
use crate::label::{Label, LabelSet, Source};
use crate::label_filter::LabelFilter;
use crate::manifest::Pod;
use crate::port::Protocol;

/// Key of the label that holds a pod's namespace.
pub const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Prefix of the keys that hold the labels of a pod's namespace.
pub const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
/// Key of the label that holds a pod's cluster.
pub const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
/// Key of the label that holds a pod's service account.
pub const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";
/// Key of the generated label that lists a pod's named ports; further ones end in `-1`, `-2`….
pub const NAMED_PORTS: &str = "io.cilium.k8s.named-ports";
/// Key of the label that Kubernetes gives every namespace: its name.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The longest value of a Kubernetes label, in bytes.
const MAX_VALUE: usize = 63;

/// The labels that make a pod's identity, as the default [`PodLabelling`] has them.
#[must_use]
pub fn pod_labels(pod: &Pod, namespace_labels: &BTreeMap<String, String>) -> LabelSet {
    PodLabelling::default().labels(pod, namespace_labels)
}

/// How an installation makes labels of pods.
#[derive(Clone, Debug, Default)]
pub struct PodLabelling {
    /// Which labels count.
    pub filter: LabelFilter,
    /// The cluster that the pods are in.
    pub cluster: ClusterName,
}

impl PodLabelling {
    /// The labels that make a pod's identity: its own ones, its namespace and the namespace's labels, its cluster, its
    /// service account, as far as they pass the filter; and its named ports.
    ///
    /// A pod that carries one of the keys that are written here cannot thereby claim another namespace.
    #[must_use]
    pub fn labels(&self, pod: &Pod, namespace_labels: &BTreeMap<String, String>) -> LabelSet {
        let own = pod.meta.labels.iter().filter(|(key, _)| !key.starts_with("io.cilium.k8s."));
        let own = own.map(|(key, value)| Label::k8s(key, value));
        let of_namespace =
            namespace_labels.iter().map(|(key, value)| Label::k8s(format!("{NAMESPACE_LABELS}{key}"), value));
        let account =
            pod.service_account.as_ref().map(|account| Label::k8s(SERVICE_ACCOUNT, account)).into_iter();
        // Every namespace has it, whether its manifest says so or not.
        let name = Label::k8s(format!("{NAMESPACE_LABELS}{NAMESPACE_NAME}"), pod.meta.namespace());
        own.chain(of_namespace)
            .chain(account)
            .chain([name])
            .chain([Label::k8s(CLUSTER, self.cluster.as_str()), Label::k8s(NAMESPACE, pod.meta.namespace())])
            .filter(|label| self.filter.accepts(label))
            // Without them, rules that name ports could not tell pods apart.
            .chain(named_port_labels(&pod.named_ports()))
            .collect()
    }
}

/// A port with a name. The same name may stand for several ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPort {
    /// The name.
    pub name: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// The labels that list named ports, as `name.PROTOCOL.port` joined by underscores. They make pods whose
/// ports differ different to policies that use the names.
pub fn named_port_labels(ports: &BTreeSet<NamedPort>) -> Vec<Label> {
    let mut values: Vec<String> = Vec::new();
    for NamedPort { name, protocol, port } in ports {
        let item = format!("{name}.{protocol}.{port}");
        match values.last_mut() {
            Some(value) if value.len() + 1 + item.len() <= MAX_VALUE => {
                value.push('_');
                value.push_str(&item);
            }
            _ => values.push(item),
        }
    }
    let key = |i| if i == 0 { NAMED_PORTS.to_owned() } else { format!("{NAMED_PORTS}-{i}") };
    values.into_iter().enumerate().map(|(i, value)| Label::new(Source::Generated, key(i), value)).collect()
}

/// The named ports that [`named_port_labels`] wrote into a label set.
#[must_use]
pub fn named_ports(labels: &LabelSet) -> BTreeSet<NamedPort> {
    let parse = |item: &str| {
        let mut parts = item.rsplitn(3, '.');
        let port = parts.next()?.parse().ok()?;
        let protocol = Protocol::from_name(parts.next()?)?;
        Some(NamedPort { name: parts.next()?.to_owned(), protocol, port })
    };
    labels
        .iter()
        .filter(|label| label.source == Source::Generated && label.key.starts_with(NAMED_PORTS))
        .flat_map(|label| label.value.split('_'))
        .filter_map(parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_ports_survive_the_labels() {
        let ports: BTreeSet<_> = (0..9)
            .map(|i| NamedPort { name: format!("port-number-{i}"), protocol: Protocol::Udp, port: 1000 + i })
            .collect();
        let labels = named_port_labels(&ports);
        assert!(labels.len() > 1);
        assert!(labels.iter().all(|label| label.value.len() <= MAX_VALUE));
        assert_eq!(named_ports(&labels.into_iter().collect()), ports);
    }
}
