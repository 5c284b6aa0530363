//! A pod of this node, as other nodes are told of it.

use abi::Identity;
use api::Attachment;
use crds::CiliumEndpoint;
use crds::types::{
    AddressPair, EndpointIdentifiers, EndpointIdentity, EndpointNetworking, EndpointPolicy, EndpointStatus,
    PolicyDirection, state,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::super::owner::Owner;
use crate::source::Published;

/// The object of a pod, whose node is known by this address.
pub(super) fn object(of: &Published, owner: &Owner, node: &str) -> CiliumEndpoint {
    let mut object = CiliumEndpoint::default();
    object.metadata.name = Some(of.pod.name.clone());
    object.metadata.namespace = Some(of.pod.namespace.clone());
    object.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".into(),
        kind: "Pod".into(),
        name: of.pod.name.clone(),
        uid: owner.uid.clone(),
        ..OwnerReference::default()
    }]);
    let is_known = of.identity != Identity::INIT;
    let labels = of.labels.iter().map(ToString::to_string);
    let address = |v4| of.addresses.iter().find(|address| address.is_ipv4() == v4).map(ToString::to_string);
    let direction = |enforcing: bool| {
        let state = if enforcing { "enforcing" } else { "non-enforcing" };
        Some(PolicyDirection { enforcing, state: Some(state.into()) })
    };
    object.status = Some(EndpointStatus {
        id: of.id.into(),
        identity: Some(EndpointIdentity {
            id: of.identity.0.into(),
            labels: if is_known { labels.collect() } else { vec!["reserved:init".into()] },
        }),
        networking: Some(EndpointNetworking {
            addressing: vec![AddressPair { ipv4: address(true), ipv6: address(false) }],
            node: Some(node.to_owned()),
        }),
        external_identifiers: Some(EndpointIdentifiers {
            cni_attachment_id: Some(attachment_id(&of.attachment)),
            container_id: Some(of.attachment.container_id.clone()),
            k8s_namespace: Some(of.pod.namespace.clone()),
            k8s_pod_name: Some(of.pod.name.clone()),
            pod_name: Some(of.pod.to_string()),
        }),
        named_ports: owner.named_ports(),
        policy: Some(EndpointPolicy {
            ingress: direction(of.ingress_enforced),
            egress: direction(of.egress_enforced),
        }),
        service_account: owner.service_account.clone(),
        state: Some(if is_known { state::READY } else { state::WAITING_FOR_IDENTITY }.into()),
        ..EndpointStatus::default()
    });
    object
}

/// What an endpoint calls an attachment.
pub(super) fn attachment_id(attachment: &Attachment) -> String {
    format!("{}:{}", attachment.container_id, attachment.ifname)
}
