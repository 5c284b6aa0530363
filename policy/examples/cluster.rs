//! Writes the manifests of a big cluster, and probes, to try the commands on.
//!
//! `cargo run --release -p netloom-policy --example cluster DIR [pods] [policies] [probes]`
//!
//! DIR gets `pods.yaml` and `policies.yaml`; the probes go to `DIR.probes.json`. The same arguments give the same files.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

/// Pods of one namespace.
const PODS_PER_NAMESPACE: usize = 100;
/// Applications of one namespace.
const APPS: usize = 10;

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1);
    let directory =
        args.next().ok_or_else(|| io::Error::other("usage: cluster DIR [pods] [policies] [probes]"))?;
    let mut number = |default: usize| args.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (pods, policies, probes) = (number(10_000), number(5_000), number(100_000));
    let namespaces = pods.div_ceil(PODS_PER_NAMESPACE).max(1);
    let directory = Path::new(&directory);
    fs::create_dir_all(directory)?;
    fs::write(directory.join("pods.yaml"), cluster(pods, namespaces))?;
    fs::write(directory.join("policies.yaml"), rules(policies, namespaces))?;
    fs::write(directory.with_extension("probes.json"), questions(pods, probes))
}

/// Namespaces, nodes and pods.
fn cluster(pods: usize, namespaces: usize) -> String {
    let mut text = String::new();
    for namespace in 0..namespaces {
        let team = namespace % 7;
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: ns-{namespace}\n  labels:\n    team: team-{team}\n"
        );
    }
    for node in 0..namespaces {
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Node\nmetadata:\n  name: node-{node}\nstatus:\n  addresses:\n  - type: InternalIP\n    address: 172.16.{}.{}\n",
            node / 250,
            node % 250 + 1
        );
    }
    for pod in 0..pods {
        let (namespace, app) = (pod / PODS_PER_NAMESPACE, pod % APPS);
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {}\n  namespace: ns-{namespace}\n  labels:\n    app: app-{app}\n    tier: tier-{}\n    pod-template-hash: h{}\nspec:\n  nodeName: node-{}\n  serviceAccountName: default\n  containers:\n  - name: main\n    image: registry.example.com/app-{app}:v1\n    ports:\n    - name: http\n      containerPort: 8080\nstatus:\n  phase: Running\n  podIP: {}\n  podIPs:\n  - ip: {}\n",
            name(pod),
            app % 3,
            pod % 50,
            pod % namespaces,
            address(pod),
            address(pod),
        );
    }
    text
}

/// Policies of many forms.
fn rules(policies: usize, namespaces: usize) -> String {
    let mut text = String::new();
    for policy in 0..policies {
        let (namespace, number) = (policy % namespaces, policy / namespaces);
        let (app, peer) = (number % APPS, (number * 3 + 1) % APPS);
        let team = (namespace + number) % 7;
        let _ = match number % 5 {
            0 | 1 => write!(
                text,
                "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: p-{number}\n  namespace: ns-{namespace}\nspec:\n  podSelector:\n    matchLabels:\n      app: app-{app}\n  policyTypes: [Ingress]\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app: app-{peer}\n    ports:\n    - port: http\n  - from:\n    - namespaceSelector:\n        matchLabels:\n          team: team-{team}\n    ports:\n    - port: {}\n",
                8000 + number % 100
            ),
            2 => write!(
                text,
                "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: p-{number}\n  namespace: ns-{namespace}\nspec:\n  podSelector:\n    matchLabels:\n      app: app-{app}\n  policyTypes: [Egress]\n  egress:\n  - to:\n    - ipBlock:\n        cidr: 10.{}.0.0/16\n        except: [10.{}.4.0/24]\n  - ports:\n    - protocol: UDP\n      port: 53\n",
                number % 4,
                number % 4
            ),
            3 => write!(
                text,
                "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: p-{number}\n  namespace: ns-{namespace}\nspec:\n  endpointSelector:\n    matchLabels:\n      app: app-{app}\n  egress:\n  - toEndpoints:\n    - matchLabels:\n        k8s:io.kubernetes.pod.namespace: ns-{}\n        app: app-{peer}\n    toPorts:\n    - ports:\n      - port: \"8080\"\n        protocol: TCP\n  - toEntities: [kube-apiserver]\n",
                (namespace + number) % namespaces
            ),
            _ => write!(
                text,
                "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: p-{number}\n  namespace: ns-{namespace}\nspec:\n  endpointSelector:\n    matchExpressions:\n    - key: tier\n      operator: In\n      values: [tier-{}]\n  ingressDeny:\n  - fromEndpoints:\n    - matchLabels:\n        app: app-{peer}\n    toPorts:\n    - ports:\n      - port: \"{}\"\n  enableDefaultDeny:\n    ingress: false\n",
                number % 3,
                9000 + number % 100
            ),
        };
    }
    text
}

/// Probes between pods that are chosen as if by chance.
fn questions(pods: usize, probes: usize) -> String {
    let mut state = 1u64;
    let mut next = |below: usize| {
        // A linear congruential generator (Knuth's MMIX).
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let mut items = Vec::new();
    for _ in 0..probes {
        let (from, to) = (next(pods), next(pods));
        let port = [8080, 9000, 8001, 443][next(4)];
        let of = |pod: usize| format!("ns-{}/{}", pod / PODS_PER_NAMESPACE, name(pod));
        items.push(format!(r#"{{"from":"{}","to":"{}","port":{port},"protocol":"TCP"}}"#, of(from), of(to)));
    }
    format!("[\n{}\n]\n", items.join(",\n"))
}

fn name(pod: usize) -> String {
    format!("app-{}-{pod:05}", pod % APPS)
}

fn address(pod: usize) -> String {
    format!("10.{}.{}.{}", pod / 60_000, pod / 240 % 250, pod % 240 + 1)
}
