//! Running other programs: every command is shown before it runs, and every error names it.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// What this tool does to a [`Command`].
pub(crate) trait CommandExt {
    /// Runs the command with our own stdin and stderr; its stdout goes to our stderr, which keeps
    /// our stdout for results. An exit status other than 0 is an error.
    fn run(&mut self) -> Result<()>;

    /// Like [`CommandExt::run`], quietly, and returns what the command printed on stdout.
    fn read(&mut self) -> Result<String>;

    /// The command as one would type it.
    fn line(&self) -> String;
}

impl CommandExt for Command {
    fn run(&mut self) -> Result<()> {
        let line = self.line();
        eprintln!("+ {line}");
        let status = self.stdout(std::io::stderr()).status().with_context(|| format!("starting `{line}`"))?;
        if !status.success() {
            bail!("`{line}` failed: {status}");
        }
        Ok(())
    }

    fn read(&mut self) -> Result<String> {
        let line = self.line();
        let Output { status, stdout, stderr } =
            self.stdin(Stdio::null()).output().with_context(|| format!("starting `{line}`"))?;
        if !status.success() {
            bail!("`{line}` failed: {status}\n{}", String::from_utf8_lossy(&stderr).trim_end());
        }
        String::from_utf8(stdout).with_context(|| format!("`{line}` printed text that is not UTF-8"))
    }

    fn line(&self) -> String {
        let mut line = self.get_program().to_string_lossy().into_owned();
        for argument in self.get_args() {
            line.push(' ');
            line.push_str(&argument.to_string_lossy());
        }
        line
    }
}

/// Whether a program of this name is on `PATH` (or in the sbin directories, which a user's `PATH`
/// may lack).
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_its_status_and_its_stderr() {
        let error =
            Command::new("sh").args(["-c", "echo why >&2; exit 3"]).read().expect_err("exit status 3");
        let text = format!("{error:#}");
        assert!(text.contains("sh -c"), "{text}");
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.contains("why"), "{text}");
    }

    #[test]
    fn programs_are_found_on_the_path_only_where_they_exist() {
        assert!(on_path("sh"));
        assert!(!on_path("no-program-has-this-name"));
    }
}
