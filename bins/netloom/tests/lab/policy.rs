//! Policies, one after the other in one lab, and who may reach whom under each.

use std::net::SocketAddr;
use std::sync::Mutex;

use lab::attempt::{Outcome, Protocol};

use crate::support::{FAMILIES, Lab};

/// `a` and `b` are clients on either node; `s1` and `s2` servers on either node; `t` is beside `s1`.
const PODS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: front, labels: {team: front}}
---
apiVersion: v1
kind: Namespace
metadata: {name: back, labels: {team: back}}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: front, labels: {app: a, role: client}}
spec: {nodeName: node1, containers: [{name: c, image: x, ports: [{containerPort: 80}, {containerPort: 53, protocol: UDP}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: front, labels: {app: b, role: client}}
spec: {nodeName: node2, containers: [{name: c, image: x, ports: [{containerPort: 80}, {containerPort: 53, protocol: UDP}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: s1, namespace: back, labels: {app: s}}
spec: {nodeName: node1, containers: [{name: c, image: x, ports: [{containerPort: 80, name: web}, {containerPort: 81}, {containerPort: 90}, {containerPort: 53, protocol: UDP}, {containerPort: 80, protocol: UDP}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: s2, namespace: back, labels: {app: s}}
spec: {nodeName: node2, containers: [{name: c, image: x, ports: [{containerPort: 80}, {containerPort: 81, name: web}, {containerPort: 90}, {containerPort: 53, protocol: UDP}, {containerPort: 80, protocol: UDP}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: t, namespace: back, labels: {app: t, role: client}}
spec: {nodeName: node1, containers: [{name: c, image: x, ports: [{containerPort: 80}]}]}
";

/// Policies, and attempts under them.
struct Case {
    name: &'static str,
    /// Each a policy's kind and spec, to which metadata is added: namespace `back` unless it is cluster-wide.
    policies: &'static [(&'static str, &'static str)],
    /// `FROM TO PORT[/PROTOCOL]…`: these can be reached …
    open: &'static [&'static str],
    /// … and these cannot.
    closed: &'static [&'static str],
}

const KNP: &str = "NetworkPolicy";
const CNP: &str = "CiliumNetworkPolicy";
const CCNP: &str = "CiliumClusterwideNetworkPolicy";

const TIERS: &str = "ClusterNetworkPolicy";
const GROUP: &str = "CiliumCIDRGroup";

const CASES: &[Case] = &[
    Case {
        name: "no policy",
        policies: &[],
        open: &["a s1 80 53/UDP", "a s2 80", "b s1 80", "s1 a 80", "s2 world 80 53/UDP", "world s1 80", "node2 s1 80"],
        closed: &[],
    },
    Case {
        name: "default deny of ingress, and the own node all the same",
        policies: &[(KNP, "{podSelector: {}}")],
        open: &["s1 a 80", "s2 a 80", "s1 world 80", "node1 s1 80 53/UDP", "node2 s2 80", "node1 t 80"],
        closed: &["a s1 80 53/UDP", "b s1 80", "t s1 80", "s1 t 80", "node2 s1 80", "node1 s2 53/UDP", "world s1 80"],
    },
    Case {
        name: "default deny of egress",
        policies: &[(KNP, "{podSelector: {matchLabels: {app: s}}, policyTypes: [Egress]}")],
        open: &["a s1 80 53/UDP", "b s1 80", "world s2 80", "node1 s1 80", "t a 80"],
        closed: &["s1 a 80 53/UDP", "s1 t 80", "s2 a 80", "s2 world 80 53/UDP", "s1 node1 80", "s1 node2 80"],
    },
    Case {
        name: "egress rules without policyTypes Egress have no effect",
        policies: &[(KNP, "{podSelector: {matchLabels: {app: s}}, policyTypes: [Ingress], egress: [], ingress: [{}]}")],
        open: &["a s1 80", "s1 a 80", "world s2 80", "s2 world 80"],
        closed: &[],
    },
    Case {
        name: "podSelector stays in the namespace",
        policies: &[(KNP, "{podSelector: {matchLabels: {app: s}}, ingress: [{from: [{podSelector: {matchLabels: {role: client}}}]}]}")],
        open: &["t s1 80 53/UDP", "t s2 80", "a t 80"],
        closed: &["a s1 80", "b s1 80", "s2 s1 80"],
    },
    Case {
        name: "namespaceSelector, and both together",
        policies: &[(
            KNP,
            "{podSelector: {matchLabels: {app: s}}, ingress: [
              {from: [{namespaceSelector: {matchLabels: {team: front}}, podSelector: {matchExpressions: [{key: app, operator: In, values: [b, t]}]}}], ports: [{port: 80}]},
              {from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: front}}}], ports: [{port: 81}]}]}",
        )],
        open: &["b s1 80 81", "b s2 80 81", "a s1 81", "a s2 81"],
        closed: &["a s1 80", "a s2 80", "t s1 80 81", "b s1 90 80/UDP"],
    },
    Case {
        name: "ports, ranges, names, protocols",
        policies: &[(
            KNP,
            "{podSelector: {matchLabels: {app: s}}, ingress: [
              {from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: a}}}], ports: [{port: web}]},
              {from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: b}}}], ports: [{port: 81, endPort: 95}]},
              {from: [{podSelector: {matchLabels: {app: t}}}], ports: [{protocol: UDP}]}]}",
        )],
        open: &["a s1 80", "a s2 81", "b s1 81 90", "b s2 81 90", "t s1 53/UDP 80/UDP", "t s2 53/UDP"],
        closed: &["a s1 81 80/UDP", "a s2 80", "b s1 80 53/UDP", "t s1 80", "t s2 80"],
    },
    Case {
        name: "named ports of peers",
        policies: &[(KNP, "{podSelector: {matchLabels: {app: t}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: s}}}], ports: [{port: web}]}]}")],
        open: &["t s1 80", "t s2 81"],
        closed: &["t s1 81", "t s2 80", "t a 80", "t world 80"],
    },
    Case {
        name: "ipBlock matches pods and nodes too, but what it leaves out",
        policies: &[(
            KNP,
            "{podSelector: {matchLabels: {app: s}}, ingress: [
              {from: [{ipBlock: {cidr: 10.244.0.0/16, except: [10.244.2.0/24]}}, {ipBlock: {cidr: 'fd00:10:244::/48', except: ['fd00:10:244:2::/64']}}], ports: [{port: 80}]},
              {from: [{ipBlock: {cidr: 172.30.0.0/24}}, {ipBlock: {cidr: 'fd00:30::/64'}}], ports: [{port: 81}]}]}",
        )],
        open: &["a s1 80", "a s2 80", "t s2 80", "node1 s2 81", "node2 s1 81", "node2 s2 80"],
        closed: &["b s1 80", "b s2 80", "s2 s1 80", "a s1 81", "node1 s2 80", "world s1 80 81"],
    },
    Case {
        name: "ipBlock of the world",
        policies: &[(
            KNP,
            "{podSelector: {matchLabels: {app: s}}, policyTypes: [Ingress, Egress],
              ingress: [{from: [{ipBlock: {cidr: 198.51.100.0/24}}, {ipBlock: {cidr: '2001:db8::/32'}}]}],
              egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}, {ipBlock: {cidr: '::/0', except: ['fd00:10::/32']}}], ports: [{port: 80}]}]}",
        )],
        open: &["world s1 80", "s1 world 80", "s2 world 80"],
        closed: &["s1 world 443", "s1 a 80", "s2 t 80", "a s1 80", "node2 s1 80"],
    },
    Case {
        name: "several policies are a union, and everyone is everyone",
        policies: &[
            (KNP, "{podSelector: {matchLabels: {app: s}}}"),
            (KNP, "{podSelector: {matchLabels: {app: s}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]}"),
            (KNP, "{podSelector: {}, ingress: [{ports: [{port: 53, protocol: UDP}]}]}"),
        ],
        open: &["t s1 80 53/UDP", "s1 s2 80", "a s1 53/UDP", "world s2 53/UDP", "node2 s1 53/UDP"],
        closed: &["a s1 80", "t s1 81", "a t 80"],
    },
    Case {
        name: "endpoints across namespaces, deny wins",
        policies: &[(
            CNP,
            "{endpointSelector: {matchLabels: {app: s}},
              ingress: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': front}}]}, {fromEndpoints: [{matchLabels: {app: t}}], toPorts: [{ports: [{port: '80', endPort: 85, protocol: TCP}]}]}],
              ingressDeny: [{fromEndpoints: [{matchLabels: {app: b, 'k8s:io.kubernetes.pod.namespace': front}}], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]}",
        )],
        open: &["a s1 80 53/UDP", "a s2 90", "b s1 81 53/UDP", "t s1 80 81", "t s2 81"],
        closed: &["b s1 80", "b s2 80", "t s1 90 53/UDP", "s2 s1 80", "world s1 80", "node2 s1 80"],
    },
    Case {
        name: "entities",
        policies: &[
            (CNP, "{endpointSelector: {matchLabels: {app: s}}, ingress: [{fromEntities: [world], toPorts: [{ports: [{port: '80'}]}]}, {fromEntities: [remote-node], toPorts: [{ports: [{port: '81'}]}]}, {fromEntities: [cluster], toPorts: [{ports: [{port: '90'}]}]}]}"),
            (CNP, "{endpointSelector: {matchLabels: {app: t}}, egress: [{toEntities: [host], toPorts: [{ports: [{port: '7777'}]}]}, {toEntities: [world-ipv4, world-ipv6], toPorts: [{ports: [{port: '443'}]}]}]}"),
        ],
        open: ["world s1 80", "world s2 80/UDP", "node2 s1 81 90", "a s1 90", "t world 443"].as_slice(),
        closed: &["world s1 81 90", "a s1 80 81", "node2 s1 80", "t world 80", "t a 80", "t s1 90", "t node2 80"],
    },
    Case {
        name: "CIDRs match only what is outside the cluster",
        policies: &[(
            CNP,
            "{endpointSelector: {matchLabels: {app: s}},
              ingress: [{fromCIDR: [0.0.0.0/0, '::/0']}],
              egress: [{toCIDRSet: [{cidr: 198.51.0.0/16, except: [198.51.100.0/25]}, {cidr: '2001:db8::/32', except: ['2001:db8:100::/64']}]}, {toCIDR: [198.51.100.10/32, '2001:db8:100::10/128'], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]}",
        )],
        open: &["world s1 80", "world s2 53/UDP", "s1 world 80", "s2 world 80"],
        closed: &["a s1 80", "b s1 80", "node2 s1 80", "s1 world 443", "s2 world 53/UDP 80/UDP", "s1 a 80"],
    },
    Case {
        name: "without default deny a deny rule closes only itself",
        policies: &[(
            CNP,
            "{endpointSelector: {matchLabels: {app: s}}, enableDefaultDeny: {ingress: false, egress: false},
              ingressDeny: [{fromEndpoints: [{matchLabels: {role: client}}], toPorts: [{ports: [{port: '81', protocol: TCP}]}]}],
              egressDeny: [{toEntities: [world]}]}",
        )],
        open: &["a s1 80 81", "t s1 80 53/UDP", "t s2 90", "s1 a 80", "world s1 81"],
        closed: &["t s1 81", "t s2 81", "s1 world 80", "s2 world 443"],
    },
    Case {
        name: "cluster-wide policies select across namespaces, and join with the others",
        policies: &[
            (CCNP, "{endpointSelector: {matchLabels: {role: client}}, ingress: [{fromEntities: [all], toPorts: [{ports: [{port: '53', protocol: UDP}]}]}]}"),
            (CCNP, "{endpointSelector: {}, egressDeny: [{toEntities: [world], toPorts: [{ports: [{port: '443', protocol: TCP}]}]}], enableDefaultDeny: {egress: false}}"),
            (KNP, "{podSelector: {matchLabels: {app: t}}, ingress: [{from: [{podSelector: {matchLabels: {app: s}}}]}]}"),
        ],
        open: &["s1 a 53/UDP", "s2 a 53/UDP", "s1 t 80", "s2 t 80", "a s1 80", "b world 80"],
        closed: &["s1 a 80", "s2 b 80", "a t 80", "a world 443", "s2 world 443"],
    },
    Case {
        name: "administrators decide first, or leave it to others, and last",
        policies: &[
            (
                TIERS,
                "{tier: Admin, priority: 10, subject: {namespaces: {matchLabels: {team: back}}}, ingress: [
                  {action: Deny, from: [{pods: {namespaceSelector: {matchLabels: {team: front}}, podSelector: {matchLabels: {app: b}}}}]},
                  {action: Pass, from: [{namespaces: {matchLabels: {team: front}}}], protocols: [{tcp: {destinationPort: {number: 80}}}]},
                  {action: Accept, from: [{namespaces: {matchLabels: {team: front}}}], protocols: [{tcp: {destinationPort: {range: {start: 80, end: 81}}}}]}]}",
            ),
            (KNP, "{podSelector: {matchLabels: {app: s}}}"),
            (
                TIERS,
                "{tier: Baseline, priority: 10, subject: {namespaces: {}}, ingress: [
                  {action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}]}",
            ),
        ],
        open: &["a s1 81", "a s2 81", "world t 80", "s1 a 53/UDP", "node2 t 80"],
        closed: &["a s1 80 90", "b s1 81", "b s2 80 81", "a t 80", "s1 a 80", "t s1 90 53/UDP", "world s1 81"],
    },
    Case {
        name: "a group of CIDRs",
        policies: &[
            (GROUP, "{externalCIDRs: [198.51.100.0/24, '2001:db8::/32', 10.244.0.0/16]}"),
            (CNP, "{endpointSelector: {matchLabels: {app: s}}, ingress: [{fromCIDRSet: [{cidrGroupRef: p0}], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]}"),
        ],
        open: &["world s1 80", "world s2 80", "s1 world 80"],
        closed: &["world s1 81 53/UDP", "a s1 80", "node2 s1 80"],
    },
];

/// A place's name in full.
fn full(place: &str) -> String {
    match place {
        "a" | "b" => format!("front/{place}"),
        "s1" | "s2" | "t" => format!("back/{place}"),
        node if node.starts_with("node") => format!("node/{node}"),
        other => other.to_owned(),
    }
}

fn manifest(kind: &str, number: usize, spec: &str) -> String {
    let (version, namespace) = match kind {
        KNP => ("networking.k8s.io/v1", "back"),
        CNP => ("cilium.io/v2", "back"),
        TIERS => ("policy.networking.k8s.io/v1alpha2", ""),
        _ => ("cilium.io/v2", ""),
    };
    let namespace = if namespace.is_empty() { String::new() } else { format!(", namespace: {namespace}") };
    format!(
        "---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: p{number}{namespace}}}\nspec: {spec}\n"
    )
}

/// Makes all attempts at once; says which did not end as expected.
fn surprises(lab: &Lab, open: &[&str], closed: &[&str]) -> Vec<String> {
    let surprises = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (line, expected) in open.iter().map(|l| (l, true)).chain(closed.iter().map(|l| (l, false))) {
            let mut words = line.split(' ');
            let (from, to) = (full(words.next().unwrap()), full(words.next().unwrap()));
            for (target, family) in words.flat_map(|target| FAMILIES.map(|family| (target, family))) {
                let (port, protocol) = target.split_once('/').unwrap_or((target, "TCP"));
                let (port, protocol): (u16, Protocol) = (port.parse().unwrap(), protocol.parse().unwrap());
                let (from, to, surprises) = (from.clone(), to.clone(), &surprises);
                scope.spawn(move || {
                    let address = SocketAddr::new(lab.address(&to, family), port);
                    let reached = lab.attempt(&from, address, protocol, expected);
                    let fits = match expected {
                        true => reached.outcome == Outcome::Connected,
                        // Nothing comes back; a refusal would mean that it arrived.
                        false => reached.outcome == Outcome::Timeout,
                    };
                    if !fits {
                        let what = format!("{from} to {to} {target} {family}: {:?}", reached.outcome);
                        surprises.lock().unwrap().push(what);
                    }
                });
            }
        }
    });
    surprises.into_inner().unwrap()
}

#[test]
fn policies_at_packet_level() {
    // Cases name the nodes' ranges.
    let arguments = ["--nodes", "2", "--mode", "kubernetes"];
    let Some(lab) = Lab::up_with("policy", &arguments, PODS) else { return };
    let mut failures = Vec::new();
    for case in CASES {
        let all: String = case
            .policies
            .iter()
            .enumerate()
            .map(|(number, (kind, spec))| manifest(kind, number, spec))
            .collect();
        if !all.is_empty() {
            lab.applied(&all);
        }
        failures.extend(
            surprises(&lab, case.open, case.closed).into_iter().map(|s| format!("{}: {s}", case.name)),
        );
        if !all.is_empty() {
            lab.deleted(&all);
        }
    }
    // With the policies gone all is open again.
    failures.extend(surprises(&lab, CASES[0].open, CASES[0].closed));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
