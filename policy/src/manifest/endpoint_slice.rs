//! `discovery.k8s.io/v1` EndpointSlice, and `v1` Endpoints read as one.

use std::net::IpAddr;

use super::cluster::ServicePort;
use super::meta::Meta;

/// Backends of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Name, namespace and labels.
    pub meta: Meta,
    /// The service (`kubernetes.io/service-name`), in the slice's namespace.
    pub service: Option<String>,
    /// The addresses of backends, whether ready or not.
    pub addresses: Vec<IpAddr>,
    /// The ports of each address, by the names of the service's ports; [`ServicePort::port`] is the backend's.
    pub ports: Vec<ServicePort>,
}
