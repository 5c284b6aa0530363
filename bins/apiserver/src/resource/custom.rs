//! Custom kinds, from their definitions.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Column, Resource, Scale};
use crate::error::FieldError;
use crate::meta;
use crate::schema::custom as schema;
use crate::store::TableId;

/// Fills in what a definition leaves out.
pub(crate) fn default(crd: &mut Value) {
    let spec = meta::object_at(crd, "spec");
    spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    if let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut)
        && let Some(kind) = names.get("kind").and_then(Value::as_str).map(str::to_owned)
    {
        names.entry("singular").or_insert_with(|| kind.to_lowercase().into());
        names.entry("listKind").or_insert_with(|| format!("{kind}List").into());
    }
}

/// What is wrong with a definition.
pub(crate) fn check(crd: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let text = |path: &[&str]| meta::text(crd, path).unwrap_or_default();
    let (group, plural) = (text(&["spec", "group"]), text(&["spec", "names", "plural"]));
    let wanted = format!("{plural}.{group}");
    if meta::name(crd) != wanted {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid("metadata.name", &meta::name(crd).into(), why));
    }
    for (path, value) in [
        ("spec.group", group),
        ("spec.names.plural", plural),
        ("spec.names.kind", text(&["spec", "names", "kind"])),
        ("spec.scope", text(&["spec", "scope"])),
    ] {
        if value.is_empty() {
            errors.push(FieldError::required(path, ""));
        }
    }
    let scope = text(&["spec", "scope"]);
    if !matches!(scope, "" | "Cluster" | "Namespaced") {
        errors.push(FieldError::unsupported(
            "spec.scope",
            &scope.into(),
            &["Cluster".into(), "Namespaced".into()],
        ));
    }
    if text(&["spec", "conversion", "strategy"]) != "None" {
        let strategy = text(&["spec", "conversion", "strategy"]).into();
        errors.push(FieldError::unsupported("spec.conversion.strategy", &strategy, &["None".into()]));
    }
    let list = versions(crd);
    let storage = list.iter().filter(|version| flag(version, "storage")).count();
    if storage != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", &Value::Array(Vec::new()), why));
    }
    for (n, version) in list.iter().enumerate() {
        let path = format!("spec.versions[{n}]");
        match version.pointer("/schema/openAPIV3Schema") {
            Some(props) => {
                schema::root(props, &format!("{path}.schema.openAPIV3Schema"), &mut errors);
            }
            None => errors
                .push(FieldError::required(format!("{path}.schema.openAPIV3Schema"), "schemas are required")),
        }
    }
    errors
}

fn versions(crd: &Value) -> &[Value] {
    crd.pointer("/spec/versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn flag(version: &Value, key: &str) -> bool {
    version.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// The version that objects are kept in.
fn storage_version(crd: &Value) -> &str {
    let storage = versions(crd).iter().find(|version| flag(version, "storage"));
    storage.and_then(|version| meta::text(version, &["name"])).unwrap_or_default()
}

/// Writes the status of a definition that is accepted at once.
pub(crate) fn accept(crd: &mut Value, now: &str) {
    let names = crd.pointer("/spec/names").cloned().unwrap_or_default();
    let storage = storage_version(crd).to_owned();
    let status = meta::object_at(crd, "status");
    status.insert("acceptedNames".into(), names);
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    if let Some(stored) = stored.as_array_mut()
        && !stored.iter().any(|version| *version == *storage)
    {
        stored.push(storage.into());
    }
    let kept = |kind: &str| {
        let list = status.get("conditions").and_then(Value::as_array)?;
        list.iter().find(|condition| condition["type"] == kind && condition["status"] == "True").cloned()
    };
    let condition = |kind: &str, reason: &str, message: &str| {
        kept(kind).unwrap_or_else(|| {
            json!({"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message})
        })
    };
    let conditions = json!([
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ]);
    status.insert("conditions".into(), conditions);
}

/// Where a definition's objects are kept.
pub(crate) fn table(crd: &Value) -> TableId {
    let text = |path: &[&str]| meta::text(crd, path).unwrap_or_default();
    TableId::new(text(&["spec", "group"]), text(&["spec", "names", "plural"]))
}

/// The served versions of a definition.
pub(crate) fn resources(crd: &Value) -> Vec<Resource> {
    let text = |path: &[&str]| meta::text(crd, path).unwrap_or_default();
    let names = |key: &str| text(&["spec", "names", key]).to_owned();
    let group: Arc<str> = text(&["spec", "group"]).into();
    let storage: Arc<str> = storage_version(crd).into();
    let all = versions(crd);
    // Fields that any version selects by; the index is of the stored objects.
    let mut selectable: Vec<String> = Vec::new();
    for field in all.iter().filter_map(|version| version.get("selectableFields")?.as_array()).flatten() {
        if let Some(path) = field.get("jsonPath").and_then(Value::as_str) {
            let path = path.trim_start_matches('.').to_owned();
            if !selectable.contains(&path) {
                selectable.push(path);
            }
        }
    }
    let served = all.iter().filter(|version| flag(version, "served"));
    served
        .map(|version| {
            let name = meta::text(version, &["name"]).unwrap_or_default();
            let props = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default();
            let schema = schema::root(&props, "", &mut Vec::new());
            let kind = names("kind");
            let deprecated = flag(version, "deprecated").then(|| {
                let own = meta::text(version, &["deprecationWarning"]);
                own.map_or_else(|| format!("{group}/{name} {kind} is deprecated"), str::to_owned)
            });
            Resource {
                group: group.clone(),
                version: name.into(),
                plural: names("plural").into(),
                singular: names("singular"),
                list_kind: names("listKind"),
                namespaced: text(&["spec", "scope"]) == "Namespaced",
                short_names: schema::texts(crd.pointer("/spec/names/shortNames")),
                categories: schema::texts(crd.pointer("/spec/names/categories")),
                table: table(crd),
                storage: storage.clone(),
                custom: true,
                status: version.pointer("/subresources/status").is_some(),
                scale: version.pointer("/subresources/scale").map(scale),
                generation: true,
                schema: Arc::new(schema),
                columns: columns(version),
                selectable: selectable.clone(),
                deprecated,
                kind,
            }
        })
        .collect()
}

fn scale(scale: &Value) -> Scale {
    let path = |key: &str| {
        meta::text(scale, &[key])
            .map(|path| path.trim_start_matches('.').to_owned())
            .filter(|path| !path.is_empty())
    };
    Scale {
        spec: path("specReplicasPath").unwrap_or_default(),
        status: path("statusReplicasPath").unwrap_or_default(),
        selector: path("labelSelectorPath"),
    }
}

fn columns(version: &Value) -> Vec<Column> {
    let list = version.get("additionalPrinterColumns").and_then(Value::as_array).into_iter().flatten();
    list.map(|column| {
        let text = |key: &str| meta::text(column, &[key]).unwrap_or_default().to_owned();
        Column {
            name: text("name"),
            of: text("type"),
            format: text("format"),
            description: text("description"),
            priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
            path: text("jsonPath"),
        }
    })
    .collect()
}
