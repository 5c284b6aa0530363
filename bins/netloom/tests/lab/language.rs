//! Rules that are about more than peers and ports.

use api::{Client, ClientError, Request};
use lab::place::Family;
use serde_json::Value;

use crate::support::{FAMILIES, Lab, PATIENCE, eventually, has};

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {nodeName: node1, containers: [{name: c, image: x}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec: {nodeName: node1, containers: [{name: c, image: x, ports: [{containerPort: 80}, {containerPort: 81}, {containerPort: 82}, {containerPort: 83}]}]}
";

/// A policy about the server.
fn policy(spec: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p}}\nspec: {{endpointSelector: {{matchLabels: {{app: server}}}}, {spec}}}\n"
    )
}

/// Whether the client has an answer to an echo request, in both families alike.
fn pings(lab: &Lab) -> bool {
    let answered = FAMILIES.map(|family: Family| {
        let address = lab.address("server", family);
        lab.exec("client", &format!("ping -n -c 1 -W 1 {address}")).0
    });
    assert_eq!(answered[0], answered[1], "IPv4 and IPv6");
    answered[0]
}

/// The newest flow to this port of the server that the server's policy decided.
fn flow_to(lab: &Lab, port: u16) -> Value {
    eventually(&format!("a flow to port {port} is told"), || {
        let flows = lab.json("flows", &["--last", "200"]);
        let fits = |flow: &&Value| flow["destination"]["port"] == port && flow["direction"] == "ingress";
        flows.as_array()?.iter().rfind(fits).cloned()
    })
}

#[test]
fn types_of_icmp() {
    if !has("ping") {
        return;
    }
    let Some(lab) = Lab::up("icmp", 1, PODS) else { return };
    assert!(pings(&lab), "without a policy");
    lab.applied(&policy(
        "ingress: [{icmps: [{fields: [{family: IPv4, type: 8}, {family: IPv6, type: EchoRequest}]}]}]",
    ));
    assert!(pings(&lab), "echo requests are allowed");
    assert!(!lab.reaches("client", "server", 80, false));
    lab.applied(&policy(
        "ingress: [{icmps: [{fields: [{family: IPv4, type: 13}, {family: IPv6, type: 3}]}]}]",
    ));
    assert!(!pings(&lab), "other types are allowed");
    lab.applied(&policy(
        "ingress: [{fromEntities: [all]}], ingressDeny: [{icmps: [{fields: [{family: IPv4, type: 8}, {family: IPv6, type: 128}]}]}]",
    ));
    assert!(!pings(&lab), "everything but echo requests is allowed");
    assert!(lab.reaches("client", "server", 80, true));
}

#[test]
fn what_the_datapath_does_not_do_yet_is_dropped_and_told() {
    let Some(lab) = Lab::up("limits", 1, PODS) else { return };
    let text = policy(
        "ingress: [
          {toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]},
          {fromEntities: [all], toPorts: [{ports: [{port: '81', protocol: TCP}]}]},
          {fromEntities: [all], authentication: {mode: required}, toPorts: [{ports: [{port: '82', protocol: TCP}]}]}],
         log: {value: 'the server policy'}",
    );
    let applied = lab.apply(&text);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let applied: Value = serde_json::from_slice(&applied.stdout).unwrap();
    let warnings = applied["warnings"].as_array().unwrap();
    let told = |what: &str| warnings.iter().any(|warning| warning.as_str().unwrap().contains(what));
    assert!(told("CiliumNetworkPolicy default/p: what has HTTP rules is compiled as REDIRECT"), "{applied}");
    assert!(told("authentication required, which is not supported yet") && warnings.len() == 2, "{applied}");
    let status = lab.agent("node1");
    for warning in warnings {
        assert!(status.warnings.iter().any(|known| warning == known), "{warning}: {:?}", status.warnings);
    }

    assert!(lab.reaches("client", "server", 81, true));
    for (port, code) in [(80, 180), (82, 189), (83, 133)] {
        assert!(!lab.reaches("client", "server", port, false), "{port}");
        let flow = flow_to(&lab, port);
        assert_eq!((&flow["verdict"], &flow["reason_code"]), (&"DROPPED".into(), &code.into()), "{flow}");
        assert_eq!(flow["rules"][0]["policy"], "CiliumNetworkPolicy default/p", "{flow}");
    }
    let let_in = flow_to(&lab, 81);
    assert_eq!((&let_in["verdict"], &let_in["log"]), (&"FORWARDED".into(), &"the server policy".into()));
    assert_eq!(flow_to(&lab, 80)["log"], "the server policy");
    let printed = lab.run("flows", &["--last", "200"]);
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.lines().any(|line| line.contains("proxy redirection not supported")), "{printed}");
    assert!(printed.lines().any(|line| line.contains("log: the server policy")), "{printed}");

    // What each pod has realised can be waited for.
    let endpoints = &status.endpoints;
    assert!(!endpoints.is_empty() && endpoints.iter().all(|e| e.policy_revision == status.policy_revision));
    let wait = |revision| {
        let mut agent = Client::connect(&lab.files("node1").socket(), PATIENCE).unwrap();
        agent.call(&Request::WaitPolicy { revision, timeout_ms: 50 }, None)
    };
    assert!(wait(status.policy_revision).is_ok());
    assert!(
        matches!(wait(u64::MAX), Err(ClientError::Refused(refusal)) if refusal.code == api::ErrorCode::Timeout)
    );
}
