//! What the runtime says in the environment.

use std::path::PathBuf;

use crate::error::CniError;

/// What the runtime asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Connect a container.
    Add,
    /// Disconnect it.
    Del,
    /// Is it still connected as ADD left it?
    Check,
    /// Can the plugin serve ADD?
    Status,
    /// Disconnect all others.
    Gc,
    /// Which versions does the plugin speak?
    Version,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Add, Self::Del, Self::Check, Self::Status, Self::Gc, Self::Version];

    /// Its name, as in `CNI_COMMAND`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Status => "STATUS",
            Self::Gc => "GC",
            Self::Version => "VERSION",
        }
    }
}

/// The CNI variables as the runtime set them. An empty variable counts as missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `CNI_COMMAND`.
    pub command: Option<String>,
    /// `CNI_CONTAINERID`.
    pub container_id: Option<String>,
    /// `CNI_NETNS`.
    pub netns: Option<String>,
    /// `CNI_IFNAME`.
    pub ifname: Option<String>,
    /// `CNI_ARGS`.
    pub args: Option<String>,
}

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let get = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            command: get("CNI_COMMAND"),
            container_id: get("CNI_CONTAINERID"),
            netns: get("CNI_NETNS"),
            ifname: get("CNI_IFNAME"),
            args: get("CNI_ARGS"),
        }
    }

    /// The command.
    ///
    /// # Errors
    /// When it is missing or unknown.
    pub fn command(&self) -> Result<Command, CniError> {
        let name = required("CNI_COMMAND", self.command.as_deref())?;
        Command::ALL
            .into_iter()
            .find(|command| command.as_str() == name)
            .ok_or_else(|| wrong("CNI_COMMAND", format!("{name:?} is no CNI command")))
    }

    /// The container and its interface.
    ///
    /// # Errors
    /// When one is missing or not of the form that CNI prescribes.
    pub fn attachment(&self) -> Result<api::Attachment, CniError> {
        let id = required("CNI_CONTAINERID", self.container_id.as_deref())?;
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !id.starts_with(|c: char| c.is_ascii_alphanumeric()) || !id.chars().all(inner) {
            return Err(wrong(
                "CNI_CONTAINERID",
                format!(
                    "{id:?} must be letters, digits, '_', '.' or '-', and start with one of the first two"
                ),
            ));
        }
        let ifname = required("CNI_IFNAME", self.ifname.as_deref())?;
        let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        if ifname.len() > 15 || ifname == "." || ifname == ".." || ifname.contains(bad) {
            return Err(wrong("CNI_IFNAME", format!("{ifname:?} is no name of an interface")));
        }
        Ok(api::Attachment { container_id: id.into(), ifname: ifname.into() })
    }

    /// The path of the container's network namespace.
    ///
    /// # Errors
    /// When it is missing.
    pub fn netns(&self) -> Result<PathBuf, CniError> {
        required("CNI_NETNS", self.netns.as_deref()).map(PathBuf::from)
    }
}

fn required<'a>(variable: &'static str, value: Option<&'a str>) -> Result<&'a str, CniError> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| wrong(variable, "is missing".into()))
}

/// An error about a variable.
pub(crate) fn wrong(variable: &'static str, problem: String) -> CniError {
    CniError::Environment { variable, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(id: &str, ifname: &str) -> Result<api::Attachment, CniError> {
        let environment = Environment {
            container_id: Some(id.into()),
            ifname: Some(ifname.into()),
            ..Environment::default()
        };
        environment.attachment()
    }

    #[test]
    fn names_are_checked_as_the_specification_says() {
        assert!(attachment("0a-b_c.d", "eth0").is_ok());
        for (id, ifname) in [
            ("", "eth0"),
            ("-a", "eth0"),
            ("a/b", "eth0"),
            ("a", ""),
            ("a", "sixteen-letters-"),
            ("a", ".."),
            ("a", "a b"),
            ("a", "a/b"),
            ("a", "a:b"),
        ] {
            let error = attachment(id, ifname).unwrap_err();
            assert_eq!(error.code() as u32, 4, "{id:?} {ifname:?}: {error}");
        }
    }

    #[test]
    fn commands_are_upper_case() {
        let command =
            |name: &str| Environment { command: Some(name.into()), ..Environment::default() }.command();
        assert_eq!(command("GC").unwrap(), Command::Gc);
        assert!(command("add").is_err());
        assert!(Environment::default().command().is_err());
    }
}
