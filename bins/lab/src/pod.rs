//! Pods as the lab sees them in the API.

use std::net::IpAddr;

use api::PodRef;
use k8s_openapi::api::core::v1 as core;
use policy::manifest::ObjectKey;
use serde::{Deserialize, Serialize};

/// A port that a pod declares.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its number.
    #[serde(rename = "containerPort")]
    pub number: u16,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "tcp")]
    pub protocol: String,
}

fn tcp() -> String {
    "TCP".into()
}

/// A pod in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: PodRef,
    /// Told from an earlier pod of the same name by this.
    pub uid: String,
    /// Where it is to run.
    pub node: Option<String>,
    /// Whether it has the node's addresses.
    pub host_network: bool,
    /// The names and images of its containers.
    pub containers: Vec<(String, String)>,
    /// The ports that it declares.
    pub ports: Vec<Port>,
    /// Whether it is to go.
    pub terminating: bool,
    /// `Pending`, `Running`, `Succeeded` or `Failed`.
    pub phase: String,
    /// Why it does not run.
    pub message: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl Pod {
    /// What the lab needs to know of a Pod.
    #[must_use]
    pub fn of(pod: &core::Pod) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let status = pod.status.clone().unwrap_or_default();
        let mut ports: Vec<Port> =
            spec.containers.iter().flat_map(|container| container.ports.iter().flatten()).map(port).collect();
        ports.sort_by(|a, b| (a.number, &a.protocol).cmp(&(b.number, &b.protocol)));
        ports.dedup_by(|a, b| (a.number, &a.protocol) == (b.number, &b.protocol));
        let mut conditions = status.conditions.iter().flatten();
        let unscheduled = conditions.find(|known| known.type_ == "PodScheduled" && known.status == "False");
        let unscheduled = unscheduled.and_then(|condition| condition.message.clone());
        let image = |container: &core::Container| container.image.clone().unwrap_or_default();
        let addresses = status.pod_ips.iter().flatten().filter_map(|ip| ip.ip.parse().ok()).collect();
        Self {
            name: name(pod),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            node: spec.node_name.filter(|node| !node.is_empty()),
            host_network: spec.host_network.unwrap_or_default(),
            containers: spec.containers.iter().map(|c| (c.name.clone(), image(c))).collect(),
            ports,
            terminating: pod.metadata.deletion_timestamp.is_some(),
            phase: status.phase.unwrap_or_else(|| "Pending".into()),
            message: status.message.or(unscheduled).filter(|message| !message.is_empty()),
            addresses,
        }
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.phase == "Running"
    }

    /// Whether it has run to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }
}

fn port(port: &core::ContainerPort) -> Port {
    Port {
        name: port.name.clone(),
        // The API allows no others.
        number: u16::try_from(port.container_port).unwrap_or_default(),
        protocol: port.protocol.clone().unwrap_or_else(tcp),
    }
}

/// Its name and namespace.
#[must_use]
pub fn name(pod: &core::Pod) -> PodRef {
    PodRef {
        namespace: pod.metadata.namespace.clone().unwrap_or_else(|| "default".into()),
        name: pod.metadata.name.clone().unwrap_or_default(),
    }
}

/// The pod's name among all objects.
#[must_use]
pub fn key(name: &PodRef) -> ObjectKey {
    ObjectKey { kind: "Pod".into(), namespace: Some(name.namespace.clone()), name: name.name.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ports_and_addresses() {
        let text = "metadata: {name: web}\nspec:\n  containers:\n  - name: c\n    ports: [{containerPort: 80}, {containerPort: 53, protocol: UDP, name: dns}]\nstatus: {phase: Running, podIPs: [{ip: 10.0.0.1}]}\n";
        let pod = Pod::of(&serde_saphyr::from_str::<core::Pod>(text).unwrap());
        assert_eq!(pod.name.to_string(), "default/web");
        assert_eq!(pod.ports[1], Port { name: None, number: 80, protocol: "TCP".into() });
        assert_eq!(pod.ports[0].name.as_deref(), Some("dns"));
        assert!(pod.is_running() && pod.addresses == ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    }
}
