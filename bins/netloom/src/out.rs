//! What commands print.

use std::io::{self, Write};

use anyhow::Result;

/// Prints a text to standard output. Whoever has read enough, as `head` does, is no error.
pub(crate) fn say(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
