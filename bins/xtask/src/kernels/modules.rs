//! Kernel modules in the order in which they can be loaded.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::CommandExt as _;

/// A module that guests want.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    name: String,
    /// Kernels may lack it.
    optional: bool,
}

/// A module, decompressed.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) object: Vec<u8>,
}

/// Reads a list: one module a line, `#` begins a comment, a final `?` means "where there is one".
pub(crate) fn read_list(path: &Path) -> Result<Vec<Wanted>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(parse_list(&text))
}

fn parse_list(text: &str) -> Vec<Wanted> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(|line| Wanted { name: canonical(line.trim_end_matches('?')), optional: line.ends_with('?') })
        .collect()
}

/// The wanted modules of the kernel whose modules are in `directory`, each after what it depends
/// on. Modules that are built into the kernel are left out.
pub(crate) fn resolve(directory: &Path, wanted: &[Wanted]) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    index(&directory.join("kernel"), &mut files)?;
    let builtin = directory.join("modules.builtin");
    let builtin = fs::read_to_string(&builtin)
        .with_context(|| format!("reading {}", builtin.display()))?
        .lines()
        .filter_map(|line| module_name(Path::new(line)))
        .collect();
    let mut order = Order { files, builtin, modules: Vec::new(), path: Vec::new() };
    for module in wanted {
        order.add(&module.name, module.optional)?;
    }
    Ok(order.modules)
}

/// A walk over the dependencies, depth first.
struct Order {
    files: BTreeMap<String, PathBuf>,
    builtin: Vec<String>,
    /// What has been collected, in order.
    modules: Vec<Module>,
    /// The modules that lead to the one looked at.
    path: Vec<String>,
}

impl Order {
    fn add(&mut self, name: &str, optional: bool) -> Result<()> {
        if self.modules.iter().any(|module| module.name == name)
            || self.builtin.iter().any(|module| module == name)
        {
            return Ok(());
        }
        let Some(file) = self.files.get(name) else {
            if optional {
                return Ok(());
            }
            bail!("the kernel has no module {name} (wanted by {:?})", self.path);
        };
        if self.path.iter().any(|module| module == name) {
            bail!("module {name} depends on itself: {:?}", self.path);
        }
        let object = decompress(file)?;
        self.path.push(name.to_owned());
        for dependency in dependencies(&object) {
            self.add(&dependency, false)?;
        }
        self.path.pop();
        self.modules.push(Module { name: name.to_owned(), object });
        Ok(())
    }
}

fn index(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", directory.display()))?.path();
        if path.is_dir() {
            index(&path, files)?;
        } else if let Some(name) = module_name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// `…/sch_ingress.ko.xz` is module `sch_ingress`.
fn module_name(path: &Path) -> Option<String> {
    let (name, _) = path.file_name()?.to_str()?.split_once(".ko")?;
    Some(canonical(name))
}

/// Modules are named with `_`; files and people use `-` too.
fn canonical(name: &str) -> String {
    name.trim().replace('-', "_")
}

fn decompress(path: &Path) -> Result<Vec<u8>> {
    let program = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(path).with_context(|| format!("reading {}", path.display())),
    };
    let mut command = Command::new(program);
    command.args(["-q", "-d", "-c"]).arg(path);
    let line = command.line();
    let output = command.output().with_context(|| format!("starting `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// What a module says that it depends on: the value of `depends=` in its section `.modinfo`, whose
/// entries end with a zero.
fn dependencies(object: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = object.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = &object[at + KEY.len()..];
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&value[..end]).split(',').filter(|name| !name.is_empty()).map(canonical).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of modules: path under `kernel/` and what the module depends on.
    fn kernel(modules: &[(&str, &str)], builtin: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (path, depends) in modules {
            let path = directory.path().join("kernel").join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("creating");
            fs::write(path, format!("ELF\0license=GPL\0depends={depends}\0x")).expect("writing");
        }
        fs::write(directory.path().join("modules.builtin"), builtin).expect("writing");
        directory
    }

    fn names(directory: &Path, list: &str) -> Result<Vec<String>> {
        let modules = resolve(directory, &parse_list(list))?;
        Ok(modules.into_iter().map(|module| module.name).collect())
    }

    #[test]
    fn a_module_comes_after_what_it_depends_on_and_once() {
        let kernel = kernel(
            &[("net/a.ko", "b-x,c"), ("net/b-x.ko", "c"), ("lib/c.ko", ""), ("net/unused.ko", "")],
            "kernel/net/sch_ingress.ko\n",
        );
        let got = names(kernel.path(), "a # the first\nc\nsch-ingress\nnetkit?\n");
        assert_eq!(got.expect("all there"), ["c", "b_x", "a"]);
    }

    #[test]
    fn a_module_that_is_missing_or_in_a_circle_is_an_error() {
        let kernel = kernel(&[("a.ko", "b"), ("b.ko", "a"), ("c.ko", "gone")], "");
        for (list, part) in [("x", "x"), ("c", "gone"), ("a", "itself")] {
            let error = names(kernel.path(), list).expect_err(list);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
