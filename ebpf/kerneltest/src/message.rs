//! The lines that whoever booted us listens for.

use std::io::Write as _;

use serde_json::{Value, json};

/// Prints one message.
pub(crate) fn send(message: &Value) {
    let line = format!("NETLOOM-KERNELTEST {message}\n");
    let mut stdout = std::io::stdout().lock();
    // In one write, as the kernel's own messages share the console. There is nobody to tell if it
    // fails: whoever listens misses the last line.
    let _ = stdout.write_all(line.as_bytes());
    let _ = stdout.flush();
}

/// Reports what fails the run besides checks.
pub(crate) fn trouble(text: &str) {
    send(&json!({"trouble": text}));
}
