//! What the oracle says of small clusters, one rule of the language at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use abi::{Direction, Identity, proto};
use netloom_policy::manifest::{Object, parse};
use netloom_policy::oracle::{Judgement, Oracle, Party};
use netloom_policy::{Enforcement, Settings};

/// Two nodes, pods in two namespaces, and one on the network of the first node. `name address` of those is in [`Base`].
const BASE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: y, labels: {team: blue}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {zone: a}}, status: {addresses: [{type: InternalIP, address: 10.0.9.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {zone: b}}, status: {addresses: [{type: InternalIP, address: 10.0.9.2}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: x, labels: {app: web, pod-template-hash: h}}
spec: {nodeName: n1, serviceAccountName: robot, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: x, labels: {app: db}}
spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}
status: {podIP: 10.0.0.2}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: y, labels: {app: db}}, spec: {nodeName: n2}, status: {podIP: 10.0.0.3}}
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: x, labels: {app: web}}
spec: {nodeName: n1, hostNetwork: true}
status: {podIP: 10.0.9.1}
---
";

struct World {
    objects: Vec<Object>,
    oracle: Oracle,
}

impl World {
    fn new(policies: &str) -> Self {
        Self::with(policies, Settings::default())
    }

    fn with(policies: &str, settings: Settings) -> Self {
        let text = format!("{BASE}{policies}");
        let objects: Vec<Object> =
            parse(&text, "w.yaml", 1).into_iter().map(|object| object.unwrap()).collect();
        let names =
            [("192.0.2.1", "a.example.com"), ("10.0.0.2", "a.example.com"), ("10.0.9.2", "a.example.com")];
        let names: BTreeMap<IpAddr, BTreeSet<String>> =
            names.into_iter().map(|(addr, name)| (addr.parse().unwrap(), [name.to_owned()].into())).collect();
        Self { oracle: Oracle::new(&objects, settings, names), objects }
    }

    /// Who has a name: `NS/POD`, a node, an entity; or an address outside. With the address.
    fn party(&self, name: &str) -> (Party<'_>, Option<IpAddr>) {
        if let Ok(addr) = name.parse() {
            return (Party::outside(addr), Some(addr));
        }
        match name {
            "health" => return (Party::Reserved(Identity::HEALTH), None),
            "init" => return (Party::Reserved(Identity::INIT), None),
            "kube-apiserver" => return (Party::Reserved(Identity::KUBE_APISERVER), None),
            _ => {}
        }
        let found = self.objects.iter().find_map(|object| match object {
            Object::Pod(pod) if name == format!("{}/{}", pod.meta.namespace(), pod.meta.name) => {
                Some((Party::Pod(pod), pod.ips.first().copied()))
            }
            Object::Node(node) if name == node.meta.name => {
                Some((Party::Node(node), node.addresses.first().copied()))
            }
            _ => None,
        });
        found.unwrap_or_else(|| panic!("nobody is called {name}"))
    }

    fn judge(&self, subject: &str, direction: Direction, peer: &str, (proto, port): (u8, u16)) -> Judgement {
        let (peer, addr) = self.party(peer);
        let subject = match self.party(subject).0 {
            Party::Pod(pod) => self.oracle.pod(pod),
            Party::Node(node) => self.oracle.node(node),
            Party::Reserved(_) => panic!("{subject} is no subject"),
        };
        subject.verdict(direction, peer, addr, proto, port)
    }

    /// Those of `peers` that may reach the subject on TCP port 80, joined by spaces.
    fn reach(&self, subject: &str, peers: &str) -> String {
        self.let_through(subject, Direction::Ingress, peers)
    }

    /// Those of `peers` that the subject may reach on TCP port 80, joined by spaces.
    fn reached(&self, subject: &str, peers: &str) -> String {
        self.let_through(subject, Direction::Egress, peers)
    }

    fn let_through(&self, subject: &str, direction: Direction, peers: &str) -> String {
        let passes = |peer: &&str| {
            self.judge(subject, direction, peer, TCP80).verdict != netloom_policy::Verdict::Deny
        };
        peers.split(' ').filter(passes).collect::<Vec<_>>().join(" ")
    }
}

const TCP80: (u8, u16) = (proto::TCP, 80);
const EVERYBODY: &str = "x/web x/db y/db x/agent n1 n2 health 192.0.2.1 2001:db8::1";

/// A CiliumNetworkPolicy of namespace `x` for its pod `db`, or a cluster-wide one for all pods.
fn cilium(clusterwide: bool, rules: &str) -> String {
    let (kind, namespace, subject) = match clusterwide {
        true => ("CiliumClusterwideNetworkPolicy", "", "{}"),
        false => ("CiliumNetworkPolicy", ", namespace: x", "{matchLabels: {app: db}}"),
    };
    format!(
        "{{apiVersion: cilium.io/v2, kind: {kind}, metadata: {{name: p{namespace}}}, spec: {{endpointSelector: {subject}, {rules}}}}}\n---\n"
    )
}

/// A NetworkPolicy of namespace `x` for its pod `db`.
fn kubernetes(rules: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: k, namespace: x}}, spec: {{podSelector: {{matchLabels: {{app: db}}}}, {rules}}}}}\n---\n"
    )
}

/// A ClusterNetworkPolicy for all pods.
fn administrators(name: &str, tier: &str, priority: u16, rules: &str) -> String {
    format!(
        "{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {{name: {name}}}, spec: {{tier: {tier}, priority: {priority}, subject: {{namespaces: {{}}}}, {rules}}}}}\n---\n"
    )
}

#[test]
fn peers_of_cilium_rules() {
    // The pod's own node is there always.
    for (clusterwide, rule, who) in [
        (false, "fromEndpoints: [{}]", "x/web x/db x/agent n1"),
        (false, "fromEndpoints: [{matchLabels: {app: web}}]", "x/web x/agent n1"),
        (false, "fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': y}}]", "y/db x/agent n1"),
        (
            false,
            "fromEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.team: blue}}]",
            "y/db x/agent n1",
        ),
        (
            false,
            "fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.serviceaccount: robot}}]",
            "x/web x/agent n1",
        ),
        (false, "fromEndpoints: [{matchLabels: {pod-template-hash: h}}]", "x/agent n1"),
        (false, "fromEndpoints: [{matchLabels: {'reserved:remote-node': ''}}]", "x/agent n1 n2"),
        (false, "fromEndpoints: []", "x/agent n1"),
        (true, "fromEndpoints: [{}]", "x/web x/db y/db x/agent n1"),
        (
            true,
            "fromEndpoints: [{matchExpressions: [{key: team, operator: DoesNotExist}]}]",
            "x/web x/db y/db x/agent n1",
        ),
        (false, "fromEntities: [all]", EVERYBODY),
        (false, "fromEntities: [world]", "x/agent n1 192.0.2.1 2001:db8::1"),
        (false, "fromEntities: [world-ipv6]", "x/agent n1 2001:db8::1"),
        (false, "fromEntities: [cluster]", "x/web x/db y/db x/agent n1 n2 health"),
        (false, "fromEntities: [cluster-mesh]", "x/web x/db y/db x/agent n1 n2 health"),
        (false, "fromEntities: [remote-node]", "x/agent n1 n2"),
        (false, "fromEntities: [none]", "x/agent n1"),
        (false, "fromCIDR: [0.0.0.0/0]", "x/agent n1 192.0.2.1"),
        (false, "fromCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.0/28]}]", "x/agent n1"),
        (false, "fromNodes: [{matchLabels: {zone: b}}]", "x/agent n1 n2"),
        (false, "fromNodes: [{matchLabels: {zone: a}}]", "x/agent n1"),
        (false, "toPorts: [{ports: [{port: '80'}]}]", EVERYBODY),
        (false, "", "x/agent n1"),
    ] {
        let world = World::new(&cilium(clusterwide, &format!("ingress: [{{{rule}}}]")));
        assert_eq!(world.reach("x/db", EVERYBODY), who, "{rule}");
    }
}

#[test]
fn who_egress_may_reach() {
    let more = "
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: x, labels: {tier: front}}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: out, namespace: x}, spec: {ports: [{port: 80}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: out-1, namespace: x, labels: {kubernetes.io/service-name: out}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1]}, {addresses: [10.0.0.3]}, {addresses: [10.0.9.2]}]
ports: [{port: 80}]
---
{apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: {name: g, labels: {env: lab}}, spec: {externalCIDRs: [192.0.2.0/24, 10.0.0.0/8]}}
---
";
    let nodes = Settings { cidrs_match_nodes: true, ..Settings::default() };
    for (settings, rule, who) in [
        (Settings::default(), "toEntities: [host]", "x/agent n1"),
        (Settings::default(), "toServices: [{k8sService: {serviceName: web, namespace: x}}]", "x/web"),
        (Settings::default(), "toServices: [{k8sService: {serviceName: web, namespace: y}}]", ""),
        (
            Settings::default(),
            "toServices: [{k8sServiceSelector: {selector: {matchLabels: {tier: front}}}}]",
            "x/web",
        ),
        (Settings::default(), "toServices: [{k8sService: {serviceName: out, namespace: x}}]", "192.0.2.1"),
        (nodes, "toServices: [{k8sService: {serviceName: out, namespace: x}}]", "n2 192.0.2.1"),
        (nodes, "toCIDR: [10.0.0.0/8]", "x/agent n1 n2"),
        (Settings::default(), "toCIDR: [10.0.0.0/8]", ""),
        (Settings::default(), "toCIDRSet: [{cidrGroupRef: g}]", "192.0.2.1"),
        (nodes, "toCIDRSet: [{cidrGroupRef: g, except: [10.0.9.1/32]}]", "n2 192.0.2.1"),
        (Settings::default(), "toCIDRSet: [{cidrGroupSelector: {matchLabels: {env: lab}}}]", "192.0.2.1"),
        (Settings::default(), "toCIDRSet: [{cidrGroupRef: gone}]", ""),
        (Settings::default(), "toFQDNs: [{matchName: a.example.com}]", "192.0.2.1"),
        (Settings::default(), "toFQDNs: [{matchPattern: '*.com'}]", ""),
    ] {
        let world =
            World::with(&format!("{more}{}", cilium(false, &format!("egress: [{{{rule}}}]"))), settings);
        assert_eq!(world.reached("x/db", EVERYBODY), who, "{rule}");
    }
}

#[test]
fn peers_of_network_policies() {
    for (rule, who) in [
        ("from: [{podSelector: {}}]", "x/web x/db x/agent n1"),
        ("from: [{namespaceSelector: {}}]", "x/web x/db y/db x/agent n1"),
        ("from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}}]", "y/db x/agent n1"),
        ("from: [{podSelector: {matchLabels: {pod-template-hash: h}}}]", "x/agent n1"),
        // Whoever has the address.
        ("from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.2/32]}}]", "x/web y/db x/agent n1 n2"),
        ("from: []", EVERYBODY),
    ] {
        let world = World::new(&kubernetes(&format!("ingress: [{{{rule}}}]")));
        assert_eq!(world.reach("x/db", EVERYBODY), who, "{rule}");
    }
    let world = World::new(&kubernetes("policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]"));
    assert_eq!(world.reached("x/db", EVERYBODY), "x/web x/db");
    assert_eq!(world.reach("x/db", EVERYBODY), EVERYBODY);
}

#[test]
fn ports() {
    let tcp = |port| (proto::TCP, port);
    let kubernetes =
        |ports: &str| kubernetes(&format!("egress: [{{ports: [{ports}]}}], policyTypes: [Egress]"));
    let cilium = |item: &str| cilium(false, &format!("egress: [{{toEntities: [all], {item}}}]"));
    for (policy, peer, (proto, port), allowed) in [
        // Named ports are the peer's, of the protocol that is asked for.
        (kubernetes("{port: http}"), "x/web", tcp(8080), true),
        (kubernetes("{port: http}"), "x/web", tcp(80), false),
        (kubernetes("{port: http, protocol: UDP}"), "x/web", (proto::UDP, 8080), false),
        (kubernetes("{port: http}"), "y/db", tcp(8080), false),
        (kubernetes("{port: 80, endPort: 90}"), "x/web", tcp(90), true),
        (kubernetes("{port: 80, endPort: 90}"), "x/web", tcp(91), false),
        (kubernetes("{protocol: UDP}"), "x/web", (proto::UDP, 1), true),
        (kubernetes("{}"), "x/web", (proto::ICMP, 8), false),
        (kubernetes(""), "x/web", (proto::ICMP, 8), true),
        (cilium("toPorts: [{ports: [{port: http}]}]"), "x/web", tcp(8080), true),
        (cilium("toPorts: [{ports: [{port: '0'}]}]"), "x/web", (47, 0), false),
        (cilium("toPorts: [{ports: [{port: '0'}]}]"), "x/web", (proto::SCTP, 80), true),
        (cilium("toPorts: [{ports: [{port: '0', protocol: TCP}]}]"), "x/web", (proto::UDP, 80), false),
        (cilium("toPorts: [{ports: [{port: '53', protocol: ANY}]}]"), "x/web", (proto::SCTP, 53), true),
        (cilium("toPorts: [{ports: [{port: '53', protocol: ANY}]}]"), "x/web", (proto::ICMP, 53), false),
        (cilium("toPorts: [{ports: [{port: '0', protocol: VRRP}]}]"), "x/web", (112, 0), true),
        (cilium("icmps: [{fields: [{type: 8}]}]"), "x/web", (proto::ICMP, 8), true),
        (cilium("icmps: [{fields: [{type: 8}]}]"), "x/web", (proto::ICMP, 0), false),
        (cilium("icmps: [{fields: [{type: 8}]}]"), "x/web", (proto::ICMPV6, 8), false),
        (
            cilium("icmps: [{fields: [{family: IPv6, type: EchoRequest}]}]"),
            "x/web",
            (proto::ICMPV6, 128),
            true,
        ),
    ] {
        let judged = World::new(&policy).judge("x/db", Direction::Egress, peer, (proto, port));
        assert_eq!(
            judged.verdict == netloom_policy::Verdict::Allow,
            allowed,
            "{policy} {peer} {proto}/{port}"
        );
    }
}

/// Verdict, proxy, authentication and places, in words.
fn words(judged: &Judgement) -> String {
    let mut words = vec![judged.verdict.to_string()];
    words.extend(judged.proxy.map(|proxy| format!("{proxy:?}")));
    words.extend(judged.authentication.map(|mode| format!("{mode:?}")));
    words.extend(judged.rules.iter().map(|rule| format!("{}:{}", rule.policy.name, rule.path)));
    words.extend(judged.closed_by.iter().map(|spec| format!("closed by {}:{}", spec.policy.name, spec.path)));
    words.join(" ")
}

#[test]
fn what_wins() {
    let http = "toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]";
    let sni = "toPorts: [{ports: [{port: '80', protocol: TCP}], serverNames: [a.example.com]}]";
    let all = "fromEntities: [all]";
    let deny = |tier| administrators("d", tier, 5, "ingress: [{action: Deny, from: [{namespaces: {}}]}]");
    let pass = |tier| administrators("p", tier, 1, "ingress: [{action: Pass, from: [{namespaces: {}}]}]");
    let accept = |tier| administrators("a", tier, 5, "ingress: [{action: Accept, from: [{namespaces: {}}]}]");
    let closed = kubernetes("ingress: []");
    let open = kubernetes("ingress: [{}]");
    for (policies, expected) in [
        (String::new(), "ALLOW"),
        (closed.clone(), "DENY closed by k:spec"),
        (
            cilium(false, &format!("ingress: [{{{all}}}], ingressDeny: [{{{all}}}]")),
            "DENY p:spec.ingressDeny[0]",
        ),
        (
            cilium(false, "ingressDeny: [{fromEntities: [world]}], enableDefaultDeny: {ingress: false}"),
            "ALLOW",
        ),
        (cilium(false, &format!("ingress: [{{{all}, {http}}}]")), "REDIRECT Http p:spec.ingress[0]"),
        // What needs no proxy does not take it away; of two proxies the greater takes it.
        (
            cilium(
                false,
                &format!("ingress: [{{{all}, {sni}}}, {{{all}}}, {{fromEntities: [cluster], {http}}}]"),
            ),
            "REDIRECT Http p:spec.ingress[0] p:spec.ingress[1] p:spec.ingress[2]",
        ),
        (
            cilium(
                false,
                &format!(
                    "ingress: [{{{all}, toPorts: [{{ports: [{{port: '80', protocol: TCP}}], rules: {{http: []}}}}]}}]"
                ),
            ),
            "ALLOW p:spec.ingress[0]",
        ),
        (
            cilium(
                false,
                &format!(
                    "ingress: [{{{all}, authentication: {{mode: required}}}}, {{{all}}}, {{{all}, authentication: {{mode: disabled}}}}]"
                ),
            ),
            "ALLOW Required p:spec.ingress[0] p:spec.ingress[1] p:spec.ingress[2]",
        ),
        (
            cilium(false, &format!("ingress: [{{{all}, authentication: {{mode: test-always-fail}}}}]")),
            "DENY TestAlwaysFail p:spec.ingress[0]",
        ),
        (format!("{}{open}", deny("Admin")), "DENY d:spec.ingress[0]"),
        (format!("{}{closed}", accept("Admin")), "ALLOW a:spec.ingress[0]"),
        // Equal priorities: the name decides. A smaller priority that passes leaves it to the next tier.
        (format!("{}{}", deny("Admin"), accept("Admin")), "ALLOW a:spec.ingress[0]"),
        (format!("{}{}{closed}", pass("Admin"), accept("Admin")), "DENY closed by k:spec"),
        (format!("{}{}", pass("Admin"), deny("Baseline")), "DENY d:spec.ingress[0]"),
        (format!("{}{open}", deny("Baseline")), "ALLOW k:spec.ingress[0]"),
        (format!("{}{closed}", accept("Baseline")), "DENY closed by k:spec"),
        (format!("{}{}", pass("Baseline"), deny("Baseline")), "ALLOW"),
        // Open in the middle: the last tier is asked.
        (
            format!(
                "{}{}",
                cilium(false, "ingress: [{}], enableDefaultDeny: {ingress: false}"),
                deny("Baseline")
            ),
            "DENY d:spec.ingress[0]",
        ),
    ] {
        let judged = World::new(&policies).judge("x/db", Direction::Ingress, "x/web", TCP80);
        assert_eq!(words(&judged), expected, "{policies}");
    }
}

#[test]
fn nodes() {
    let host = "
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host}
spec:
  nodeSelector: {matchLabels: {zone: a}}
  ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}, {fromEntities: [remote-node]}]
---
";
    let world = World::new(host);
    assert_eq!(world.reach("n1", EVERYBODY), "x/web n2");
    assert_eq!(world.reach("n2", EVERYBODY), EVERYBODY);
    // A pod on its node's network is that node.
    assert_eq!(world.reach("x/agent", EVERYBODY), "x/web n2");
    assert_eq!(world.reach("x/db", EVERYBODY), EVERYBODY);
    // Nor do policies for endpoints concern nodes.
    let world = World::new(&cilium(true, "ingressDeny: [{fromEntities: [all]}]"));
    assert_eq!(world.reach("n1", EVERYBODY), EVERYBODY);
    assert_eq!(world.reach("x/db", EVERYBODY), "x/agent n1");
    let judged = world.judge("x/db", Direction::Ingress, "n1", TCP80);
    assert_eq!(words(&judged), "ALLOW");
    // Its own node is another one's other node.
    assert_eq!(world.reach("y/db", EVERYBODY), "n2");
}

#[test]
fn administrators_choose_nodes_networks_and_names() {
    for (peer, who) in [
        ("nodes: {matchLabels: {zone: a}}", "x/agent n1"),
        ("nodes: {}", "x/agent n1 n2"),
        ("networks: [10.0.0.0/24]", "x/web x/db y/db"),
        ("domainNames: ['*.example.com']", "192.0.2.1"),
        ("pods: {namespaceSelector: {matchLabels: {team: blue}}, podSelector: {}}", "y/db"),
    ] {
        let accept =
            administrators("a", "Admin", 1, &format!("egress: [{{action: Accept, to: [{{{peer}}}]}}]"));
        let world = World::new(&format!("{accept}{}", kubernetes("egress: [], policyTypes: [Egress]")));
        assert_eq!(world.reached("x/db", EVERYBODY), who, "{peer}");
    }
}

#[test]
fn the_api_server_is_where_its_endpoints_are() {
    let policy = cilium(false, "egress: [{toEntities: [kube-apiserver]}]");
    let outside = "kube-apiserver 192.0.2.1 192.0.2.9";
    for (addr, who) in [("10.0.9.1", "x/agent n1"), ("10.0.9.2", "n2"), ("192.0.2.9", "192.0.2.9")] {
        let slice = format!(
            "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {{name: s, namespace: default, labels: {{kubernetes.io/service-name: kubernetes}}}}, endpoints: [{{addresses: [{addr}]}}]}}\n---\n"
        );
        let world = World::new(&format!("{slice}{policy}"));
        let reached = world.reached("x/db", &format!("{EVERYBODY} {outside}"));
        let expected = if addr == "192.0.2.9" {
            format!("kube-apiserver {who}")
        } else {
            format!("{who} kube-apiserver")
        };
        assert_eq!(reached, expected, "{addr}");
        // One that is outside is part of the world as well.
        let world = World::new(&format!("{slice}{}", cilium(false, "egress: [{toEntities: [world]}]")));
        assert_eq!(world.reached("x/db", outside), "192.0.2.1 192.0.2.9", "{addr}");
    }
}

#[test]
fn enforcement_modes() {
    let deny = cilium(true, "ingressDeny: [{fromEntities: [all]}]");
    let mode = |enforcement| Settings { enforcement, ..Settings::default() };
    let world = World::with(&deny, mode(Enforcement::Never));
    assert_eq!(world.reach("x/db", EVERYBODY), EVERYBODY);
    let world = World::with("", mode(Enforcement::Always));
    assert_eq!(world.reach("x/db", EVERYBODY), "x/agent n1");
    assert_eq!(world.reached("x/db", EVERYBODY), "");
    assert_eq!(world.reach("n1", EVERYBODY), EVERYBODY);
}
