//! `cargo xtask sdk`: lints and tests what goes through Amazon's SDK, which nothing else compiles.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::CommandExt as _;
use crate::stamp;
use crate::workspace::Workspace;

/// The page that has the stamp, relative to the clone.
const DOCS: &str = "docs/aws.md";
/// The stamp's line in [`DOCS`] goes on with the stamp and ` -->`.
const BEGIN: &str = "<!-- sdk:checked ";
/// What decides whether it works, beside the SDK itself: the client, what it performs, and what it has to show.
/// Of the operator, what its feature `aws` decides about.
const SOURCES: [&str; 6] = [
    CLIENT,
    "ipam/src/ec2",
    "ipam/vpc/src/contract",
    "bins/operator/Cargo.toml",
    "bins/operator/src/eni/client.rs",
    "bins/operator/src/eni/keys.rs",
];
/// The client, whose dependencies have their features in the workspace's manifest.
const CLIENT: &str = "ipam/aws";
/// Always both packages: features of their dependencies are united, and the SDK is compiled once.
const PACKAGES: [&str; 6] = [
    "--package",
    "netloom-ec2-sdk",
    "--package",
    "netloom-operator",
    "--features",
    "netloom-ec2-sdk/sdk,netloom-operator/aws",
];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Compile nothing where docs/aws.md says that these sources passed with these versions of the SDK
    #[arg(long)]
    if_changed: bool,
    /// Say so in docs/aws.md, if all is well
    #[arg(long)]
    write_docs: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let stamp = stamp(workspace.root())?;
    let page = workspace.root().join(DOCS);
    if options.if_changed && stamp::read(&page, BEGIN)?.as_ref() == Some(&stamp) {
        eprintln!("{DOCS}: these sources passed with this SDK; nothing is compiled");
        return Ok(());
    }
    let mut clippy = workspace.cargo();
    clippy
        .args(["clippy", "--locked", "--all-targets"])
        .args(PACKAGES)
        .args(["--", "-D", "warnings"])
        .run()?;
    workspace.cargo().args(["test", "--locked"]).args(PACKAGES).run()?;
    if options.write_docs {
        let text = fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
        let text = replace(&text, &stamp).with_context(|| format!("{DOCS}: no line `{BEGIN}…`"))?;
        fs::write(&page, text).with_context(|| format!("writing {}", page.display()))?;
        eprintln!("wrote the stamp in {}", page.display());
    }
    Ok(())
}

/// A hash of the sources, of the features of what the client depends on, and of the versions of the SDK's crates.
fn stamp(root: &Path) -> Result<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    for source in SOURCES {
        let path = root.join(source);
        if path.is_dir() {
            stamp::collect(&path, &mut files)?;
        } else {
            files.push(path);
        }
    }
    files.sort();
    let text = |name: &str| {
        let path = root.join(name);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let features = features(&text("Cargo.toml")?, &text(&format!("{CLIENT}/Cargo.toml"))?);
    stamp::of(root, &files, &(features + &versions(&text("Cargo.lock")?)?))
}

/// The lines of the workspace's manifest about what a package's manifest says that it has from there.
fn features(workspace: &str, package: &str) -> String {
    let dependencies = package.lines().skip_while(|line| *line != "[dependencies]");
    let shared = dependencies.filter(|line| line.contains("workspace = true"));
    let names: BTreeSet<&str> = shared.filter_map(|line| line.split(['.', ' ']).next()).collect();
    let about = |line: &&str| line.split_once(" = ").is_some_and(|(name, _)| names.contains(name));
    workspace.lines().filter(about).map(|line| format!("{line}\n")).collect()
}

/// The crates of the SDK in a lock file, each with its version.
fn versions(lock: &str) -> Result<String> {
    let mut versions = String::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        if let Some(name) = field("name").filter(|name| name.starts_with("aws-")) {
            let version = field("version").with_context(|| format!("Cargo.lock: {name} has no version"))?;
            writeln!(versions, "{name} {version}")?;
        }
    }
    Ok(versions)
}

fn replace(text: &str, stamp: &str) -> Option<String> {
    let old = text.lines().find(|line| line.starts_with(BEGIN) && line.ends_with(" -->"))?;
    Some(text.replacen(old, &format!("{BEGIN}{stamp} -->"), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_sdk() {
        let lock = "version = 4\n\n[[package]]\nname = \"aws-config\"\nversion = \"1.2.3\"\nsource = \"x\"\n\
                    dependencies = [\n \"aws-types\",\n]\n\n[[package]]\nname = \"aya\"\nversion = \"0.14.0\"\n\n\
                    [[package]]\nname = \"aws-types\"\nversion = \"4.5.6\"\n";
        assert_eq!(versions(lock).expect("versions"), "aws-config 1.2.3\naws-types 4.5.6\n");
    }

    #[test]
    fn features_are_those_of_the_clients_dependencies() {
        let workspace = "[workspace.package]\nversion = \"1\"\n[workspace.dependencies]\n\
                         aws-config = { version = \"1\", features = [\"a\"] }\naya = \"1\"\nhttp = \"2\"\n";
        let package = "[package]\nversion.workspace = true\n[dependencies]\n\
                       aws-config = { workspace = true, optional = true }\nhttp.workspace = true\n";
        assert_eq!(
            features(workspace, package),
            "aws-config = { version = \"1\", features = [\"a\"] }\nhttp = \"2\"\n"
        );
    }

    /// A source that is renamed must not fall out unseen.
    #[test]
    fn all_sources_are_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for source in SOURCES {
            assert!(root.join(source).exists(), "{source}");
        }
    }

    #[test]
    fn the_stamp_in_the_docs_is_replaced() {
        let page = "# AWS\n<!-- sdk:checked old -->\nrest\n";
        assert_eq!(replace(page, "new").as_deref(), Some("# AWS\n<!-- sdk:checked new -->\nrest\n"));
        assert_eq!(replace("# AWS\n", "new"), None);
    }
}
