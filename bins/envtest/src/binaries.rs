use std::env;
use std::path::{Path, PathBuf};

/// The variable that names the directory of the binaries.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// Where a program is: in the directory of the binaries, or else in `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let assets = env::var_os(ASSETS).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    assets.into_iter().chain(env::split_paths(&path)).map(|dir| dir.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
