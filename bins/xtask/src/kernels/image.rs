//! A Debian kernel, unpacked: the image to boot and its modules.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::kernels::apt::Apt;

/// For this long a kernel that is in the cache is taken for the latest of its series.
const FRESH: Duration = Duration::from_secs(7 * 24 * 3600);

/// A line of kernels; the latest of each is booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Series {
    /// Debian 11's, and the oldest that Netloom supports
    #[value(name = "5.10")]
    V5_10,
    /// Debian 12's
    #[value(name = "6.1")]
    V6_1,
    /// Debian 13's
    #[value(name = "6.12")]
    V6_12,
    /// Debian unstable's
    Newest,
}

impl Series {
    pub(crate) const ALL: &[Self] = &[Self::V5_10, Self::V6_1, Self::V6_12, Self::Newest];

    /// As it is written on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::Newest => "newest",
        }
    }

    /// Debian's suites that have it.
    fn suites(self) -> &'static [&'static str] {
        match self {
            Self::V5_10 => &["bullseye", "bullseye-security"],
            Self::V6_1 => &["bookworm", "bookworm-security"],
            Self::V6_12 => &["trixie", "trixie-security"],
            Self::Newest => &["sid"],
        }
    }

    /// What the kernel's release begins with.
    fn prefix(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10.",
            Self::V6_1 => "6.1.",
            Self::V6_12 => "6.12.",
            Self::Newest => "",
        }
    }
}

/// A kernel in the cache.
pub(crate) struct Image {
    release: String,
    vmlinuz: PathBuf,
    modules: PathBuf,
}

impl Image {
    /// The latest kernel of a series, from the cache or fetched.
    ///
    /// Where the mirror can't be reached, a kernel that is in the cache will do.
    pub(crate) fn get(cache: &Path, series: Series, refresh: bool) -> Result<Self> {
        let home = cache.join(series.name());
        let latest = home.join("latest");
        let cached =
            fs::read_to_string(&latest).ok().and_then(|release| Self::open(&home, release.trim()).ok());
        let fresh = fs::metadata(&latest)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|then| SystemTime::now().duration_since(then).is_ok_and(|age| age < FRESH));
        match cached {
            Some(image) if fresh && !refresh => Ok(image),
            cached => match (Self::fetch(&home, series), cached) {
                (Err(error), Some(image)) => {
                    eprintln!("using {} from the cache: {error:#}", image.release);
                    Ok(image)
                }
                (fetched, _) => {
                    fetched.with_context(|| format!("fetching a Debian kernel {}", series.name()))
                }
            },
        }
    }

    /// As `uname -r` prints it.
    pub(crate) fn release(&self) -> &str {
        &self.release
    }

    pub(crate) fn vmlinuz(&self) -> &Path {
        &self.vmlinuz
    }

    /// The directory of its modules (`…/lib/modules/RELEASE`).
    pub(crate) fn modules(&self) -> &Path {
        &self.modules
    }

    fn fetch(home: &Path, series: Series) -> Result<Self> {
        let apt = Apt::new(&home.join("apt"), series.suites())?;
        apt.update()?;
        let names = apt.names("linux-image-")?;
        let release = latest(&names, series.prefix())
            .with_context(|| format!("{:?} have no such kernel", series.suites()))?;
        let image = match Self::open(home, release) {
            Ok(image) => image,
            Err(_) => {
                let tree = home.join(release);
                if tree.exists() {
                    fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
                }
                // New kernels come in parts: linux-image is an empty package that depends on the
                // others.
                let mut packages = Vec::new();
                for part in ["linux-image-", "linux-binary-", "linux-modules-", "linux-base-"] {
                    let package = format!("{part}{release}");
                    if apt.names(&package)?.contains(&package) {
                        packages.push(package);
                    }
                }
                apt.unpack(&packages, &tree)?;
                Self::open(home, release)?
            }
        };
        let latest = home.join("latest");
        fs::write(&latest, release).with_context(|| format!("writing {}", latest.display()))?;
        Ok(image)
    }

    fn open(home: &Path, release: &str) -> Result<Self> {
        let tree = home.join(release);
        let vmlinuz = [
            tree.join(format!("boot/vmlinuz-{release}")),
            tree.join(format!("usr/lib/modules/{release}/vmlinuz")),
        ];
        let modules =
            [tree.join(format!("lib/modules/{release}")), tree.join(format!("usr/lib/modules/{release}"))];
        let Some(vmlinuz) = vmlinuz.into_iter().find(|path| path.is_file()) else {
            bail!("no vmlinuz of {release} in {}", tree.display());
        };
        let Some(modules) = modules.into_iter().find(|path| path.join("modules.builtin").is_file()) else {
            bail!("no modules of {release} in {}", tree.display());
        };
        Ok(Self { release: release.to_owned(), vmlinuz, modules })
    }
}

/// The highest release among packages `linux-image-RELEASE`: signed, for cloud machines (the
/// smallest), with a number at its front.
fn latest<'a>(names: &'a [String], prefix: &str) -> Option<&'a str> {
    names
        .iter()
        .filter_map(|name| name.strip_prefix("linux-image-"))
        .filter(|release| release.starts_with(prefix) && release.ends_with("-cloud-amd64"))
        // Leaves out the metapackages: `cloud-amd64`, `6.1-cloud-amd64`.
        .filter(|release| release.split('.').count() > 2)
        .filter(|release| release.starts_with(|first: char| first.is_ascii_digit()))
        .max_by_key(|release| numbers(release.trim_end_matches("-cloud-amd64")))
}

/// The numbers in a text, which order releases: 6.12.9 before 6.12.10.
fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_is_the_highest_number_and_no_metapackage() {
        let names: Vec<String> = [
            "linux-image-cloud-amd64",
            "linux-image-6.1-cloud-amd64",
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-50-cloud-amd64",
            "linux-image-6.1.0-50-amd64",
            "linux-image-6.1.0-51-cloud-amd64-unsigned",
            "linux-image-6.12.90+deb12-cloud-amd64",
            "linux-image-6.12.90+deb12.1-cloud-amd64",
        ]
        .map(str::to_owned)
        .to_vec();
        assert_eq!(latest(&names, "6.1."), Some("6.1.0-50-cloud-amd64"));
        assert_eq!(latest(&names, ""), Some("6.12.90+deb12.1-cloud-amd64"));
        assert_eq!(latest(&names, "5.10."), None);
    }
}
