//! What agent and operator ask of the API server, held against what their roles allow.

use std::collections::BTreeSet;

use kubernetes::rbac::{Call, Program};
use lab::cluster::{Cluster, Target};
use lab::paths::Paths;
use lab::place::Family;
use policy::manifest::ObjectKey;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Lab, eventually, kill};

/// The namespace of the lab's Lease.
const HOME: &str = "kube-system";

/// Rights that this test's lab has no use for, and who has: program, verb, group and resource, when.
const ELSEWHERE: &[(Program, &str, &str, &str)] = &[
    (Program::Agent, "list watch", "cilium.io/ciliumendpointslices", "with enable-cilium-endpoint-slice"),
    (Program::Operator, "list watch create update delete", "cilium.io/ciliumendpointslices", "likewise"),
    (Program::Operator, "list watch", "/namespaces", "with identity-management-mode operator"),
    (Program::Operator, "create", "cilium.io/ciliumidentities", "likewise"),
    (Program::Operator, "delete", "cilium.io/ciliumidentities", "half an hour after the last use"),
    (Program::Operator, "get", "cilium.io/ciliumnodes", "with ipam eni"),
    (Program::Operator, "delete", "cilium.io/ciliumnodes", "5 to 10 minutes after the Node was deleted"),
    (Program::Operator, "patch", "cilium.io/ciliumnodes/status", "when no pod CIDR is left"),
    (
        Program::Operator,
        "patch",
        "policy.networking.k8s.io/clusternetworkpolicies/status",
        "when there is such a policy",
    ),
    (Program::Operator, "delete", "/pods", "pods of another network, 30 seconds after their start"),
    (Program::Operator, "get", "cilium.io/ciliumendpoints", "before it deletes such a pod"),
];

/// A line of the audit log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(flatten)]
    call: Call,
    user_agent: String,
    path: String,
    code: u16,
}

impl Line {
    /// What has to be allowed for this. To apply what was not there is to create it, too.
    fn calls(&self) -> Vec<Call> {
        let created = self.call.verb == "patch" && self.code == 201;
        let creation = created.then(|| Call { verb: "create".to_owned(), ..self.call.clone() });
        [self.call.clone()].into_iter().chain(creation).collect()
    }
}

fn pod(name: &str, role: &str, node: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{role: {role}}}}}\n\
         spec: {{nodeName: {node}, containers: [{{name: c, image: x, ports: [{{containerPort: 80}}]}}]}}\n---\n"
    )
}

const POLICIES: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p}
spec: {podSelector: {matchLabels: {role: server}}, ingress: [{ports: [{port: 80}]}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p}
spec: {endpointSelector: {matchLabels: {role: server}}, ingress: [{fromEndpoints: [{}]}]}
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: p}
spec: {endpointSelector: {matchLabels: {role: server}}, ingress: [{fromEntities: [cluster]}]}
";

fn target(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Target {
    let key = ObjectKey { kind: kind.into(), namespace: namespace.map(Into::into), name: name.into() };
    Target { api_version: api_version.to_owned(), key }
}

fn endpoint(name: &str) -> Target {
    target("cilium.io/v2", "CiliumEndpoint", Some("default"), name)
}

#[test]
fn programs_ask_for_what_they_may_and_may_what_they_ask_for() {
    let pods = pod("client", "client", "node1") + &pod("server", "server", "node2");
    let arguments = ["--nodes", "2", "--operators", "2", "--audit"];
    let Some(lab) = Lab::up_with("rights", &arguments, &pods) else { return };
    live(&lab);
    let asked = nothing_forbidden(&lab);
    let unused: Vec<String> =
        asked.into_iter().flat_map(|(program, calls)| unused(program, &calls)).collect();
    assert!(unused.is_empty(), "{}", unused.join("\n"));
}

/// What agents and operators have asked of an audited lab's API server, nothing of which their roles forbid.
pub(crate) fn nothing_forbidden(lab: &Lab) -> Vec<(Program, BTreeSet<Call>)> {
    let log = std::fs::read_to_string(Paths::new(&lab.name.parse().unwrap()).audit()).unwrap();
    let lines: Vec<Line> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut wrong = Vec::new();
    let asked = Program::ALL.map(|program| {
        let prefix = format!("{}/", program.name());
        let (calls, other): (Vec<&Line>, Vec<&Line>) = lines
            .iter()
            .filter(|line| line.user_agent.starts_with(&prefix))
            .partition(|line| !line.call.resource.is_empty());
        assert!(!calls.is_empty(), "nothing is known of {}", program.name());
        let calls = calls.into_iter().flat_map(Line::calls).collect();
        let paths = other.into_iter().map(|line| line.path.as_str()).filter(|path| !is_public(path));
        wrong.extend(paths.map(|path| format!("{} asks for {path}", program.name())));
        wrong.extend(forbidden(program, &calls));
        (program, calls)
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    asked.into()
}

/// Whether anybody may read this who has a name.
fn is_public(path: &str) -> bool {
    let discovery = path.starts_with("/api/") || path.starts_with("/apis/");
    discovery || ["/api", "/apis", "/healthz", "/livez", "/readyz", "/version"].contains(&path)
}

/// What the program does and may not do.
fn forbidden(program: Program, calls: &BTreeSet<Call>) -> Vec<String> {
    let forbidden = calls.iter().filter(|call| !program.may(call, HOME));
    forbidden.map(|call| format!("{} may not, but does: {call:?}", program.name())).collect()
}

/// What the program may and does not do, but for what it does elsewhere; and what is said to be done elsewhere and may
/// not be done.
fn unused(program: Program, calls: &BTreeSet<Call>) -> Vec<String> {
    let elsewhere: BTreeSet<(&str, &str)> = ELSEWHERE
        .iter()
        .filter(|(whose, ..)| *whose == program)
        .flat_map(|(_, verbs, resource, _)| verbs.split(' ').map(|verb| (verb, *resource)))
        .collect();
    let used: BTreeSet<(String, String)> = calls
        .iter()
        .filter(|call| program.may(call, HOME))
        .map(|call| (call.verb.clone(), format!("{}/{}", call.group, call.resource())))
        .collect();
    let mut granted = BTreeSet::new();
    for rule in program.cluster_rules().iter().chain(program.own_rules()) {
        for resource in rule.resources {
            let resource = format!("{}/{resource}", rule.group);
            granted.extend(rule.verbs.iter().map(|verb| (verb.name(), resource.clone())));
        }
    }
    let idle = granted.iter().filter(|(verb, resource)| {
        !used.contains(&((*verb).to_owned(), resource.clone()))
            && !elsewhere.contains(&(*verb, resource.as_str()))
    });
    let name = program.name();
    let idle = idle.map(|(verb, resource)| format!("{name} may, but does not: {verb} {resource}"));
    let stale =
        elsewhere.iter().filter(|(verb, resource)| !granted.contains(&(*verb, (*resource).to_owned())));
    let stale = stale.map(|(verb, resource)| format!("{name} may not, here or elsewhere: {verb} {resource}"));
    idle.chain(stale).collect()
}

/// Has the programs do what they do.
fn live(lab: &Lab) {
    let cluster = Cluster::of(&lab.name.parse().unwrap()).unwrap();
    lab.applied(POLICIES);
    invalid_policies(&cluster);
    lab.applied(&pod("client", "other", "node1"));
    lab.applied(&pod("brief", "brief", "node2"));

    // What names the address of a node is its agent's to remove.
    let node = lab.address("node/node1", Family::V4);
    let addressing = json!([{"ipv4": "10.244.0.250"}]);
    left_behind(&cluster, "stray", &json!({"networking": {"node": node, "addressing": addressing}}));
    gone(&cluster, "stray");

    // Left behind: an identity that nothing uses, an endpoint without a pod, a definition that was older.
    let number = eventually("a pod's number is published", || {
        let object = cluster.get(&endpoint("brief")).unwrap()?;
        object.data["status"]["identity"]["id"].as_u64()
    });
    lab.deleted(&pod("brief", "brief", "node2"));
    gone(&cluster, "brief");
    left_behind(&cluster, "ghost", &json!({}));
    let definition = older_definition(&cluster);

    another_leader(lab, &cluster);
    let version = |object: &Value| object["io.cilium.k8s.crd.schema.version"].clone();
    eventually("the definition is brought up to date", || {
        let labels = serde_json::to_value(cluster.get(&definition).unwrap()?.metadata.labels).unwrap();
        (version(&labels) != "0.0.1").then_some(())
    });
    gone(&cluster, "ghost");
    let identity = target("cilium.io/v2", "CiliumIdentity", None, &number.to_string());
    let marked = |wanted: bool| {
        eventually(&format!("that the unused identity is marked is {wanted}"), || {
            let annotations = cluster.get(&identity).unwrap()?.metadata.annotations.unwrap_or_default();
            (annotations.contains_key("io.cilium.heartbeat") == wanted).then_some(())
        });
    };
    marked(true);
    lab.applied(&pod("again", "brief", "node2"));
    marked(false);

    let before = lab.kill_agent("node1");
    lab.another_agent("node1", before);
    lab.applied(&pod("last", "last", "node1"));
}

/// Stops the operator that leads, and maybe the other one before. No more than one begins a term: what it collects at
/// the beginning is collected once.
fn another_leader(lab: &Lab, cluster: &Cluster) {
    let lease = target("coordination.k8s.io/v1", "Lease", Some(HOME), "cilium-operator-resource-lock");
    let holder = || {
        let object = cluster.get(&lease).unwrap()?;
        object.data["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(str::to_owned)
    };
    let first = eventually("an operator leads", holder);
    for operator in ["operator1", "operator2"] {
        let before = lab.pid(operator);
        kill(before, "TERM");
        eventually("another operator runs", || (lab.pid(operator) != before).then_some(()));
        // One that leads gives the lease back before it ends.
        if holder().as_ref() != Some(&first) {
            break;
        }
    }
    eventually("another operator leads", || holder().filter(|holder| *holder != first));
}

/// Makes an endpoint that no pod has.
fn left_behind(cluster: &Cluster, name: &str, status: &Value) {
    let value = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumEndpoint",
        "metadata": {"name": name, "namespace": "default"}, "status": status,
    });
    cluster.apply(&endpoint(name), &value).unwrap();
}

fn gone(cluster: &Cluster, name: &str) {
    eventually(&format!("the endpoint {name} is gone"), || {
        cluster.get(&endpoint(name)).unwrap().is_none().then_some(())
    });
}

/// One of each kind, past `lab apply`: what the API's schema lets pass and no agent enforces.
fn invalid_policies(cluster: &Cluster) {
    for (kind, namespace) in
        [("CiliumNetworkPolicy", Some("default")), ("CiliumClusterwideNetworkPolicy", None)]
    {
        let policy = target("cilium.io/v2", kind, namespace, "invalid");
        let value = json!({
            "apiVersion": "cilium.io/v2", "kind": kind,
            "metadata": {"name": "invalid", "namespace": namespace},
            "spec": {
                "endpointSelector": {"matchLabels": {"role": "nobody"}},
                "ingress": [{"fromEndpoints": [{}], "fromCIDR": ["10.0.0.0/8"]}],
            },
        });
        cluster.apply(&policy, &value).unwrap();
        eventually("the policy is said to be invalid", || {
            let object = cluster.get(&policy).unwrap()?;
            (object.data["status"]["conditions"][0]["status"] == "False").then_some(())
        });
        cluster.delete(&policy).unwrap();
    }
}

/// Makes one of the definitions look like an older one's.
fn older_definition(cluster: &Cluster) -> Target {
    let (api_version, kind) = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    let name = "ciliumpodippools.cilium.io";
    let definition = target(api_version, kind, None, name);
    let labels = json!({"io.cilium.k8s.crd.schema.version": "0.0.1"});
    let value = json!({
        "apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": labels},
    });
    cluster.apply(&definition, &value).unwrap();
    definition
}
