//! `cargo xtask kernels`: boots Debian's kernels in QEMU and runs `ebpf/kerneltest` there.
//!
//! The system is left as it is: packages are fetched through an apt configuration of our own and
//! unpacked into a cache outside the clone. A guest is a kernel and an initramfs that we write:
//! the static test program as `/init`, and the modules that `ebpf/kerneltest/modules.txt` names.

mod apt;
mod guest;
mod image;
mod initramfs;
mod modules;
mod report;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::CommandExt as _;
use crate::kernels::guest::Qemu;
use crate::kernels::image::{Image, Series};
use crate::kernels::initramfs::Initramfs;
use crate::kernels::report::Outcome;
use crate::packages;
use crate::workspace::{Workspace, cache};

/// What the guests run has no C library to lean on.
const TARGET: &str = "x86_64-unknown-linux-musl";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The kernel to boot; may be repeated [default: all]
    #[arg(long = "kernel", value_enum)]
    kernels: Vec<Series>,
    /// Boot nothing where docs/kernels.md was measured with the same objects and sources
    #[arg(long)]
    if_changed: bool,
    /// Put the table into docs/kernels.md (all kernels must have passed)
    #[arg(long, conflicts_with = "kernels")]
    write_docs: bool,
    /// Look for newer packages, instead of once a week
    #[arg(long)]
    refresh: bool,
    /// Seconds until a guest that has not finished counts as failed
    #[arg(long, default_value_t = 360)]
    timeout: u64,
    /// Where packages and kernels are kept [default: ~/.cache/netloom/kernels]
    #[arg(long)]
    cache: Option<PathBuf>,
    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = report::Format::Text)]
    output: report::Format,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let stamp = report::stamp(workspace.root())?;
    if options.if_changed && report::documented_stamp(workspace.root())?.as_ref() == Some(&stamp) {
        eprintln!("{} was measured with these objects: no kernel booted", report::DOCS);
        return Ok(());
    }
    let cache = match &options.cache {
        Some(cache) => cache.clone(),
        None => cache()?.join("kernels"),
    };
    packages::ensure(&[packages::KERNELS])?;
    let init = build_init(workspace)?;
    let wanted = modules::read_list(&workspace.root().join("ebpf/kerneltest/modules.txt"))?;
    let qemu = Qemu::get(&cache)?;
    let logs = workspace.target().join("kernels");
    fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;

    let kernels = if options.kernels.is_empty() { Series::ALL } else { &options.kernels };
    let limit = Duration::from_secs(options.timeout);
    let mut outcomes = Vec::new();
    for &series in kernels {
        let image = Image::get(&cache, series, options.refresh)?;
        eprintln!("booting {} ({})", series.name(), image.release());
        let path = logs.join(format!("{}.cpio", series.name()));
        let archive = initramfs(&init, &image, &wanted)?;
        fs::write(&path, archive).with_context(|| format!("writing {}", path.display()))?;
        let log = logs.join(format!("{}.log", series.name()));
        let run = qemu.boot(image.vmlinuz(), &path, &log, limit)?;
        let outcome = Outcome::judge(series, image.release(), run);
        outcome.print();
        outcomes.push(outcome);
    }

    report::print(&outcomes, &stamp, options.output)?;
    if let Some(failed) = outcomes.iter().find(|outcome| !outcome.passed()) {
        bail!(
            "kernel {} failed; its console is in {}",
            failed.series().name(),
            logs.join(format!("{}.log", failed.series().name())).display()
        );
    }
    if options.write_docs {
        report::write_docs(workspace.root(), &outcomes, &stamp)?;
    }
    Ok(())
}

/// The static program that runs as `/init`.
fn build_init(workspace: &Workspace) -> Result<Vec<u8>> {
    let libraries = Command::new("rustc")
        .args(["--print=target-libdir", "--target", TARGET])
        .current_dir(workspace.root())
        .read()?;
    if !PathBuf::from(libraries.trim()).is_dir() {
        eprintln!("missing: the standard library for {TARGET}");
        Command::new("rustup").args(["target", "add", TARGET]).current_dir(workspace.root()).run()?;
    }
    workspace
        .cargo()
        .args(["build", "--locked", "--release", "--package", "netloom-kerneltest"])
        .args(["--target", TARGET])
        .run()?;
    let path = workspace.target().join(TARGET).join("release/netloom-kerneltest");
    fs::read(&path).with_context(|| format!("reading {}", path.display()))
}

fn initramfs(init: &[u8], image: &Image, wanted: &[modules::Wanted]) -> Result<Vec<u8>> {
    let mut archive = Initramfs::new();
    for directory in ["dev", "proc", "sys", "run", "tmp", "modules"] {
        archive.directory(directory)?;
    }
    archive.console("dev/console")?;
    archive.file("init", 0o755, init)?;
    let mut list = String::new();
    for module in modules::resolve(image.modules(), wanted)
        .with_context(|| format!("collecting modules of {}", image.release()))?
    {
        let name = format!("modules/{}.ko", module.name);
        archive.file(&name, 0o644, &module.object)?;
        list.push('/');
        list.push_str(&name);
        list.push('\n');
    }
    archive.file("modules/list", 0o644, list.as_bytes())?;
    archive.finish()
}
