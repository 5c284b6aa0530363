//! `convert` and `diff`.

use serde_json::json;

use crate::support::{Directory, PODS, POLICY};

#[test]
fn conversion_prints_what_can_be_read_again() {
    let directory = Directory::new(&[("policy.yaml", POLICY)]);
    let done = directory.run("convert policy.yaml");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let again = Directory::new(&[("converted.yaml", &done.stdout)]);
    assert_eq!(again.run("validate converted.yaml").stdout, "valid: 1 CiliumNetworkPolicy\n");
    let object = directory.json("convert policy.yaml");
    assert_eq!(object["spec"]["ingress"][0]["fromEndpoints"], json!([{"matchLabels": {"k8s:app": "web"}}]));
}

#[test]
fn what_cannot_be_said_is_not_said() {
    let block = POLICY.replace("podSelector: {matchLabels: {app: web}}", "ipBlock: {cidr: 10.0.0.0/8}");
    let directory = Directory::new(&[("policy.yaml", &block)]);
    let done = directory.run("convert policy.yaml");
    assert_eq!((done.code, done.stdout.as_str()), (1, ""));
    assert!(
        done.stderr.contains(
            "policy.yaml:7: NetworkPolicy shop/db spec.ingress[0]: ipBlock 10.0.0.0/8 matches pods"
        )
    );
    let done = directory.run("convert policy.yaml --pod-cidr 10.0.0.0/16 --node-cidr 172.18.0.0/16");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    assert!(done.stdout.contains("fromCIDRSet"), "{}", done.stdout);
}

#[test]
fn a_difference_has_its_exit_code() {
    let new = POLICY.replace("port: sql", "port: 22");
    let directory = Directory::new(&[("pods.yaml", PODS), ("old.yaml", POLICY), ("new.yaml", &new)]);
    let done = directory.run("diff -c pods.yaml -f old.yaml -f new.yaml");
    assert_eq!(done.code, 1);
    assert!(done.stdout.contains("1 opened, 1 closed"), "{}", done.stdout);
    let changes = directory.json("diff -c pods.yaml -f old.yaml -f new.yaml");
    assert_eq!(
        (&changes["changes"][0]["ports"], &changes["changes"][0]["change"]),
        (&json!("22/TCP"), &json!("opened"))
    );
    assert_eq!(directory.run("diff -c pods.yaml -f old.yaml -f old.yaml").code, 0);
    assert_eq!(directory.run("diff -f old.yaml").code, 2);
}
