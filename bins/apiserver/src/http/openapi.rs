//! OpenAPI documents: as much as `kubectl` reads (validation, apply, explain).

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::accept::Accept;
use super::reply;
use crate::api::Api;
use crate::error::ApiError;
use crate::resource::Resource;
use crate::schema as parts;
use crate::schema::openapi as schema;

/// `/openapi/v3`: one document for each version of each group.
pub(super) fn index(api: &Api) -> Response {
    let kinds = api.registry.kinds();
    let mut paths = Map::new();
    for (group, versions) in &kinds.groups {
        for version in versions.keys() {
            let path =
                if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let address = format!("/openapi/v3/{path}?hash={:016X}", kinds.revision);
            paths.insert(path, json!({"serverRelativeURL": address}));
        }
    }
    reply::json(200, &json!({"paths": paths}), &Accept::default())
}

/// `/openapi/v3/apis/<group>/<version>`
pub(super) fn document(api: &Api, group: &str, version: &str) -> Result<Response, ApiError> {
    let kinds = api.registry.kinds();
    let Some(resources) = kinds.groups.get(group).and_then(|versions| versions.get(version)) else {
        return Err(ApiError::no_such_path());
    };
    let mut paths = Map::new();
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    for resource in resources.values() {
        schema::add(resource, &mut schemas);
        add_paths(resource, &mut paths);
    }
    let document = json!({
        "openapi": "3.0.0",
        "info": {"title": "Netloom's API server", "version": "v1.33.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    });
    Ok(reply::json(200, &document, &Accept::default()))
}

fn parameter(name: &str, of: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": of, "uniqueItems": true}})
}

/// Path of a kind's objects.
fn collection(resource: &Resource) -> String {
    let root = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    let place = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    format!("{root}{place}/{}", resource.plural)
}

fn add_paths(resource: &Resource, paths: &mut Map<String, Value>) {
    let collection = collection(resource);
    let reference = json!({"$ref": format!("#/components/schemas/{}", schema::name(resource))});
    let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let body = |types: &[&str], schema: &Value| {
        let content: Map<String, Value> =
            types.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect();
        json!({"content": content, "required": true})
    };
    let operation = |action: &str, write: bool, request: Option<Value>| {
        let mut parameters = Vec::new();
        if write {
            for name in ["dryRun", "fieldManager", "fieldValidation"] {
                parameters.push(parameter(name, "string"));
            }
        }
        if action == "patch" {
            parameters.push(parameter("force", "boolean"));
        }
        let mut operation = json!({
            "operationId": format!("{action}{}{}", resource.version, resource.kind),
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind,
        });
        if let Some(request) = request {
            operation["requestBody"] = request;
        }
        operation
    };
    let json_body = body(&["application/json", "application/yaml"], &reference);
    // Strategic merge is served too, but `kubectl` knows its merge keys better than this document tells them.
    let patch_body =
        body(&["application/merge-patch+json", "application/apply-patch+yaml"], &json!({"type": "object"}));
    paths.insert(
        collection.clone(),
        json!({"get": operation("list", false, None), "post": operation("post", true, Some(json_body.clone()))}),
    );
    paths.insert(
        format!("{collection}/{{name}}"),
        json!({
            "get": operation("get", false, None),
            "put": operation("put", true, Some(json_body)),
            "patch": operation("patch", true, Some(patch_body)),
            "delete": operation("delete", false, None),
        }),
    );
}

/// `/openapi/v2`, the older document. In protobuf, it says only which kinds take which parameters.
pub(super) fn second(api: &Api, accept: &str) -> Result<Response, ApiError> {
    const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    let kinds = api.registry.kinds();
    if accept.contains("proto-openapi.spec.v2") {
        let list: Vec<(String, Value)> = kinds
            .all()
            .map(|resource| {
                let kind =
                    json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
                (format!("{}/{{name}}", collection(resource)), kind)
            })
            .collect();
        return Ok(reply::raw(200, PROTOBUF, Body::from(parts::document(&list))));
    }
    if !(accept.is_empty() || accept.contains("json") || accept.contains("*/*")) {
        return Err(ApiError::not_acceptable("application/json"));
    }
    let mut definitions: BTreeMap<String, Value> = BTreeMap::new();
    for resource in kinds.all() {
        schema::add(resource, &mut definitions);
    }
    let text = json!(definitions).to_string().replace("#/components/schemas/", "#/definitions/");
    let document = json!({
        "swagger": "2.0",
        "info": {"title": "Netloom's API server", "version": "v1.33.0"},
        "paths": {},
        "definitions": serde_json::from_str::<Value>(&text).unwrap_or_default(),
    });
    Ok(reply::json(200, &document, &Accept::default()))
}
