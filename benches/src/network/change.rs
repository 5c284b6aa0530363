//! How long one change takes until packets are judged by it, and what it costs.

use std::time::Duration;

/// A change that was made, seen by packets, and undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Changed {
    /// From the start of the operation until the first packet that was judged by the new rule was sent.
    pub update: Duration,
    /// The same of undoing it.
    pub undo: Duration,
    /// Until the command or the request returned.
    pub took: Duration,
    /// Processor time: of the programs that were run for it, and of the setup's own.
    pub cpu: Duration,
}
