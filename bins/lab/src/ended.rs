//! Programs that end as soon as they are started: a note for each, and what such a program said last.

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::paths::Paths;
use crate::state::{files, read_json, write_json};

/// How the notes' names end.
const EXTENSION: &str = "ended";
/// A program that ended once may have met with something that passes. One that did so as often as this did not.
const TIMES: u32 = 2;
/// How much of a log is looked at, in bytes.
const TAIL: u64 = 16 << 10;

/// A program that ended soon after it was started, and not because somebody killed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// What it is called: `operator1`, `the agent of node1`.
    pub(crate) name: String,
    /// How it ended.
    pub(crate) status: String,
    /// How often one after another.
    pub(crate) times: u32,
    /// What it said.
    pub(crate) log: PathBuf,
}

impl Ended {
    /// Notes it beside the file with the program's process id.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub(crate) fn note(&self, pid: &Path) -> Result<()> {
        write_json(&pid.with_extension(EXTENSION), self)
    }

    /// Forgets it: the program runs.
    ///
    /// # Errors
    /// When the note is there and cannot be removed.
    pub(crate) fn forget(pid: &Path) -> Result<()> {
        remove(&pid.with_extension(EXTENSION))
    }

    /// The program with this file for its process id, if it ends again and again.
    pub(crate) fn of(pid: &Path) -> Option<Self> {
        read_json::<Self>(&pid.with_extension(EXTENSION)).ok().flatten().filter(|ended| ended.times >= TIMES)
    }

    /// The first program of a lab that ends again and again.
    pub(crate) fn any(paths: &Paths) -> Option<Self> {
        notes(paths).ok()?.iter().find_map(|note| Self::of(note))
    }

    /// Forgets all of a lab's: its programs are about to be started anew.
    ///
    /// # Errors
    /// When a note cannot be removed.
    pub(crate) fn forget_all(paths: &Paths) -> Result<()> {
        notes(paths)?.iter().try_for_each(|note| remove(note))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = last_words(&self.log).unwrap_or_else(|| "it said nothing".to_owned());
        write!(f, "{} ends as soon as it is started ({}): {said}", self.name, self.status)
    }
}

fn notes(paths: &Paths) -> Result<Vec<PathBuf>> {
    let mut found = files(paths.root())?;
    for node in files(&paths.nodes())? {
        found.extend(files(&node)?);
    }
    found.retain(|file| file.extension().is_some_and(|extension| extension == EXTENSION));
    Ok(found)
}

fn remove(note: &Path) -> Result<()> {
    match fs::remove_file(note) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {}", note.display())),
    }
}

/// The last error in a log, or else its last line.
fn last_words(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    let lines: Vec<&str> = tail.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let error = lines.iter().rev().find_map(|line| error_of(line));
    error.or_else(|| lines.last().map(|line| (*line).to_owned()))
}

/// What an error's line says, in either format of the programs' logs.
fn error_of(line: &str) -> Option<String> {
    if let Ok(line) = serde_json::from_str::<serde_json::Value>(line) {
        return (line["level"] == "ERROR").then(|| line["message"].as_str().unwrap_or_default().to_owned());
    }
    let programs = ["netloom-agent: ", "netloom-operator: ", "netloom: ", "error: "];
    if programs.iter().any(|program| line.starts_with(program)) {
        return Some(line.to_owned());
    }
    // A time and a level come first, then the module.
    let (_, said) = line.split_once(" ERROR ")?;
    Some(said.split_once(": ").map_or(said, |(_, message)| message).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_what_counts() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("operator1.log");
        let words = |text: &str| {
            fs::write(&log, text).unwrap();
            last_words(&log)
        };
        assert_eq!(words(""), None);
        assert_eq!(words("started\nthe end\n\n").as_deref(), Some("the end"));
        let text = "2026-11-22T19:38:53Z ERROR netloom_operator: cluster-pool-ipv4-cidr: no range\n\
                    2026-11-22T19:38:53Z  INFO netloom_operator: stopping\n";
        assert_eq!(words(text).as_deref(), Some("cluster-pool-ipv4-cidr: no range"));
        let json =
            "{\"level\":\"ERROR\",\"message\":\"no range\"}\n{\"level\":\"INFO\",\"message\":\"bye\"}\n";
        assert_eq!(words(json).as_deref(), Some("no range"));
        let early = "netloom-agent: node in /x/node: invalid value\n";
        assert_eq!(words(early).as_deref(), Some("netloom-agent: node in /x/node: invalid value"));
        let long = format!("{}\nnetloom: the cause\n", "x".repeat(1 << 16));
        assert_eq!(words(&long).as_deref(), Some("netloom: the cause"));
    }

    #[test]
    fn once_is_no_rule() {
        let directory = tempfile::tempdir().unwrap();
        let (pid, log) = (directory.path().join("operator1.pid"), directory.path().join("operator1.log"));
        fs::write(&log, "netloom-operator: no range\n").unwrap();
        let ended = |times| Ended {
            name: "operator1".into(),
            status: "exit status: 1".into(),
            times,
            log: log.clone(),
        };
        ended(1).note(&pid).unwrap();
        assert_eq!(Ended::of(&pid), None);
        ended(2).note(&pid).unwrap();
        let told = "operator1 ends as soon as it is started (exit status: 1): netloom-operator: no range";
        assert_eq!(Ended::of(&pid).unwrap().to_string(), told);
        Ended::forget(&pid).unwrap();
        Ended::forget(&pid).unwrap();
        assert_eq!(Ended::of(&pid), None);
    }
}
