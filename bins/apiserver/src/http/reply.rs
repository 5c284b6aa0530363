//! Answers on their way out.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;

use super::accept::Accept;
use crate::error::ApiError;

/// A JSON (or YAML) answer.
pub(super) fn json(code: u16, value: &Value, accept: &Accept) -> Response {
    if accept.yaml
        && let Ok(text) = serde_saphyr::to_string(value)
    {
        return raw(code, "application/yaml", Body::from(text));
    }
    raw(code, "application/json", Body::from(value.to_string()))
}

/// An answer whose JSON is there already.
pub(super) fn bytes(code: u16, json: Bytes) -> Response {
    raw(code, "application/json", Body::from(json))
}

/// An answer of any type.
pub(super) fn raw(code: u16, kind: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// A refusal.
pub(super) fn error(error: &ApiError) -> Response {
    raw(error.code, "application/json", Body::from(error.status().to_string()))
}

/// Adds warnings, which `kubectl` prints.
pub(super) fn warn(response: &mut Response, warnings: &[String]) {
    for warning in warnings {
        let text: String = warning
            .chars()
            .map(|c| if c.is_control() || !c.is_ascii() { ' ' } else { c })
            .flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] })
            .collect();
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
