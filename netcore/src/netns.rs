//! Network namespaces: handles, names, and running code inside.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};

use crate::error::{Error, Result, display};

/// Where named namespaces are kept, as iproute2's `ip netns` has it.
const DIRECTORY: &str = "/run/netns";

/// The calling thread's own namespace.
const SELF: &str = "/proc/thread-self/ns/net";

/// An open network namespace. It lives at least as long as the handle; copies are cheap.
#[derive(Clone)]
pub struct Netns {
    fd: Arc<OwnedFd>,
    label: Arc<str>,
}

impl fmt::Debug for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Netns({})", self.label)
    }
}

impl fmt::Display for Netns {
    /// Its name, its path, `current` or `anonymous`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<OwnedFd> for Netns {
    /// A namespace that another process handed over. Nothing is checked here: entering fails if the
    /// descriptor is none of a network namespace.
    fn from(fd: OwnedFd) -> Self {
        let label = format!("fd {}", fd.as_raw_fd()).into();
        Self { fd: Arc::new(fd), label }
    }
}

impl Netns {
    /// Makes a namespace called `name` that `ip netns` can see, with its loopback down.
    ///
    /// # Errors
    /// [`Error::Netns`], of kind `AlreadyExists` if the name is taken; [`Error::InvalidName`].
    pub fn create(name: &str) -> Result<Self> {
        let path = path_of(name)?;
        prepare_directory().map_err(|error| Error::netns("create", name, error))?;
        let reserve = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o444)
            .custom_flags(libc::O_CLOEXEC)
            .open(&path);
        reserve.map_err(|error| Error::netns("create", name, error))?;
        let made = on_own_thread(|| -> io::Result<OwnedFd> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            mount(Some(SELF), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            Ok(File::open(SELF)?.into())
        });
        match made.and_then(|inner| inner) {
            Ok(fd) => Ok(Self { fd: Arc::new(fd), label: name.into() }),
            Err(error) => {
                // The name that we reserved: the error that is told is the first one.
                let _ = umount2(&path, MntFlags::MNT_DETACH);
                let _ = fs::remove_file(&path);
                Err(Error::netns("create", name, error))
            }
        }
    }

    /// A namespace without a name, gone with its last handle and its last process.
    ///
    /// # Errors
    /// [`Error::Netns`].
    pub fn anonymous() -> Result<Self> {
        let made = on_own_thread(|| -> io::Result<OwnedFd> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(File::open(SELF)?.into())
        });
        match made.and_then(|inner| inner) {
            Ok(fd) => Ok(Self { fd: Arc::new(fd), label: "anonymous".into() }),
            Err(error) => Err(Error::netns("create", "anonymous", error)),
        }
    }

    /// The namespace called `name`.
    ///
    /// # Errors
    /// [`Error::Netns`], [`Error::InvalidName`].
    pub fn open(name: &str) -> Result<Self> {
        let path = path_of(name)?;
        let file = File::open(path).map_err(|error| Error::netns("open", name, error))?;
        Ok(Self { fd: Arc::new(file.into()), label: name.into() })
    }

    /// The namespace whose file is `path`, for example `/proc/42/ns/net`.
    ///
    /// # Errors
    /// [`Error::Netns`].
    pub fn open_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| Error::netns("open", display(path), error))?;
        Ok(Self { fd: Arc::new(file.into()), label: display(path).into() })
    }

    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// [`Error::Netns`].
    pub fn current() -> Result<Self> {
        let file = File::open(SELF).map_err(|error| Error::netns("open", "current", error))?;
        Ok(Self { fd: Arc::new(file.into()), label: "current".into() })
    }

    /// Removes the name. The namespace itself ends with its last handle and its last process.
    ///
    /// # Errors
    /// [`Error::Netns`], for which [`Error::is_not_found`] holds if there is no such name.
    pub fn delete(name: &str) -> Result<()> {
        let path = path_of(name)?;
        match umount2(&path, MntFlags::MNT_DETACH) {
            // EINVAL: a leftover file that nothing is mounted on.
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(Error::netns("delete", name, errno)),
        }
        fs::remove_file(&path).map_err(|error| Error::netns("delete", name, error))
    }

    /// The names that begin with `prefix`, sorted.
    ///
    /// # Errors
    /// [`Error::Netns`] if the directory cannot be read; a missing one is empty.
    pub fn list(prefix: &str) -> Result<Vec<String>> {
        let failed = |error| Error::netns("list", DIRECTORY, error);
        let entries = match fs::read_dir(DIRECTORY) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string()
                && name.starts_with(prefix)
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The file of the namespace called `name`.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn path(name: &str) -> Result<PathBuf> {
        path_of(name)
    }

    /// What tells namespaces apart: device and inode of the namespace's file.
    ///
    /// # Errors
    /// [`Error::Netns`].
    pub fn id(&self) -> Result<(u64, u64)> {
        let failed = |error: io::Error| Error::netns("identify", self.label.to_string(), error);
        let file = File::from(self.fd.try_clone().map_err(failed)?);
        let metadata = file.metadata().map_err(failed)?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// Runs `body` on a thread of its own inside the namespace and waits for it. The caller's thread, which
    /// may be one of an async runtime, stays where it is.
    ///
    /// # Errors
    /// [`Error::Netns`] if the thread cannot be made or cannot enter. A panic of `body` goes on here.
    ///
    /// ```no_run
    /// # fn main() -> netcore::Result<()> {
    /// let pod = netcore::Netns::open("pod-a")?;
    /// let socket = pod.run_in(|| std::net::UdpSocket::bind("0.0.0.0:53"))?;
    /// # Ok(()) }
    /// ```
    pub fn run_in<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T> {
        let ran = on_own_thread(|| -> io::Result<T> {
            setns(&self.fd, CloneFlags::CLONE_NEWNET)?;
            Ok(body())
        });
        ran.and_then(|inner| inner).map_err(|error| Error::netns("enter", self.label.to_string(), error))
    }

    /// The descriptor's number, for netlink attributes. Valid while the handle lives.
    pub(crate) fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// A copy of the descriptor.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

/// Runs `body` on a throw-away thread, since a changed namespace stays with its thread.
fn on_own_thread<T: Send>(body: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, body)?;
        thread.join().or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn path_of(name: &str) -> Result<PathBuf> {
    let usable =
        !name.is_empty() && name.len() <= 255 && name != "." && name != ".." && !name.contains(['/', '\0']);
    if usable {
        Ok(Path::new(DIRECTORY).join(name))
    } else {
        Err(Error::InvalidName { what: "a network namespace", name: name.to_owned() })
    }
}

/// Makes the directory of names a mount of its own that is shared with other mount namespaces, so that a
/// name made or removed in one of them is so in all.
fn prepare_directory() -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(DIRECTORY)?;
    let share =
        || mount(None::<&str>, DIRECTORY, None::<&str>, MsFlags::MS_SHARED | MsFlags::MS_REC, None::<&str>);
    // Others (iproute2 too) do the same under this lock; without it each would stack a mount of its own.
    let _lock = Flock::lock(File::open(DIRECTORY)?, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    match share() {
        // Not a mount point yet.
        Err(Errno::EINVAL) => {
            mount(
                Some(DIRECTORY),
                DIRECTORY,
                None::<&str>,
                MsFlags::MS_BIND | MsFlags::MS_REC,
                None::<&str>,
            )?;
            share()?;
        }
        shared => shared?,
    }
    Ok(())
}
