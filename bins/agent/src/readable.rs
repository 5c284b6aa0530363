//! Waiting for a descriptor to become readable.
#![expect(unsafe_code, reason = "tokio's registration asks for a descriptor that stays open")]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use tokio::io::unix::AsyncFd;

/// A descriptor that tokio watches: a duplicate, so that whoever reads keeps the original.
#[derive(Debug)]
pub(crate) struct Readable(AsyncFd<OwnedFd>);

impl Readable {
    /// Watches what this descriptor refers to.
    ///
    /// # Errors
    /// When it cannot be duplicated or watched.
    pub(crate) fn new(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let duplicate = fd.try_clone_to_owned()?;
        // SAFETY: the duplicate is owned by the registration, which nothing else closes.
        Ok(Self(unsafe { AsyncFd::register(duplicate) }?))
    }

    /// Returns when there is something to read. The caller reads all of it before it waits again.
    ///
    /// # Errors
    /// When the runtime is going away.
    pub(crate) async fn wait(&self) -> io::Result<()> {
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}
