//! One construct at a time.

use netloom_policy::convert::{Converted, Ranges, convert};
use netloom_policy::manifest::{Object, parse};
use serde_json::{Value, json};

fn converted(spec: &Value, ranges: &Ranges) -> Result<Converted, Vec<String>> {
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "x"}, "spec": spec,
    });
    let Ok(Object::NetworkPolicy(policy)) = parse(&object.to_string(), "p.json", 1).remove(0) else {
        panic!("{object}")
    };
    convert(&policy, ranges).map_err(|remarks| remarks.iter().map(|remark| remark.kind.to_string()).collect())
}

/// Its spec in the new form.
fn spec(spec: &Value) -> Value {
    converted(spec, &Ranges::default()).unwrap().object["spec"].take()
}

fn ranges() -> Ranges {
    let cidrs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Ranges {
        pods: cidrs(&["10.0.0.0/16", "fd00:1::/64"]),
        nodes: cidrs(&["172.18.0.0/24"]),
        ..Ranges::default()
    }
}

#[test]
fn closing_everything() {
    let closed = spec(&json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    assert_eq!(closed, json!({"endpointSelector": {}, "ingress": [{}], "egress": [{}]}));
    let ingress = spec(&json!({"podSelector": {"matchLabels": {"app": "db"}}}));
    assert_eq!(ingress, json!({"endpointSelector": {"matchLabels": {"k8s:app": "db"}}, "ingress": [{}]}));
}

#[test]
fn rules_that_policy_types_leave_out() {
    let given = json!({"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}]});
    let Converted { object, notes } = converted(&given, &Ranges::default()).unwrap();
    assert_eq!(object["spec"], json!({"endpointSelector": {}, "egress": [{}]}));
    assert!(
        notes[0].to_string().contains("spec.ingress[0]: rules of this direction have no effect"),
        "{notes:?}"
    );
}

#[test]
fn everybody() {
    let all = json!({"endpointSelector": {}, "ingress": [{"fromEntities": ["all"]}]});
    assert_eq!(spec(&json!({"podSelector": {}, "ingress": [{}]})), all);
    assert_eq!(spec(&json!({"podSelector": {}, "ingress": [{"from": []}]})), all);
    let blocks = json!([{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]);
    assert_eq!(spec(&json!({"podSelector": {}, "ingress": [{"from": blocks}]})), all);
}

#[test]
fn ports() {
    let ports = json!([
        {"port": 80}, {"port": 8000, "endPort": 8999, "protocol": "UDP"}, {"port": "http"}, {"protocol": "SCTP"},
    ]);
    let converted = spec(&json!({"podSelector": {}, "ingress": [{"ports": ports}]}));
    let expected = json!([
        {"port": "80", "protocol": "TCP"},
        {"port": "8000", "endPort": 8999, "protocol": "UDP"},
        {"port": "http", "protocol": "TCP"},
        {"port": "0", "protocol": "SCTP"},
    ]);
    assert_eq!(converted["ingress"], json!([{"fromEntities": ["all"], "toPorts": [{"ports": expected}]}]));
    let many: Vec<Value> = (1..=41).map(|port| json!({"port": port})).collect();
    let converted = spec(&json!({"podSelector": {}, "ingress": [{"ports": many}]}));
    let items = converted["ingress"][0]["toPorts"].as_array().unwrap();
    assert_eq!(items.iter().map(|item| item["ports"].as_array().unwrap().len()).collect::<Vec<_>>(), [40, 1]);
}

#[test]
fn namespaces() {
    let peers = json!([
        {"podSelector": {}},
        {"namespaceSelector": {}},
        {"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]},
         "podSelector": {"matchLabels": {"app": "web"}}},
    ]);
    let converted = spec(&json!({"podSelector": {}, "egress": [{"to": peers}], "policyTypes": ["Egress"]}));
    let any = json!({"key": "k8s:io.kubernetes.pod.namespace", "operator": "Exists"});
    let team =
        json!({"key": "k8s:io.cilium.k8s.namespace.labels.team", "operator": "NotIn", "values": ["a"]});
    assert_eq!(
        converted["egress"],
        json!([{"toEndpoints": [
            {},
            {"matchExpressions": [any]},
            {"matchLabels": {"k8s:app": "web"}, "matchExpressions": [team, any]},
        ]}])
    );
}

#[test]
fn blocks_of_the_outside() {
    let block = json!({"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.0/28"]}});
    let peers = json!([block, {"podSelector": {"matchLabels": {"app": "web"}}}]);
    let given = json!({"podSelector": {}, "ingress": [{"from": peers, "ports": [{"port": 80}]}]});
    let ports = json!([{"ports": [{"port": "80", "protocol": "TCP"}]}]);
    assert_eq!(
        converted(&given, &ranges()).unwrap().object["spec"]["ingress"],
        json!([
            {"fromEndpoints": [{"matchLabels": {"k8s:app": "web"}}], "toPorts": ports},
            {"fromCIDRSet": [{"cidr": "192.0.2.0/24", "except": ["192.0.2.0/28"]}], "toPorts": ports},
        ])
    );
    let unknown = converted(&given, &Ranges::default()).unwrap_err();
    assert_eq!(unknown.len(), 2);
    assert!(
        unknown[0].starts_with("ipBlock 192.0.2.0/24 except 192.0.2.0/28 matches pods that have"),
        "{unknown:?}"
    );
}

#[test]
fn blocks_with_pods_and_nodes_in_them() {
    let of = |cidrs: &[(&str, &[&str])]| {
        let peers: Vec<Value> =
            cidrs.iter().map(|(cidr, except)| json!({"ipBlock": {"cidr": cidr, "except": except}})).collect();
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": peers}]})
    };
    let pods = converted(&of(&[("10.0.0.0/8", &[]), ("fd00::/8", &[])]), &ranges()).unwrap();
    let egress = pods.object["spec"]["egress"].clone();
    assert_eq!(egress[0]["toEndpoints"][0]["matchExpressions"][0]["operator"], "Exists");
    assert_eq!(egress[1]["toEntities"], json!(["health", "ingress", "init", "unmanaged"]));
    assert_eq!(egress[2]["toCIDRSet"], json!([{"cidr": "10.0.0.0/8"}, {"cidr": "fd00::/8"}]));
    let nodes = converted(&of(&[("172.16.0.0/12", &[])]), &ranges()).unwrap();
    assert_eq!(nodes.object["spec"]["egress"][0]["toEntities"], json!(["host", "remote-node"]));
    let nodes_too = Ranges { cidrs_match_nodes: true, ..ranges() };
    let nodes = converted(&of(&[("172.18.0.1/32", &[])]), &nodes_too).unwrap();
    assert_eq!(nodes.object["spec"]["egress"], json!([{"toCIDRSet": [{"cidr": "172.18.0.1/32"}]}]));
    for (blocks, wrong) in [
        (&[("10.0.0.0/8", &[][..])][..], "match the pods of 10.0.0.0/16 and not those of fd00:1::/64"),
        (&[("10.0.1.0/24", &[][..])], "ipBlock 10.0.1.0/24 matches some of the pods of 10.0.0.0/16"),
        (
            &[("0.0.0.0/0", &["10.0.1.0/24"][..]), ("::/0", &[])],
            "ipBlock 0.0.0.0/0 except 10.0.1.0/24 matches some",
        ),
        (&[("172.18.0.0/28", &[][..])], "ipBlock 172.18.0.0/28 matches some of the nodes of 172.18.0.0/24"),
    ] {
        let remarks = converted(&of(blocks), &ranges()).unwrap_err();
        assert!(remarks[0].contains(wrong), "{remarks:?}");
        let asked = Ranges { outside_only: true, ..ranges() };
        let Converted { notes, .. } = converted(&of(blocks), &asked).unwrap();
        assert_eq!(notes.len(), 1);
    }
}

#[test]
fn keys_that_mean_something_else() {
    let given = json!({"podSelector": {"matchLabels": {"io.kubernetes.pod.namespace": "x"}}});
    let remarks = converted(&given, &Ranges::default()).unwrap_err();
    assert_eq!(
        remarks,
        ["label \"io.kubernetes.pod.namespace\" has a meaning of its own in a CiliumNetworkPolicy"]
    );
}
