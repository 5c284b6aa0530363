use std::env;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The variable that names the directory of the programs, as controller tests everywhere have it.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The two programs that a server is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// `kube-apiserver`.
    pub kube_apiserver: PathBuf,
    /// `etcd`.
    pub etcd: PathBuf,
}

impl Programs {
    /// Those of this machine; none where it lacks one of them.
    #[must_use]
    pub fn find() -> Option<Self> {
        Some(Self { kube_apiserver: find("kube-apiserver")?, etcd: find("etcd")? })
    }
}

/// Where a program is: in the directory that `KUBEBUILDER_ASSETS` names, or else in `PATH`.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let assets = env::var_os(ASSETS).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    first(assets.into_iter().chain(env::split_paths(&path)), name)
}

fn first(directories: impl Iterator<Item = PathBuf>, name: &str) -> Option<PathBuf> {
    directories.map(|directory| directory.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_that_can_be_run_counts() {
        let dir = tempfile::tempdir().unwrap();
        let directories = ["none", "text", "program", "later"].map(|name| dir.path().join(name));
        for (directory, mode) in directories[1..].iter().zip([0o644, 0o755, 0o755]) {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("etcd"), "").unwrap();
            fs::set_permissions(directory.join("etcd"), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(directories[2].join("kubectl")).unwrap();
        let found = |name| first(directories.clone().into_iter(), name);
        assert_eq!(found("etcd"), Some(directories[2].join("etcd")));
        assert_eq!(found("kubectl"), None);
    }
}
