use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};

use super::Origin;

/// Why there are no arguments.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The directory or a file in it cannot be read.
    #[error("configuration in {}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A value that should be true or false is neither.
    #[error("{key} {origin}: {value:?} is neither true nor false")]
    Boolean {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Where it is.
        origin: Origin,
    },
    /// A value is bad.
    #[error("{key} {origin}: {}", message.trim())]
    Value {
        /// The key.
        key: String,
        /// Where the value is.
        origin: Origin,
        /// What clap says of it.
        message: String,
    },
    /// A key asks for protection that there is not.
    #[error(
        "{key} {origin} asks for {protection}, which there is not; to go on without it, set {} to true",
        super::WITHOUT_PROTECTION
    )]
    Unprotected {
        /// The key.
        key: String,
        /// Where it is.
        origin: Origin,
        /// What it asks for.
        protection: &'static str,
    },
    /// What clap says: of a flag, or because it was asked for help.
    #[error(transparent)]
    Clap(clap::Error),
}

impl ConfigError {
    /// Adds to an error where the value came from that it is about.
    pub(super) fn of_clap(error: clap::Error, origins: &BTreeMap<String, Origin>) -> Self {
        let about = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(argument)) => argument.clone(),
            _ => return Self::Clap(error),
        };
        // As in `--max-pods <N>`.
        let key = about.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
        match origins.get(key) {
            // Of a flag, clap says all that there is to say.
            None | Some(Origin::Flag) => Self::Clap(error),
            Some(origin) => {
                let text = error.render().to_string();
                // The rest is how flags are used, and this was none.
                let message =
                    text.trim_start_matches("error: ").lines().next().unwrap_or_default().to_owned();
                Self::Value { key: key.to_owned(), origin: origin.clone(), message }
            }
        }
    }

    /// Prints it and ends the process: with 0 if help was asked for.
    pub fn exit(self, program: &str) -> ! {
        if let Self::Clap(error) = self {
            error.exit();
        }
        let error = anyhow::Error::from(self);
        eprintln!("{program}: {error:#}");
        // As clap does.
        std::process::exit(2)
    }
}
