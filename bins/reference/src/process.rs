use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Error;

/// How long a program may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(100);
/// How much of a log is quoted, in bytes.
const LAST_WORDS: i64 = 2000;

/// A program that ends with this value.
#[derive(Debug)]
pub(crate) struct Process {
    program: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts a program; what it says goes to `log`.
    pub(crate) fn start(program: &Path, arguments: &[String], log: PathBuf) -> Result<Self, Error> {
        let file = |source| Error::File { path: log.clone(), source };
        let output = File::create(&log).map_err(file)?;
        let errors = output.try_clone().map_err(file)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| Error::Start { program: program.to_owned(), source })?;
        Ok(Self { program: program.to_owned(), log, child })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until this says that it is ready.
    pub(crate) async fn wait(&mut self, mut is_ready: impl AsyncFnMut() -> bool) -> Result<(), Error> {
        let give_up = Instant::now() + PATIENCE;
        while !is_ready().await {
            // Who cannot be asked about has no news.
            if let Some(status) = self.child.try_wait().ok().flatten() {
                return Err(self.not_ready(&format!("it ended ({status})")));
            }
            if Instant::now() > give_up {
                return Err(self.not_ready("it takes too long"));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    fn not_ready(&self, why: &str) -> Error {
        let words = self.last_words().unwrap_or_else(|error| format!("{}: {error}", self.log.display()));
        Error::NotReady { program: self.program.clone(), why: format!("{why}: {words}") }
    }

    fn last_words(&self) -> std::io::Result<String> {
        let mut file = File::open(&self.log)?;
        if file.seek(SeekFrom::End(-LAST_WORDS)).is_err() {
            // The log is shorter than that.
            file.rewind()?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself. Nobody needs its data any more, so it need not end in order.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_ends_early_is_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let arguments = ["-c".to_owned(), "echo no such flag; exit 3".to_owned()];
        let mut process = Process::start("/bin/sh".as_ref(), &arguments, dir.path().join("log")).unwrap();
        let error = process.wait(async || false).await.unwrap_err().to_string();
        assert!(error.contains("/bin/sh") && error.contains("no such flag"), "{error}");
    }
}
