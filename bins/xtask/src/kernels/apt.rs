//! apt with sources, lists and downloads of its own: it reads other Debian releases and never
//! touches the system's configuration or packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::CommandExt as _;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// An apt of our own in a directory.
pub(crate) struct Apt {
    directory: PathBuf,
}

impl Apt {
    /// An apt that knows `suites` (as `bookworm` or `bookworm-security`) and keeps its files in
    /// `directory`. The mirror is the one that the system's own sources name.
    pub(crate) fn new(directory: &Path, suites: &[&str]) -> Result<Self> {
        for part in ["lists/partial", "archives/partial"] {
            let path = directory.join(part);
            fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        }
        let mirror = Mirror::of_the_system()?;
        let signed =
            if Path::new(KEYRING).is_file() { format!("[signed-by={KEYRING}] ") } else { String::new() };
        let sources: String =
            suites.iter().map(|suite| format!("deb {signed}{} {suite} main\n", mirror.base(suite))).collect();
        for (name, text) in [("sources.list", sources), ("apt.conf", configuration(directory))] {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(Self { directory: directory.to_owned() })
    }

    /// Fetches the package lists.
    pub(crate) fn update(&self) -> Result<()> {
        self.command("apt-get").args(["update", "-qq"]).run()
    }

    /// The names of all packages that begin with `prefix`.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = self.command("apt-cache").args(["pkgnames", prefix]).read()?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Fetches `packages` and unpacks them under `to`.
    pub(crate) fn unpack(&self, packages: &[String], to: &Path) -> Result<()> {
        self.clear()?;
        self.command("apt-get").args(["download", "-q"]).args(packages).current_dir(self.archives()).run()?;
        self.unpack_archives(to)
    }

    /// Fetches `package` of the release `suite` with those of its dependencies that the system
    /// lacks, and unpacks them under `to`.
    pub(crate) fn unpack_with_dependencies(&self, package: &str, suite: &str, to: &Path) -> Result<()> {
        self.clear()?;
        self.command("apt-get")
            .args(["install", "--download-only", "-q", "-y"])
            .args(["--no-install-recommends", "--reinstall", "-t", suite])
            .arg(package)
            .run()?;
        self.unpack_archives(to)
    }

    fn unpack_archives(&self, to: &Path) -> Result<()> {
        fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
        let mut unpacked = 0;
        for archive in self.debs()? {
            Command::new("dpkg-deb").arg("-x").arg(archive).arg(to).read()?;
            unpacked += 1;
        }
        if unpacked == 0 {
            bail!("apt-get fetched no package into {}", self.archives().display());
        }
        self.clear()
    }

    fn clear(&self) -> Result<()> {
        for archive in self.debs()? {
            fs::remove_file(&archive).with_context(|| format!("removing {}", archive.display()))?;
        }
        Ok(())
    }

    fn debs(&self) -> Result<Vec<PathBuf>> {
        let archives = self.archives();
        let mut debs = Vec::new();
        for entry in fs::read_dir(&archives).with_context(|| format!("reading {}", archives.display()))? {
            let path = entry.context("reading a directory")?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                debs.push(path);
            }
        }
        Ok(debs)
    }

    fn archives(&self) -> PathBuf {
        self.directory.join("archives")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Read before the system's configuration, of which what we don't name stays in force
        // (a proxy, say).
        command.env("APT_CONFIG", self.directory.join("apt.conf"));
        command
    }
}

/// The settings that turn the system's apt into ours.
fn configuration(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "Dir::Etc::SourceList \"{directory}/sources.list\";\n\
         Dir::Etc::SourceParts \"/dev/null\";\n\
         Dir::State::Lists \"{directory}/lists\";\n\
         Dir::Cache \"{directory}\";\n\
         Dir::Cache::Archives \"{directory}/archives\";\n\
         # Nothing of the system's is written, so neither root nor its lock is needed, and the\n\
         # directory may be closed to apt's own user.\n\
         Debug::NoLocking \"true\";\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n"
    )
}

/// Where Debian and its security updates are fetched from.
struct Mirror {
    main: String,
    security: String,
}

impl Mirror {
    fn of_the_system() -> Result<Self> {
        let targets = Command::new("apt-get")
            .args(["indextargets", "--no-release-info", "--format"])
            .args(["$(REPO_URI)", "Created-By: Packages"])
            .read()?;
        Self::choose(targets.lines())
            .context("apt's sources name no Debian archive (…/debian) to fetch kernels from")
    }

    fn choose<'a>(repositories: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut main = None;
        let mut security = None;
        for repository in repositories {
            let repository = repository.trim().trim_end_matches('/');
            match repository.rsplit('/').next() {
                Some("debian") => main = main.or(Some(repository)),
                Some("debian-security") => security = security.or(Some(repository)),
                _ => {}
            }
        }
        let main = main?.to_owned();
        Some(Self { security: security.map_or_else(|| format!("{main}-security"), str::to_owned), main })
    }

    fn base(&self, suite: &str) -> &str {
        if suite.ends_with("-security") { &self.security } else { &self.main }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_systems_own() {
        let mirror = Mirror::choose(
            [
                "https://packages.example/nodistro/",
                "http://mirror.example/pub/debian/",
                "http://security.example/debian-security/",
                "http://other.example/debian/",
            ]
            .into_iter(),
        )
        .expect("a mirror");
        assert_eq!(mirror.base("sid"), "http://mirror.example/pub/debian");
        assert_eq!(mirror.base("bookworm-security"), "http://security.example/debian-security");
    }

    #[test]
    fn security_updates_are_looked_for_beside_the_archive() {
        let mirror = Mirror::choose(["http://mirror.example/debian"].into_iter()).expect("one");
        assert_eq!(mirror.base("trixie-security"), "http://mirror.example/debian-security");
        assert!(Mirror::choose(["http://mirror.example/ubuntu"].into_iter()).is_none());
    }
}
