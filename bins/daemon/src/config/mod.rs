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
use std::process::ExitCode;

use api::did_you_mean;
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

/// How lines begin that a program says of its configuration when it only checks it.
pub const WARNING: &str = "warning: ";

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

    /// Whether the command line itself asks that the configuration is only checked. A ConfigMap or a variable that did
    /// would end every program that reads it, as if all were well.
    #[must_use]
    pub fn only_checks(&self) -> bool {
        self.flags.iter().any(|flag| flag.to_string_lossy().starts_with("--check-config"))
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
    /// The key that was probably meant, of a key that nobody knows.
    pub meant: Option<String>,
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

    /// What a person has to know of keys that were not understood: those that nobody knows, and those that ask for
    /// protection which there is not.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let warning = |unknown: &Unknown| {
            let Unknown { key, origin, .. } = unknown;
            match unknown.protection {
                Some(what) => Some(format!("{key} {origin}: asks for {what}, which there is not")),
                None if unknown.elsewhere => None,
                None => {
                    Some(format!("{key} {origin}: unknown key{}", did_you_mean(unknown.meant.as_deref())))
                }
            }
        };
        self.unknown.iter().filter_map(warning).collect()
    }

    /// Keys that mean something to Cilium or to another program of ours, and nothing here, in alphabetical order.
    #[must_use]
    pub fn without_effect(&self) -> Vec<&str> {
        let of = |unknown: &&Unknown| unknown.elsewhere && unknown.protection.is_none();
        self.unknown.iter().filter(of).map(|unknown| unknown.key.as_str()).collect()
    }

    /// What a program does that is only to check its configuration: prints, on standard error, a line for each warning,
    /// then what is wrong, if anything is. `check` is the program's own, and returns further warnings; `unprotected`
    /// says whether protection may be asked for that there is not.
    pub fn checked(
        &self,
        program: &str,
        check: impl FnOnce(&T) -> anyhow::Result<Vec<String>>,
        unprotected: impl FnOnce(&T) -> bool,
    ) -> ExitCode {
        let protected = match unprotected(&self.arguments) {
            true => Ok(()),
            false => self.refuse_unprotected().map_err(anyhow::Error::from),
        };
        let checked = protected.and_then(|()| check(&self.arguments));
        let further = checked.as_deref().unwrap_or_default();
        for warning in self.warnings().iter().chain(further) {
            eprintln!("{WARNING}{warning}");
        }
        match checked {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{program}: {error:#}");
                // As for values that cannot be read.
                ExitCode::from(2)
            }
        }
    }

    /// Logs the keys that were not understood: a warning each, and one line for all that have no effect here, so that
    /// a ConfigMap of many does not bury what matters.
    pub fn report(&self) {
        for warning in self.warnings() {
            tracing::warn!("{warning}");
        }
        let keys = self.without_effect();
        if !keys.is_empty() {
            tracing::info!(keys = keys.join(" "), "keys without effect here");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_command_line_asks_for_a_check() {
        assert!(Sources::of_flags(["agent", "--check-config"]).only_checks());
        let variable = ("CILIUM_CHECK_CONFIG".into(), "true".into());
        let sources = Sources { environment: vec![variable], ..Sources::of_flags(["agent"]) };
        assert!(!sources.only_checks());
    }
}
