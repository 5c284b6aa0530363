//! The plugin's log: a file of the operator's choice, a line for each event.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::json;

use crate::config::NetConf;

/// Where events go. A log that cannot be written never fails a call.
#[derive(Debug, Default)]
pub(crate) struct Log {
    file: Option<PathBuf>,
    json: bool,
    debug: bool,
    call: String,
}

impl Log {
    /// The log that the configuration asks for; `call` names the call in each line.
    pub(crate) fn new(config: &NetConf, call: String) -> Self {
        Self {
            file: config.log_file.clone(),
            json: config.log_format.as_deref().is_some_and(|format| format.starts_with("json")),
            debug: config.enable_debug,
            call,
        }
    }

    pub(crate) fn debug(&self, message: impl Display) {
        if self.debug {
            self.line("debug", &message);
        }
    }

    pub(crate) fn warn(&self, message: impl Display) {
        self.line("warning", &message);
    }

    pub(crate) fn error(&self, message: impl Display) {
        self.line("error", &message);
    }

    fn line(&self, level: &str, message: &dyn Display) {
        let Some(file) = &self.file else { return };
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
        let line = if self.json {
            let message = message.to_string();
            format!("{}\n", json!({"time": time, "level": level, "call": self.call, "msg": message}))
        } else {
            format!("{time:.6} {level} {}: {message}\n", self.call)
        };
        let open = OpenOptions::new().append(true).create(true).mode(0o600).open(file);
        // One write, so that lines of concurrent calls stay whole. There is nobody to tell of a failure.
        let _ = open.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
