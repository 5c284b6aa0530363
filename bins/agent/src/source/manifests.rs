//! A directory of manifests as the source of objects.
//!
//! Every file whose name ends in `.yaml`, `.yml` or `.json` and does not begin with a dot holds objects.
//! Files are replaced as a whole (written beside and renamed), which inotify tells; a look from time to time
//! covers what it does not. `.revision` holds a number that whoever writes the directory raises after a
//! change, so that it can wait until the change is enforced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use policy::manifest::{Object, ObjectKey, Rejected, parse_stored};
use tokio::sync::mpsc::Sender;

use super::Change;
use super::last_valid::LastValid;
use crate::readable::Readable;

/// How often the directory is looked at even if inotify says nothing.
const LOOK: Duration = Duration::from_secs(2);

/// What tells whether a file is the one that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

/// A directory of manifests.
#[derive(Debug)]
pub struct Manifests {
    directory: PathBuf,
    files: BTreeMap<PathBuf, (Stamp, BTreeSet<ObjectKey>)>,
    revision: Option<u64>,
    last_valid: LastValid,
}

impl Manifests {
    /// The manifests in a directory, none of them read yet. What policies were when they were valid last is
    /// kept in another.
    pub fn new(directory: impl Into<PathBuf>, last_valid: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            files: BTreeMap::new(),
            revision: None,
            last_valid: LastValid::new(last_valid.into()),
        }
    }

    /// Sends what is there, then what changes, until nobody listens.
    ///
    /// # Errors
    /// When the directory cannot be watched or read.
    pub async fn run(mut self, changes: Sender<Change>) -> Result<()> {
        let inotify =
            Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).context("starting inotify")?;
        let events = AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_DELETE;
        inotify
            .add_watch(&self.directory, events)
            .with_context(|| format!("watching {}", self.directory.display()))?;
        let told = Readable::new(inotify.as_fd()).context("watching inotify")?;
        loop {
            for change in self.look()? {
                if changes.send(change).await.is_err() {
                    return Ok(());
                }
            }
            tokio::select! {
                ready = told.wait() => {
                    ready.context("waiting for inotify")?;
                    // What happened is told by looking; the events only say that something did.
                    while inotify.read_events().is_ok() {}
                }
                () = tokio::time::sleep(LOOK) => {}
                () = changes.closed() => return Ok(()),
            }
        }
    }

    /// What changed since the last look.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn look(&mut self) -> Result<Vec<Change>> {
        // The revision first: objects that are written before it are then seen with it.
        let revision = read_revision(&self.directory);
        let mut changes = Vec::new();
        let mut present: BTreeMap<PathBuf, Stamp> = BTreeMap::new();
        let entries =
            fs::read_dir(&self.directory).with_context(|| format!("reading {}", self.directory.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("reading {}", self.directory.display()))?.path();
            if is_manifest(&path)
                && let Ok(metadata) = fs::metadata(&path)
            {
                let modified = (metadata.mtime(), metadata.mtime_nsec());
                present.insert(path, Stamp { inode: metadata.ino(), length: metadata.len(), modified });
            }
        }
        let mut gone = BTreeSet::new();
        self.files.retain(|path, (_, keys)| {
            let stays = present.contains_key(path);
            if !stays {
                gone.append(keys);
            }
            stays
        });
        for (path, stamp) in present {
            if self.files.get(&path).is_some_and(|(known, _)| *known == stamp) {
                continue;
            }
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                // Gone meanwhile: the next look sees that.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "a manifest cannot be read");
                    continue;
                }
            };
            let (told, keys) = self.read(&path, &text);
            changes.extend(told);
            if let Some((_, before)) = self.files.insert(path, (stamp, keys.clone())) {
                gone.extend(before.difference(&keys).cloned());
            }
        }
        if !changes.is_empty() || !gone.is_empty() {
            self.last_valid.keep_only(self.files.keys().filter_map(|path| path.file_name()));
        }
        // An object may have moved to another file.
        let kept: BTreeSet<&ObjectKey> = self.files.values().flat_map(|(_, keys)| keys).collect();
        changes.extend(gone.into_iter().filter(|key| !kept.contains(key)).map(Change::Removed));
        if !changes.is_empty() || self.revision != Some(revision) {
            self.revision = Some(revision);
            changes.push(Change::Observed(revision));
        }
        Ok(changes)
    }

    /// What a file that is new or another has to tell, and the objects that it holds.
    fn read(&self, path: &Path, text: &str) -> (Vec<Change>, BTreeSet<ObjectKey>) {
        let is_policy = |object: &Object| object.policy().is_some();
        let name = path.to_string_lossy();
        let file = path.file_name().unwrap_or_default();
        let (mut changes, mut keys, mut nameless) = (Vec::new(), BTreeSet::new(), None);
        let mut before = self.files.get(path).map(|(_, keys)| keys.clone()).unwrap_or_default();

        let parsed = parse_stored(text, &name);
        let valid = parsed.iter().all(Result::is_ok);
        if valid && parsed.iter().flatten().any(is_policy) {
            self.last_valid.remember(file, text);
        } else if !valid && !self.files.contains_key(path) {
            // An earlier agent may have known it when it was valid: that comes first, and stays in force.
            let text = self.last_valid.recall(file).unwrap_or_default();
            for object in parse_stored(&text, &name).into_iter().flatten().filter(is_policy) {
                before.insert(object.key());
                changes.push(Change::Set(Box::new(object)));
            }
        }
        for parsed in parsed {
            match parsed {
                Ok(object) => {
                    keys.insert(object.key());
                    changes.push(Change::Set(Box::new(object)));
                }
                Err(rejected) => {
                    keys.extend(rejected.object.clone());
                    if rejected.object.is_none() {
                        nameless = Some(rejected.clone());
                    }
                    changes.push(Change::Rejected(rejected));
                }
            }
        }
        // What cannot be told to be any object may be any of those that were there: none of them is gone.
        if let Some(rejected) = nameless {
            for key in before.difference(&keys) {
                let object = Some(key.clone());
                changes.push(Change::Rejected(Rejected { object, ..rejected.clone() }));
            }
            keys.extend(before);
        }
        (changes, keys)
    }
}

fn is_manifest(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden
        && path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

/// The directory's revision; zero where nobody keeps one.
fn read_revision(directory: &Path) -> u64 {
    fs::read_to_string(directory.join(".revision"))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, name: &str, text: &str) {
        fs::write(directory.join(".tmp"), text).unwrap();
        fs::rename(directory.join(".tmp"), directory.join(name)).unwrap();
    }

    fn told(changes: Vec<Change>) -> Vec<String> {
        let tell = |change| match change {
            Change::Set(object) => format!("set {}", object.key()),
            Change::Rejected(Rejected { object: Some(key), .. }) => format!("rejected {key}"),
            Change::Rejected(_) => "rejected".into(),
            Change::Removed(key) => format!("removed {key}"),
            Change::Observed(revision) => format!("observed {revision}"),
            other => format!("{other:?}"),
        };
        changes.into_iter().map(tell).collect()
    }

    #[test]
    fn tells_what_changed() {
        let directory = tempfile::tempdir().unwrap();
        let mut manifests = Manifests::new(directory.path(), directory.path().join(".valid"));
        assert_eq!(told(manifests.look().unwrap()), ["observed 0"]);
        assert!(manifests.look().unwrap().is_empty());

        let namespace = |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
        write(directory.path(), "a.yaml", &format!("{}---\n{}", namespace("a"), namespace("b")));
        write(directory.path(), ".hidden.yaml", &namespace("hidden"));
        write(directory.path(), ".revision", "7\n");
        assert_eq!(told(manifests.look().unwrap()), ["set Namespace a", "set Namespace b", "observed 7"]);

        // One object moves to another file, one goes, one is broken.
        write(directory.path(), "b.yaml", &namespace("b"));
        write(directory.path(), "a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: 3\n");
        let mut seen = told(manifests.look().unwrap());
        seen.sort();
        assert_eq!(seen, ["observed 7", "rejected Pod default/p", "removed Namespace a", "set Namespace b"]);

        fs::remove_file(directory.path().join("b.yaml")).unwrap();
        assert_eq!(told(manifests.look().unwrap()), ["removed Namespace b", "observed 7"]);
    }
    #[test]
    fn what_cannot_be_read_is_not_gone() {
        let directory = tempfile::tempdir().unwrap();
        let mut manifests = Manifests::new(directory.path(), directory.path().join(".valid"));
        let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
        write(directory.path(), "a.yaml", namespace);
        assert_eq!(told(manifests.look().unwrap()), ["set Namespace a", "observed 0"]);
        write(directory.path(), "a.yaml", "kind: [Namespace");
        assert_eq!(told(manifests.look().unwrap()), ["rejected", "rejected Namespace a", "observed 0"]);
        // Still its object: gone when the file goes.
        fs::remove_file(directory.path().join("a.yaml")).unwrap();
        assert_eq!(told(manifests.look().unwrap()), ["removed Namespace a", "observed 0"]);
    }

    #[test]
    fn what_was_valid_last_survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let manifests = || Manifests::new(directory.path(), directory.path().join(".valid"));
        let valid = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: {}}\n";
        write(directory.path(), "p.yaml", valid);
        assert_eq!(told(manifests().look().unwrap()), ["set NetworkPolicy default/p", "observed 0"]);
        for broken in [valid.replace("{}", "3"), "kind: [".into()] {
            write(directory.path(), "p.yaml", &broken);
            let told = told(manifests().look().unwrap());
            assert_eq!(told[0], "set NetworkPolicy default/p");
            assert!(told.contains(&"rejected NetworkPolicy default/p".to_owned()), "{told:?}");
        }
        fs::remove_file(directory.path().join("p.yaml")).unwrap();
        write(directory.path(), "q.yaml", "kind: [");
        assert_eq!(told(manifests().look().unwrap()), ["rejected", "observed 0"]);
        write(directory.path(), "p.yaml", "kind: [");
        assert_eq!(
            told(manifests().look().unwrap()),
            ["rejected", "rejected", "observed 0"],
            "forgotten with its file"
        );
    }
}
