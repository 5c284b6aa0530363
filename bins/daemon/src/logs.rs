//! Logs on standard error.

use std::io::{IsTerminal, stderr};
use std::str::FromStr;

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Keys of logging, to be flattened into a program's own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LogArgs {
    /// Log what helps to find a fault
    #[arg(long)]
    pub debug: bool,
    /// How to log: level=debug|info|warn|error and format=text|json, apart by commas
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub log_opt: Vec<LogOption>,
}

/// One `key=value` of `log-opt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOption {
    /// The least that is logged.
    Level(Level),
    /// How a line looks.
    Format(Format),
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

/// Text that is no [`LogOption`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLogOption {
    /// The key is neither `level` nor `format`.
    #[error("unknown key {0:?}: level or format is expected")]
    Key(String),
    /// No such level.
    #[error("unknown level {0:?}: debug, info, warn or error is expected")]
    Level(String),
    /// No such format.
    #[error("unknown format {0:?}: text or json is expected")]
    Format(String),
}

impl FromStr for LogOption {
    type Err = BadLogOption;

    fn from_str(text: &str) -> Result<Self, BadLogOption> {
        // A map in a ConfigMap is written as JSON too: {"level": "debug"}.
        let plain: String = text.chars().filter(|c| !matches!(c, '{' | '}' | '"' | ' ')).collect();
        let (key, value) = plain.split_once(['=', ':']).unwrap_or((&plain, ""));
        match key {
            "level" => match value {
                "trace" => Ok(Self::Level(Level::TRACE)),
                "debug" => Ok(Self::Level(Level::DEBUG)),
                "info" => Ok(Self::Level(Level::INFO)),
                "warn" | "warning" => Ok(Self::Level(Level::WARN)),
                "error" | "fatal" | "panic" => Ok(Self::Level(Level::ERROR)),
                _ => Err(BadLogOption::Level(value.to_owned())),
            },
            // The reference's formats with -ts have a time; ours always do.
            "format" => match value {
                "text" | "text-ts" => Ok(Self::Format(Format::Text)),
                "json" | "json-ts" => Ok(Self::Format(Format::Json)),
                _ => Err(BadLogOption::Format(value.to_owned())),
            },
            _ => Err(BadLogOption::Key(key.to_owned())),
        }
    }
}

impl LogArgs {
    /// The least that is logged; `debug` wins over `log-opt`.
    #[must_use]
    pub fn level(&self) -> Level {
        if self.debug {
            return Level::DEBUG;
        }
        let last = self.log_opt.iter().rev();
        last.filter_map(|option| if let LogOption::Level(level) = option { Some(*level) } else { None })
            .next()
            .unwrap_or(Level::INFO)
    }

    /// How a line looks.
    #[must_use]
    pub fn format(&self) -> Format {
        let last = self.log_opt.iter().rev();
        last.filter_map(|option| if let LogOption::Format(format) = option { Some(*format) } else { None })
            .next()
            .unwrap_or_default()
    }

    /// Sends the logs of this process to standard error, from now on. `RUST_LOG` chooses by module, beyond the level.
    ///
    /// # Errors
    ///
    /// When something else of this process takes the logs already.
    pub fn init(&self) -> Result<(), TryInitError> {
        let filter = EnvFilter::builder().with_default_directive(self.level().into()).from_env_lossy();
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
        match self.format() {
            Format::Text => logs.with_ansi(stderr().is_terminal()).finish().try_init(),
            Format::Json => logs.json().flatten_event(true).with_current_span(false).finish().try_init(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &str) -> Result<(Level, Format), BadLogOption> {
        let log_opt =
            options.split(',').filter(|o| !o.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
        let args = LogArgs { debug: false, log_opt };
        Ok((args.level(), args.format()))
    }

    #[test]
    fn options_are_read_as_cilium_writes_them() {
        assert_eq!(of(""), Ok((Level::INFO, Format::Text)));
        assert_eq!(of("format=json"), Ok((Level::INFO, Format::Json)));
        assert_eq!(of("level=warning,format=json-ts"), Ok((Level::WARN, Format::Json)));
        assert_eq!(of(r#"{"level": "debug","format":"text"}"#), Ok((Level::DEBUG, Format::Text)));
        assert_eq!(of("level=loud"), Err(BadLogOption::Level("loud".to_owned())));
        assert_eq!(of("format=xml"), Err(BadLogOption::Format("xml".to_owned())));
        assert_eq!(of("driver=syslog"), Err(BadLogOption::Key("driver".to_owned())));
    }

    #[test]
    fn debug_wins() {
        let args = LogArgs { debug: true, log_opt: vec![LogOption::Level(Level::ERROR)] };
        assert_eq!(args.level(), Level::DEBUG);
    }
}
