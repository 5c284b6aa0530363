//! Texts of one or many documents.

use crate::one;
use netloom_policy::manifest::{Origin, parse, parse_stored};

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
fn lists_of_one_kind_name_it_once() {
    let text = "{\"apiVersion\": \"v1\", \"kind\": \"PodList\", \"items\": [{\"metadata\": {\"name\": \"a\"}}, {\"metadata\": {}}]}";
    let found: Vec<_> = parse(text, "f", 1)
        .into_iter()
        .map(|object| object.map(|object| object.key().to_string()).map_err(|e| e.to_string()))
        .collect();
    let wrong = "f:1:93: metadata: \"name\" is missing (every object has a name)".to_owned();
    assert_eq!(found, [Ok("Pod default/a".to_owned()), Err(wrong)]);
}

#[test]
fn broken_documents() {
    let cases = [
        ("kind: Pod\nkind: Node\n", "2:1: the key \"kind\" is there twice"),
        ("{\"kind\": \"Pod\",\n \"kind\": \"Node\"}", "2:2: the key \"kind\" is there twice"),
        ("a: &a [*a]", "1:8: an alias stands within what it names"),
        ("a: 1\n...\nb: 2\n", "3:1: a second document begins without a line of ---"),
        ("? {a: b}\n: c\n", "1:3: a key is no plain text"),
        ("a", "1:1: must be an object, not a string"),
        ("--- [a]", "1:5: must be an object, not a list"),
    ];
    for (text, expected) in cases {
        assert_eq!(one(text).unwrap_err().to_string(), format!("f.yaml:{expected}"), "{text}");
    }
    assert!(parse("null\n---\n# nothing\n---\n~\n", "f", 1).is_empty());
}

#[test]
fn anchors_and_merge_keys() {
    let text = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p}
spec:
  podSelector: &web {matchLabels: &labels {app: web}}
  ingress:
  - from: [{podSelector: *web}]
  - from: [{podSelector: {matchLabels: {<<: *labels, tier: a}}}]";
    let rules = one(text).unwrap().policy().unwrap().specs.remove(0).rules;
    assert_eq!(rules.len(), 2);
    let shown = format!("{:?}", rules[1].peers);
    assert!(shown.contains("web") && shown.contains("tier"), "{shown}");
    // A few lines cannot become gigabytes.
    let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let alias = format!("*a{}", n - 1);
        text + &format!("a{n}: &a{n} [{}]\n", [alias.as_str(); 10].join(", "))
    });
    assert!(one(&bomb).unwrap_err().to_string().contains("aliases make the document too large"));
}
