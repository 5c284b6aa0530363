//! Which groups, versions and kinds there are.

use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};

use super::accept::Accept;
use super::{openapi, reply};
use crate::api::Api;
use crate::error::ApiError;
use crate::resource::{Kinds, Resource, api_version};

/// The version of Kubernetes whose API this is like.
const VERSION: (&str, &str, &str) = ("1", "33", "v1.33.0+netloom");
const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Questions that are answered and kept nowhere: group, plural name, kind, whether in namespaces.
const QUESTIONS: &[(&str, &str, &str, bool)] = &[
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", false),
    ("authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", true),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", false),
    ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", false),
];

/// A subresource: name, kind, its own group and version, verbs.
struct Part {
    name: &'static str,
    kind: String,
    group: String,
    version: String,
    verbs: &'static [&'static str],
}

fn parts(resource: &Resource) -> Vec<Part> {
    let own = |name, verbs| Part {
        name,
        kind: resource.kind.clone(),
        group: resource.group.to_string(),
        version: resource.version.to_string(),
        verbs,
    };
    let other = |name, kind: &str, group: &str, verbs| Part {
        name,
        kind: kind.to_owned(),
        group: group.to_owned(),
        version: "v1".to_owned(),
        verbs,
    };
    let mut parts = Vec::new();
    if resource.status {
        parts.push(own("status", &["get", "patch", "update"][..]));
    }
    if resource.scale.is_some() {
        parts.push(other("scale", "Scale", "autoscaling", &["get", "patch", "update"][..]));
    }
    if resource.is("", "pods") {
        parts.push(other("binding", "Binding", "", &["create"][..]));
        parts.push(other("eviction", "Eviction", "policy", &["create"][..]));
    }
    if resource.is("", "namespaces") {
        parts.push(own("finalize", &["update"][..]));
    }
    parts
}

/// `/api`
pub(super) fn core(api: &Api, accept: &Accept) -> Response {
    if let Some(version) = accept.aggregated {
        return aggregated(api, version, str::is_empty);
    }
    reply::json(
        200,
        &json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        accept,
    )
}

/// Names of groups with the versions of each, the preferred first. The core group is left out.
fn all_groups(kinds: &Kinds) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (name, versions) in kinds.groups.iter().filter(|(name, _)| !name.is_empty()) {
        groups.push((name.to_string(), Kinds::preferred(versions).iter().map(ToString::to_string).collect()));
    }
    for (name, ..) in QUESTIONS {
        if !groups.iter().any(|(known, _)| known == name) {
            groups.push(((*name).to_owned(), vec!["v1".to_owned()]));
        }
    }
    groups
}

fn group_json(name: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": api_version(name, version), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

/// `/apis`
pub(super) fn groups(api: &Api, accept: &Accept) -> Response {
    if let Some(version) = accept.aggregated {
        return aggregated(api, version, |group| !group.is_empty());
    }
    let groups: Vec<Value> =
        all_groups(&api.registry.kinds()).iter().map(|(name, versions)| group_json(name, versions)).collect();
    reply::json(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}), accept)
}

/// `/apis/<group>`
pub(super) fn group(api: &Api, name: &str, accept: &Accept) -> Result<Response, ApiError> {
    let groups = all_groups(&api.registry.kinds());
    let Some((name, versions)) = groups.iter().find(|(known, _)| known == name) else {
        return Err(ApiError::no_such_path());
    };
    let mut group = group_json(name, versions);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Ok(reply::json(200, &group, accept))
}

/// `/api/v1`, `/apis/<group>/<version>`
pub(super) fn version(api: &Api, group: &str, version: &str, accept: &Accept) -> Result<Response, ApiError> {
    let kinds = api.registry.kinds();
    let known = kinds.groups.get(group).and_then(|versions| versions.get(version));
    let mut list: Vec<Value> = Vec::new();
    for resource in known.into_iter().flat_map(|resources| resources.values()) {
        let mut entry = json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": VERBS,
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        list.push(entry);
        for part in parts(resource) {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, part.name),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": part.kind,
                "verbs": part.verbs,
            });
            if (part.group.as_str(), part.version.as_str()) != (group, version) && !part.group.is_empty() {
                entry["group"] = part.group.into();
                entry["version"] = part.version.into();
            }
            list.push(entry);
        }
    }
    for (_, plural, kind, namespaced) in QUESTIONS.iter().filter(|(of, ..)| *of == group && version == "v1") {
        list.push(json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced, "kind": kind, "verbs": ["create"],
        }));
    }
    if list.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let answer = json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version(group, version),
        "resources": list,
    });
    Ok(reply::json(200, &answer, accept))
}

/// Discovery of many groups in one document.
fn aggregated(api: &Api, version: &str, wanted: impl Fn(&str) -> bool) -> Response {
    let kinds = api.registry.kinds();
    let mut groups = all_groups(&kinds);
    groups.insert(0, (String::new(), vec!["v1".to_owned()]));
    let items: Vec<Value> = groups
        .iter()
        .filter(|(group, _)| wanted(group))
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let known =
                        kinds.groups.get(group.as_str()).and_then(|versions| versions.get(version.as_str()));
                    let mut resources: Vec<Value> = known
                        .into_iter()
                        .flat_map(|all| all.values())
                        .map(|resource| aggregated_kind(resource))
                        .collect();
                    resources.extend(QUESTIONS.iter().filter(|(of, ..)| of == group).map(
                        |(group, plural, kind, namespaced)| {
                            json!({
                                "resource": plural,
                                "responseKind": {"group": group, "version": "v1", "kind": kind},
                                "scope": if *namespaced { "Namespaced" } else { "Cluster" },
                                "singularResource": kind.to_lowercase(),
                                "verbs": ["create"],
                            })
                        },
                    ));
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let answer = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    });
    let kind = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    reply::raw(200, &kind, Body::from(answer.to_string()))
}

fn aggregated_kind(resource: &Resource) -> Value {
    let kind =
        |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": VERBS,
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let parts: Vec<Value> = parts(resource)
        .iter()
        .map(|part| {
            json!({
                "subresource": part.name,
                "responseKind": kind(&part.group, &part.version, &part.kind),
                "verbs": part.verbs,
            })
        })
        .collect();
    if !parts.is_empty() {
        entry["subresources"] = json!(parts);
    }
    entry
}

/// What is no kind: version, health, OpenAPI.
pub(super) fn other(api: &Api, parts: &[&str], header: &str, accept: &Accept) -> Result<Response, ApiError> {
    match parts {
        [] => {
            let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
            for (group, versions) in all_groups(&api.registry.kinds()) {
                paths.push(format!("/apis/{group}"));
                paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
            }
            paths.extend(
                ["/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]
                    .map(str::to_owned),
            );
            Ok(reply::json(200, &json!({"paths": paths}), accept))
        }
        ["version"] => {
            let (major, minor, git) = VERSION;
            let version = json!({
                "major": major,
                "minor": minor,
                "gitVersion": git,
                "gitCommit": "",
                "gitTreeState": "clean",
                "buildDate": "1970-01-01T00:00:00Z",
                "goVersion": "none",
                "compiler": "rustc",
                "platform": format!("linux/{}", std::env::consts::ARCH),
            });
            Ok(reply::json(200, &version, accept))
        }
        ["healthz" | "livez" | "readyz", ..] => {
            Ok(reply::raw(200, "text/plain; charset=utf-8", Body::from("ok")))
        }
        ["openapi", "v2"] => openapi::second(api, header),
        ["openapi", "v3"] => Ok(openapi::index(api)),
        ["openapi", "v3", "api", version] => openapi::document(api, "", version),
        ["openapi", "v3", "apis", group, version] => openapi::document(api, group, version),
        _ => Err(ApiError::no_such_path()),
    }
}
