//! `discovery.k8s.io/v1` EndpointSlice, and `v1` Endpoints read as one.

use std::net::IpAddr;

use super::cluster::{self, ServicePort};
use super::meta::Meta;
use super::reader::{Field, Fields};

/// The label that names a slice's service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Backends of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Name, namespace and labels.
    pub meta: Meta,
    /// The service (`kubernetes.io/service-name`), in the slice's namespace.
    pub service: Option<String>,
    /// The addresses of backends that are ready, or do not say.
    pub addresses: Vec<IpAddr>,
    /// The ports of each address, by the names of the service's ports; [`ServicePort::port`] is the backend's.
    pub ports: Vec<ServicePort>,
}

/// Reads an EndpointSlice. Addresses of type FQDN are names, and passed over.
pub(super) fn read(meta: Meta, fields: &mut Fields<'_>) -> Option<EndpointSlice> {
    let named = fields.get("addressType").and_then(|field| field.string()).as_deref() == Some("FQDN");
    let mut addresses = Vec::new();
    for endpoint in items(fields, "endpoints") {
        let Some(mut endpoint) = endpoint.object() else { continue };
        let conditions = endpoint.get("conditions").and_then(|field| field.object());
        let ready = conditions.and_then(|mut conditions| conditions.get("ready")?.boolean());
        if ready == Some(false) {
            continue;
        }
        let list = endpoint.get("addresses").and_then(|field| field.list()).unwrap_or_default();
        addresses.extend(list.iter().filter(|_| !named).filter_map(cluster::address));
    }
    let ports = items(fields, "ports").iter().filter_map(port).collect();
    let service = meta.labels.get(SERVICE_NAME).cloned();
    Some(EndpointSlice { meta, service, addresses, ports })
}

/// Reads Endpoints, which have the name of their service.
pub(super) fn read_endpoints(meta: Meta, fields: &mut Fields<'_>) -> Option<EndpointSlice> {
    let (mut addresses, mut ports) = (Vec::new(), Vec::new());
    for subset in items(fields, "subsets") {
        let Some(mut subset) = subset.object() else { continue };
        for key in ["addresses"] {
            for item in items(&mut subset, key) {
                let address = item.object().and_then(|mut item| item.get("ip"));
                addresses.extend(address.and_then(|field| cluster::address(&field)));
            }
        }
        ports.extend(items(&mut subset, "ports").iter().filter_map(port));
    }
    let service = Some(meta.name.clone());
    Some(EndpointSlice { meta, service, addresses, ports })
}

fn items<'a>(fields: &mut Fields<'a>, key: &'static str) -> Vec<Field<'a>> {
    fields.get(key).and_then(|field| field.list()).unwrap_or_default()
}

/// A port; none where it is every one.
fn port(field: &Field<'_>) -> Option<ServicePort> {
    let mut fields = field.object()?;
    let name = fields.get("name").and_then(|field| field.string()).filter(|name| !name.is_empty());
    let port = fields.get("port")?.port()?;
    Some(ServicePort { name, port, protocol: cluster::protocol(&mut fields)?, target_port: None })
}
