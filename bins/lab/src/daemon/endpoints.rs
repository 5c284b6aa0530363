//! Keeps the EndpointSlices of Services that select pods, and says where the API is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Resource, ResourceExt};
use kubernetes::refusal::{is_conflict, is_forbidden, is_missing};
use serde_json::json;

use super::Context;
use super::stores::Stores;
use crate::plan;
use crate::pod::Pod;

/// Label of the service that a slice belongs to.
const SERVICE: &str = "kubernetes.io/service-name";
/// Label of who keeps a slice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Who keeps the slices of services with selectors: by this name clients know that pods' labels say the same.
const CONTROLLER: &str = "endpointslice-controller.k8s.io";
/// Who keeps the API's own.
const LAB: &str = "netloom-lab";

/// Keeps slices as services and pods come and go.
pub(super) async fn control(context: Arc<Context>, stores: Stores) {
    stores.control("endpoints", async || sync(&context, &stores).await).await;
}

async fn sync(context: &Context, stores: &Stores) -> Result<()> {
    make_service(context, stores).await?;
    let pods = stores.pods.state();
    let mut wanted: BTreeMap<(String, String), EndpointSlice> = BTreeMap::new();
    for service in stores.services.state() {
        for slice in slices(&service, &pods) {
            wanted.insert((slice.namespace().unwrap_or_default(), slice.name_any()), slice);
        }
    }
    for slice in of_api(context) {
        wanted.insert((slice.namespace().unwrap_or_default(), slice.name_any()), slice);
    }
    for known in stores.slices.state() {
        if known.labels().get(MANAGED_BY).is_none_or(|manager| manager != LAB && manager != CONTROLLER) {
            continue;
        }
        let name = (known.namespace().unwrap_or_default(), known.name_any());
        match wanted.remove(&name) {
            Some(slice) if same(&slice, &known) => {}
            Some(slice) => replace(context, slice, &known).await?,
            None => delete(context, &known).await?,
        }
    }
    for slice in wanted.into_values() {
        let api =
            Api::<EndpointSlice>::namespaced(context.client.clone(), &slice.namespace().unwrap_or_default());
        match api.create(&PostParams::default(), &slice).await {
            // The watch has not told of it yet, or its namespace is going.
            Err(error) if is_conflict(&error) || is_missing(&error) || is_forbidden(&error) => {}
            made => drop(made.with_context(|| format!("slice {}", slice.name_any()))?),
        }
    }
    Ok(())
}

async fn replace(context: &Context, mut slice: EndpointSlice, known: &EndpointSlice) -> Result<()> {
    slice.metadata.resource_version = known.resource_version();
    let api =
        Api::<EndpointSlice>::namespaced(context.client.clone(), &slice.namespace().unwrap_or_default());
    match api.replace(&slice.name_any(), &PostParams::default(), &slice).await {
        Err(error) if is_conflict(&error) || is_missing(&error) => Ok(()),
        replaced => replaced.map(drop).with_context(|| format!("slice {}", slice.name_any())),
    }
}

async fn delete(context: &Context, known: &EndpointSlice) -> Result<()> {
    let api =
        Api::<EndpointSlice>::namespaced(context.client.clone(), &known.namespace().unwrap_or_default());
    match api.delete(&known.name_any(), &DeleteParams::default()).await {
        Err(error) if is_conflict(&error) || is_missing(&error) => Ok(()),
        deleted => deleted.map(drop).with_context(|| format!("slice {}", known.name_any())),
    }
}

/// Whether a known slice says what it should, whatever the server added.
fn same(slice: &EndpointSlice, known: &EndpointSlice) -> bool {
    slice.endpoints == known.endpoints
        && slice.ports == known.ports
        && slice.address_type == known.address_type
        && slice.labels().iter().all(|(key, value)| known.labels().get(key) == Some(value))
}

/// The slices of a service: one a family that some of its pods have.
fn slices(service: &core::Service, pods: &[Arc<core::Pod>]) -> Vec<EndpointSlice> {
    let spec = service.spec.clone().unwrap_or_default();
    let selector = spec.selector.unwrap_or_default();
    if selector.is_empty() || service.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let selected = |pod: &&Arc<core::Pod>| {
        pod.namespace() == service.namespace()
            && selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value))
    };
    let pods: Vec<(&Arc<core::Pod>, Pod)> =
        pods.iter().filter(selected).map(|object| (object, Pod::of(object))).collect();
    let ports = spec.ports.unwrap_or_default();
    ["IPv4", "IPv6"].into_iter().filter_map(|family| slice(service, &ports, &pods, family)).collect()
}

fn slice(
    service: &core::Service,
    ports: &[core::ServicePort],
    pods: &[(&Arc<core::Pod>, Pod)],
    family: &str,
) -> Option<EndpointSlice> {
    let mut endpoints = Vec::new();
    let mut found: BTreeSet<(String, String, i32)> = BTreeSet::new();
    for (object, pod) in pods {
        let of_family = |address: &&IpAddr| address.is_ipv4() == (family == "IPv4");
        let Some(address) = pod.addresses.iter().find(of_family).filter(|_| !pod.is_finished()) else {
            continue;
        };
        endpoints.push(Endpoint {
            addresses: vec![address.to_string()],
            conditions: Some(EndpointConditions {
                ready: Some(!pod.terminating),
                serving: Some(true),
                terminating: Some(pod.terminating),
            }),
            node_name: pod.node.clone(),
            target_ref: Some(core::ObjectReference { resource_version: None, ..object.object_ref(&()) }),
            ..Endpoint::default()
        });
        found.extend(ports.iter().filter_map(|port| {
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
            Some((port.name.clone().unwrap_or_default(), protocol, number(port, pod)?))
        }));
    }
    if endpoints.is_empty() && family == "IPv6" {
        return None;
    }
    endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
    let ports = found
        .into_iter()
        .map(|(name, protocol, port)| EndpointPort {
            name: Some(name),
            port: Some(port),
            protocol: Some(protocol),
            app_protocol: None,
        })
        .collect();
    let name = format!("{}-{}", service.name_any(), family.to_lowercase());
    let mut slice =
        new(&service.namespace().unwrap_or_default(), &name, &service.name_any(), family, CONTROLLER);
    slice.metadata.owner_references = service.controller_owner_ref(&()).map(|owner| {
        vec![OwnerReference { block_owner_deletion: Some(true), controller: Some(true), ..owner }]
    });
    slice.endpoints = endpoints;
    slice.ports = Some(ports);
    Some(slice)
}

/// The number of a service's port on a pod.
fn number(port: &core::ServicePort, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let is =
                |port: &&crate::pod::Port| port.name.as_deref() == Some(name) && port.protocol == protocol;
            pod.ports.iter().find(is).map(|port| i32::from(port.number))
        }
    }
}

fn new(namespace: &str, name: &str, service: &str, family: &str, manager: &str) -> EndpointSlice {
    let labels = [(SERVICE, service), (MANAGED_BY, manager)];
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        address_type: family.to_owned(),
        ..EndpointSlice::default()
    }
}

/// The slices of the API's own service: the entity kube-apiserver is who has these addresses.
fn of_api(context: &Context) -> Vec<EndpointSlice> {
    let of_address = |address: IpAddr| {
        let (family, name) =
            if address.is_ipv4() { ("IPv4", "kubernetes-lab") } else { ("IPv6", "kubernetes-lab-ipv6") };
        let mut slice = new("default", name, "kubernetes", family, LAB);
        slice.endpoints = vec![Endpoint {
            addresses: vec![address.to_string()],
            conditions: Some(EndpointConditions { ready: Some(true), ..EndpointConditions::default() }),
            ..Endpoint::default()
        }];
        slice.ports = Some(vec![EndpointPort {
            name: Some("https".into()),
            port: Some(plan::API_PORT.into()),
            protocol: Some("TCP".into()),
            app_protocol: None,
        }]);
        slice
    };
    context.state.api().into_iter().map(of_address).collect()
}

/// Makes the API's own service, unless the server has.
async fn make_service(context: &Context, stores: &Stores) -> Result<()> {
    let is = |service: &core::Service| {
        service.name_any() == "kubernetes" && service.namespace().as_deref() == Some("default")
    };
    if stores.services.find(is).is_some() {
        return Ok(());
    }
    let service: core::Service = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default"},
        "spec": {"ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": plan::API_PORT}]},
    }))?;
    let api = Api::<core::Service>::namespaced(context.client.clone(), "default");
    match api.create(&PostParams::default(), &service).await {
        Err(error) if is_conflict(&error) => Ok(()),
        made => made.map(drop).context("service default/kubernetes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_pods_are_in_slices_by_family() {
        let service: core::Service = serde_json::from_value(json!({
            "metadata": {"name": "db", "namespace": "shop", "uid": "u"},
            "spec": {"selector": {"app": "db"}, "ports": [{"port": 80, "targetPort": "web"}]},
        }))
        .unwrap();
        let pod = |name: &str, app: &str| -> Arc<core::Pod> {
            let ports = json!([{"containerPort": 8080, "name": "web"}]);
            let pod = json!({
                "metadata": {"name": name, "namespace": "shop", "labels": {"app": app}},
                "spec": {"nodeName": "node1", "containers": [{"name": "c", "ports": ports}]},
                "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}]},
            });
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        let found = slices(&service, &[pod("a", "db"), pod("b", "web")]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].name_any(), "db-ipv4");
        let endpoints = &found[1].endpoints;
        assert_eq!((endpoints.len(), endpoints[0].addresses[0].as_str()), (1, "fd00::7"));
        assert_eq!(found[0].ports.as_ref().unwrap()[0].port, Some(8080));
        let nobody = slices(&service, &[]);
        assert_eq!((nobody.len(), nobody[0].endpoints.len()), (1, 0));
    }
}
