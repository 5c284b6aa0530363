//! Waits for changes of the store.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::Notify;

/// A watch on the store's revision. Its thread waits in the kernel, and ends with the process.
pub(super) struct Watch {
    written: Arc<Notify>,
}

impl Watch {
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let watch = || {
            let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
            // The revision is moved into place after the objects.
            inotify.add_watch(directory, AddWatchFlags::IN_MOVED_TO)?;
            Ok::<_, Errno>(inotify)
        };
        let inotify = watch().with_context(|| format!("cannot watch {}", directory.display()))?;
        let written = Arc::new(Notify::new());
        let thread = std::thread::Builder::new().name("watch".into());
        let notify = Arc::clone(&written);
        thread.spawn(move || tell(&inotify, &notify)).context("cannot start a thread")?;
        Ok(Self { written })
    }

    /// Returns after the revision was written, also if that was before the call.
    pub(super) async fn changed(&self) {
        self.written.notified().await;
    }
}

fn tell(inotify: &Inotify, notify: &Notify) {
    loop {
        match inotify.read_events() {
            Ok(events) => {
                if events.iter().any(|event| event.name.as_deref() == Some(".revision".as_ref())) {
                    notify.notify_one();
                }
            }
            Err(Errno::EINTR) => {}
            Err(errno) => {
                eprintln!("the store is only looked at from time to time from now on: {errno}");
                return;
            }
        }
    }
}
