//! Requests in, answers out.

mod accept;
mod discovery;
mod openapi;
mod path;
mod query;
mod read;
mod reply;
mod show;
mod subresource;
mod table;
mod watch;
mod write;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use bytes::Bytes;

use self::accept::Accept;
use self::path::{Path, Place};
use self::query::Query;
use crate::api::Api;
use crate::audit;
use crate::error::ApiError;
use crate::resource::Resource;

/// No object is larger.
const LARGEST_BODY: usize = 3 * 1024 * 1024;

/// A request for a kind or an object, with all that it says.
struct Call {
    api: Arc<Api>,
    resource: Arc<Resource>,
    place: Place,
    query: Query,
    accept: Accept,
    agent: String,
    content_type: String,
    body: Bytes,
}

/// Answers a request.
pub(crate) async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query());
    let path = path::parse(parts.uri.path());
    let mut line = audit_line(&parts.method, &path, &query, &parts.headers, parts.uri.path());
    let answer = match axum::body::to_bytes(body, LARGEST_BODY).await {
        Ok(body) => answer(&api, &parts.method, path, query, &parts.headers, body).await,
        Err(_) => {
            let why = format!("the body of the request is larger than {LARGEST_BODY} bytes, or was cut off");
            Err(ApiError::new(413, "RequestEntityTooLarge", why))
        }
    };
    let response = answer.unwrap_or_else(|error| reply::error(&error));
    line.code = response.status().as_u16();
    tracing::debug!(verb = line.verb, path = line.path, code = line.code, agent = line.user_agent, "request");
    if let Some(audit) = &api.audit {
        audit.write(&line);
    }
    response
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn audit_line(method: &Method, path: &Path, query: &Query, headers: &HeaderMap, raw: &str) -> audit::Line {
    let mut line = audit::Line {
        verb: method.as_str().to_lowercase(),
        user_agent: text(headers, header::USER_AGENT).to_owned(),
        path: raw.to_owned(),
        ..audit::Line::default()
    };
    if let Path::Resource(place) = path {
        let one = place.name.is_some();
        line.verb = match *method {
            Method::GET | Method::HEAD if query.flag("watch") && !one => "watch",
            Method::GET | Method::HEAD if one => "get",
            Method::GET | Method::HEAD => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if one => "delete",
            Method::DELETE => "deletecollection",
            _ => "other",
        }
        .to_owned();
        line.group.clone_from(&place.group);
        line.version.clone_from(&place.version);
        line.resource.clone_from(&place.resource);
        line.subresource.clone_from(&place.subresource);
        line.namespace = place.namespace.clone().unwrap_or_default();
        // A selection of one name is a request for that name, as roles see it.
        let selected = query.get("fieldSelector").and_then(|fields| fields.strip_prefix("metadata.name="));
        let selected = selected.filter(|name| !name.contains(',')).map(str::to_owned);
        line.name = place.name.clone().or(selected).unwrap_or_default();
    }
    line
}

async fn answer(
    api: &Arc<Api>,
    method: &Method,
    path: Path,
    query: Query,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    // `kubectl` asks for documents in types of their own, and is content with JSON.
    let header = text(headers, header::ACCEPT);
    let accepted = Accept::parse(header);
    let lenient = accepted.clone().unwrap_or_default();
    let place = match path {
        Path::Resource(place) => place,
        Path::Core => return Ok(discovery::core(api, &lenient)),
        Path::Groups => return Ok(discovery::groups(api, &lenient)),
        Path::Group(group) => return discovery::group(api, &group, &lenient),
        Path::GroupVersion(group, version) => return discovery::version(api, &group, &version, &lenient),
        Path::Other(parts) => {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            return discovery::other(api, &parts, header, &lenient);
        }
    };
    let Some(accept) = accepted else {
        return Err(ApiError::not_acceptable("application/json, application/yaml"));
    };
    let agent = text(headers, header::USER_AGENT).to_owned();
    let content_type = text(headers, header::CONTENT_TYPE).to_owned();
    if subresource::is_question(&place) && *method == Method::POST {
        return subresource::question(&place, &body, &content_type, &accept);
    }
    let kinds = api.registry.kinds();
    let Some(resource) = kinds.get(&place.group, &place.version, &place.resource).cloned() else {
        return Err(ApiError::no_such_path());
    };
    let misplaced = if resource.namespaced {
        place.name.is_some() && place.namespace.is_none()
    } else {
        place.namespace.is_some()
    };
    if misplaced {
        return Err(ApiError::no_such_path());
    }
    let warning = resource.deprecated.clone();
    let call = Call { api: api.clone(), resource, place, query, accept, agent, content_type, body };
    let mut response = dispatch(&call, method)?;
    reply::warn(&mut response, warning.as_slice());
    Ok(response)
}

fn dispatch(call: &Call, method: &Method) -> Result<Response, ApiError> {
    let one = call.place.name.is_some();
    if !call.place.subresource.is_empty() {
        return subresource::answer(call, method);
    }
    match *method {
        Method::GET | Method::HEAD if call.query.flag("watch") => watch::watch(call),
        Method::GET | Method::HEAD if one => read::get(call),
        Method::GET | Method::HEAD => read::list(call),
        Method::POST if !one => write::create(call),
        Method::PUT if one => write::update(call),
        Method::PATCH if one => write::patch(call),
        Method::DELETE if one => write::delete(call),
        Method::DELETE => write::delete_collection(call),
        _ => Err(ApiError::not_allowed()),
    }
}
