//! The eBPF objects that are committed, and how they are made again.
//!
//! `ebpf/programs` is built with one exact nightly and one exact bpf-linker, named in
//! `ebpf/programs/toolchain.json`: LLVM's output, and what the verifier makes of it, changes with
//! both. No path of the machine may reach an object, so that the same sources give the same bytes
//! in any folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::CommandExt as _;
use crate::workspace::Workspace;

/// The workspace of the programs, relative to the clone.
const PROGRAMS: &str = "ebpf/programs";
/// Where the committed objects are, relative to the clone.
pub(crate) const PREBUILT: &str = "ebpf/datapath/prebuilt";
/// What the build of the programs reads, relative to the clone.
const SOURCES: &[&str] = &["Cargo.toml", "ebpf/abi", "ebpf/core", PROGRAMS];
const TARGET: &str = "bpfel-unknown-none";

#[derive(clap::Subcommand)]
pub(crate) enum Task {
    /// Build ebpf/programs and replace the objects in ebpf/datapath/prebuilt
    Build,
    /// Build a copy of ebpf/programs in another folder and compare it with ebpf/datapath/prebuilt
    Check,
}

pub(crate) fn run(workspace: &Workspace, task: &Task) -> Result<()> {
    let pin = Pin::read(workspace.root())?;
    let toolchain = pin.toolchain()?;
    pin.linker()?;
    match task {
        Task::Build => build(workspace, &toolchain),
        Task::Check => check(workspace, &toolchain),
    }
}

fn build(workspace: &Workspace, toolchain: &str) -> Result<()> {
    let target = workspace.target().join("bpf");
    let objects = objects(workspace.root(), &target, toolchain)?;
    let prebuilt = workspace.root().join(PREBUILT);
    fs::create_dir_all(&prebuilt).with_context(|| format!("creating {}", prebuilt.display()))?;
    for stale in object_files(&prebuilt)? {
        fs::remove_file(&stale).with_context(|| format!("removing {}", stale.display()))?;
    }
    for object in &objects {
        let path = prebuilt.join(&object.file);
        fs::write(&path, &object.bytes).with_context(|| format!("writing {}", path.display()))?;
        println!("{} ({} bytes)", path.display(), object.bytes.len());
    }
    Ok(())
}

fn check(workspace: &Workspace, toolchain: &str) -> Result<()> {
    // Another folder, and another depth: what depends on the path shows.
    let scratch = workspace.target().join("bpf-check");
    let copy = scratch.join("a/copy/elsewhere");
    if copy.exists() {
        fs::remove_dir_all(&copy).with_context(|| format!("removing {}", copy.display()))?;
    }
    for source in SOURCES {
        copy_tree(&workspace.root().join(source), &copy.join(source))?;
    }
    let objects = objects(&copy, &scratch.join("target"), toolchain)?;

    let prebuilt = workspace.root().join(PREBUILT);
    let mut wrong = Vec::new();
    for object in &objects {
        let path = prebuilt.join(&object.file);
        match fs::read(&path) {
            Err(error) => wrong.push(format!("{}: {error}", path.display())),
            Ok(committed) if committed != object.bytes => wrong.push(format!(
                "{}: the sources give other bytes (kept in {})",
                path.display(),
                object.built.display()
            )),
            Ok(_) => println!("{}: up to date", path.display()),
        }
    }
    for committed in object_files(&prebuilt)? {
        let name = committed.file_name().unwrap_or_default().to_string_lossy();
        if !objects.iter().any(|object| object.file == name) {
            wrong.push(format!("{}: no source gives it", committed.display()));
        }
    }
    if !wrong.is_empty() {
        bail!("{}\nrun `cargo xtask bpf build` and commit the result", wrong.join("\n"));
    }
    Ok(())
}

/// What `ebpf/programs/toolchain.json` pins.
struct Pin {
    /// What `rustc --version` prints.
    rustc: String,
    /// The toolchain's name for rustup where none that is installed fits.
    toolchain: String,
    /// The version of bpf-linker.
    bpf_linker: String,
}

impl Pin {
    fn read(root: &Path) -> Result<Self> {
        let path = root.join(PROGRAMS).join("toolchain.json");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("reading {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let field = |name: &str| {
            value[name].as_str().map(str::to_owned).with_context(|| format!("no string {name:?}"))
        };
        Ok(Self { rustc: field("rustc")?, toolchain: field("toolchain")?, bpf_linker: field("bpf-linker")? })
    }

    /// The name of an installed toolchain that is the pinned one; installs it where there is none.
    fn toolchain(&self) -> Result<String> {
        let version = |name: &str| {
            Command::new("rustup")
                .args(["run", name, "rustc", "--version"])
                .read()
                .map(|version| version.trim().to_owned())
        };
        let mut name = ["nightly", &self.toolchain]
            .into_iter()
            .find(|name| version(name).is_ok_and(|version| version == self.rustc));
        if name.is_none() {
            eprintln!("missing: the pinned toolchain, {}", self.rustc);
            Command::new("rustup")
                .args(["toolchain", "install", "--profile=minimal", &self.toolchain])
                .run()?;
            let found = version(&self.toolchain)?;
            if found != self.rustc {
                bail!(
                    "{PROGRAMS}/toolchain.json pins {:?}, but toolchain {} is {found:?}",
                    self.rustc,
                    self.toolchain
                );
            }
            name = Some(&self.toolchain);
        }
        let name = name.unwrap_or(&self.toolchain).to_owned();
        if !sysroot(&name)?.join("lib/rustlib/src/rust/library/core").is_dir() {
            eprintln!("missing: rust-src of {name} (core is built for the BPF target)");
            Command::new("rustup").args(["component", "add", "rust-src", "--toolchain", &name]).run()?;
        }
        Ok(name)
    }

    /// Sees to it that `bpf-linker` is the pinned one.
    fn linker(&self) -> Result<()> {
        let version = || Command::new("bpf-linker").arg("--version").read();
        let wanted = format!("bpf-linker {}", self.bpf_linker);
        match version() {
            Ok(found) if found.trim() == wanted => return Ok(()),
            Ok(found) => bail!(
                "{PROGRAMS}/toolchain.json pins {wanted}, but {} is installed: \
                 `cargo install bpf-linker --version {} --locked --force`",
                found.trim(),
                self.bpf_linker
            ),
            Err(_) => eprintln!("missing: {wanted}"),
        }
        Command::new("cargo")
            .args(["install", "bpf-linker", "--locked", "--version"])
            .arg(&self.bpf_linker)
            .run()?;
        version().map(|_| ())
    }
}

/// An object as it was built.
struct Object {
    /// Its name in [`PREBUILT`].
    file: String,
    /// Where it was built.
    built: PathBuf,
    bytes: Vec<u8>,
}

/// Builds the programs of the clone at `root`: each binary `x` gives an object `x.bpf.o`.
fn objects(root: &Path, target: &Path, toolchain: &str) -> Result<Vec<Object>> {
    let programs = root.join(PROGRAMS);
    let manifest = programs.join("Cargo.toml");
    if !manifest.is_file() {
        bail!("{} is missing", manifest.display());
    }
    let cargo = |task: &str| {
        let mut cargo = Command::new("rustup");
        cargo
            .args(["run", toolchain, "cargo", task, "--locked"])
            .current_dir(&programs)
            // Set for us by the cargo that runs this tool; they would choose its toolchain.
            .env_remove("CARGO")
            .env_remove("RUSTC")
            // They would take the place of the flags in `.cargo/config.toml`.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            // bpf-linker looks for the LLVM of this toolchain.
            .env("RUSTUP_TOOLCHAIN", toolchain);
        cargo
    };
    // The dependencies' folders must be there before their paths can be remapped.
    cargo("fetch").run()?;
    let flags = flags(root, &sysroot(toolchain)?, &cargo_home()?)?;
    cargo("build")
        .args(["--release", "--bins", "--target", TARGET, "--target-dir"])
        .arg(target)
        // Added to those in the programs' `.cargo/config.toml`. TOML reads JSON's strings.
        .arg("--config")
        .arg(format!("target.{TARGET}.rustflags={}", Value::from(flags)))
        .run()?;

    let metadata = cargo("metadata").args(["--format-version=1", "--no-deps"]).read()?;
    let metadata: Value = serde_json::from_str(&metadata).context("reading cargo metadata")?;
    let mut objects = Vec::new();
    for name in binaries(&metadata) {
        let built = target.join(TARGET).join("release").join(&name);
        let file = format!("{name}.bpf.o");
        let stripped = target.join(&file);
        strip(&built, &stripped, toolchain)?;
        let bytes = fs::read(&stripped).with_context(|| format!("reading {}", stripped.display()))?;
        no_path_in(&bytes, root).with_context(|| format!("in {}", stripped.display()))?;
        objects.push(Object { file, built: stripped, bytes });
    }
    if objects.is_empty() {
        bail!("{} has no binary", manifest.display());
    }
    Ok(objects)
}

/// Takes the DWARF out of an object, which no kernel reads (BTF stays): three quarters of it, and
/// the only part that shows a crate's hash, which cargo makes of absolute paths.
fn strip(from: &Path, to: &Path, toolchain: &str) -> Result<()> {
    let host = Command::new("rustup").args(["run", toolchain, "rustc", "--print=host-tuple"]).read()?;
    // rustc's own; `rustup run` lets it find the LLVM that it is linked with.
    let objcopy = sysroot(toolchain)?.join("lib/rustlib").join(host.trim()).join("bin/rust-objcopy");
    Command::new("rustup").args(["run", toolchain]).arg(objcopy).arg("--strip-debug").args([from, to]).run()
}

/// The flags that depend on the machine, so that the objects don't.
fn flags(root: &Path, sysroot: &Path, cargo_home: &Path) -> Result<Vec<String>> {
    let mut flags = vec![
        // aya-ebpf's register names; without it they follow the machine that builds.
        "--cfg=bpf_target_arch=\"x86_64\"".to_owned(),
        // rustc takes the last rule that fits: the more special ones come later.
        remap(root, "/netloom"),
        remap(&sysroot.join("lib/rustlib/src/rust"), "/rust"),
    ];
    // One folder for each registry, named after a hash of its address.
    for sources in ["registry/src", "git/checkouts"] {
        let sources = cargo_home.join(sources);
        if sources.is_dir() {
            for registry in sorted_entries(&sources)? {
                flags.push(remap(&registry, "/deps"));
            }
        }
    }
    Ok(flags)
}

fn remap(from: &Path, to: &str) -> String {
    format!("--remap-path-prefix={}={to}", from.display())
}

/// The names of all binaries in cargo's metadata.
fn binaries(metadata: &Value) -> Vec<String> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> = list(metadata, "packages")
        .iter()
        .flat_map(|package| list(package, "targets"))
        .filter(|target| list(target, "kind").contains(&Value::from("bin")))
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Refuses an object that names this clone, or anybody's home directory.
fn no_path_in(object: &[u8], root: &Path) -> Result<()> {
    let root = root.to_string_lossy();
    for needle in [root.as_ref(), "/home/", "/root/", "/.cargo/", "/.rustup/"] {
        let found = object.windows(needle.len()).position(|window| window == needle.as_bytes());
        if let Some(at) = found {
            let from = object[..at].iter().rposition(|byte| *byte == 0).map_or(0, |zero| zero + 1);
            let to = object[at..].iter().position(|byte| *byte == 0).map_or(object.len(), |zero| at + zero);
            bail!("a path of this machine: {}", String::from_utf8_lossy(&object[from..to]));
        }
    }
    Ok(())
}

fn sysroot(toolchain: &str) -> Result<PathBuf> {
    Command::new("rustup")
        .args(["run", toolchain, "rustc", "--print=sysroot"])
        .read()
        .map(|path| PathBuf::from(path.trim()))
}

fn cargo_home() -> Result<PathBuf> {
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .context("neither CARGO_HOME nor a home directory is known")
}

/// The objects in a directory that may not exist yet, sorted.
pub(crate) fn object_files(directory: &Path) -> Result<Vec<PathBuf>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = sorted_entries(directory)?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "o"));
    Ok(files)
}

fn sorted_entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("reading {}", directory.display()))?;
    paths.sort();
    Ok(paths)
}

/// Copies a file or directory, without build directories.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
        for entry in sorted_entries(from)? {
            let Some(name) = entry.file_name() else { continue };
            if name != "target" {
                copy_tree(&entry, &to.join(name))?;
            }
        }
    } else {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
        }
        fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_names_the_clone_or_a_home_directory_is_refused() {
        let root = Path::new("/src/clone");
        assert!(no_path_in(b"\0/netloom/ebpf/core/src/lib.rs\0", root).is_ok());
        let error = no_path_in(b"\0x\0/src/clone/ebpf/x.rs\0y", root).expect_err("the clone");
        assert!(error.to_string().ends_with("/src/clone/ebpf/x.rs"), "{error}");
        assert!(no_path_in(b"/home/me/.cargo/registry/aya", root).is_err());
    }

    #[test]
    fn a_copy_leaves_build_directories_out() {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let from = scratch.path().join("from");
        fs::create_dir_all(from.join("target/release")).expect("creating");
        fs::create_dir_all(from.join("src")).expect("creating");
        fs::write(from.join("src/lib.rs"), "x").expect("writing");
        let to = scratch.path().join("to");
        copy_tree(&from, &to).expect("copying");
        assert!(to.join("src/lib.rs").is_file());
        assert!(!to.join("target").exists());
    }

    #[test]
    fn binaries_are_found_in_metadata() {
        let metadata = serde_json::json!({"packages": [{"targets": [
            {"name": "netloom", "kind": ["bin"]},
            {"name": "programs", "kind": ["lib"]},
            {"name": "bench", "kind": ["bin"]},
        ]}]});
        assert_eq!(binaries(&metadata), ["bench", "netloom"]);
    }

    #[test]
    fn the_pin_names_what_it_lacks() {
        let error = Pin::parse(r#"{"rustc": "rustc 1", "toolchain": "nightly"}"#).err().expect("no linker");
        assert!(error.to_string().contains("bpf-linker"), "{error}");
    }
}
