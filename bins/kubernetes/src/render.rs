//! Objects as text, for `kubectl apply -f -` and for repositories.

use serde::Serialize;
use serde_json::Value;

/// How objects are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One document each.
    #[default]
    Yaml,
    /// One `List`.
    Json,
}

/// An object cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// As JSON.
    #[error("object as JSON")]
    Json(#[from] serde_json::Error),
    /// As YAML.
    #[error("object as YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// Writes objects as text.
///
/// # Errors
///
/// When an object has what the format cannot hold; those of this crate and of `crds` have nothing of the kind.
pub fn render<T: Serialize>(objects: &[T], format: Format) -> Result<String, RenderError> {
    let values = objects.iter().map(serde_json::to_value).collect::<Result<Vec<Value>, _>>()?;
    match format {
        Format::Json => {
            let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": values});
            Ok(serde_json::to_string_pretty(&list)? + "\n")
        }
        Format::Yaml => {
            let mut text = String::new();
            for value in &values {
                text.push_str("---\n");
                text.push_str(&serde_saphyr::to_string(value)?);
            }
            Ok(text)
        }
    }
}
