//! Objects of a cluster that are no policies.

use crate::one;
use netloom_policy::manifest::{Object, ServiceType};
use netloom_policy::pod::CLUSTER;
use netloom_policy::{ClusterName, PeerSelector, Peers, PodLabelling, Source};

#[test]
fn cluster_objects() {
    let Object::Pod(pod) = one(
        "apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}, annotations: {x: y}}
spec:
  nodeName: n1
  hostNetwork: false
  serviceAccountName: robot
  unknown: [field]
  initContainers: [{name: i, ports: [{containerPort: 1, name: no}]}, {name: s, restartPolicy: Always, ports: [{containerPort: 9000, name: metrics}]}]
  containers: [{name: c, image: x, ports: [{containerPort: 80, name: http}, {containerPort: 53, protocol: UDP}]}]
status: {phase: Running, podIP: 10.0.0.5, podIPs: [{ip: 10.0.0.5}, {ip: \"fd00::5\"}]}",
    )
    .unwrap() else {
        panic!()
    };
    assert_eq!((pod.node_name.as_deref(), pod.service_account.as_deref()), (Some("n1"), Some("robot")));
    assert_eq!(pod.ips.len(), 2);
    assert_eq!(pod.ports.iter().map(|port| port.port).collect::<Vec<_>>(), [80, 53, 9000]);
    assert_eq!(pod.named_ports().len(), 2);
    assert_eq!(
        netloom_policy::pod_labels(&pod, &[("team".to_owned(), "a".to_owned())].into()).to_string(),
        "k8s:app=web,gen:io.cilium.k8s.named-ports=http.TCP.80_metrics.TCP.9000,\
         k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop,\
         k8s:io.cilium.k8s.namespace.labels.team=a,k8s:io.cilium.k8s.policy.cluster=default,\
         k8s:io.cilium.k8s.policy.serviceaccount=robot,\
         k8s:io.kubernetes.pod.namespace=shop"
    );
    let Object::Node(node) = one(
        "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDRs: [10.0.0.0/24, \"fd00::/64\"]}\nstatus: {addresses: [{type: Hostname, address: n1}, {type: InternalIP, address: 192.0.2.1}]}",
    )
    .unwrap() else {
        panic!()
    };
    assert_eq!((node.pod_cidrs.len(), node.addresses.len(), node.meta.namespace), (2, 1, None));
    let Object::Service(service) = one(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: None, selector: {a: b}, ports: [{port: 80, targetPort: http}, {port: 81, targetPort: 8081}]}",
    )
    .unwrap() else {
        panic!()
    };
    assert!(service.cluster_ips.is_empty());
    assert_eq!(service.service_type, ServiceType::ClusterIp);
    let targets: Vec<_> = service.ports.iter().map(|port| port.target_port.as_deref()).collect();
    assert_eq!(targets, [Some("http"), Some("8081")]);
}

#[test]
fn objects_without_spec_or_status() {
    for kind in ["Namespace", "Node", "Pod", "Service", "Endpoints"] {
        one(&format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}")).unwrap();
    }
    let Object::Service(service) = one(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: ExternalName, externalName: a.example.com}",
    )
    .unwrap() else {
        panic!()
    };
    assert_eq!(service.service_type, ServiceType::ExternalName);
    assert_eq!(service.external_name.as_deref(), Some("a.example.com"));
}

#[test]
fn backends() {
    let slice = "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s-1, namespace: a, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
endpoints:
- {addresses: [192.0.2.1], conditions: {ready: true}, targetRef: {kind: Pod, name: p}}
- {addresses: [192.0.2.2]}
- {addresses: [192.0.2.3], conditions: {ready: false}}
ports: [{name: http, port: 8080}, {name: every, port: null}]";
    let Object::EndpointSlice(slice) = one(slice).unwrap() else { panic!() };
    assert_eq!(slice.service.as_deref(), Some("s"));
    assert_eq!((slice.addresses.len(), slice.ports.len(), slice.ports[0].port), (2, 1, 8080));
    let endpoints = "apiVersion: v1
kind: Endpoints
metadata: {name: s}
subsets: [{addresses: [{ip: 192.0.2.1}], notReadyAddresses: [{ip: \"2001:db8::1\"}], ports: [{port: 53, protocol: UDP}]}]";
    let Object::EndpointSlice(slice) = one(endpoints).unwrap() else { panic!() };
    assert_eq!((slice.service.as_deref(), slice.addresses.len()), (Some("s"), 1));
    let names = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s}\naddressType: FQDN\nendpoints: [{addresses: [a.example.com]}]";
    let Object::EndpointSlice(slice) = one(names).unwrap() else { panic!() };
    assert!(slice.service.is_none() && slice.addresses.is_empty());
}

#[test]
fn cidr_groups() {
    let head = "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: g, labels: {a: b}}\n";
    let Object::CidrGroup(group) =
        one(&format!("{head}spec: {{externalCIDRs: [10.1.2.3/8, \"2001:db8::/32\", 192.0.2.1]}}")).unwrap()
    else {
        panic!()
    };
    assert_eq!((group.meta.namespace, group.cidrs[0].to_string()), (None, "10.0.0.0/8".to_owned()));
    one(&format!("{head}spec: {{externalCIDRs: []}}")).unwrap();
    let cases = [
        (head.to_owned(), "1:1: \"spec\" is missing (spec: {externalCIDRs: […]})"),
        (
            format!("{head}spec: {{externalCIDR: []}}"),
            "4:7: spec: \"externalCIDRs\" is missing (the group's CIDRs)\nf.yaml:4:8: spec: unknown field \"externalCIDR\" (did you mean \"externalCIDRs\"?)",
        ),
        (
            format!("{head}spec: {{externalCIDRs: [a]}}"),
            "4:24: spec.externalCIDRs[0]: \"a\" is neither a CIDR nor an address (such as 10.0.0.0/8 or 10.0.0.1)",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(one(&text).unwrap_err().to_string(), format!("f.yaml:{expected}"));
    }
}

#[test]
fn names() {
    let policy =
        |meta: &str| one(&format!("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {meta}"));
    policy("{name: a.b-c, namespace: n-1, labels: {a: b}, annotations: {c: \"d e\"}}").unwrap();
    for (meta, expected) in [
        (
            "{name: A}",
            "3:18: metadata.name: \"A\" is not a name (lower-case letters, digits, '-' and '.', at most 253)",
        ),
        (
            "{name: a_b}",
            "3:18: metadata.name: \"a_b\" is not a name (lower-case letters, digits, '-' and '.', at most 253)",
        ),
        (
            "{name: a, namespace: b.c}",
            "3:32: metadata.namespace: \"b.c\" is not a namespace (lower-case letters, digits and '-', at most 63)",
        ),
        ("{namespace: a}", "3:11: metadata: \"name\" is missing (every object has a name)"),
        ("{name: a, label: {}}", "3:21: metadata: unknown field \"label\" (did you mean \"labels\"?)"),
    ] {
        assert_eq!(policy(meta).unwrap_err().to_string(), format!("f.yaml:{expected}"));
    }
    // Other kinds are named more freely.
    one("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: \"system:node\"}")
        .unwrap();
}

#[test]
fn a_cluster_is_known_by_its_name() {
    let blue: ClusterName = "blue".parse().unwrap();
    let pod =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\nspec: {}";
    let Object::Pod(pod) = one(pod).unwrap() else { panic!() };
    let labelling = PodLabelling { cluster: blue.clone(), ..PodLabelling::default() };
    let labels = labelling.labels(&pod, &[].into());
    assert_eq!(labels.get(Source::K8s, CLUSTER), Some("blue"));
    // Peers without a word about clusters, and the cluster as a group, are of the policy's own cluster.
    for peers in ["fromEndpoints: [{matchLabels: {app: web}}]", "fromEntities: [cluster]"] {
        let policy = one(&format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: shop}}\n\
             spec: {{endpointSelector: {{}}, ingress: [{{{peers}}}]}}"
        ))
        .unwrap();
        let selects = |cluster: &ClusterName| {
            let policy = policy.policy_in(cluster).unwrap();
            let Peers::OneOf(peers) = &policy.specs[0].rules[0].peers else { panic!() };
            peers
                .iter()
                .any(|peer| matches!(peer, PeerSelector::Labels(selector) if selector.matches(&labels)))
        };
        assert!(selects(&blue), "{peers}");
        assert!(!selects(&ClusterName::default()), "{peers}");
    }
}
