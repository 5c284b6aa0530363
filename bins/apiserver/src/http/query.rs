//! Query parameters.

use crate::action::Unknown;
use crate::error::ApiError;

/// Parameters in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(super) fn parse(text: Option<&str>) -> Query {
        let pairs = form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect();
        Query { pairs }
    }

    /// A parameter that is there and not empty.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// A flag; its mere presence sets it.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.pairs.iter().any(|(k, v)| k == key && !matches!(v.as_str(), "false" | "0"))
    }

    /// A number.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let number = text.parse();
        number
            .map(Some)
            .map_err(|_| ApiError::bad_request(format!("invalid value of {key}: {text:?} is no number")))
    }

    /// `dryRun`, of which only `All` is known.
    pub(super) fn dry_run(&self) -> Result<bool, ApiError> {
        match self.get("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(ApiError::bad_request(format!(
                "dryRun: Unsupported value: {other:?}: supported values: \"All\""
            ))),
        }
    }

    /// `fieldValidation`.
    pub(super) fn unknown(&self) -> Result<Unknown, ApiError> {
        match self.get("fieldValidation") {
            None | Some("Warn") => Ok(Unknown::Warn),
            Some("Strict") => Ok(Unknown::Strict),
            Some("Ignore") => Ok(Unknown::Ignore),
            Some(other) => Err(ApiError::bad_request(format!(
                "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))),
        }
    }
}
