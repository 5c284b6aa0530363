//! Namespaces, nodes, pods, services: of each what a pod network needs. Other fields are passed over.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::meta::Meta;
use super::reader::{Field, Fields};
use crate::cidr::canonical;
use crate::pod::NamedPort;
use crate::port::Protocol;

/// A namespace: its labels are in its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Name and labels.
    pub meta: Meta,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Name and labels.
    pub meta: Meta,
    /// Whence its pods' addresses come (`spec.podCIDRs`, or `spec.podCIDR`).
    pub pod_cidrs: Vec<IpNetwork>,
    /// Its own addresses (`status.addresses` of type `InternalIP` and `ExternalIP`).
    pub addresses: Vec<IpAddr>,
    /// When it was made, in seconds since 1970, where that is known: files do not say it.
    pub created: Option<i64>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Name, namespace and labels.
    pub meta: Meta,
    /// The node that it was scheduled to.
    pub node_name: Option<String>,
    /// Whether it uses its node's network, and so has no address of its own.
    pub host_network: bool,
    /// Its service account.
    pub service_account: Option<String>,
    /// The ports of its containers, sidecars included.
    pub ports: Vec<ContainerPort>,
    /// Its addresses (`status.podIPs`, or `status.podIP`).
    pub ips: Vec<IpAddr>,
    /// The addresses of its node (`status.hostIPs`, or `status.hostIP`).
    pub host_ips: Vec<IpAddr>,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: Option<String>,
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// Its name.
    pub name: Option<String>,
    /// Its number.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Name, namespace and labels.
    pub meta: Meta,
    /// `spec.type`.
    pub service_type: ServiceType,
    /// The name that it stands for (`spec.externalName`), of type [`ServiceType::ExternalName`].
    pub external_name: Option<String>,
    /// Its virtual addresses; none for headless services.
    pub cluster_ips: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// The labels of its pods.
    pub selector: std::collections::BTreeMap<String, String>,
}

/// What a service is reached by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    /// Its virtual addresses, or none where it is headless.
    #[default]
    ClusterIp,
    /// A port of every node too.
    NodePort,
    /// An address from outside too.
    LoadBalancer,
    /// A DNS name of something else.
    ExternalName,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name.
    pub name: Option<String>,
    /// Its number.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The pods' port: a number or the name of a container port; the same number where absent.
    pub target_port: Option<String>,
}

/// An object that means nothing to a pod network yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its API version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Name, namespace and labels.
    pub meta: Meta,
}

impl Pod {
    /// The ports that have a name.
    #[must_use]
    pub fn named_ports(&self) -> BTreeSet<NamedPort> {
        self.ports
            .iter()
            .filter_map(|port| {
                Some(NamedPort { name: port.name.clone()?, protocol: port.protocol, port: port.port })
            })
            .collect()
    }

    /// Whether its containers are done for good, so that its addresses may be another's by now.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase.as_deref(), Some("Succeeded" | "Failed"))
    }
}

/// An object within an object, if it is there.
fn section<'a>(fields: &mut Fields<'a>, key: &'static str) -> Option<Fields<'a>> {
    fields.get(key)?.object()
}

fn addresses(items: &[Field<'_>]) -> Vec<IpAddr> {
    items.iter().filter_map(address).collect()
}

/// An address; empty where Kubernetes has none yet.
pub(super) fn address(field: &Field<'_>) -> Option<IpAddr> {
    let text = field.string()?;
    if text.is_empty() {
        return None;
    }
    let parsed = text.parse().ok();
    if parsed.is_none() {
        field.error(format!("{text:?} is not an IP address"), "such as 10.0.0.1 or fd00::1");
    }
    parsed
}

fn network(field: &Field<'_>) -> Option<IpNetwork> {
    let text = field.string()?;
    let parsed = text.parse().ok().filter(|_| text.contains('/')).map(canonical);
    if parsed.is_none() {
        field.error(format!("{text:?} is not a CIDR"), "such as 10.0.0.0/24 or fd00::/64");
    }
    parsed
}

pub(super) fn node(meta: Meta, fields: &mut Fields<'_>) -> Option<Node> {
    let mut pod_cidrs = Vec::new();
    if let Some(mut spec) = section(fields, "spec") {
        let all = spec.get("podCIDRs").and_then(|field| field.list()).unwrap_or_default();
        pod_cidrs = all.iter().filter_map(network).collect();
        if all.is_empty() {
            pod_cidrs.extend(spec.get("podCIDR").and_then(|field| network(&field)));
        }
    }
    let mut own = Vec::new();
    if let Some(mut status) = section(fields, "status") {
        for item in status.get("addresses").and_then(|field| field.list()).unwrap_or_default() {
            let Some(mut item) = item.object() else { continue };
            let kind = item.get("type").and_then(|field| field.string());
            if matches!(kind.as_deref(), Some("InternalIP" | "ExternalIP")) {
                own.extend(item.get("address").and_then(|field| address(&field)));
            }
        }
    }
    Some(Node { meta, pod_cidrs, addresses: own, created: None })
}

pub(super) fn pod(meta: Meta, fields: &mut Fields<'_>) -> Option<Pod> {
    let mut pod = Pod {
        meta,
        node_name: None,
        host_network: false,
        service_account: None,
        ports: Vec::new(),
        ips: Vec::new(),
        host_ips: Vec::new(),
        phase: None,
    };
    if let Some(mut spec) = section(fields, "spec") {
        let mut text = |key| spec.get(key).and_then(|field| field.string()).filter(|text| !text.is_empty());
        pod.node_name = text("nodeName");
        pod.service_account = text("serviceAccountName");
        pod.host_network = spec.get("hostNetwork").and_then(|field| field.boolean()).unwrap_or_default();
        for (key, sidecars) in [("containers", false), ("initContainers", true)] {
            for container in spec.get(key).and_then(|field| field.list()).unwrap_or_default() {
                let Some(mut container) = container.object() else { continue };
                let restarts = container.get("restartPolicy").and_then(|field| field.string());
                if sidecars && restarts.as_deref() != Some("Always") {
                    continue;
                }
                let ports = container.get("ports").and_then(|field| field.list()).unwrap_or_default();
                pod.ports.extend(ports.iter().filter_map(container_port));
            }
        }
    }
    if let Some(mut status) = section(fields, "status") {
        pod.phase = status.get("phase").and_then(|field| field.string());
        for item in status.get("podIPs").and_then(|field| field.list()).unwrap_or_default() {
            pod.ips.extend(item.object().and_then(|mut item| address(&item.get("ip")?)));
        }
        if pod.ips.is_empty() {
            pod.ips.extend(status.get("podIP").and_then(|field| address(&field)));
        }
        for item in status.get("hostIPs").and_then(|field| field.list()).unwrap_or_default() {
            pod.host_ips.extend(item.object().and_then(|mut item| address(&item.get("ip")?)));
        }
        if pod.host_ips.is_empty() {
            pod.host_ips.extend(status.get("hostIP").and_then(|field| address(&field)));
        }
    }
    Some(pod)
}

fn container_port(field: &Field<'_>) -> Option<ContainerPort> {
    let mut fields = field.object()?;
    let name = fields.get("name").and_then(|field| field.string()).filter(|name| !name.is_empty());
    let port = fields.require("containerPort", "such as 8080")?.port()?;
    Some(ContainerPort { name, port, protocol: protocol(&mut fields)? })
}

/// `protocol`, TCP where absent.
pub(super) fn protocol(fields: &mut Fields<'_>) -> Option<Protocol> {
    let Some(field) = fields.get("protocol") else { return Some(Protocol::Tcp) };
    let name = field.string()?;
    let protocol = Protocol::from_name(&name).filter(|protocol| protocol.has_ports());
    if protocol.is_none() {
        field.error(format!("{name:?} is not a protocol"), "TCP, UDP or SCTP");
    }
    protocol
}

pub(super) fn service(meta: Meta, fields: &mut Fields<'_>) -> Option<Service> {
    const TYPES: [(&str, ServiceType); 4] = [
        ("ClusterIP", ServiceType::ClusterIp),
        ("NodePort", ServiceType::NodePort),
        ("LoadBalancer", ServiceType::LoadBalancer),
        ("ExternalName", ServiceType::ExternalName),
    ];
    let mut service = Service {
        meta,
        service_type: ServiceType::default(),
        external_name: None,
        cluster_ips: Vec::new(),
        ports: Vec::new(),
        selector: Default::default(),
    };
    if let Some(mut spec) = section(fields, "spec") {
        let is_address = |field: &Field<'_>| field.value().as_str() != Some("None");
        let mut items = spec.get("clusterIPs").and_then(|field| field.list()).unwrap_or_default();
        if items.is_empty() {
            items.extend(spec.get("clusterIP"));
        }
        items.retain(is_address);
        service.cluster_ips = addresses(&items);
        let kind = spec.get("type").and_then(|field| field.word("a type of services", &TYPES));
        service.service_type = kind.unwrap_or_default();
        let name = spec.get("externalName").and_then(|field| field.string());
        service.external_name = name.filter(|name| !name.is_empty());
        service.selector = spec.get("selector").and_then(|field| field.string_map()).unwrap_or_default();
        let ports = spec.get("ports").and_then(|field| field.list()).unwrap_or_default();
        service.ports = ports.iter().filter_map(service_port).collect();
    }
    Some(service)
}

fn service_port(field: &Field<'_>) -> Option<ServicePort> {
    let mut fields = field.object()?;
    let name = fields.get("name").and_then(|field| field.string()).filter(|name| !name.is_empty());
    let port = fields.require("port", "such as 80")?.port()?;
    let target_port = fields.get("targetPort").and_then(|field| match field.value().as_str() {
        Some(name) => Some(name.to_owned()),
        None => field.port().map(|port| port.to_string()),
    });
    Some(ServicePort { name, port, protocol: protocol(&mut fields)?, target_port })
}
