//! How the operator writes.

use std::collections::BTreeMap;
use std::fmt::Debug;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, Resource};
use kubernetes::refusal::{is_conflict, is_lasting, is_missing};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::view::Version;

/// Whose fields they are, to the API server.
pub(crate) const MANAGER: &str = "netloom-operator";

/// Writes what controllers decide. A change names the version that the decision was made from: what is another
/// by now is left alone, and decided on again when the watch has told.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) client: Client,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// What was decided.
    Done,
    /// Nothing: the object is another by now.
    Stale,
    /// Nothing: there is no such object, or the server does not take it, and will not as long as nothing changes.
    Refused,
    /// Nothing that is known of.
    Failed,
}

impl Written {
    /// `subject` is what the log names.
    pub(crate) fn from<T>(result: Result<T, kube::Error>, subject: &dyn std::fmt::Display) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(error) if is_conflict(&error) => {
                tracing::debug!(%subject, %error, "not written: it is another by now");
                Self::Stale
            }
            Err(error) if is_missing(&error) => {
                tracing::debug!(%subject, %error, "not written: there is no such object");
                Self::Refused
            }
            Err(error) => {
                tracing::warn!(%subject, %error, "not written");
                if is_lasting(&error) { Self::Refused } else { Self::Failed }
            }
        }
    }
}

/// The object, as that version and no other.
pub(crate) fn as_of(version: &Version, mut patch: Value) -> Value {
    patch["metadata"]["resourceVersion"] = Value::from(version.resource.as_str());
    patch
}

/// Deletion of this object as that version; not of another of its name, nor of a changed one.
pub(crate) fn exactly(version: &Version) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(version.uid.clone()),
            resource_version: Some(version.resource.clone()),
        }),
        ..DeleteParams::default()
    }
}

/// Deletion of this object, whatever changed in it; not of another of its name.
pub(crate) fn only(uid: &str) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    }
}

pub(crate) fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// Changes fields of an object.
pub(crate) async fn merge<K>(api: &Api<K>, name: &str, patch: &Value) -> Written
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    Written::from(
        api.patch(name, &params(), &Patch::Merge(patch)).await,
        &format_args!("{} {name}", K::kind(&())),
    )
}

/// Changes fields of an object's status.
pub(crate) async fn merge_status<K>(api: &Api<K>, name: &str, patch: &Value) -> Written
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let result = api.patch_status(name, &params(), &Patch::Merge(patch)).await;
    Written::from(result, &format_args!("status of {} {name}", K::kind(&())))
}

/// What an event is about.
pub(crate) fn reference<K: Resource<DynamicType = ()>>(
    namespace: Option<&str>,
    name: &str,
    version: &Version,
) -> ObjectReference {
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        name: Some(name.to_owned()),
        namespace: namespace.map(ToOwned::to_owned),
        uid: Some(version.uid.clone()),
        ..ObjectReference::default()
    }
}

impl Writer {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// An API of cluster-scoped objects, or of the objects of all namespaces.
    pub(crate) fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// An API of the objects of a namespace.
    pub(crate) fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Tells people that something is wrong with an object. An event that is lost is not told again: what is wrong
    /// is in a status as well.
    pub(crate) async fn warn(&self, regarding: ObjectReference, reason: &str, message: &str) {
        let now = Time(Timestamp::now());
        // As of cluster-scoped objects: their events are in `default`.
        let namespace = regarding.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let event = Event {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}.", regarding.name.as_deref().unwrap_or_default())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: regarding,
            reason: Some(reason.to_owned()),
            // A limit of the API server.
            message: Some(message.chars().take(1000).collect()),
            type_: Some("Warning".to_owned()),
            source: Some(EventSource { component: Some(MANAGER.to_owned()), host: None }),
            reporting_component: Some(MANAGER.to_owned()),
            reporting_instance: Some(MANAGER.to_owned()),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            count: Some(1),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        if let Err(error) = api.create(&PostParams::default(), &event).await {
            tracing::warn!(reason, message, %error, "event not written");
        }
    }
}

/// Sets or removes an annotation.
pub(crate) fn annotation(key: &str, value: Option<&str>) -> Value {
    let annotations: BTreeMap<&str, Option<&str>> = [(key, value)].into();
    json!({ "metadata": { "annotations": annotations } })
}
