//! What is printed can be applied with kubectl.

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
            // Servers before 1.27 do not check fields, and then kubectl does, against what they know: not CEL.
            let old = server.minor_version().await.expect("a version") < 27;
            let check = if old { "--validate=false" } else { "--validate=strict" };
            let Some(said) = server.kubectl(&["apply", check, "-f", file]).expect("it is applied") else {
                eprintln!("skipped: kubectl is not in PATH");
                return;
            };
            assert!(said.lines().count() >= 8, "{said}");
            let again = server.kubectl(&["apply", check, "-f", file]).expect("again").unwrap_or_default();
            assert!(
                again.lines().all(|line| line.ends_with("unchanged") || old),
                "{}: {again}",
                server.name()
            );
        }
    }
}

/// The manifests of the book are what servers understand.
#[tokio::test(flavor = "multi_thread")]
async fn servers_understand_the_installation() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/install/netloom.yaml");
    for server in envtest::servers("installation").await.expect("servers") {
        // Server-side apply knows every field by its type, with or without the check of fields.
        let old = server.minor_version().await.expect("a version") < 27;
        let check = if old { "--validate=false" } else { "--validate=strict" };
        let args = ["apply", "--server-side", "--dry-run=server", check, "-f", file];
        let Some(said) = server.kubectl(&args).expect("it is understood") else {
            eprintln!("skipped: kubectl is not in PATH");
            return;
        };
        assert_eq!(said.lines().count(), 3, "{}: {said}", server.name());
    }
}
