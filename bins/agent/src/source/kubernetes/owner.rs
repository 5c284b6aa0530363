//! What a pod's own object says that its endpoint repeats.

use crds::types::NamedPort;
use kube::api::DynamicObject;
use serde_json::Value;

/// What an endpoint repeats of its pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) uid: String,
    pub(super) service_account: Option<String>,
    ports: Vec<(String, i64, String)>,
}

impl Owner {
    pub(super) fn new(pod: &DynamicObject) -> Self {
        let spec = &pod.data["spec"];
        let of = |field: &str| spec[field].as_array().into_iter().flatten().cloned().collect::<Vec<_>>();
        // Init containers that stay beside the others serve as they do.
        let is_sidecar = |container: &Value| container["restartPolicy"] == "Always";
        let sidecars = of("initContainers").into_iter().filter(is_sidecar);
        let containers = of("containers").into_iter().chain(sidecars);
        let mut ports: Vec<(String, i64, String)> = containers
            .flat_map(|container| container["ports"].as_array().cloned().unwrap_or_default())
            .filter_map(|port| {
                let protocol = port["protocol"].as_str().unwrap_or("TCP");
                Some((
                    port["name"].as_str()?.to_owned(),
                    port["containerPort"].as_i64()?,
                    protocol.to_owned(),
                ))
            })
            .collect();
        ports.sort();
        ports.dedup();
        Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            service_account: spec["serviceAccountName"].as_str().map(str::to_owned),
            ports,
        }
    }

    /// The ports that policies can name.
    pub(super) fn named_ports(&self) -> Vec<NamedPort> {
        let port = |(name, port, protocol): &(String, i64, String)| NamedPort {
            name: name.clone(),
            port: *port,
            protocol: protocol.clone(),
        };
        self.ports.iter().map(port).collect()
    }
}
