//! What is printed can be applied with kubectl.

use envtest::{Ability, Server};
use kubernetes::rbac::{Program, manifests};
use kubernetes::render::{Format, render};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_what_is_printed() {
    let dir = tempfile::tempdir().expect("a directory");
    let roles: Vec<_> =
        Program::ALL.into_iter().flat_map(|program| manifests(program, "kube-system")).collect();
    let mut files = Vec::new();
    for (format, end) in [(Format::Yaml, "yaml"), (Format::Json, "json")] {
        for (name, text) in [
            ("definitions", render(&crds::definitions(), format).expect("text")),
            ("roles", render(&roles, format).expect("text")),
        ] {
            let file = dir.path().join(format!("{name}.{end}"));
            std::fs::write(&file, text).expect("a file");
            files.push(file.to_str().expect("a path").to_owned());
        }
    }
    for server in envtest::servers("render").await.expect("servers") {
        for file in &files {
            let args = ["apply", check(&server), "-f", file];
            let Some(said) = server.kubectl(&args).await.expect("it is applied") else { return };
            assert!(said.lines().count() >= 8, "{said}");
            let again = server.kubectl(&args).await.expect("again").unwrap_or_default();
            // What such a server does not know of a definition is not in what it says of it.
            let same = |line: &str| line.ends_with("unchanged") || !server.does(Ability::StrictFields);
            assert!(again.lines().all(same), "{server:?}: {again}");
        }
    }
}

/// Where the server does not check fields, kubectl does, against what the server knows: not CEL.
fn check(server: &Server) -> &'static str {
    if server.does(Ability::StrictFields) { "--validate=strict" } else { "--validate=false" }
}

/// The manifests of the book are what servers understand.
#[tokio::test(flavor = "multi_thread")]
async fn servers_understand_the_installation() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/install/netloom.yaml");
    for server in envtest::servers("installation").await.expect("servers") {
        // Server-side apply knows every field by its type, with or without the check of fields.
        let args = ["apply", "--server-side", "--dry-run=server", check(&server), "-f", file];
        let Some(said) = server.kubectl(&args).await.expect("it is understood") else { return };
        assert_eq!(said.lines().count(), 3, "{server:?}: {said}");
    }
}
