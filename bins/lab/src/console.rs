//! What a person at a terminal sees while something takes time, and colours.

use std::io::{IsTerminal, Write};

/// A line on the terminal's standard error that says what is being done; silent in a pipe.
#[derive(Debug)]
pub struct Progress {
    visible: bool,
}

impl Progress {
    /// Shows progress if standard error is a terminal.
    #[must_use]
    pub fn new() -> Self {
        Self { visible: std::io::stderr().is_terminal() }
    }

    /// No progress for anybody.
    #[must_use]
    pub fn silent() -> Self {
        Self { visible: false }
    }

    /// Says what is being done now.
    pub fn step(&self, what: &str) {
        if self.visible {
            eprint!("\r\x1b[K\x1b[2m{what} …\x1b[0m");
            // Only cosmetics are lost.
            let _ = std::io::stderr().flush();
        }
    }

    /// Says something that stays.
    pub fn say(&self, line: &str) {
        let clear = if self.visible { "\r\x1b[K" } else { "" };
        eprintln!("{clear}{line}");
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.visible {
            eprint!("\r\x1b[K");
        }
    }
}

/// Colours of texts on standard output; none in a pipe or with `NO_COLOR`.
#[derive(Clone, Copy, Debug)]
pub struct Colours {
    on: bool,
}

impl Colours {
    /// As standard output wants them.
    #[must_use]
    pub fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { on: std::io::stdout().is_terminal() && !refused }
    }

    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self { on: false }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// For what went well.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// For what did not.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// For what changed.
    #[must_use]
    pub fn notable(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// For headings.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }
}
