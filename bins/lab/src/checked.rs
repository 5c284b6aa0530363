//! What a lab's programs say of their configuration before anything is made.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::config::Config;

/// The programs that read the configuration, and what they have to be told beside it.
const PROGRAMS: [(&str, &[&str]); 2] = [("netloom-operator", &[]), ("netloom-agent", &["--node=node1"])];
/// How the lines begin that are no error.
const WARNING: &str = "warning: ";

/// Has operator and agent check what they would be told, so that a value which one of them refuses is refused before
/// anything is made. Returns what a person should know all the same.
///
/// # Errors
/// What they say, if one would not start.
pub(crate) fn check(programs: &Path, config: &Config) -> Result<Vec<String>> {
    let directory = tempfile::tempdir().context("cannot make a directory for the configuration")?;
    config.write(directory.path())?;
    let mut warnings = BTreeSet::new();
    for (program, arguments) in PROGRAMS {
        let output = Command::new(programs.join(program))
            .arg("--check-config")
            .arg(format!("--config-dir={}", directory.path().display()))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {program}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let said = without_files(&said, directory.path(), config);
        if !output.status.success() {
            let errors: Vec<_> = said.lines().filter(|line| !line.starts_with(WARNING)).collect();
            bail!("{}", errors.join("\n").trim());
        }
        warnings.extend(said.lines().filter_map(|line| line.strip_prefix(WARNING)).map(str::to_owned));
    }
    Ok(warnings.into_iter().collect())
}

/// Without the names of files that are gone by the time somebody reads of them: each is that of its key.
fn without_files(said: &str, directory: &Path, config: &Config) -> String {
    let file = |key: &str| format!(" in {}", directory.join(key).display());
    // Of two keys that begin alike the longer one first.
    config.keys().rev().fold(said.to_owned(), |said, key| said.replace(&file(key), ""))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Setting;
    use crate::state::Ipam;

    /// Programs that say this of the configuration, and end with this code.
    fn programs(operator: &str, agent: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (program, script) in [("netloom-operator", operator), ("netloom-agent", agent)] {
            let path = directory.path().join(program);
            std::fs::write(&path, format!("#!/bin/sh\nDIR=${{2#--config-dir=}}\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        directory
    }

    fn checked(operator: &str, agent: &str) -> Result<Vec<String>, String> {
        let setting = |key: &str| Setting { key: key.into(), value: "x".into() };
        let settings = [setting("debug"), setting("debug-more")];
        let config = Config::new(Ipam::ClusterPool, false, &settings).unwrap();
        check(programs(operator, agent).path(), &config).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_one_refuses_is_refused_and_what_both_wonder_at_is_told_once() {
        let odd = "echo \"warning: debug-more in $DIR/debug-more: unknown key\" >&2";
        assert_eq!(checked(odd, odd), Ok(vec!["debug-more: unknown key".to_owned()]));
        let refuses =
            "echo \"netloom-agent: debug in $DIR/debug: $(cat $DIR/debug) is no truth\" >&2; exit 2";
        let refused = checked(odd, &format!("{odd}; {refuses}"));
        assert_eq!(refused, Err("netloom-agent: debug: x is no truth".to_owned()));
    }
}
