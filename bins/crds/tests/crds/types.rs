//! What is read is written again, under the same names.

use crds::{
    CiliumCIDRGroup, CiliumClusterwideNetworkPolicy, CiliumEndpoint, CiliumEndpointSlice, CiliumIdentity,
    CiliumNetworkPolicy, CiliumNode, CiliumNodeConfig, CiliumPodIPPool,
};
use kube::{Resource, ResourceExt};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Reads `value` and writes it: nothing may be missing, nothing new.
fn round_trip<T: Serialize + DeserializeOwned>(value: &Value) -> T {
    let read: T = serde_json::from_value(value.clone()).expect("it is read");
    assert_eq!(serde_json::to_value(&read).expect("it is written"), *value);
    read
}

fn object(kind: &str, version: &str, rest: Value) -> Value {
    let mut object =
        json!({"apiVersion": format!("cilium.io/{version}"), "kind": kind, "metadata": {"name": "x"}});
    let Value::Object(rest) = rest else { panic!("the rest of an object is an object") };
    object.as_object_mut().expect("an object").extend(rest);
    object
}

#[test]
fn a_node_with_every_field() {
    let node: CiliumNode = round_trip(&object(
        "CiliumNode",
        "v2",
        json!({
            "spec": {
                "instance-id": "i-1", "bootid": "b", "addresses": [{"type": "InternalIP", "ip": "10.0.0.1"}],
                "health": {"ipv4": "10.1.0.2", "ipv6": "fd00::2"}, "ingress": {"ipv4": "10.1.0.3"},
                "encryption": {"key": 3},
                "eni": {
                    "instance-type": "m5.large", "first-interface-index": 0, "security-groups": ["sg-1"],
                    "security-group-tags": {"a": "b"}, "subnet-ids": ["subnet-1"], "subnet-tags": {"c": "d"},
                    "node-subnet-id": "subnet-0", "vpc-id": "vpc-1", "availability-zone": "eu-1a",
                    "exclude-interface-tags": {"e": "f"}, "delete-on-termination": false,
                    "use-primary-address": true, "disable-prefix-delegation": true
                },
                "ipam": {
                    "pool": {"10.1.0.4": {"owner": "default/web", "resource": "eni-1"}}, "ipv6-pool": {"fd00::4": {}},
                    "pools": {
                        "requested": [{"pool": "default", "needed": {"ipv4-addrs": 8, "ipv6-addrs": 8}}],
                        "allocated": [{"pool": "default", "allowFirstIP": true, "allowLastIP": true,
                                       "cidrs": ["10.2.0.0/24"]}]
                    },
                    "podCIDRs": ["10.1.0.0/24", "fd00::/96"], "min-allocate": 1, "max-allocate": 2, "pre-allocate": 3,
                    "max-above-watermark": 4, "static-ip-tags": {"g": "h"}
                }
            },
            "status": {
                "eni": {"enis": {"eni-1": {
                    "id": "eni-1", "ip": "10.1.0.1", "mac": "0a:00:00:00:00:01", "availability-zone": "eu-1a",
                    "description": "d", "number": 1, "subnet": {"id": "subnet-1", "cidr": "10.1.0.0/16"},
                    "vpc": {"id": "vpc-1", "primary-cidr": "10.0.0.0/8", "cidrs": ["100.64.0.0/16"]},
                    "addresses": ["10.1.0.4"], "prefixes": ["10.1.0.16/28"], "ipv6-prefixes": ["fd00::/80"],
                    "security-groups": ["sg-1"], "tags": {"i": "j"}, "public-ip": "192.0.2.1"
                }}},
                "ipam": {
                    "used": {"10.1.0.4": {"owner": "default/web"}}, "ipv6-used": {"fd00::4": {}},
                    "pod-cidrs": {"10.1.0.0/24": {"status": "in-use"}}, "operator-status": {"error": "full"},
                    "release-ips": {"10.1.0.5": "marked-for-release"},
                    "release-ipv6s": {"fd00::5": "released"}, "assigned-static-ip": "192.0.2.2"
                }
            }
        }),
    ));
    assert_eq!(node.spec.ipam.pod_cidrs, ["10.1.0.0/24", "fd00::/96"]);
    round_trip::<CiliumNode>(&object("CiliumNode", "v2", json!({"spec": {}})));
}

#[test]
fn an_endpoint_with_every_field_that_is_read() {
    let status = json!({
        "id": 17, "identity": {"id": 4711, "labels": ["k8s:app=web"]},
        "networking": {"addressing": [{"ipv4": "10.1.0.4", "ipv6": "fd00::4"}], "node": "10.0.0.1"},
        "encryption": {"key": 1},
        "external-identifiers": {"cni-attachment-id": "c:eth0", "container-id": "c", "k8s-namespace": "default",
                                 "k8s-pod-name": "web", "pod-name": "default/web"},
        "named-ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "policy": {"ingress": {"enforcing": true, "state": "enforcing"}, "egress": {"enforcing": false}},
        "service-account": "default", "state": "ready"
    });
    let endpoint: CiliumEndpoint = round_trip(&object("CiliumEndpoint", "v2", json!({"status": status})));
    assert_eq!(endpoint.status.expect("a status").identity.expect("an identity").id, 4711);
    round_trip::<CiliumEndpoint>(&object("CiliumEndpoint", "v2", json!({})));
    round_trip::<CiliumEndpointSlice>(&object(
        "CiliumEndpointSlice",
        "v2alpha1",
        json!({
            "namespace": "default",
            "endpoints": [{"name": "web", "id": 4711, "pod-uid": "u", "networking": {"addressing": []},
                           "encryption": {"key": 1}, "named-ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
                           "service-account": "default"}]
        }),
    ));
}

#[test]
fn fields_that_nobody_reads_do_not_hinder() {
    let mut value =
        object("CiliumEndpoint", "v2", json!({"status": {"health": {"bpf": "OK"}, "log": [{"code": "ok"}]}}));
    value["metadata"] = json!({
        "name": "web", "namespace": "default", "uid": "u", "resourceVersion": "5", "generation": 1,
        "creationTimestamp": "2026-01-02T03:04:05Z", "deletionTimestamp": "2026-01-02T03:04:06Z",
        "deletionGracePeriodSeconds": 0, "finalizers": ["f"], "generateName": "w", "labels": {"a": "b"},
        "annotations": {"c": "d"}, "selfLink": "/x",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "p"}],
        "managedFields": [{"manager": "m", "operation": "Apply", "apiVersion": "cilium.io/v2", "fieldsType": "FieldsV1",
                           "fieldsV1": {"f:status": {}}}]
    });
    let endpoint: CiliumEndpoint = serde_json::from_value(value.clone()).expect("it is read");
    assert!(endpoint.managed_fields().is_empty());
    for read_by_nobody in ["managedFields", "selfLink"] {
        value["metadata"].as_object_mut().expect("metadata").remove(read_by_nobody);
    }
    assert_eq!(serde_json::to_value(&endpoint).expect("it is written")["metadata"], value["metadata"]);
}

#[test]
fn an_identity_is_a_number_and_labels() {
    let of = |name: &str| -> CiliumIdentity {
        let mut value = object("CiliumIdentity", "v2", json!({"security-labels": {"k8s:app": "web"}}));
        value["metadata"]["name"] = name.into();
        round_trip(&value)
    };
    assert_eq!(of("4711").number(), Some(4711));
    for no_number in ["007", "+7", "web", "4294967296", "-1"] {
        assert_eq!(of(no_number).number(), None, "{no_number}");
    }
    let labels = object("CiliumIdentity", "v2", json!({}));
    assert!(serde_json::from_value::<CiliumIdentity>(labels).is_err(), "an identity without labels");
}

#[test]
fn policies_groups_pools_and_configurations() {
    let spec = json!({"endpointSelector": {}, "ingress": [{}], "unknown": [1, {"a": null}]});
    let status = json!({
        "conditions": [{"type": "Valid", "status": "False", "lastTransitionTime": "2026-01-02T03:04:05Z",
                        "reason": "InvalidPolicy", "message": "spec.ingress[0]: …"}],
        "derivativePolicies": {"p": {"ok": true}}
    });
    let rest = json!({"spec": spec, "specs": [spec], "status": status});
    let policy: CiliumNetworkPolicy = round_trip(&object("CiliumNetworkPolicy", "v2", rest.clone()));
    assert_eq!(policy.status.expect("a status").conditions[0].status, "False");
    round_trip::<CiliumClusterwideNetworkPolicy>(&object("CiliumClusterwideNetworkPolicy", "v2", rest));
    round_trip::<CiliumCIDRGroup>(&object(
        "CiliumCIDRGroup",
        "v2",
        json!({"spec": {"externalCIDRs": ["10.0.0.0/8", "fd00::/8"]}}),
    ));
    round_trip::<CiliumPodIPPool>(&object(
        "CiliumPodIPPool",
        "v2alpha1",
        json!({"spec": {"ipv4": {"cidrs": ["10.0.0.0/16"], "maskSize": 24}, "ipv6": {"cidrs": ["fd00::/96"], "maskSize": 112},
                        "allowFirstIP": true, "allowLastIP": true, "podSelector": {"matchLabels": {"a": "b"}},
                        "namespaceSelector": {"matchLabels": {"a": "b"}}}}),
    ));
    round_trip::<CiliumNodeConfig>(&object(
        "CiliumNodeConfig",
        "v2",
        json!({"spec": {"defaults": {"debug": "true"}, "nodeSelector": {"matchLabels": {"a": "b"}}}}),
    ));
}

#[test]
fn clients_find_them_where_the_server_serves_them() {
    assert_eq!(CiliumNode::url_path(&(), None), "/apis/cilium.io/v2/ciliumnodes");
    assert_eq!(
        CiliumEndpoint::url_path(&(), Some("default")),
        "/apis/cilium.io/v2/namespaces/default/ciliumendpoints"
    );
    assert_eq!(CiliumEndpointSlice::url_path(&(), None), "/apis/cilium.io/v2alpha1/ciliumendpointslices");
}
