//! What manifests mean, and what is said of those that mean nothing.

use abi::Direction;
use netloom_policy::manifest::{Object, Origin, Rejected, parse, parse_stored};
use netloom_policy::{Action, Peers, Ports};

fn one(text: &str) -> Result<Object, Rejected> {
    let mut all = parse(text, "f.yaml", 1);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn network_policy(spec: &str) -> Result<Object, Rejected> {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    one(&format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec:\n{spec}"
    ))
}

fn cilium_policy(spec: &str) -> Result<Object, Rejected> {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    one(&format!("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p}}\nspec:\n{spec}"))
}

/// The spec begins in line 5, column 3.
#[test]
fn network_policies_that_are_wrong() {
    let cases = [
        ("podSelector: {}\ningres: []", "6:3: spec: unknown field \"ingres\" (did you mean \"ingress\"?)"),
        (
            "podSelector: {matchLabel: {a: b}}",
            "5:17: spec.podSelector: unknown field \"matchLabel\" (did you mean \"matchLabels\"?)",
        ),
        (
            "podSelector: {matchLabels: {a: 1}}",
            "spec.podSelector.matchLabels.a: must be a string, not a number (quote it: \"1\")",
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: In}]}",
            "spec.podSelector.matchExpressions[0]: values are missing",
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}",
            "matchExpressions[0]: values are not allowed",
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: Gt, values: [b]}]}",
            "\"Gt\" is not an operator",
        ),
        ("podSelector: {matchLabels: {\"a b\": c}}", "\"a b\" is not a label key"),
        ("podSelector: {matchLabels: {a: \"-\"}}", "\"-\" is not a label value"),
        (
            "policyTypes: [ingress]",
            "5:17: spec.policyTypes[0]: \"ingress\" is not a policy type (Ingress or Egress)",
        ),
        ("ingress: [{from: [{}]}]", "spec.ingress[0].from[0]: selects nothing"),
        (
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]",
            "spec.ingress[0].from[0].ipBlock: ipBlock stands beside a selector",
        ),
        ("ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}]}]", "\"10.0.0.0\" is not a CIDR"),
        (
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]",
            "except[0]: 10.0.0.0/8 does not lie strictly inside 10.0.0.0/8",
        ),
        (
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [\"fd00::/8\"]}}]}]",
            "does not lie strictly inside",
        ),
        (
            "ingress: [{ports: [{port: 80, endPort: 79}]}]",
            "spec.ingress[0].ports[0].endPort: endPort 79 is below port 80 (at least 80)",
        ),
        ("ingress: [{ports: [{port: http, endPort: 90}]}]", "ports[0].endPort: endPort needs a numeric port"),
        ("ingress: [{ports: [{endPort: 90}]}]", "ports[0].endPort: endPort needs a numeric port"),
        ("ingress: [{ports: [{port: 0}]}]", "0 is not a port (ports are 1 to 65535)"),
        ("ingress: [{ports: [{port: 65536}]}]", "65536 is not a port"),
        ("ingress: [{ports: [{port: \"80\"}]}]", "\"80\" is not the name of a port"),
        ("ingress: [{ports: [{protocol: tcp}]}]", "\"tcp\" is not a protocol (TCP, UDP or SCTP)"),
        ("ingress: [{to: []}]", "spec.ingress[0]: unknown field \"to\" (known fields: from, ports)"),
        ("ingress: {}", "spec.ingress: must be a list, not an object"),
    ];
    for (spec, expected) in cases {
        let rejected = network_policy(spec).expect_err(spec);
        assert!(rejected.to_string().contains(expected), "{spec}\n{rejected}\n{expected}");
        assert_eq!(rejected.diagnostics.len(), 1, "{rejected}");
        assert_eq!(rejected.object.as_ref().unwrap().to_string(), "NetworkPolicy default/p");
    }
}

#[test]
fn cilium_policies_that_are_wrong() {
    let cases = [
        (
            "endpointSelector: {}\nnodeSelectr: {}\ningress: [{}]",
            "6:3: spec: unknown field \"nodeSelectr\" (did you mean \"nodeSelector\"?)".into(),
        ),
        ("ingress: [{}]", "5:3: spec: \"endpointSelector\" is missing".into()),
        ("endpointSelector: {}", "spec: has no rules".into()),
        (
            "endpointSelector: {matchLabels: {\"dog:a\": b}}\ningress: [{}]",
            "\"dog:a\" does not begin with a label source".into(),
        ),
        (
            "endpointSelector: {}\ningressDeny: [{toPorts: [{ports: [{port: \"80\"}], rules: {}}]}]",
            "unknown field \"rules\"".into(),
        ),
        (
            "endpointSelector: {}\ningressDeny: [{authentication: {mode: disabled}}]",
            "unknown field \"authentication\"".into(),
        ),
        (
            "endpointSelector: {}\ningress: [{toEndpoints: []}]",
            "spec.ingress[0]: unknown field \"toEndpoints\"".into(),
        ),
        (
            "endpointSelector: {}\ningress: [{fromEntities: [world], fromCIDR: [10.0.0.0/8]}]",
            "fromCIDR cannot be combined with fromEntities in one rule".into(),
        ),
        (
            "endpointSelector: {}\ningress: [{fromEntities: [moon]}]",
            "\"moon\" is not an entity (all, world".into(),
        ),
        (
            "endpointSelector: {}\ningress: [{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [11.0.0.0/8]}]}]",
            "11.0.0.0/8 does not lie inside 10.0.0.0/8".into(),
        ),
        (
            "endpointSelector: {}\ningress: [{toPorts: [{ports: [{port: 80}]}]}]",
            "must be a string, not a number (quote it: \"80\")".into(),
        ),
        (
            "endpointSelector: {}\ningress: [{toPorts: [{ports: [{port: \"99999\"}]}]}]",
            "\"99999\" is not a port".into(),
        ),
        (
            "endpointSelector: {}\ningress: [{toPorts: [{ports: [{port: \"80\", protocol: tcp}]}]}]",
            "\"tcp\" is not a protocol".into(),
        ),
    ];
    for (spec, expected) in cases {
        let rejected = cilium_policy(spec).expect_err(spec);
        let expected: String = expected;
        assert!(rejected.to_string().contains(&expected), "{spec}\n{rejected}\n{expected}");
        assert_eq!(rejected.diagnostics.len(), 1, "{rejected}");
    }
    let node = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\nspec: {nodeSelector: {}, ingress: [{}]}";
    let version = node.replace("cilium.io/v2", "cilium.io/v1");
    assert!(one(&version).unwrap_err().to_string().contains("(apiVersion: cilium.io/v2)"));
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let rejected = network_policy("foo: 1\ningress:\n- ports: [{port: 0}]\n  form: []\n").unwrap_err();
    let places: Vec<_> = rejected.diagnostics.iter().map(|d| (d.line, d.column, d.path.as_str())).collect();
    assert_eq!(places, [(7, 20, "spec.ingress[0].ports[0].port"), (8, 5, "spec.ingress[0]"), (5, 3, "spec")]);
}

#[test]
fn a_wrong_policy_closes_what_it_names() {
    let cases = [
        // Types decide where they are valid.
        ("podSelector: {matchLabels: {a: b}}\ningress: [{ports: [{port: 0}]}]", Some((true, false))),
        ("podSelector: {}\negress: [{ports: [{port: 0}]}]", Some((true, true))),
        ("podSelector: {}\npolicyTypes: [Egress]\negress: [{ports: [{port: 0}]}]", Some((false, true))),
        ("podSelector: {}\npolicyTypes: [Egress, ingress]", Some((true, true))),
        ("podSelector: {}\negress: 7", Some((true, true))),
        ("podSelector: {}\negress: []\nfoo: 1", Some((true, false))),
        // Whom it is about is not known.
        ("podSelector: {matchLabels: 1}", None),
    ];
    for (spec, expected) in cases {
        let closed = network_policy(spec).unwrap_err().fail_closed;
        let found = closed.as_ref().map(|policy| (policy.specs[0].deny_ingress, policy.specs[0].deny_egress));
        assert_eq!(found, expected, "{spec}");
        assert!(closed.is_none_or(|policy| policy.specs[0].rules.is_empty()));
    }
    let cases = [
        ("endpointSelector: {}\ningress: [{fromFoo: []}]", Some((true, false))),
        (
            "endpointSelector: {}\negressDeny: [{icmps: 7}]\nenableDefaultDeny: {egress: false}",
            Some((false, true)),
        ),
        ("endpointSelector: {}\negress: 7", Some((false, true))),
        ("endpointSelector: 7\negress: [{}]", None),
    ];
    for (spec, expected) in cases {
        let closed = cilium_policy(spec).unwrap_err().fail_closed;
        let found = closed.map(|policy| (policy.specs[0].deny_ingress, policy.specs[0].deny_egress));
        assert_eq!(found, expected, "{spec}");
    }
}

#[test]
fn kubernetes_defaults() {
    let cases = [
        ("podSelector: {}", (true, false)),
        ("podSelector: {}\negress: []", (true, false)),
        ("podSelector: {}\negress: [{}]", (true, true)),
        ("podSelector: {}\npolicyTypes: [Egress]\ningress: [{}]", (false, true)),
        ("podSelector: {}\npolicyTypes: []\negress: [{}]", (true, true)),
    ];
    for (spec, expected) in cases {
        let policy = network_policy(spec).unwrap().policy().unwrap();
        let spec_found = &policy.specs[0];
        assert_eq!((spec_found.deny_ingress, spec_found.deny_egress), expected, "{spec}");
        // Rules of a direction that is not affected have no effect.
        assert!(spec_found.rules.iter().all(|rule| spec_found.default_deny(rule.direction)), "{spec}");
    }
}

#[test]
fn rules_know_their_places() {
    let policy = network_policy("podSelector: {}\ningress:\n- {}\n-\n  from: []").unwrap().policy().unwrap();
    let origins: Vec<_> = policy.specs[0].rules.iter().map(|rule| rule.origin.to_string()).collect();
    assert_eq!(
        origins,
        [
            "NetworkPolicy default/p spec.ingress[0] (f.yaml:7)",
            "NetworkPolicy default/p spec.ingress[1] (f.yaml:9)"
        ]
    );
}

#[test]
fn cilium_rules() {
    let spec =
        |text: &str| cilium_policy(text).unwrap_or_else(|e| panic!("{e}")).policy().unwrap().specs.remove(0);
    // An empty rule closes the direction and allows nothing.
    let found = spec("endpointSelector: {}\ningress: [{}]");
    assert!(found.deny_ingress && !found.deny_egress);
    assert_eq!(found.rules[0].peers, Peers::OneOf(vec![]));
    // Ports alone are for everyone, an empty list of peers is for nobody.
    let found = spec("endpointSelector: {}\negress: [{toPorts: [{ports: [{port: \"80\"}]}]}]");
    assert_eq!((&found.rules[0].peers, found.deny_egress), (&Peers::Any, true));
    let found =
        spec("endpointSelector: {}\negress: [{toEndpoints: [], toPorts: [{ports: [{port: \"80\"}]}]}]");
    assert_eq!(found.rules[0].peers, Peers::OneOf(vec![]));
    let found =
        spec("endpointSelector: {}\nenableDefaultDeny: {egress: false}\negressDeny: [{toEntities: [all]}]");
    let rule = &found.rules[0];
    assert_eq!((rule.action, rule.direction, &rule.peers), (Action::Deny, Direction::Egress, &Peers::Any));
    assert_eq!((&rule.ports, found.deny_egress), (&Ports::Any, false));
    // Accepted and without effect.
    spec(
        "endpointSelector: {}\ndescription: x\nlabels: [{key: a, value: b}]\ningress: [{authentication: {mode: disabled}}]",
    );
}

#[test]
fn one_bad_document_does_not_lose_the_others() {
    let text = "kind: Pod\napiVersion: v1\nmetadata: {name: a}\n---\na: [\n---\nkind: Namespace\napiVersion: v1\nmetadata: {name: b, labels: {x: y}}\n---\n{\"kind\": \"List\", \"apiVersion\": \"v1\", \"items\": [{\"kind\": \"Pod\", \"apiVersion\": \"v1\"}, {\"kind\": \"Widget\", \"apiVersion\": \"w/v1\", \"metadata\": {\"name\": \"c\"}}]}\n";
    let keys: Vec<_> = parse(text, "f", 1)
        .into_iter()
        .map(|object| object.map(|object| object.key().to_string()).map_err(|e| e.diagnostics[0].line))
        .collect();
    assert_eq!(
        keys,
        [
            Ok("Pod default/a".into()),
            Err(5),
            Ok("Namespace b".into()),
            Err(11),
            Ok("Widget default/c".into())
        ]
    );
}

#[test]
fn stored_objects_are_reported_where_the_user_wrote_them() {
    let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: p\nspec:\n  ingress: [{}]\n";
    let stored = Origin { file: "dir/web.yaml".into(), line: 40 }.comment() + text;
    let object = parse_stored(&stored, "store/x").remove(0).unwrap();
    assert_eq!((&*object.meta().file, object.meta().line), ("dir/web.yaml", 40));
    let rule = &object.policy().unwrap().specs[0].rules[0];
    assert_eq!(rule.origin.to_string(), "NetworkPolicy default/p spec.ingress[0] (dir/web.yaml:45)");
    let bad = stored.replace("ingress", "ingres");
    assert_eq!(parse_stored(&bad, "store/x").remove(0).unwrap_err().diagnostics[0].line, 45);
    assert_eq!(parse_stored(text, "store/x").remove(0).unwrap().meta().line, 1);
}

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
    let targets: Vec<_> = service.ports.iter().map(|port| port.target_port.as_deref()).collect();
    assert_eq!(targets, [Some("http"), Some("8081")]);
}
