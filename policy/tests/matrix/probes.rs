//! What a probe may ask, rule by rule.

use netloom_policy::{Enforcement, Settings};
use serde_json::json;

use crate::support::Asked;

/// Two nodes, the first of which serves the API; two namespaces, of which one has no object.
const CLUSTER: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {zone: a}}
status: {addresses: [{type: InternalIP, address: 172.18.0.2}, {type: Hostname, address: n1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2, labels: {zone: b}}
status: {addresses: [{type: InternalIP, address: 172.18.0.3}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  nodeName: n1
  containers: [{name: c, ports: [{name: http, containerPort: 8080}, {name: http, containerPort: 8081, protocol: UDP}]}]
status: {podIPs: [{ip: 10.0.1.1}, {ip: 'fd00::1:1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec:
  nodeName: n2
  containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]
status: {podIP: 10.0.2.1}
---
apiVersion: v1
kind: Pod
metadata: {name: guest, namespace: other, labels: {app: web}}
spec: {nodeName: n2}
status: {podIP: 10.0.2.2}
---
apiVersion: v1
kind: Pod
metadata: {name: old, namespace: other, labels: {app: web}}
spec: {nodeName: n2}
status: {podIP: 10.0.2.9, phase: Succeeded}
---
apiVersion: v1
kind: Pod
metadata: {name: unborn, namespace: other, labels: {app: web}}
---
apiVersion: v1
kind: Pod
metadata: {name: proxy, namespace: kube-system, labels: {app: proxy}}
spec: {nodeName: n2, hostNetwork: true}
status: {podIP: 172.18.0.3}
---
apiVersion: v1
kind: Pod
metadata: {name: lost, namespace: kube-system, labels: {app: lost}}
spec: {nodeName: n3, hostNetwork: true}
status: {podIP: 172.18.0.4}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [172.18.0.2]}]
ports: [{name: https, port: 6443}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.10
  selector: {app: web}
  ports: [{name: www, port: 80, targetPort: http}, {name: raw, port: 9000}, {name: bad, port: 81, targetPort: nope}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: sql}]
  - from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.64/26]}}]
  egress:
  - to: [{ipBlock: {cidr: 172.18.0.0/16}}]
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}]
";

fn asked() -> Asked {
    Asked::new(CLUSTER)
}

fn with(policies: &str) -> Asked {
    Asked::new(&format!("{CLUSTER}---{policies}"))
}

#[test]
fn pods_and_ports() {
    let asked = asked();
    for (from, to, port, expected) in [
        ("shop/web", "shop/db", json!(5432), "ALLOW ALLOW"),
        ("shop/web", "shop/db", json!("5432"), "ALLOW ALLOW"),
        ("shop/web", "shop/db", json!("sql"), "ALLOW ALLOW"),
        ("shop/web", "shop/db", json!(22), "ALLOW DENY"),
        ("shop/web", "shop/db", json!("ssh"), "shop/db has no TCP port named \"ssh\""),
        ("other/guest", "shop/db", json!(5432), "ALLOW DENY"),
        ("shop/db", "other/guest", json!(80), "ALLOW ALLOW"),
        ("shop/db", "shop/web", json!(8080), "DENY ALLOW"),
        ("shop/db", "shop/db", json!(22), "ALLOW ALLOW"),
        ("10.0.2.1", "10.0.2.1", json!(22), "ALLOW ALLOW"),
        ("10.0.1.1", "10.0.2.1", json!(5432), "ALLOW ALLOW"),
        ("shop/db", "shop/nobody", json!(80), "there is no pod shop/nobody"),
        (
            "shop/db",
            "nobody",
            json!(80),
            "\"nobody\" is neither NAMESPACE/POD nor an address nor a known DNS name",
        ),
        ("shop/db", "10.0.0.0/8", json!(80), "there is no pod 10.0.0.0/8"),
    ] {
        assert_eq!(asked.verdicts(from, to, port.clone()), expected, "{from} {to} {port}");
    }
}

#[test]
fn addresses_outside() {
    let asked = asked();
    for (from, to, expected) in [
        ("192.0.2.1", "shop/db", "ALLOW ALLOW"),
        ("192.0.2.65", "shop/db", "ALLOW DENY"),
        ("198.51.100.1", "shop/db", "ALLOW DENY"),
        ("shop/db", "198.51.100.1", "DENY ALLOW"),
        ("198.51.100.1", "198.51.100.2", "ALLOW ALLOW"),
        // Who had it has finished: now it is nobody's.
        ("10.0.2.9", "shop/db", "ALLOW DENY"),
    ] {
        assert_eq!(asked.verdicts(from, to, 5432), expected, "{from} {to}");
    }
}

#[test]
fn a_node_is_host_to_its_own_pods_and_remote_to_others() {
    let asked = with(
        "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress: [{fromEntities: [remote-node], toPorts: [{ports: [{port: '8080'}]}]}]
  egress: [{toEntities: [host]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: guest, namespace: other}
spec:
  endpointSelector: {}
  ingress: [{fromEntities: [world]}]
  egress: [{toEntities: [kube-apiserver]}]
",
    );
    for (from, to, port, expected) in [
        // Its own node always reaches it.
        ("172.18.0.2", "shop/web", 22, "ALLOW ALLOW"),
        ("172.18.0.3", "shop/web", 22, "ALLOW DENY"),
        ("172.18.0.3", "shop/web", 8080, "ALLOW ALLOW"),
        ("kube-system/proxy", "shop/web", 8080, "ALLOW ALLOW"),
        ("172.18.0.3", "other/guest", 22, "ALLOW ALLOW"),
        ("kube-system/proxy", "other/guest", 22, "ALLOW ALLOW"),
        ("172.18.0.2", "other/guest", 22, "ALLOW DENY"),
        // A node without an object.
        ("kube-system/lost", "shop/web", 8080, "ALLOW ALLOW"),
        ("172.18.0.4", "shop/web", 8080, "ALLOW ALLOW"),
        ("shop/web", "172.18.0.2", 22, "ALLOW ALLOW"),
        ("shop/web", "172.18.0.3", 22, "DENY ALLOW"),
        ("other/guest", "172.18.0.2", 22, "ALLOW ALLOW"),
        ("other/guest", "172.18.0.3", 22, "DENY ALLOW"),
        ("other/guest", "10.96.0.1", 443, "ALLOW ALLOW"),
        ("172.18.0.2", "172.18.0.3", 22, "ALLOW ALLOW"),
    ] {
        assert_eq!(asked.verdicts(from, to, port), expected, "{from} {to} {port}");
    }
}

#[test]
fn services_lead_to_their_backends() {
    let asked = with(
        "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web2, namespace: shop, labels: {app: web, closed: 'yes'}}
spec: {containers: [{name: c, ports: [{name: http, containerPort: 9090}]}]}
status: {podIP: 10.0.1.2}
",
    );
    let answer = asked.ask(&json!({"from": "other/guest", "to": "10.96.0.10", "port": 80}));
    assert_eq!(answer["verdict"], "DENY");
    let backends = answer["backends"].as_array().unwrap();
    let brief: Vec<String> = backends
        .iter()
        .map(|b| format!("{} {} {} {}", b["to"], b["address"], b["port"], b["verdict"]).replace('"', ""))
        .collect();
    assert_eq!(brief, ["shop/web 10.0.1.1 8080 ALLOW", "shop/web2 10.0.1.2 9090 DENY"]);
    for (port, expected) in [
        (json!("www"), "ALLOW DENY"),
        (json!(9000), "ALLOW DENY"),
        (json!(81), "Service shop/web has no backend for port 81/TCP"),
        (json!(82), "Service shop/web has no port 82/TCP"),
    ] {
        assert_eq!(asked.verdicts("other/guest", "10.96.0.10", port.clone()), expected, "{port}");
    }
}

#[test]
fn families_and_missing_addresses() {
    let asked = with(
        "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: six, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{ipBlock: {cidr: 'fd00::/8'}}]}, {from: [{ipBlock: {cidr: 10.0.2.1/32}}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: six, namespace: other, labels: {app: six}}
status: {podIPs: [{ip: 10.0.3.1}, {ip: 'fd00::3:1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: only-six, namespace: other, labels: {app: six}}
status: {podIPs: [{ip: 'fd00::3:2'}]}
",
    );
    // IPv4 is the first family of the target that both have.
    assert_eq!(asked.verdicts("other/six", "shop/web", 80), "ALLOW DENY");
    assert_eq!(asked.verdicts("other/only-six", "shop/web", 80), "ALLOW ALLOW");
    assert_eq!(asked.verdicts("fd00::3:1", "fd00::1:1", 80), "ALLOW ALLOW");
    // Without an address no CIDR matches.
    assert_eq!(asked.verdicts("other/unborn", "shop/web", 80), "ALLOW DENY");
    assert_eq!(asked.verdicts("shop/db", "other/unborn", 80), "ALLOW ALLOW");
}

#[test]
fn icmp_and_protocols_without_ports() {
    let asked = with(
        "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress: [{fromEntities: [all], toPorts: [{ports: [{port: '8080'}]}]}]
",
    );
    for (probe, expected) in [
        (json!({"from": "shop/web", "to": "other/guest", "protocol": "ICMP", "type": 8}), "ALLOW ALLOW"),
        (json!({"from": "other/guest", "to": "shop/web", "protocol": "ICMP", "type": 8}), "ALLOW DENY"),
        // Rules of NetworkPolicy without ports are for every protocol.
        (json!({"from": "shop/db", "to": "other/guest", "protocol": "icmp"}), "ALLOW ALLOW"),
        (json!({"from": "shop/db", "to": "other/guest", "protocol": "GRE"}), "ALLOW ALLOW"),
        (json!({"from": "other/guest", "to": "shop/web", "protocol": 89}), "ALLOW DENY"),
        (json!({"from": "shop/web", "to": "shop/db", "protocol": "UDP", "port": 5432}), "ALLOW DENY"),
    ] {
        assert_eq!(asked.brief(&probe), expected, "{probe}");
    }
}

#[test]
fn modes() {
    let always = Settings { enforcement: Enforcement::Always, ..Settings::default() };
    let never = Settings { enforcement: Enforcement::Never, ..Settings::default() };
    let asked = asked().with_settings(always);
    assert_eq!(asked.verdicts("shop/web", "other/guest", 80), "DENY DENY");
    assert_eq!(asked.verdicts("shop/web", "shop/db", 5432), "DENY ALLOW");
    assert_eq!(asked.verdicts("172.18.0.2", "shop/web", 80), "ALLOW ALLOW");
    assert_eq!(asked.verdicts("172.18.0.2", "172.18.0.3", 80), "ALLOW ALLOW");
    let asked = Asked::new(CLUSTER).with_settings(never);
    assert_eq!(asked.verdicts("shop/db", "shop/web", 80), "ALLOW ALLOW");
}

#[test]
fn deciding_rules() {
    let asked = asked();
    assert_eq!(
        asked.rules("shop/web", "shop/db", "sql"),
        ["NetworkPolicy shop/db spec.ingress[0]:87 ingress"],
    );
    assert_eq!(asked.rules("shop/web", "shop/db", 22), ["NetworkPolicy shop/db spec:83 ingress"]);
    assert_eq!(asked.rules("shop/db", "other/guest", 22), ["NetworkPolicy shop/db spec.egress[1]:92 egress"],);
    assert!(asked.rules("shop/db", "shop/db", 22).is_empty());
    assert!(asked.rules("172.18.0.3", "shop/db", 22).is_empty());
}

#[test]
fn what_the_asker_wrote_stays() {
    let asked = asked();
    let answer =
        asked.ask(&json!({"from": "shop/web", "to": "shop/db", "port": "sql", "id": 7, "verdict": "?"}));
    assert_eq!(
        (&answer["id"], &answer["port"], &answer["verdict"]),
        (&json!(7), &json!("sql"), &json!("ALLOW"))
    );
    assert_eq!(answer.get("protocol"), None);
    let answer = asked.ask(&json!({"from": "shop/web", "id": 8}));
    assert_eq!(answer, json!({"from": "shop/web", "id": 8, "error": "\"to\" is missing"}));
    let answer = asked.ask(&json!("shop/web"));
    assert_eq!(answer["error"], "not a JSON object with \"from\", \"to\" and \"port\"");
}

#[test]
fn missing_namespaces_have_their_name() {
    let asked = with(
        "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}]
  - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop, team: a}}, podSelector: {}}]
",
    );
    assert_eq!(asked.verdicts("other/guest", "shop/web", 80), "ALLOW ALLOW");
    assert_eq!(asked.verdicts("10.0.2.1", "10.0.1.1", 80), "DENY ALLOW");
}

#[test]
fn names_may_be_targets() {
    let asked =
        asked().with_names("api.example.com: [203.0.113.7, 203.0.113.8]\none.example.com: 203.0.113.9\n");
    let answer = asked.ask(&json!({"from": "shop/db", "to": "API.example.com.", "port": 443}));
    assert_eq!(
        (answer["verdict"].as_str(), answer["backends"].as_array().map(Vec::len)),
        (Some("DENY"), Some(2))
    );
    let answer = asked.ask(&json!({"from": "shop/web", "to": "one.example.com", "port": 443}));
    assert_eq!((answer["verdict"].as_str(), answer.get("backends")), (Some("ALLOW"), None));
}
