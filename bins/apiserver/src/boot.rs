//! What a cluster has before anybody made anything.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::action::{self, Unknown, Write};
use crate::api::Api;
use crate::error::ApiError;
use crate::store::Key;

const NAMESPACES: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];

/// Makes the first objects, except those that are there.
pub(crate) fn boot(api: &Api, advertise: Option<SocketAddr>) -> Result<(), ApiError> {
    for name in NAMESPACES {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        put(api, ("", "v1", "namespaces"), "", namespace)?;
    }
    let Some(address) = advertise else { return Ok(()) };
    let metadata = json!({"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}});
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "targetPort": address.port()}]},
    });
    put(api, ("", "v1", "services"), "default", service)?;
    let mut metadata = metadata;
    metadata["labels"] = json!({"kubernetes.io/service-name": "kubernetes"});
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
        "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
        "endpoints": [{"addresses": [address.ip().to_string()], "conditions": {"ready": true}}],
    });
    put(api, ("discovery.k8s.io", "v1", "endpointslices"), "default", slice)
}

fn put(
    api: &Api,
    (group, version, plural): (&str, &str, &str),
    namespace: &str,
    object: Value,
) -> Result<(), ApiError> {
    let kinds = api.registry.kinds();
    let Some(resource) = kinds.get(group, version, plural) else { return Err(ApiError::no_such_path()) };
    let mut write = Write {
        key: Key::new(namespace, ""),
        subresource: String::new(),
        manager: "netloom-apiserver".into(),
        dry_run: false,
        unknown: Unknown::Strict,
        warnings: Vec::new(),
    };
    match action::create(api, resource, &mut write, object) {
        Err(error) if error.reason != "AlreadyExists" => Err(error),
        _ => Ok(()),
    }
}
