//! Manifests on disk.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use ::policy::Renderer;
use ::policy::cluster::{Cluster, Names};
use ::policy::manifest::{self, Object, Rejected};
use anyhow::{Context, Result, bail};
use clap::Args;

/// A set of manifests, and what may be known beside them.
#[derive(Debug, Args)]
pub(super) struct Given {
    /// Manifests: files, directories with all that is in them, or - for standard input.
    #[arg(long = "filename", short = 'f', value_name = "PATH", required = true)]
    pub(super) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) beside: Beside,
}

/// What may be known beside manifests.
#[derive(Debug, Args)]
pub(super) struct Beside {
    /// The addresses of DNS names: a map of names to lists of addresses, in JSON or YAML.
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Go on where an object is invalid: a policy then closes what it is about, anything else is left out.
    #[arg(long)]
    allow_invalid: bool,
}

/// A text, and what to call it.
pub(super) struct Text {
    pub(super) name: String,
    pub(super) text: String,
}

/// Objects, and what is none.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) valid: Vec<Object>,
    pub(super) rejected: Vec<Rejected>,
    /// The texts that were read.
    pub(super) texts: Vec<Text>,
}

/// The endings of files that are read from directories.
const ENDINGS: [&str; 3] = ["json", "yaml", "yml"];

/// Reads files and directories. `others` are left out of directories: they are known to be something else.
pub(super) fn read(paths: &[PathBuf], others: &[&Path]) -> Result<Vec<Text>> {
    let others: BTreeSet<PathBuf> = others.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut texts = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            texts.push(Text { name: "<stdin>".to_owned(), text });
        } else if path.is_dir() {
            let mut found = Vec::new();
            list(path, &mut found)?;
            found.retain(|file| file.canonicalize().is_ok_and(|file| !others.contains(&file)));
            for file in found {
                let text = read_text(&file)?;
                // A list of probes, for example.
                if text.trim_start().starts_with('[') {
                    eprintln!("netloom: {}: passed over: a JSON array is no manifest", file.display());
                    continue;
                }
                texts.push(Text { name: file.display().to_string(), text });
            }
        } else {
            texts.push(Text { name: path.display().to_string(), text: read_text(path)? });
        }
    }
    Ok(texts)
}

/// The manifests of a directory and of those in it, in the order of their names.
fn list(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let cannot = || format!("cannot read directory {}", directory.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            list(&path, found)?;
        } else if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
            found.push(path);
        }
    }
    Ok(())
}

/// Reads a file that is text.
pub(super) fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Reads objects from files and directories.
pub(super) fn objects(paths: &[PathBuf], others: &[&Path]) -> Result<Objects> {
    let mut objects = Objects::default();
    for text in read(paths, others)? {
        for object in manifest::parse(&text.text, &text.name, 1) {
            match object {
                Ok(object) => objects.valid.push(object),
                Err(rejected) => objects.rejected.push(rejected),
            }
        }
        objects.texts.push(text);
    }
    Ok(objects)
}

impl Objects {
    /// Says on standard error what is wrong, with the lines that it is about.
    pub(super) fn report(&self) {
        let renderer = if io::stderr().is_terminal() { Renderer::styled() } else { Renderer::plain() };
        for diagnostic in self.rejected.iter().flat_map(|rejected| &rejected.diagnostics) {
            let source = self.texts.iter().find(|text| text.name == diagnostic.file);
            eprintln!("{}\n", renderer.render(diagnostic, source.map(|text| text.text.as_str())));
        }
    }
}

impl Beside {
    /// Reads a cluster.
    pub(super) fn load(&self, paths: &[PathBuf], others: &[&Path]) -> Result<Cluster> {
        let mut others = others.to_vec();
        others.extend(self.names.as_deref());
        let objects = objects(paths, &others)?;
        objects.report();
        if !objects.rejected.is_empty() && !self.allow_invalid {
            let count = objects.rejected.len();
            let objects = if count == 1 { "object is" } else { "objects are" };
            bail!("{count} {objects} invalid: nothing is judged (--allow-invalid goes on)");
        }
        let closed = objects.rejected.into_iter().filter_map(|rejected| rejected.fail_closed);
        let mut cluster = Cluster::new(objects.valid).with_closed(closed.map(|policy| *policy));
        if let Some(path) = &self.names {
            let names = Names::parse(&read_text(path)?).with_context(|| path.display().to_string())?;
            cluster = cluster.with_names(names);
        }
        Ok(cluster)
    }
}

impl Given {
    /// Reads the cluster.
    pub(super) fn load(&self, others: &[&Path]) -> Result<Cluster> {
        self.beside.load(&self.paths, others)
    }
}
