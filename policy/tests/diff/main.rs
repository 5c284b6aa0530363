//! What a change opens and closes.

use netloom_policy::cluster::Cluster;
use netloom_policy::diff::{Changes, Effect};
use netloom_policy::judge::{Explaining, Judge, OracleEngine, Peers, TablesEngine};
use netloom_policy::{Settings, manifest};
use serde_json::json;

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, ports: [{containerPort: 8080}]}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]}
status: {podIP: 10.0.0.2}
";

/// All from web to db.
const OLD: &str = "
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}, {from: [{ipBlock: {cidr: 192.0.2.0/24}}]}]
";

/// Only one port, and another block.
const NEW: &str = "
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - {from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: sql}, {port: 8000, endPort: 8009}]}
  - {from: [{ipBlock: {cidr: 198.51.100.0/24}}]}
";

fn cluster(text: &str) -> Cluster {
    Cluster::new(manifest::parse(text, "c.yaml", 1).into_iter().map(Result::unwrap))
}

/// The changes, which all engines must agree on.
fn changes(old: &str, new: &str) -> Changes {
    let (old, new) = (cluster(old), cluster(new));
    let settings = Settings::default();
    let (before, after) = (old.oracle(settings), new.oracle(settings));
    let by_oracle = Changes::between(
        &mut Judge::new(&old, OracleEngine::new(&old, &before)),
        &mut Judge::new(&new, OracleEngine::new(&new, &after)),
    );
    let (before, after) = (Peers::new(&old, settings).unwrap(), Peers::new(&new, settings).unwrap());
    let by_tables = Changes::between(
        &mut Judge::new(&old, TablesEngine::new(&old, &before, Explaining::ByTables)),
        &mut Judge::new(&new, TablesEngine::new(&new, &after, Explaining::ByTables)),
    );
    assert_eq!(by_tables, by_oracle);
    by_oracle
}

/// `effect from to ports`.
fn brief(changes: &Changes) -> Vec<String> {
    let text = |effect| match effect {
        Effect::Opened => "opened",
        Effect::Closed => "closed",
        Effect::Proxied => "proxied",
    };
    changes.changes.iter().map(|c| format!("{} {} {} {}", text(c.change), c.from, c.to, c.ports)).collect()
}

#[test]
fn narrower_rules_close_the_rest() {
    let found = changes(&format!("{PODS}{OLD}"), &format!("{PODS}{NEW}"));
    assert!(found.errors.is_empty() && found.gone.is_empty() && found.new.is_empty(), "{found:?}");
    let of_web: Vec<String> = brief(&found).into_iter().filter(|line| line.contains("shop/web")).collect();
    // 5432 and 8000 to 8009 stay open.
    let expected = ["other/TCP", "other/UDP", "other/SCTP", "other/ICMP", "other/ICMPV6", "other protocols"];
    assert_eq!(of_web, expected.map(|ports| format!("closed shop/web shop/db {ports}")));
    let change = &found.changes[0];
    assert_eq!(change.before.rules[0].path, "spec.ingress[0]");
    assert_eq!(change.after.rules[0].path, "spec");
}

#[test]
fn outsiders_stand_for_their_blocks() {
    let found = brief(&changes(&format!("{PODS}{OLD}"), &format!("{PODS}{NEW}")));
    assert!(found.contains(&"closed world (192.0.2.0/24) shop/db 5432/TCP".to_owned()), "{found:?}");
    assert!(found.contains(&"opened world (198.51.100.0/24) shop/db 5432/TCP".to_owned()), "{found:?}");
    assert!(!found.iter().any(|line| line.contains(" world shop/db")), "{found:?}");
}

#[test]
fn no_change_and_other_pods() {
    let same = changes(&format!("{PODS}{OLD}"), &format!("{PODS}{OLD}"));
    assert_eq!(same, Changes::default());
    let other = PODS.replace("name: web,", "name: www,");
    let found = changes(&format!("{PODS}{OLD}"), &format!("{other}{OLD}"));
    assert_eq!((found.gone, found.new), (vec!["shop/web".to_owned()], vec!["shop/www".to_owned()]));
    assert!(found.changes.is_empty());
}

#[test]
fn probes_only() {
    let (old, new) = (cluster(&format!("{PODS}{OLD}")), cluster(&format!("{PODS}{NEW}")));
    let settings = Settings::default();
    let (before, after) = (Peers::new(&old, settings).unwrap(), Peers::new(&new, settings).unwrap());
    let found = Changes::of_probes(
        &mut Judge::new(&old, TablesEngine::new(&old, &before, Explaining::Cheapest)),
        &mut Judge::new(&new, TablesEngine::new(&new, &after, Explaining::Cheapest)),
        &[
            json!({"from": "shop/web", "to": "shop/db", "port": 22}),
            json!({"from": "shop/web", "to": "shop/db", "port": "sql"}),
            json!({"from": "shop/web", "to": "shop/nobody", "port": 22}),
        ],
    );
    assert_eq!(brief(&found), ["closed shop/web shop/db 22/TCP"]);
    assert_eq!(found.errors, ["shop/web -> shop/nobody 22/TCP: there is no pod shop/nobody"]);
}
