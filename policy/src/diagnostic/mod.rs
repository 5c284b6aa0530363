//! What is wrong with a manifest, and where.

mod render;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use render::Renderer;

/// One mistake in a manifest.
///
/// Displayed as `file:line:column: field.path: message (help)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The user's file.
    pub file: String,
    /// Line in the file, from 1.
    pub line: u32,
    /// Column in the line, from 1, in characters.
    pub column: u32,
    /// The line where what is wrong ends, from 1.
    #[serde(default)]
    pub end_line: u32,
    /// The column after its last character, from 1; the same place as the beginning where only that is known.
    #[serde(default)]
    pub end_column: u32,
    /// The field, such as `spec.ingress[0].ports[1].endPort`; empty where the document as a whole is meant.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_as_compilers_do() {
        let mut diagnostic = Diagnostic {
            file: "web.yaml".into(),
            line: 7,
            column: 3,
            end_line: 7,
            end_column: 7,
            path: "spec.ingress[0]".into(),
            message: "unknown field \"form\"".into(),
            help: Some("did you mean \"from\"?".into()),
        };
        assert_eq!(
            diagnostic.to_string(),
            "web.yaml:7:3: spec.ingress[0]: unknown field \"form\" (did you mean \"from\"?)"
        );
        diagnostic.help = None;
        diagnostic.path = String::new();
        assert_eq!(diagnostic.to_string(), "web.yaml:7:3: unknown field \"form\"");
    }
}
