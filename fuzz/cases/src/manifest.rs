//! Manifests of objects.

use abi::{Direction, Identity};
use policy::manifest::{self, Object};
use policy::{Diagnostic, Label, LabelSet, Repository, pod_labels};

/// Reads the input as a file of manifests, as a user's and as a stored one. What is refused names places in the text;
/// what is accepted can be put into a repository and compiled.
pub fn manifest(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut repository = Repository::default();
    let mut subjects: Vec<LabelSet> = Vec::new();
    for object in manifest::parse(text, "fuzz.yaml", 1) {
        match object {
            Ok(object) => {
                let key = object.key();
                assert!(!key.name.is_empty(), "{object:?}");
                if let Some(policy) = object.policy() {
                    let namespace = policy.key.namespace.as_deref().unwrap_or("default");
                    subjects
                        .push([Label::k8s("io.kubernetes.pod.namespace", namespace)].into_iter().collect());
                    repository.set_policy(policy);
                }
                if let Object::Pod(pod) = &object {
                    let labels = pod_labels(pod, &Default::default());
                    for addr in &pod.ips {
                        repository.set_address(*addr, Identity::CLUSTER_MIN, labels.clone());
                    }
                    subjects.push(labels);
                }
            }
            Err(rejected) => {
                assert!(!rejected.diagnostics.is_empty(), "refused, and nobody knows why");
                for diagnostic in &rejected.diagnostics {
                    check_place(text, diagnostic);
                }
                repository.set_policies(rejected.fail_closed.map(|policy| *policy));
            }
        }
    }
    for subject in subjects.iter().take(4) {
        for direction in [Direction::Ingress, Direction::Egress] {
            repository.compile(subject, direction);
        }
    }
    let _ = manifest::parse_stored(text, "fuzz.yaml");
}

fn check_place(text: &str, diagnostic: &Diagnostic) {
    assert_eq!(diagnostic.file, "fuzz.yaml");
    assert!(!diagnostic.message.is_empty(), "{diagnostic:?}");
    let (line, column) = (diagnostic.line as usize, diagnostic.column as usize);
    // A carriage return ends a line too; there, only lines are counted.
    let breaks = text.matches(['\n', '\r']).count();
    assert!((1..=breaks + 1).contains(&line) && column >= 1, "{diagnostic}");
    if !text.contains('\r') {
        let length = text.split('\n').nth(line - 1).unwrap_or_default().chars().count();
        assert!(column <= length + 1, "{diagnostic}: its line has {length} characters");
    }
}
