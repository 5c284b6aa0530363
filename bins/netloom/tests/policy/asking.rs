//! `verdict` and `matrix`.

use serde_json::json;

use crate::support::{Directory, PODS, POLICY};

fn shop() -> Directory {
    let probes = r#"[
        {"from": "shop/web", "to": "shop/db", "port": "sql", "id": 1},
        {"from": "shop/nobody", "to": "shop/db", "port": 1},
        {"from": "192.0.2.1", "to": "10.0.0.2", "port": 5432}
    ]"#;
    Directory::new(&[("pods.yaml", PODS), ("policy.yaml", POLICY), ("probes.json", probes)])
}

#[test]
fn a_verdict_has_both_directions_and_what_is_missing() {
    let account = shop().json("verdict -f . --from shop/web --to shop/db --port 22");
    let path = &account["paths"][0];
    assert_eq!((&account["verdict"], &path["egress"]["reason"]), (&json!("DENY"), &json!("unrestricted")));
    let ingress = &path["ingress"];
    assert_eq!((&ingress["verdict"], &ingress["reason"]), (&json!("DENY"), &json!("no-rule")));
    assert_eq!(ingress["rules"][0]["object"], "NetworkPolicy shop/db");
    assert_eq!(
        (&ingress["rules"][0]["file"], &ingress["rules"][0]["line"]),
        (&json!("./policy.yaml"), &json!(5))
    );
    let missing = json!({
        "from": [{"podSelector": {"matchLabels": {"app": "web"}}}],
        "ports": [{"port": 22, "protocol": "TCP"}],
    });
    assert_eq!(ingress["missing"], missing);
    let done = shop().run("verdict -f . --from world --to shop/db --port sql");
    assert_eq!(done.code, 0);
    assert!(
        done.stdout.contains("no rule allows it, and these close ingress of shop/db:"),
        "{}",
        done.stdout
    );
}

#[test]
fn questions_that_have_no_answer() {
    for (question, message) in [
        ("--from shop/nobody --to shop/db --port 1", "there is no pod shop/nobody"),
        ("--from all --to shop/db --port 1", "\"all\" stands for many"),
        ("--from shop/web --to shop/db --port 1/QUIC", "\"QUIC\" is not a protocol"),
    ] {
        let done = shop().run(&format!("verdict -f . {question}"));
        assert_eq!(done.code, 2, "{question}");
        assert!(done.stderr.contains(message), "{question}: {}", done.stderr);
    }
}

#[test]
fn probes_keep_their_place() {
    for engine in ["auto", "tables", "oracle"] {
        let answers = shop().json(&format!("matrix -f . --probes probes.json --engine {engine}"));
        let verdicts: Vec<_> =
            answers.as_array().unwrap().iter().map(|a| a.get("verdict").cloned()).collect();
        assert_eq!(verdicts, [Some(json!("ALLOW")), None, Some(json!("DENY"))], "{engine}");
        assert_eq!(
            (&answers[0]["id"], &answers[0]["rules"][0]["path"]),
            (&json!(1), &json!("spec.ingress[0]"))
        );
        assert_eq!(answers[1]["error"], "there is no pod shop/nobody");
    }
    let done = shop().run("matrix -f . --probes probes.json");
    assert_eq!(done.code, 0);
    assert!(
        done.stdout.contains("NetworkPolicy shop/db spec.ingress[0] (./policy.yaml:7)"),
        "{}",
        done.stdout
    );
}

#[test]
fn every_pod_against_every_port() {
    let answers = shop().json("matrix -f .");
    let brief: Vec<String> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|a| format!("{} {} {} {}", a["from"], a["to"], a["port"], a["verdict"]).replace('"', ""))
        .collect();
    let expected = [
        "shop/web shop/web 8080 ALLOW",
        "shop/web shop/db 5432 ALLOW",
        "shop/db shop/web 8080 ALLOW",
        "shop/db shop/db 5432 ALLOW",
    ];
    assert_eq!(brief, expected);
    assert_eq!(shop().json("matrix -f . --from shop/db").as_array().unwrap().len(), 2);
    let table = shop().run("matrix -f . --enforcement always").stdout;
    assert!(table.contains(". allowed   X denied   R a proxy decides"), "{table}");
    assert_eq!(table.lines().filter(|line| line.contains('X')).count(), 3, "{table}");
}
