//! `validate`, and what the others do with what is invalid.

use crate::support::{Directory, INVALID, PODS, POLICY};

#[test]
fn what_is_valid_is_counted() {
    let directory =
        Directory::new(&[("a/pods.yaml", PODS), ("policy.yml", POLICY), ("notes.txt", "no manifest")]);
    let done = directory.run("validate .");
    assert_eq!(
        (done.code, done.stdout.as_str(), done.stderr.as_str()),
        (0, "valid: 1 NetworkPolicy, 2 Pod\n", "")
    );
}

#[test]
fn what_is_wrong_is_shown_with_its_line() {
    let directory = Directory::new(&[("policy.yaml", INVALID)]);
    let done = directory.run("validate policy.yaml");
    assert_eq!(done.code, 1);
    for part in ["ingres", "policy.yaml:7:3", "did you mean \"ingress\"?"] {
        assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    }
    assert!(done.stdout.contains("invalid: NetworkPolicy shop/web (1 mistake)"), "{}", done.stdout);
    let report = directory.json("validate policy.yaml");
    assert_eq!(report["valid"], false);
    assert_eq!(report["invalid"][0]["object"]["name"], "web");
    assert_eq!(report["invalid"][0]["diagnostics"][0]["line"], 7);
}

#[test]
fn what_is_worth_saying() {
    let l7 = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: l7, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: nobody}}
  ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{path: /}]}}]}]
  egress: [{toFQDNs: [{matchName: example.com}]}]
";
    let directory = Directory::new(&[("pods.yaml", PODS), ("l7.yaml", l7)]);
    let report = directory.json("validate pods.yaml l7.yaml");
    let kinds: Vec<&str> =
        report["warnings"].as_array().unwrap().iter().map(|w| w["warning"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["selects-nobody", "needs-proxy", "needs-names"]);
    let done = directory.run("validate pods.yaml l7.yaml");
    assert_eq!(done.code, 0);
    assert!(
        done.stderr.contains("l7.yaml:5: CiliumNetworkPolicy shop/l7 spec: selects none of the pods"),
        "{}",
        done.stderr
    );
}

#[test]
fn what_cannot_be_read_is_trouble() {
    let directory = Directory::new(&[]);
    let done = directory.run("validate nowhere.yaml");
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("cannot read nowhere.yaml"), "{}", done.stderr);
}

#[test]
fn nothing_is_judged_by_half_of_the_policies() {
    let directory = Directory::new(&[("all.yaml", &format!("{PODS}---{POLICY}---{INVALID}"))]);
    let question = "verdict -f . --from shop/db --to shop/web --port 8080";
    let done = directory.run(question);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    assert!(done.stderr.contains("1 object is invalid"), "{}", done.stderr);
    // What it is about is closed.
    let done = directory.run(&format!("{question} --allow-invalid"));
    assert_eq!(done.code, 0);
    assert!(done.stdout.starts_with("DENY  shop/db -> shop/web 8080/TCP"), "{}", done.stdout);
}
