//! The network configuration that the container runtime reads.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde_json::{Value, json};

use crate::readable::Readable;
use crate::state_file;

/// The suffix of the files that were moved aside.
const ASIDE: &str = "cilium_bak";

/// The network configuration: where it is, and what it says.
#[derive(Clone, Debug)]
pub struct Conflist {
    /// The file.
    pub path: PathBuf,
    /// A file with what is to be in it, in place of what is made here.
    pub custom: Option<PathBuf>,
    /// Whether other networks' files are moved aside.
    pub exclusive: bool,
    /// What the plugin is to be told.
    pub plugin: Plugin,
}

/// What the plugin is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plugin {
    /// The agent's socket, where it is not the usual one.
    pub socket: Option<PathBuf>,
    /// Where it leaves disconnections, if not in the usual place.
    pub queue: Option<PathBuf>,
    /// Where it writes its log.
    pub log: Option<PathBuf>,
    /// Whether it logs what it does.
    pub debug: bool,
}

impl Conflist {
    /// Puts the configuration in place if it is not, then moves others aside: the runtime always finds one.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn tend(&self) -> Result<()> {
        let text = self.text()?;
        let directory = self.directory()?;
        fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
        if fs::read_to_string(&self.path).ok().as_deref() != Some(text.as_str()) {
            // No runtime takes what is beside it for a moment for a configuration.
            state_file::replace(&self.path, text.as_bytes())
                .with_context(|| format!("writing {}", self.path.display()))?;
            tracing::info!(file = %self.path.display(), "network configuration written");
        }
        if self.exclusive { self.move_others(directory) } else { Ok(()) }
    }

    /// Tells when something happens beside it.
    pub(super) fn watch(&self) -> Place {
        let watched = || -> Result<(Inotify, Readable)> {
            let directory = self.directory()?;
            fs::create_dir_all(directory)?;
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
            let events = AddWatchFlags::IN_MOVED_TO
                | AddWatchFlags::IN_MOVED_FROM
                | AddWatchFlags::IN_CLOSE_WRITE
                | AddWatchFlags::IN_DELETE;
            inotify.add_watch(directory, events)?;
            let readable = Readable::new(inotify.as_fd())?;
            Ok((inotify, readable))
        };
        Place(match watched() {
            Ok(watched) => Some(watched),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), file = %self.path.display(), "looked after from time to time only");
                None
            }
        })
    }

    fn directory(&self) -> Result<&Path> {
        let directory = self.path.parent().filter(|directory| !directory.as_os_str().is_empty());
        directory.with_context(|| format!("{} names no directory", self.path.display()))
    }

    fn text(&self) -> Result<String> {
        match &self.custom {
            Some(file) => custom(file),
            None => Ok(format!("{:#}\n", self.plugin.conflist())),
        }
    }

    fn move_others(&self, directory: &Path) -> Result<()> {
        let entries = fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("reading {}", directory.display()))?.path();
            let is_read = path.extension().is_some_and(|extension| {
                ["conf", "conflist", "json"].iter().any(|known| extension == *known)
            });
            if !is_read || path.file_name() == self.path.file_name() {
                continue;
            }
            let mut aside = path.clone().into_os_string();
            aside.push(format!(".{ASIDE}"));
            fs::rename(&path, &aside).with_context(|| format!("moving {} aside", path.display()))?;
            tracing::info!(file = %path.display(), "another network's configuration moved aside");
        }
        Ok(())
    }
}

/// A network configuration that somebody else wrote.
///
/// # Errors
/// When the file cannot be read, or is none.
pub(crate) fn custom(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
    let is_list = value["plugins"].as_array().is_some_and(|plugins| !plugins.is_empty());
    let is_named = value["name"].is_string();
    if !is_named || !(is_list || value["type"].is_string()) {
        bail!("{} is no network configuration: it needs a name, and plugins or a type", file.display());
    }
    Ok(text)
}

impl Plugin {
    fn conflist(&self) -> Value {
        let mut plugin = json!({"type": "cilium-cni", "enable-debug": self.debug});
        for (key, path) in [("socket", &self.socket), ("queue-dir", &self.queue), ("log-file", &self.log)] {
            if let Some(path) = path {
                plugin[key] = json!(path);
            }
        }
        // Older runtimes refuse newer versions.
        json!({"cniVersion": "0.3.1", "name": "cilium", "plugins": [plugin]})
    }
}

/// The directory of the configuration.
#[derive(Debug)]
pub(super) struct Place(Option<(Inotify, Readable)>);

impl Place {
    /// Returns when something happened there.
    pub(super) async fn changed(&mut self) {
        let Some((inotify, readable)) = &self.0 else { return std::future::pending().await };
        if let Err(error) = readable.wait().await {
            tracing::warn!(%error, "the network configuration is looked after from time to time only");
            self.0 = None;
            return;
        }
        // What happened is told by looking.
        while inotify.read_events().is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflist(directory: &Path) -> Conflist {
        Conflist {
            path: directory.join("05-cilium.conflist"),
            custom: None,
            exclusive: true,
            plugin: Plugin { socket: Some("/run/n.sock".into()), ..Plugin::default() },
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn it_is_written_and_others_go_aside() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("net.d");
        fs::create_dir(&place).unwrap();
        for other in ["10-calico.conflist", "99-loopback.conf", "README", "x.json"] {
            fs::write(place.join(other), "{}").unwrap();
        }
        let conflist = conflist(&place);
        conflist.tend().unwrap();
        assert_eq!(
            names(&place),
            [
                "05-cilium.conflist",
                "10-calico.conflist.cilium_bak",
                "99-loopback.conf.cilium_bak",
                "README",
                "x.json.cilium_bak"
            ]
        );
        let written: Value = serde_json::from_str(&fs::read_to_string(&conflist.path).unwrap()).unwrap();
        assert_eq!(
            written,
            json!({
                "cniVersion": "0.3.1", "name": "cilium",
                "plugins": [{"type": "cilium-cni", "enable-debug": false, "socket": "/run/n.sock"}],
            })
        );
        // What is as it should be is left alone.
        let before = fs::metadata(&conflist.path).unwrap().modified().unwrap();
        conflist.tend().unwrap();
        assert_eq!(fs::metadata(&conflist.path).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn others_may_stay() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("10-other.conflist"), "{}").unwrap();
        Conflist { exclusive: false, ..conflist(directory.path()) }.tend().unwrap();
        assert_eq!(names(directory.path()), ["05-cilium.conflist", "10-other.conflist"]);
    }

    #[test]
    fn a_custom_one_is_taken_as_it_is_if_it_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let custom = directory.path().join("custom");
        let conflist =
            Conflist { custom: Some(custom.clone()), exclusive: false, ..conflist(directory.path()) };
        assert!(conflist.tend().unwrap_err().to_string().contains("custom"));
        fs::write(&custom, "{}").unwrap();
        assert!(conflist.tend().unwrap_err().to_string().contains("it needs a name"));
        let text = r#"{"name": "mine", "plugins": [{"type": "cilium-cni"}, {"type": "portmap"}]}"#;
        fs::write(&custom, text).unwrap();
        conflist.tend().unwrap();
        assert_eq!(fs::read_to_string(&conflist.path).unwrap(), text);
    }
}
