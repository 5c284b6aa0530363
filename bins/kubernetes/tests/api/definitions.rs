//! What API servers make of our definitions.

use std::collections::BTreeMap;

use envtest::{Ability, Server};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

fn objects(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("YAML")
}

struct Kinds {
    client: Client,
    by_kind: BTreeMap<String, CustomResourceDefinition>,
}

impl Kinds {
    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let definition = &self.by_kind[text("/kind")];
        let version = text("/apiVersion").strip_prefix("cilium.io/").expect("our group");
        let kind = GroupVersionKind::gvk("cilium.io", version, text("/kind"));
        let resource = ApiResource::from_gvk_with_plural(&kind, &definition.spec.names.plural);
        match text("/metadata/namespace") {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }

    async fn create(&self, object: &Value) -> kube::Result<Value> {
        let url = format!("{}?fieldValidation=Strict", self.api(object).resource_url());
        let request = http::Request::post(url).header("Content-Type", "application/json");
        self.client.request(request.body(object.to_string().into_bytes()).expect("a request")).await
    }

    async fn delete(&self, object: &Value) {
        let name = object["metadata"]["name"].as_str().expect("a name");
        self.api(object).delete(name, &Default::default()).await.expect("it is deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_accept_what_is_right_and_refuse_what_is_wrong() {
    for server in envtest::servers("definitions").await.expect("servers") {
        let client = server.client().await.expect("a client");
        kubernetes::install::install(&client, &crds::definitions()).await.expect("they are installed");
        accepted_as_they_are(&client).await;
        let by_kind = crds::definitions().into_iter().map(|d| (d.spec.names.kind.clone(), d)).collect();
        let kinds = Kinds { client, by_kind };
        every_kind_with_every_field(&server, &kinds).await;
        wrong_objects(&server, &kinds).await;
        wrong_changes(&server, &kinds).await;
    }
}

/// The server serves each version, has no complaint, and gives back what it was given.
async fn accepted_as_they_are(client: &Client) {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for ours in crds::definitions() {
        let name = ours.name_any();
        let theirs = api.get(&name).await.expect("it is there");
        let status = theirs.status.clone().expect("a status");
        let conditions = status.conditions.unwrap_or_default();
        let says = |type_: &str| conditions.iter().find(|c| c.type_ == type_).map(|c| c.status.clone());
        assert_eq!(says("Established").as_deref(), Some("True"), "{name}");
        assert_ne!(says("NonStructuralSchema").as_deref(), Some("True"), "{name}: {conditions:?}");
        let names = status.accepted_names.expect("names");
        assert_eq!(names.short_names, ours.spec.names.short_names, "{name}");
        assert_eq!(names.categories, ours.spec.names.categories, "{name}");
        let columns = |definition: &CustomResourceDefinition| {
            definition.spec.versions.iter().map(|v| v.additional_printer_columns.clone()).collect::<Vec<_>>()
        };
        assert_eq!(columns(&theirs), columns(&ours), "{name}");
    }
}

async fn every_kind_with_every_field(server: &Server, kinds: &Kinds) {
    let mut missing: Vec<&String> = kinds.by_kind.keys().collect();
    let all: Vec<Value> =
        [include_str!("valid.yaml"), include_str!("others.yaml")].into_iter().flat_map(objects).collect();
    for object in &all {
        let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
        if let Err(error) = kinds.create(object).await {
            panic!("{}: {kind} {name}: {error}", server.name());
        }
        missing.retain(|other| **other != *kind);
        // An old server drops what it does not know, so it must all be there again.
        let stored = kinds.api(object).get(name.as_str().expect("a name")).await.expect("it is there");
        let stored = serde_json::to_value(stored).expect("it is written");
        for part in ["spec", "specs", "status", "endpoints", "security-labels"] {
            // A subresource is not written with the object.
            if let Some(given) = object.get(part) {
                assert!(
                    contains(&stored[part], given),
                    "{}: {kind} {name}: {} lacks some of {given}",
                    server.name(),
                    stored[part]
                );
            }
        }
    }
    assert!(missing.is_empty(), "no object of {missing:?}");
    columns(server).await;
    for object in &all {
        kinds.delete(object).await;
    }
}

/// Whether `all` has everything that `some` has; defaults may be there as well.
fn contains(all: &Value, some: &Value) -> bool {
    match (all, some) {
        (Value::Object(all), Value::Object(some)) => {
            some.iter().all(|(key, value)| all.get(key).is_some_and(|other| contains(other, value)))
        }
        (Value::Array(all), Value::Array(some)) => {
            all.len() == some.len() && all.iter().zip(some).all(|(all, some)| contains(all, some))
        }
        _ => all == some,
    }
}

/// What people see with `kubectl get`.
async fn columns(server: &Server) {
    let cases: [(&[&str], &[&str], &[&str]); 6] = [
        (&["get", "cn"], &["CILIUMINTERNALIP", "INTERNALIP", "AGE"], &["n1", "10.1.0.9", "10.0.0.1"]),
        (
            &["get", "cep"],
            &["SECURITY IDENTITY", "ENDPOINT STATE", "IPV4", "IPV6"],
            &["web", "4711", "ready", "10.1.0.4", "fd00::4"],
        ),
        (
            &["get", "ciliumep", "-o", "wide"],
            &["INGRESS ENFORCEMENT", "EGRESS ENFORCEMENT"],
            &["enforcing", "disabled"],
        ),
        (&["get", "ciliumid"], &["NAMESPACE", "AGE"], &["4711", "default"]),
        (&["get", "cnp"], &["AGE", "VALID"], &["layer7", "peers", "ports"]),
        (&["get", "ippools"], &["DISABLED", "CONFLICTING", "IPS AVAILABLE", "AGE"], &["blue", "false"]),
    ];
    for (args, heads, cells) in cases {
        let Some(text) = server.kubectl(args).await.expect("kubectl") else { return };
        let (head, rows) = text.split_once('\n').expect("a table");
        for name in heads {
            assert!(head.contains(name), "kubectl {args:?}: no {name} in {head}");
        }
        for cell in cells {
            assert!(rows.contains(cell), "kubectl {args:?}: no {cell} in {rows}");
        }
    }
    let all = server.kubectl(&["get", "ciliumpolicy", "-A"]).await.expect("kubectl").unwrap_or_default();
    for kind in ["ciliumnetworkpolicy.cilium.io/peers", "ciliumclusterwidenetworkpolicy.cilium.io/hosts"] {
        assert!(all.contains(kind), "the category ciliumpolicy: no {kind} in {all}");
    }
}

/// A policy with one rule, in which `part` stands.
#[expect(clippy::needless_pass_by_value, reason = "callers write literals")]
fn rule(part: Value) -> Value {
    let mut spec = json!({"endpointSelector": {}, "ingress": [{}]});
    spec.as_object_mut().expect("an object").extend(part.as_object().expect("an object").clone());
    policy(json!({"spec": spec}))
}

#[expect(clippy::needless_pass_by_value, reason = "callers write literals")]
fn policy(body: Value) -> Value {
    let mut object = json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "x", "namespace": "default"}});
    object.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
    object
}

#[expect(clippy::needless_pass_by_value, reason = "callers write literals")]
fn to_ports(rule_: Value) -> Value {
    rule(json!({"ingress": [{"toPorts": [rule_]}]}))
}

fn other(kind: &str, version: &str, body: Value) -> Value {
    let mut object = policy(body);
    object["kind"] = kind.into();
    object["apiVersion"] = format!("cilium.io/{version}").into();
    if !matches!(kind, "CiliumEndpoint" | "CiliumLocalRedirectPolicy" | "CiliumNodeConfig") {
        object["metadata"].as_object_mut().expect("an object").remove("namespace");
    }
    object
}

async fn wrong_objects(server: &Server, kinds: &Kinds) {
    let ports41: Vec<Value> = (0..41).map(|_| json!({"port": "80"})).collect();
    let fields41: Vec<Value> = (0..41).map(|_| json!({"type": 8})).collect();
    let long = "x".repeat(256);
    let cases = vec![
        ("endpointSelector and nodeSelector", rule(json!({"nodeSelector": {}}))),
        ("no selector", policy(json!({"spec": {"ingress": [{}]}}))),
        ("no direction", policy(json!({"spec": {"endpointSelector": {}}}))),
        ("no direction in specs", policy(json!({"specs": [{"endpointSelector": {}}]}))),
        ("a label value that is none", rule(json!({"endpointSelector": {"matchLabels": {"a": "b c"}}}))),
        (
            "a label value that is too long",
            rule(json!({"endpointSelector": {"matchLabels": {"a": "x".repeat(64)}}})),
        ),
        (
            "an operator",
            rule(json!({"endpointSelector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]}})),
        ),
        (
            "an operator without key",
            rule(json!({"endpointSelector": {"matchExpressions": [{"operator": "Exists"}]}})),
        ),
        ("an entity", rule(json!({"ingress": [{"fromEntities": ["mars"]}]}))),
        ("a CIDR", rule(json!({"ingress": [{"fromCIDR": ["10.0.0.0/33"]}]}))),
        ("an address for a CIDR", rule(json!({"ingress": [{"fromCIDR": ["10.0.0.1"]}]}))),
        (
            "a CIDR rule with two",
            rule(json!({"ingress": [{"fromCIDRSet": [{"cidr": "10.0.0.0/8", "cidrGroupRef": "a"}]}]})),
        ),
        ("a CIDR rule with none", rule(json!({"ingress": [{"fromCIDRSet": [{"except": ["10.0.0.0/8"]}]}]}))),
        (
            "an exception",
            rule(json!({"ingress": [{"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["x"]}]}]})),
        ),
        ("a group's name", rule(json!({"ingress": [{"fromCIDRSet": [{"cidrGroupRef": "A_b"}]}]}))),
        ("fromRequires", rule(json!({"ingress": [{"fromRequires": ["a"]}]}))),
        ("toRequires", rule(json!({"egress": [{"toRequires": ["a"]}]}))),
        (
            "a service selector without selector",
            rule(json!({"egress": [{"toServices": [{"k8sServiceSelector": {"namespace": "a"}}]}]})),
        ),
        ("a protocol", to_ports(json!({"ports": [{"port": "80", "protocol": "QUIC"}]}))),
        ("a port that is a number", to_ports(json!({"ports": [{"port": 80}]}))),
        ("a port", to_ports(json!({"ports": [{"port": "-"}]}))),
        ("an end", to_ports(json!({"ports": [{"port": "80", "endPort": 65536}]}))),
        ("41 ports", to_ports(json!({"ports": ports41}))),
        ("41 types", rule(json!({"ingress": [{"icmps": [{"fields": fields41}]}]}))),
        ("a type of ICMP", rule(json!({"ingress": [{"icmps": [{"fields": [{"type": "Ping"}]}]}]}))),
        ("a type of ICMP as text", rule(json!({"ingress": [{"icmps": [{"fields": [{"type": "256"}]}]}]}))),
        ("no type of ICMP", rule(json!({"ingress": [{"icmps": [{"fields": [{"family": "IPv4"}]}]}]}))),
        ("a family", rule(json!({"ingress": [{"icmps": [{"fields": [{"type": 8, "family": "IPv5"}]}]}]}))),
        ("an authentication", rule(json!({"ingress": [{"authentication": {"mode": "maybe"}}]}))),
        ("no authentication mode", rule(json!({"ingress": [{"authentication": {}}]}))),
        ("two layers 7", to_ports(json!({"rules": {"http": [{}], "dns": [{"matchName": "a"}]}}))),
        ("no layer 7", to_ports(json!({"rules": {}}))),
        ("a name", rule(json!({"egress": [{"toFQDNs": [{"matchName": "a b"}]}]}))),
        ("a name that is too long", rule(json!({"egress": [{"toFQDNs": [{"matchName": long}]}]}))),
        ("a star in a name", rule(json!({"egress": [{"toFQDNs": [{"matchName": "*.a"}]}]}))),
        (
            "a name and a pattern",
            rule(json!({"egress": [{"toFQDNs": [{"matchName": "a", "matchPattern": "b"}]}]})),
        ),
        (
            "a header without name",
            to_ports(json!({"rules": {"http": [{"headerMatches": [{"value": "a"}]}]}})),
        ),
        (
            "a mismatch",
            to_ports(json!({"rules": {"http": [{"headerMatches": [{"name": "a", "mismatch": "DROP"}]}]}})),
        ),
        ("no server names", to_ports(json!({"serverNames": []}))),
        ("a TLS context without secret", to_ports(json!({"terminatingTLS": {"trustedCA": "a"}}))),
        ("a listener without name", to_ports(json!({"listener": {"envoyConfig": {"name": "a"}}}))),
        (
            "a listener's priority",
            to_ports(json!({"listener": {"envoyConfig": {"name": "a"}, "name": "b", "priority": 101}})),
        ),
        (
            "a listener's kind",
            to_ports(json!({"listener": {"envoyConfig": {"name": "a", "kind": "Pod"}, "name": "b"}})),
        ),
        ("a log that is too long", rule(json!({"log": {"value": "x".repeat(33)}}))),
        ("a label without key", rule(json!({"labels": [{"value": "a"}]}))),
        ("text for truth", rule(json!({"enableDefaultDeny": {"ingress": "yes"}}))),
        ("an identity without labels", other("CiliumIdentity", "v2", json!({}))),
        ("a node without spec", other("CiliumNode", "v2", json!({}))),
        ("a pod CIDR", other("CiliumNode", "v2", json!({"spec": {"ipam": {"podCIDRs": ["10.0.0.1"]}}}))),
        ("less than nothing", other("CiliumNode", "v2", json!({"spec": {"ipam": {"pre-allocate": -1}}}))),
        ("an endpoint's state", other("CiliumEndpoint", "v2", json!({"status": {"state": "asleep"}}))),
        ("a slice without endpoints", other("CiliumEndpointSlice", "v2alpha1", json!({"namespace": "a"}))),
        ("a group without CIDRs", other("CiliumCIDRGroup", "v2", json!({"spec": {}}))),
        (
            "a mask",
            other(
                "CiliumPodIPPool",
                "v2alpha1",
                json!({"spec": {"ipv4": {"cidrs": ["10.0.0.0/8"], "maskSize": 33}}}),
            ),
        ),
        (
            "a pool of nothing",
            other("CiliumPodIPPool", "v2alpha1", json!({"spec": {"ipv4": {"cidrs": [], "maskSize": 24}}})),
        ),
        ("a configuration without nodes", other("CiliumNodeConfig", "v2", json!({"spec": {"defaults": {}}}))),
        (
            "a redirected address",
            other(
                "CiliumLocalRedirectPolicy",
                "v2",
                json!({"spec": {
                "redirectFrontend": {"addressMatcher": {"ip": "10.0.0", "toPorts": []}},
                "redirectBackend": {"localEndpointSelector": {}, "toPorts": []}}}),
            ),
        ),
        (
            "a redirected port",
            other(
                "CiliumLocalRedirectPolicy",
                "v2",
                json!({"spec": {
                "redirectFrontend": {"addressMatcher": {"ip": "10.0.0.1", "toPorts": [{"port": "65536", "protocol": "TCP"}]}},
                "redirectBackend": {"localEndpointSelector": {}, "toPorts": []}}}),
            ),
        ),
    ];
    let strict = vec![
        ("an unknown field", rule(json!({"ingres": [{}]}))),
        ("an unknown field deep in a rule", rule(json!({"ingress": [{"fromEndpoint": [{}]}]}))),
        (
            "a deny rule with layer 7",
            rule(json!({"ingressDeny": [{"toPorts": [{"rules": {"http": [{}]}}]}]})),
        ),
    ];
    let rules = vec![
        ("neither spec nor specs", policy(json!({}))),
        (
            "a gateway's address",
            other(
                "CiliumEgressGatewayPolicy",
                "v2",
                json!({"spec": {
                "selectors": [{}], "destinationCIDRs": ["0.0.0.0/0"],
                "egressGateway": {"nodeSelector": {}, "egressIP": "here"}}}),
            ),
        ),
    ];
    let parts = [(None, cases), (Some(Ability::StrictFields), strict), (Some(Ability::Cel), rules)];
    let asked = parts.into_iter().filter(|(ability, cases)| {
        let names: Vec<_> = cases.iter().map(|(name, _)| *name).collect();
        ability.is_none_or(|ability| !server.lacks(ability, &names.join(", ")))
    });
    for (what, object) in asked.flat_map(|(_, cases)| cases) {
        match kinds.create(&object).await {
            Ok(_) => panic!("{}: {what}: accepted: {object}", server.name()),
            Err(kube::Error::Api(status)) => {
                assert!(matches!(status.code, 400 | 422), "{}: {what}: {status:?}", server.name());
            }
            Err(error) => panic!("{}: {what}: {error}", server.name()),
        }
    }
    // The frame of all those cases is right: they were refused for what they say.
    for right in [rule(json!({})), to_ports(json!({"ports": [{"port": "80"}]}))] {
        kinds.create(&right).await.expect("a right policy is accepted");
        kinds.delete(&right).await;
    }
}

/// What is immutable stays.
async fn wrong_changes(server: &Server, kinds: &Kinds) {
    if server.lacks(Ability::Cel, "changes of what is immutable") {
        return;
    }
    let pool = other(
        "CiliumPodIPPool",
        "v2alpha1",
        json!({"spec": {"ipv4": {"cidrs": ["10.0.0.0/16"], "maskSize": 24}}}),
    );
    kinds.create(&pool).await.expect("a pool");
    let mut stored = kinds.api(&pool).get("x").await.expect("a pool");
    stored.data["spec"]["ipv4"]["cidrs"] = json!(["10.0.0.0/16", "10.1.0.0/16"]);
    let mut stored =
        kinds.api(&pool).replace("x", &Default::default(), &stored).await.expect("more prefixes");
    stored.data["spec"]["ipv4"]["maskSize"] = 25.into();
    kinds.api(&pool).replace("x", &Default::default(), &stored).await.expect_err("another mask");
    kinds.delete(&pool).await;
}

/// The reader of policies understands what the schema accepts.
#[test]
fn the_policy_reader_agrees() {
    let read = policy::manifest::parse(include_str!("valid.yaml"), "valid.yaml", 1);
    assert_eq!(read.len(), objects(include_str!("valid.yaml")).len());
    for object in read {
        if let Err(rejected) = object {
            panic!("{rejected:?}");
        }
    }
}
