//! `status`, `scale`, `finalize`, a pod's `binding` and `eviction`; and questions that are no objects.

use axum::http::Method;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::accept::Accept;
use super::path::Place;
use super::{Call, read, reply, show, write};
use crate::action::{self, DeleteOptions, Deleted};
use crate::error::ApiError;
use crate::meta;
use crate::patch::merge;
use crate::resource::Scale;

/// Answers a request for a subresource.
pub(super) fn answer(call: &Call, method: &Method) -> Result<Response, ApiError> {
    let pods = call.resource.is("", "pods");
    let namespaces = call.resource.is("", "namespaces");
    match (call.place.subresource.as_str(), method) {
        ("status", _) if call.resource.status => match *method {
            Method::GET => read::get(call),
            Method::PUT => write::update(call),
            Method::PATCH => write::patch(call),
            _ => Err(ApiError::not_allowed()),
        },
        ("scale", _) => match &call.resource.scale {
            Some(scale) => self::scale(call, scale, method),
            None => Err(ApiError::no_such_path()),
        },
        ("finalize", &Method::PUT) if namespaces => write::update(call),
        ("binding", &Method::POST) if pods => bind(call),
        ("eviction", &Method::POST) if pods => evict(call),
        ("finalize", _) if namespaces => Err(ApiError::not_allowed()),
        ("binding" | "eviction", _) if pods => Err(ApiError::not_allowed()),
        _ => Err(ApiError::no_such_path()),
    }
}

fn success() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
}

/// A scheduler's decision.
fn bind(call: &Call) -> Result<Response, ApiError> {
    let body = call.object()?;
    let node = meta::text(&body, &["target", "name"]).unwrap_or_default().to_owned();
    if node.is_empty() {
        return Err(ApiError::new(422, "Invalid", "Binding \"\" is invalid: target.name: Required value"));
    }
    let stored = call.stored()?;
    let pod = stored.value();
    let name = &*stored.key.name;
    let conflict = |why: &str| ApiError::conflict(&call.resource, name, why);
    let uid = meta::meta(&body, "uid");
    if !uid.is_empty() && uid != &*stored.uid {
        return Err(conflict(&format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            stored.uid
        )));
    }
    if meta::is_terminating(&pod) {
        return Err(conflict(&format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    let bound = meta::text(&pod, &["spec", "nodeName"]).unwrap_or_default();
    if !bound.is_empty() {
        return Err(conflict(&format!("pod {name} is already assigned to node {bound:?}")));
    }
    let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": meta::now()});
    let mut changed = pod.clone();
    meta::object_at(&mut changed, "spec").insert("nodeName".into(), node.into());
    let conditions = meta::object_at(&mut changed, "status").entry("conditions").or_insert_with(|| json!([]));
    if let Some(list) = conditions.as_array_mut() {
        list.retain(|known| known["type"] != "PodScheduled");
        list.push(condition);
    }
    for (key, value) in body.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten()
    {
        meta::object_at(&mut changed["metadata"], "annotations").insert(key.clone(), value.clone());
    }
    let write = call.write()?;
    action::rewrite(&call.api, &call.resource, &write, &stored, changed)?;
    Ok(reply::json(201, &success(), &call.accept))
}

/// A deletion that a disruption budget could refuse. Budgets are stored, and refuse nothing.
fn evict(call: &Call) -> Result<Response, ApiError> {
    let body = call.object()?;
    let options: DeleteOptions = match body.get("deleteOptions") {
        Some(options) => serde_json::from_value(options.clone())
            .map_err(|error| ApiError::bad_request(format!("deleteOptions: {error}")))?,
        None => DeleteOptions::default(),
    };
    match action::delete(&call.api, &call.resource, &call.key(), &options)? {
        Deleted::Gone(_) | Deleted::Pending(_) => Ok(reply::json(201, &success(), &call.accept)),
    }
}

/// How many replicas are wanted, and there.
fn scale(call: &Call, scale: &Scale, method: &Method) -> Result<Response, ApiError> {
    let stored = call.stored()?;
    let object = show::value(&call.resource, &stored);
    let shown = show_scale(scale, &object);
    let wanted = match *method {
        Method::GET => return Ok(reply::json(200, &shown, &call.accept)),
        Method::PUT => call.object()?,
        Method::PATCH => {
            let mut wanted = shown;
            // As one cannot merge lists here, both kinds of patch are the same.
            if !call.content_type.contains("merge-patch+json") {
                return Err(ApiError::unsupported_media(&[
                    "application/merge-patch+json",
                    "application/strategic-merge-patch+json",
                ]));
            }
            merge::merge(&mut wanted, call.object_of_patch()?);
            wanted
        }
        _ => return Err(ApiError::not_allowed()),
    };
    let replicas = wanted.pointer("/spec/replicas").cloned().unwrap_or_else(|| 0.into());
    if replicas.as_i64().is_none_or(|replicas| replicas < 0) {
        return Err(ApiError::new(
            422,
            "Invalid",
            "Scale.autoscaling is invalid: spec.replicas: Invalid value: must be greater than or equal to 0",
        ));
    }
    let mut changed = object;
    set_dotted(&mut changed, &scale.spec, replicas);
    let version = meta::meta(&wanted, "resourceVersion").to_owned();
    if *method == Method::PUT && !version.is_empty() {
        meta::set_meta(&mut changed, "resourceVersion", version);
    }
    let mut write = call.write()?;
    let stored = action::update(&call.api, &call.resource, &mut write, changed)?;
    let shown = show_scale(scale, &show::value(&call.resource, &stored));
    Ok(reply::json(200, &shown, &call.accept))
}

fn show_scale(scale: &Scale, object: &Value) -> Value {
    let number = |path: &str| meta::at_dotted(object, path).and_then(Value::as_i64).unwrap_or(0);
    let selector = match &scale.selector {
        Some(path) => meta::at_dotted(object, path).and_then(Value::as_str).unwrap_or_default().to_owned(),
        None => {
            let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
            let pairs =
                labels.into_iter().flatten().filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?)));
            pairs.collect::<Vec<_>>().join(",")
        }
    };
    let mut metadata = serde_json::Map::new();
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = meta::at(object, &["metadata", key]) {
            metadata.insert(key.into(), value.clone());
        }
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": number(&scale.spec)},
        "status": {"replicas": number(&scale.status), "selector": selector},
    })
}

fn set_dotted(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    let mut keys = path.split('.').peekable();
    while let Some(key) = keys.next() {
        if keys.peek().is_none() {
            meta::as_object(at).insert(key.to_owned(), value);
            return;
        }
        at = meta::as_object(at).entry(key).or_insert_with(|| json!({}));
    }
}

/// Whether a path is a question that is answered at once, and kept nowhere.
pub(super) fn is_question(place: &Place) -> bool {
    place.name.is_none()
        && match (&*place.group, &*place.resource) {
            ("authorization.k8s.io", "selfsubjectaccessreviews" | "subjectaccessreviews") => {
                place.namespace.is_none()
            }
            ("authorization.k8s.io", "localsubjectaccessreviews") => place.namespace.is_some(),
            ("authorization.k8s.io", "selfsubjectrulesreviews") => place.namespace.is_none(),
            ("authentication.k8s.io", "selfsubjectreviews") => place.namespace.is_none(),
            _ => false,
        }
}

/// Answers a question: everybody is allowed everything.
pub(super) fn question(
    place: &Place,
    body: &Bytes,
    content_type: &str,
    accept: &Accept,
) -> Result<Response, ApiError> {
    let mut review = write::body(content_type, body)?;
    if !review.is_object() {
        return Err(ApiError::bad_request("the body of the request is no object"));
    }
    review["status"] = match &*place.resource {
        "selfsubjectrulesreviews" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        "selfsubjectreviews" => {
            json!({"userInfo": {"username": "system:admin", "groups": ["system:masters", "system:authenticated"]}})
        }
        _ => json!({"allowed": true, "reason": "nothing is asked of who this is"}),
    };
    Ok(reply::json(201, &review, accept))
}
