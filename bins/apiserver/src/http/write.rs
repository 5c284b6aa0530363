//! `create`, `update`, `patch`, `delete`, `deletecollection`.

use axum::response::Response;
use serde_json::{Value, json};

use super::{Call, read, reply};
use crate::action::{self, DeleteOptions, Deleted, PatchKind, Write};
use crate::error::{ApiError, details};
use crate::schema;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const BODIES: &[&str] = &["application/json", "application/yaml", PROTOBUF];

impl Call {
    /// The media type of the body, without parameters.
    fn media(&self) -> &str {
        self.content_type.split(';').next().unwrap_or_default().trim()
    }

    /// The body as an object.
    pub(super) fn object(&self) -> Result<Value, ApiError> {
        body(&self.content_type, &self.body)
    }

    /// The body of a patch as JSON.
    pub(super) fn object_of_patch(&self) -> Result<Value, ApiError> {
        from_json(&self.body)
    }

    /// Who writes what, for the actions.
    pub(super) fn write(&self) -> Result<Write, ApiError> {
        let agent = self.agent.split(['/', ' ']).next().unwrap_or_default();
        let manager = self.query.get("fieldManager").unwrap_or(agent);
        if manager.len() > 128 {
            return Err(ApiError::bad_request("fieldManager: may not be more than 128 bytes"));
        }
        Ok(Write {
            key: self.key(),
            subresource: self.place.subresource.clone(),
            manager: if manager.is_empty() { "unknown".into() } else { manager.to_owned() },
            dry_run: self.query.dry_run()?,
            unknown: self.query.unknown()?,
            warnings: Vec::new(),
        })
    }
}

fn from_protobuf(body: &[u8]) -> Result<Value, ApiError> {
    let served = &BODIES[..2];
    schema::decode(body).ok_or_else(|| ApiError::unsupported_media(served))
}

/// An object from a body of any type that is read.
pub(super) fn body(content_type: &str, body: &[u8]) -> Result<Value, ApiError> {
    match content_type.split(';').next().unwrap_or_default().trim() {
        // What `curl -d` says unless told otherwise.
        "" | "application/json" | "application/x-www-form-urlencoded" => from_json(body),
        "application/yaml" => from_yaml(body),
        PROTOBUF => from_protobuf(body),
        _ => Err(ApiError::unsupported_media(BODIES)),
    }
}

fn from_json(body: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("the object provided is unrecognized: {error}")))
}

fn from_yaml(body: &[u8]) -> Result<Value, ApiError> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| ApiError::bad_request("error decoding YAML: it is not UTF-8"))?;
    serde_saphyr::from_str(text)
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))
}

pub(super) fn create(call: &Call) -> Result<Response, ApiError> {
    if call.resource.namespaced && call.place.namespace.is_none() {
        return Err(ApiError::not_allowed());
    }
    let mut write = call.write()?;
    let stored = action::create(&call.api, &call.resource, &mut write, call.object()?)?;
    let mut response = read::object(call, 201, &stored);
    reply::warn(&mut response, &write.warnings);
    Ok(response)
}

pub(super) fn update(call: &Call) -> Result<Response, ApiError> {
    let mut write = call.write()?;
    let existed = call.api.store.get(&call.resource.table, &call.key()).is_some();
    let stored = action::update(&call.api, &call.resource, &mut write, call.object()?)?;
    let mut response = read::object(call, if existed { 200 } else { 201 }, &stored);
    reply::warn(&mut response, &write.warnings);
    Ok(response)
}

pub(super) fn patch(call: &Call) -> Result<Response, ApiError> {
    let served: &[&str] = if call.resource.custom {
        &["application/merge-patch+json", "application/apply-patch+yaml"]
    } else {
        &[
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
            "application/apply-patch+yaml",
        ]
    };
    let media = call.media();
    if !served.contains(&media) {
        return Err(ApiError::unsupported_media(served));
    }
    let force = call.query.flag("force");
    let (kind, body) = match media {
        "application/apply-patch+yaml" => {
            if call.query.get("fieldManager").is_none() {
                let why = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
                return Err(ApiError::new(422, "Invalid", why));
            }
            (PatchKind::Apply { force }, from_yaml(&call.body)?)
        }
        _ if call.query.get("force").is_some() => {
            let why = "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch";
            return Err(ApiError::new(422, "Invalid", why));
        }
        "application/strategic-merge-patch+json" => (PatchKind::Strategic, from_json(&call.body)?),
        _ => (PatchKind::Merge, from_json(&call.body)?),
    };
    let mut write = call.write()?;
    let (stored, created) = action::patch(&call.api, &call.resource, &mut write, kind, body)?;
    let mut response = read::object(call, if created { 201 } else { 200 }, &stored);
    reply::warn(&mut response, &write.warnings);
    Ok(response)
}

/// Options of a deletion, from body and query.
fn options(call: &Call) -> Result<DeleteOptions, ApiError> {
    let mut options = match call.body.is_empty() {
        true => DeleteOptions::default(),
        false => serde_json::from_value(call.object()?)
            .map_err(|error| ApiError::bad_request(format!("the body is no DeleteOptions: {error}")))?,
    };
    if let Some(seconds) = call.query.number("gracePeriodSeconds")? {
        options.grace_period_seconds = i64::try_from(seconds).ok();
    }
    if let Some(policy) = call.query.get("propagationPolicy") {
        options.propagation_policy = Some(policy.to_owned());
    }
    if let Some(policy) = options.propagation_policy.as_deref()
        && !matches!(policy, "Background" | "Foreground" | "Orphan")
    {
        return Err(ApiError::new(
            422,
            "Invalid",
            format!(
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: {policy:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
            ),
        ));
    }
    if call.query.dry_run()? {
        options.dry_run = Some(vec!["All".to_owned()]);
    }
    Ok(options)
}

pub(super) fn delete(call: &Call) -> Result<Response, ApiError> {
    let options = options(call)?;
    match action::delete(&call.api, &call.resource, &call.key(), &options)? {
        Deleted::Pending(stored) => Ok(read::object(call, 200, &stored)),
        // Pods are shown as they were; for other kinds, success is told.
        Deleted::Gone(stored) if call.resource.is("", "pods") => Ok(read::object(call, 200, &stored)),
        Deleted::Gone(stored) => {
            let mut about = details(&call.resource, &stored.key.name);
            about["uid"] = Value::from(&*stored.uid);
            let status = json!({
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": about,
            });
            Ok(reply::json(200, &status, &call.accept))
        }
    }
}

pub(super) fn delete_collection(call: &Call) -> Result<Response, ApiError> {
    if call.resource.namespaced && call.place.namespace.is_none() {
        return Err(ApiError::not_allowed());
    }
    let (selection, mut options) = (call.selection()?, options(call)?);
    options.preconditions = None;
    let all = call.api.store.list(&call.resource.table, call.place.namespace.as_deref());
    let mut items = Vec::new();
    for object in all.objects.iter().filter(|object| selection.matches(object)) {
        match action::delete(&call.api, &call.resource, &object.key, &options) {
            Ok(Deleted::Gone(stored) | Deleted::Pending(stored)) => {
                items.push(super::show::value(&call.resource, &stored));
            }
            // Somebody else was quicker.
            Err(error) if error.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    let list = json!({
        "kind": call.resource.list_kind,
        "apiVersion": call.resource.api_version(),
        "metadata": {"resourceVersion": call.api.store.version().to_string()},
        "items": items,
    });
    Ok(reply::json(200, &list, &call.accept))
}
