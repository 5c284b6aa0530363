//! A run that somebody wants to end leaves nothing behind.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

use super::Error;

/// Whether the run is to end. It is looked at between samples; what was built is then removed as at any other end.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends the run on SIGINT and SIGTERM, which no longer end the process.
    ///
    /// # Errors
    /// When the signals cannot be waited for.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let [mut interrupt, mut terminate] = {
            let _entered = runtime.enter();
            [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]
        };
        let told = stop.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            told.now();
        })?;
        Ok(stop)
    }

    /// Ends the run.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Goes on, or not.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Stopped) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_until_it_is_told() {
        let stop = Stop::default();
        assert!(stop.check().is_ok());
        stop.clone().now();
        assert!(matches!(stop.check(), Err(Error::Stopped)));
    }
}
