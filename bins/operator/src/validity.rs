//! Whether policies are valid, and what their status says of it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::DynamicObject;
use policy::manifest;
use serde_json::{Value, json};

use crate::store::View;
use crate::view::Version;

/// A message is cut after so many characters: many mistakes make a long one, and the status is for people.
const LONGEST: usize = 4096;

/// A policy, as far as its status goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicyView {
    pub(crate) version: Version,
    /// What is wrong with it.
    pub(crate) error: Option<String>,
    /// The conditions that it has.
    pub(crate) conditions: Vec<Value>,
}

impl View for PolicyView {}

impl From<DynamicObject> for PolicyView {
    fn from(object: DynamicObject) -> Self {
        let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let version = Version {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            resource: object.metadata.resource_version.clone().unwrap_or_default(),
        };
        Self { version, error: error(object), conditions }
    }
}

fn error(mut object: DynamicObject) -> Option<String> {
    object.metadata.managed_fields = None;
    if let Value::Object(fields) = &mut object.data {
        fields.remove("status");
    }
    let text = match serde_json::to_string(&object) {
        Ok(text) => text,
        Err(error) => return Some(error.to_string()),
    };
    let mut wrong = Vec::new();
    for rejected in manifest::parse_stored(&text, "").into_iter().filter_map(Result::err) {
        for diagnostic in rejected.diagnostics {
            let help = diagnostic.help.map(|help| format!(" ({help})")).unwrap_or_default();
            let path =
                if diagnostic.path.is_empty() { String::new() } else { format!("{}: ", diagnostic.path) };
            wrong.push(format!("{path}{}{help}", diagnostic.message));
        }
    }
    (!wrong.is_empty()).then(|| wrong.join("; ").chars().take(LONGEST).collect())
}

impl PolicyView {
    /// What its conditions should be; none where they are so.
    pub(crate) fn conditions(&self, now: Timestamp) -> Option<Vec<Value>> {
        let current = self.conditions.iter().find(|condition| condition["type"] == "Valid");
        let (status, reason) =
            if self.error.is_some() { ("False", "InvalidPolicy") } else { ("True", "Valid") };
        let message = self.error.as_deref().unwrap_or("Policy is valid");
        let same = |condition: &&Value| condition["status"] == status && condition["message"] == message;
        if current.is_some_and(|current| same(&current)) {
            return None;
        }
        // The time is that of the status, not of the message.
        let since = current.filter(|condition| condition["status"] == status);
        let since =
            since.map(|condition| condition["lastTransitionTime"].clone()).filter(|time| !time.is_null());
        let now = serde_json::to_value(Time(now)).unwrap_or_default();
        let valid = json!({
            "type": "Valid",
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": since.unwrap_or(now),
        });
        let others = self.conditions.iter().filter(|condition| condition["type"] != "Valid").cloned();
        Some(others.chain([valid]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(spec: &Value, conditions: &Value) -> PolicyView {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {
                "name": "web", "namespace": "default", "uid": "u", "resourceVersion": "7", "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": spec,
            "status": {"conditions": conditions},
        }))
        .unwrap();
        object.into()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn valid_is_said_once() {
        let spec = json!({"endpointSelector": {}, "ingress": [{"fromEndpoints": [{}]}]});
        let fresh = view(&spec, &json!([{"type": "Other", "status": "True"}]));
        assert_eq!(fresh.error, None);
        let conditions = fresh.conditions(at(60)).unwrap();
        assert_eq!(conditions.len(), 2);
        assert_eq!(conditions[1]["status"], "True");
        assert_eq!(conditions[1]["lastTransitionTime"], "1970-01-01T00:01:00Z");
        assert_eq!(view(&spec, &Value::Array(conditions)).conditions(at(90)), None);
    }

    #[test]
    fn fields_that_nobody_knows_are_named() {
        let spec = json!({"endpointSelector": {}, "ingress": [{"fromEndpoints": [{}], "fromMoon": []}]});
        let invalid = view(&spec, &json!([]));
        let error = invalid.error.as_deref().unwrap();
        assert!(error.starts_with("spec.ingress[0]: unknown field \"fromMoon\""), "{error}");
        let conditions = invalid.conditions(at(60)).unwrap();
        assert_eq!(conditions[0]["status"], "False");
        assert_eq!(conditions[0]["reason"], "InvalidPolicy");
        // Another mistake is told; the time stays.
        let other = json!({"endpointSelector": {}, "ingress": [{"fromEndpoints": [{}], "fromMars": []}]});
        let again = view(&other, &Value::Array(conditions)).conditions(at(90)).unwrap();
        assert_eq!(again[0]["lastTransitionTime"], "1970-01-01T00:01:00Z");
        assert!(again[0]["message"].as_str().unwrap().contains("fromMars"));
    }
}
