//! Case files that are refused, and what is said of them.

use crate::support::Written;
use conformance::{Error, SuiteFile, choose};

/// A case with two pods, whose steps are these.
fn steps(steps: &str) -> String {
    format!(
        r#"{{"cases": [{{"name": "c", "cluster": {{"pods": {{"x/a": {{}}, "x/b": {{}}}}}}, "steps": [{steps}]}}]}}"#
    )
}

#[test]
fn what_is_not_of_the_format_is_refused_with_its_field() {
    for (text, field, why) in [
        ("", ".", "EOF"),
        (r#"{"case": []}"#, "case", "unknown field `case`"),
        (r#"{"cases": []} x"#, ".", "trailing"),
        (r#"{"cases": [{"steps": []}]}"#, "cases[0]", "missing field `name`"),
        (r#"{"cases": [{"name": "c"}]}"#, "cases[0]", "missing field `steps`"),
        (r#"{"levels": ["kernel"], "cases": []}"#, "levels[0]", "unknown variant `kernel`"),
        (
            r#"{"cases": [{"name": "c", "families": ["IPv5"], "steps": []}]}"#,
            "cases[0].families[0]",
            "unknown variant `IPv5`",
        ),
        (
            r#"{"cluster": {"pods": {"x/a": {"label": {}}}}, "cases": []}"#,
            "cluster.pods.x/a.label",
            "unknown field `label`",
        ),
        (r#"{"cluster": {"ports": ["80/tcp"]}, "cases": []}"#, "cluster.ports[0]", "\"80/tcp\" is no port"),
        (&steps(r#"{"aply": []}"#), "cases[0].steps[0].aply", "unknown field `aply`"),
        (
            &steps(r#"{"probes": [{"from": "x/a", "to": "x/b", "port": 80}]}"#),
            "cases[0].steps[0].probes[0]",
            "missing field `expect`",
        ),
        (
            &steps(r#"{"probes": [{"from": "x/a", "to": "x/b", "port": 80, "expect": "allow"}]}"#),
            "cases[0].steps[0].probes[0].expect",
            "unknown variant `allow`",
        ),
        (
            &steps(r#"{"probes": [{"from": "x/a", "to": "x/b", "port": -1, "expect": "ALLOW"}]}"#),
            "cases[0].steps[0].probes[0].port",
            "a port's number",
        ),
        (
            &steps(r#"{"matrix": [{"port": 80, "except": []}]}"#),
            "cases[0].steps[0].matrix[0]",
            "missing field `default`",
        ),
        (
            &steps(r#"{"matrix": [{"ports": ["80/ABC"], "default": "DENY"}]}"#),
            "cases[0].steps[0].matrix[0].ports[0]",
            "\"80/ABC\" is no port",
        ),
        (
            &steps(r#"{"matrix": [{"port": 80, "default": "DENY", "from": {}}]}"#),
            "cases[0].steps[0].matrix[0].from",
            "a place such as",
        ),
    ] {
        let mistake = Written::new(text).mistake();
        let expected = format!("case.json: {field}: ");
        assert!(mistake.starts_with(&expected) && mistake.contains(why), "{text}\n{mistake}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_case_and_step() {
    let probe = r#""probes": [{"from": "x/a", "to": "x/b", "port": 80, "expect": "ALLOW"}]"#;
    for (text, wanted) in [
        (steps(""), "c: cluster: there are no steps"),
        (steps("{}"), "c: step 1: nothing is expected"),
        (steps(r#"{"delete": ["NetworkPolicy x/p"]}"#), "c: step 1: NetworkPolicy x/p is not there"),
        (
            steps(r#"{"delete": ["everything"]}"#),
            "c: step 1: \"everything\" names no object: KIND NAME or KIND NAMESPACE/NAME",
        ),
        (steps(r#"{"label": {"Pod x/q": {"a": "b"}}}"#), "c: step 1: Pod x/q is not there"),
        (
            steps(r#"{"apply": ["no.yaml"]}"#),
            "c: step 1: cannot read no.yaml: No such file or directory (os error 2)",
        ),
        (
            steps(&format!(
                r#"{{"apply": [{{"kind": "Pod", "metadata": {{"name": "${{ip x/q}}"}}}}], {probe}}}"#
            )),
            "c: step 1: \"${ip x/q}\": nobody of this name has an address yet",
        ),
        (
            steps(&format!(r#"{{{probe}}}, {{"delete": ["Pod x/b"], {probe}}}"#)),
            "c: step 2: there is no pod x/b",
        ),
        (
            r#"{"cases": [{"name": "c", "cluster": {"pods": {"a": {}}}, "steps": [{}]}]}"#.into(),
            "c: cluster: \"a\" names no pod: NAMESPACE/NAME",
        ),
        (
            r#"{"cases": [{"name": "c", "cluster": {"pods": {"x/a": {"node": "n"}}}, "steps": [{}]}]}"#
                .into(),
            "c: cluster: pod a is on n, and there is no such node",
        ),
    ] {
        assert_eq!(Written::new(&text).mistake(), format!("case.json: {wanted}"));
    }
}

#[test]
fn names_are_unique_and_those_that_are_asked_for_exist() {
    let twice = Written::new(r#"{"cases": [{"name": "c", "steps": []}, {"name": "c", "steps": []}]}"#);
    assert_eq!(twice.mistake(), "case.json: two cases are called \"c\"");
    assert!(matches!(SuiteFile::read_all(&["no-such.json"]), Err(Error::Read { .. })));
    let written = Written::new(&steps("{}"));
    let files = SuiteFile::read_all(&[written.path()]).unwrap();
    assert!(matches!(choose(&files, &["d".to_owned()]), Err(Error::NoSuchCase { name }) if name == "d"));
    assert_eq!(choose(&files, &["c".to_owned()]).unwrap().len(), 1);
}

#[test]
fn a_directory_without_cases_is_a_mistake() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(SuiteFile::read_all(&[directory.path()]), Err(Error::NoCases { .. })));
}
