//! What a request is refused with: a Kubernetes `Status`.

use serde_json::{Value, json};

use crate::resource::Resource;

/// One thing that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldError {
    /// Reason of the cause, as `FieldValueRequired`.
    pub(crate) reason: &'static str,
    /// Path of the field, as `spec.containers[0].name`.
    pub(crate) field: String,
    /// What is wrong, without the field.
    pub(crate) message: String,
}

impl FieldError {
    /// The field has to be there.
    pub(crate) fn required(field: impl Into<String>, why: &str) -> FieldError {
        let message =
            if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        FieldError { reason: "FieldValueRequired", field: field.into(), message }
    }

    /// The field's value will not do.
    pub(crate) fn invalid(field: impl Into<String>, value: &Value, why: &str) -> FieldError {
        FieldError {
            reason: "FieldValueInvalid",
            field: field.into(),
            message: format!("Invalid value: {}: {why}", short(value)),
        }
    }

    /// The field may not be given, or not be changed.
    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> FieldError {
        FieldError {
            reason: "FieldValueForbidden",
            field: field.into(),
            message: format!("Forbidden: {why}"),
        }
    }

    /// The field's value is none of those that there are.
    pub(crate) fn unsupported(field: impl Into<String>, value: &Value, among: &[Value]) -> FieldError {
        let mut known: Vec<String> = among.iter().map(ToString::to_string).collect();
        known.sort();
        FieldError {
            reason: "FieldValueNotSupported",
            field: field.into(),
            message: format!("Unsupported value: {}: supported values: {}", short(value), known.join(", ")),
        }
    }

    /// The field's value has the wrong type.
    pub(crate) fn wrong_type(field: impl Into<String>, value: &Value, why: &str) -> FieldError {
        FieldError {
            reason: "FieldValueTypeInvalid",
            field: field.into(),
            message: format!("Invalid value: {}: {why}", short(value)),
        }
    }

    /// Another item of the list is the same.
    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> FieldError {
        FieldError {
            reason: "FieldValueDuplicate",
            field: field.into(),
            message: format!("Duplicate value: {}", short(value)),
        }
    }

    fn text(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

/// A value for a message: objects and lists by their type, as the reference prints them.
fn short(value: &Value) -> String {
    match value {
        Value::Object(_) => "\"object\"".to_owned(),
        Value::Array(_) => "\"array\"".to_owned(),
        other => other.to_string(),
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    /// HTTP status.
    pub(crate) code: u16,
    /// Machine-readable reason, as `NotFound`.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) message: String,
    /// Kind, name and causes.
    pub(crate) details: Option<Value>,
}

impl ApiError {
    /// An error of a code and reason.
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { code, reason, message: message.into(), details: None }
    }

    /// 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "BadRequest", message)
    }

    /// 500.
    pub(crate) fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(500, "InternalError", message)
    }

    /// 403 for something that nobody may do to an object.
    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> ApiError {
        ApiError {
            details: Some(details(resource, name)),
            ..ApiError::new(
                403,
                "Forbidden",
                format!("{} \"{name}\" is forbidden: {why}", resource.qualified()),
            )
        }
    }

    /// 404 for a path that is none.
    pub(crate) fn no_such_path() -> ApiError {
        ApiError {
            details: Some(json!({})),
            ..ApiError::new(404, "NotFound", "the server could not find the requested resource")
        }
    }

    /// 404 for an object.
    pub(crate) fn not_found(resource: &Resource, name: &str) -> ApiError {
        ApiError {
            details: Some(details(resource, name)),
            ..ApiError::new(404, "NotFound", format!("{} \"{name}\" not found", resource.qualified()))
        }
    }

    /// 405.
    pub(crate) fn not_allowed() -> ApiError {
        ApiError {
            details: Some(json!({})),
            ..ApiError::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
        }
    }

    /// 406.
    pub(crate) fn not_acceptable(served: &str) -> ApiError {
        ApiError::new(406, "NotAcceptable", format!("only the following media types are accepted: {served}"))
    }

    /// 409 for a name that is taken.
    pub(crate) fn already_exists(resource: &Resource, name: &str) -> ApiError {
        ApiError {
            details: Some(details(resource, name)),
            ..ApiError::new(
                409,
                "AlreadyExists",
                format!("{} \"{name}\" already exists", resource.qualified()),
            )
        }
    }

    /// 409 for a write that is based on something old, or whose precondition does not hold.
    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> ApiError {
        ApiError {
            details: Some(details(resource, name)),
            ..ApiError::new(
                409,
                "Conflict",
                format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified()),
            )
        }
    }

    /// 410: the history does not go back that far.
    pub(crate) fn expired(message: impl Into<String>) -> ApiError {
        ApiError::new(410, "Expired", message)
    }

    /// 415.
    pub(crate) fn unsupported_media(served: &[&str]) -> ApiError {
        ApiError::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                served.join(", ")
            ),
        )
    }

    /// 422.
    pub(crate) fn invalid(resource: &Resource, name: &str, errors: &[FieldError]) -> ApiError {
        let causes: Vec<Value> = errors
            .iter()
            .map(|e| json!({"reason": e.reason, "message": e.message, "field": e.field}))
            .collect();
        let texts: Vec<String> = errors.iter().map(FieldError::text).collect();
        let text = match texts.as_slice() {
            [one] => one.clone(),
            _ => format!("[{}]", texts.join(", ")),
        };
        let mut details = json!({"name": name, "kind": resource.kind, "causes": causes});
        if !resource.group.is_empty() {
            details["group"] = Value::from(&*resource.group);
        }
        ApiError {
            details: Some(details),
            ..ApiError::new(
                422,
                "Invalid",
                format!("{} \"{name}\" is invalid: {text}", resource.qualified_kind()),
            )
        }
    }

    /// The `Status` object of this error.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

/// Details that name an object.
pub(crate) fn details(resource: &Resource, name: &str) -> Value {
    let mut details = json!({"name": name, "kind": resource.plural});
    if !resource.group.is_empty() {
        details["group"] = Value::from(&*resource.group);
    }
    details
}
