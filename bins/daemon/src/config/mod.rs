//! Where a program's arguments come from.
//!
//! Keys are those of Cilium's ConfigMap, and the same as the program's long flags. Each is looked for in
//!
//! 1. the flags: `--enable-ipv4=false`,
//! 2. the environment: `CILIUM_ENABLE_IPV4=false`,
//! 3. a directory of files, as a ConfigMap is mounted: the file `enable-ipv4`, with the value in it;
//!
//! the first one that has it wins. All of them end as one command line, so that clap knows each key's type, default
//! and meaning. An empty value in a file or in the environment is the same as none.

mod arguments;
mod directory;
mod elsewhere;
mod error;
mod protection;
mod table;
mod values;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

pub use arguments::{Arguments, arguments};
pub use elsewhere::is_known;
pub use error::ConfigError;
pub use table::{table, with_table};
pub use values::{BadTags, List, Tags};

/// The variables of the environment that keys are read from begin so.
pub const PREFIX: &str = "CILIUM_";

/// The key by which a program goes on although protection is asked for that there is not.
pub const WITHOUT_PROTECTION: &str = "ignore-unsupported-protection";

/// What arguments are made of.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A directory with a file for each key.
    pub directory: Option<PathBuf>,
    /// Names and values; those without [`PREFIX`] are passed over.
    pub environment: Vec<(OsString, OsString)>,
    /// The command line, with the program's name.
    pub flags: Vec<OsString>,
}

impl Sources {
    /// Those of this process. The directory is the one that the flag `--config-dir` or the variable
    /// `CILIUM_CONFIG_DIR` names.
    #[must_use]
    pub fn of_process() -> Self {
        let mut sources =
            Self { directory: None, environment: env::vars_os().collect(), flags: env::args_os().collect() };
        sources.directory = sources.config_dir();
        sources
    }

    /// A command line alone.
    pub fn of_flags<S: Into<OsString>>(flags: impl IntoIterator<Item = S>) -> Self {
        Self { flags: flags.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    fn config_dir(&self) -> Option<PathBuf> {
        let mut flags = self.flags.iter().map(|flag| flag.to_string_lossy());
        while let Some(flag) = flags.next() {
            if let Some(value) = flag.strip_prefix("--config-dir=") {
                return Some(value.into());
            }
            if flag == "--config-dir" {
                return flags.next().map(|value| value.into_owned().into());
            }
        }
        let variable = self.environment.iter().find(|(name, _)| name == "CILIUM_CONFIG_DIR");
        variable.filter(|(_, value)| !value.is_empty()).map(|(_, value)| value.into())
    }
}

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag,
    /// A variable of the environment.
    Environment {
        /// Its name.
        name: String,
    },
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
    },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag => f.write_str("on the command line"),
            Self::Environment { name } => write!(f, "in the environment ({name})"),
            Self::File { path } => write!(f, "in {}", path.display()),
        }
    }
}

/// A key that the program does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The key.
    pub key: String,
    /// Where it was.
    pub origin: Origin,
    /// Whether it is one of Cilium's or of another program's of ours, which means nothing here.
    pub elsewhere: bool,
    /// The protection that it asks for, and that there is not.
    pub protection: Option<&'static str>,
}

/// Arguments, and what was not understood.
#[derive(Clone, Debug)]
pub struct Parsed<T> {
    /// The arguments.
    pub arguments: T,
    /// Keys that nobody knows, in alphabetical order.
    pub unknown: Vec<Unknown>,
}

impl<T> Parsed<T> {
    /// For programs that would have to give it: no key asks for protection that there is not.
    ///
    /// # Errors
    /// [`ConfigError::Unprotected`] of the first one that does.
    pub fn refuse_unprotected(&self) -> Result<(), ConfigError> {
        let first = self.unknown.iter().find_map(|unknown| Some((unknown, unknown.protection?)));
        first.map_or(Ok(()), |(Unknown { key, origin, .. }, protection)| {
            Err(ConfigError::Unprotected { key: key.clone(), origin: origin.clone(), protection })
        })
    }

    /// Logs the keys that were not understood: a warning each, but for those of other programs.
    pub fn report(&self) {
        for Unknown { key, origin, elsewhere, protection } in &self.unknown {
            if let Some(protection) = protection {
                tracing::warn!(%key, %origin, protection, "this key asks for protection that there is not");
            } else if *elsewhere {
                tracing::info!(%key, %origin, "this key has no effect here");
            } else {
                tracing::warn!(%key, %origin, "unknown key");
            }
        }
    }
}

/// Reads the sources and makes arguments of them.
///
/// # Errors
///
/// When a source cannot be read, when a value is bad (the error names the key and where it is), or when clap has
/// something else to say: `--help` too, so let [`ConfigError::exit`] print it.
pub fn parse<T: Parser>(sources: &Sources) -> Result<Parsed<T>, ConfigError> {
    let command = T::command();
    let Arguments { flags, origins, unknown } = arguments(&command, sources)?;
    let arguments = T::try_parse_from(flags).map_err(|error| ConfigError::of_clap(error, &origins))?;
    Ok(Parsed { arguments, unknown })
}
