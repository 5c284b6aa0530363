//! A definition: names and versions around a schema.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation,
};
use kube::core::ObjectMeta;
use serde_json::json;

use super::schema::{Schema, of_metadata, string};
use crate::{GROUP, schema_version};

/// How a kind is called, and whether it is in a namespace.
pub(super) struct Kind {
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    pub(super) short: &'static [&'static str],
    pub(super) categories: &'static [&'static str],
    pub(super) namespaced: bool,
}

/// The category of all kinds.
pub(super) const CILIUM: &[&str] = &["cilium"];
/// The categories of kinds that people write to steer traffic.
pub(super) const POLICY: &[&str] = &["cilium", "ciliumpolicy"];

impl Kind {
    /// The definition with these versions; exactly one of them is stored.
    pub(super) fn definition(
        self,
        versions: Vec<CustomResourceDefinitionVersion>,
    ) -> CustomResourceDefinition {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        CustomResourceDefinition {
            metadata: ObjectMeta {
                name: Some(format!("{}.{GROUP}", self.plural)),
                labels: Some([(schema_version::LABEL.to_owned(), schema_version::OURS.to_owned())].into()),
                ..ObjectMeta::default()
            },
            spec: CustomResourceDefinitionSpec {
                group: GROUP.to_owned(),
                names: CustomResourceDefinitionNames {
                    categories: Some(owned(self.categories)),
                    kind: self.kind.to_owned(),
                    list_kind: Some(format!("{}List", self.kind)),
                    plural: self.plural.to_owned(),
                    short_names: (!self.short.is_empty()).then(|| owned(self.short)),
                    singular: Some(self.kind.to_lowercase()),
                },
                scope: if self.namespaced { "Namespaced" } else { "Cluster" }.to_owned(),
                versions,
                ..CustomResourceDefinitionSpec::default()
            },
            status: None,
        }
    }
}

/// A version that is served and stored. `object` has the fields beside `apiVersion`, `kind` and `metadata`.
pub(super) fn version(name: &str, object: Schema) -> CustomResourceDefinitionVersion {
    let object = object.with([
        ("apiVersion", string().about("The version of this object's schema.")),
        ("kind", string().about("The kind of this object.")),
        ("metadata", of_metadata()),
    ]);
    CustomResourceDefinitionVersion {
        name: name.to_owned(),
        served: true,
        storage: true,
        schema: Some(CustomResourceValidation { open_api_v3_schema: Some(object.done()) }),
        ..CustomResourceDefinitionVersion::default()
    }
}

/// What is said of a version, after its schema.
pub(super) trait Version: Sized {
    /// Columns of `kubectl get`.
    fn columns<const N: usize>(self, columns: [Column; N]) -> Self;
    /// The status is a subresource: who writes the spec does not write it, and the other way round.
    fn with_status(self) -> Self;
    /// The same schema under an older version's name: served with a warning, not stored.
    fn deprecated_as(&self, name: &str) -> Self;
}

impl Version for CustomResourceDefinitionVersion {
    fn columns<const N: usize>(mut self, columns: [Column; N]) -> Self {
        self.additional_printer_columns = Some(columns.map(|column| column.0).into());
        self
    }

    fn with_status(mut self) -> Self {
        let status = CustomResourceSubresourceStatus(json!({}));
        self.subresources = Some(CustomResourceSubresources { status: Some(status), scale: None });
        self
    }

    fn deprecated_as(&self, name: &str) -> Self {
        Self { name: name.to_owned(), storage: false, deprecated: Some(true), ..self.clone() }
    }
}

/// A column of `kubectl get`.
pub(super) struct Column(CustomResourceColumnDefinition);

impl Column {
    pub(super) fn new(name: &str, type_: &str, json_path: &str) -> Self {
        Self(CustomResourceColumnDefinition {
            name: name.to_owned(),
            type_: type_.to_owned(),
            json_path: json_path.to_owned(),
            ..CustomResourceColumnDefinition::default()
        })
    }

    /// How old the object is.
    pub(super) fn age() -> Self {
        Self::new("Age", "date", ".metadata.creationTimestamp")
    }

    pub(super) fn about(mut self, text: &str) -> Self {
        self.0.description = Some(text.to_owned());
        self
    }

    /// Shown with `-o wide` only.
    pub(super) fn wide(mut self) -> Self {
        self.0.priority = Some(1);
        self
    }
}
