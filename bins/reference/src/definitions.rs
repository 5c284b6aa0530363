//! Custom resources with schemas that accept anything: what old servers lack, and what labs bring along.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionNames, CustomResourceDefinitionSpec,
    CustomResourceDefinitionVersion, CustomResourceSubresourceStatus, CustomResourceSubresources,
    CustomResourceValidation, JSONSchemaProps,
};
use kube::api::ObjectMeta;
use serde_json::json;

use crate::Version;

/// From this version on a server knows `networking.k8s.io/v1` and `discovery.k8s.io/v1` as Netloom uses them: those
/// before drop `endPort` of policies, or have no EndpointSlice `v1`.
const COMPLETE: Version = Version::of_minor(22);

/// What a server that is not complete must not serve itself.
pub(crate) const REPLACED: [&str; 4] =
    ["discovery.k8s.io/v1beta1", "networking.k8s.io/v1", "networking.k8s.io/v1beta1", "extensions/v1beta1"];

/// A kind to define.
#[derive(Clone, Copy, Debug)]
pub struct Kind<'a> {
    /// Its group.
    pub group: &'a str,
    /// The one version that is served.
    pub version: &'a str,
    /// The kind itself.
    pub kind: &'a str,
    /// Its name in paths.
    pub plural: &'a str,
    /// Short names.
    pub short: &'a [&'a str],
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Whether its status is written apart from the rest.
    pub status: bool,
}

/// Whether a server of this version needs stand-ins.
pub(crate) fn is_needed(version: Version) -> bool {
    version < COMPLETE
}

/// What stands in for what a server of this version lacks: nothing, if it is not old.
#[must_use]
pub fn missing(version: Version) -> Vec<CustomResourceDefinition> {
    const KINDS: [Kind<'_>; 2] = [
        Kind {
            group: "discovery.k8s.io",
            version: "v1",
            kind: "EndpointSlice",
            plural: "endpointslices",
            short: &[],
            namespaced: true,
            status: false,
        },
        Kind {
            group: "networking.k8s.io",
            version: "v1",
            kind: "NetworkPolicy",
            plural: "networkpolicies",
            short: &["netpol"],
            namespaced: true,
            status: false,
        },
    ];
    if is_needed(version) { KINDS.iter().map(definition).collect() } else { Vec::new() }
}

/// The definition of a kind whose objects are kept as they come.
#[must_use]
pub fn definition(kind: &Kind<'_>) -> CustomResourceDefinition {
    let Kind { group, version, kind, plural, short, namespaced, status } = *kind;
    let status = status.then(|| CustomResourceSubresourceStatus(json!({})));
    let short: Vec<String> = short.iter().map(|name| (*name).to_owned()).collect();
    let anything = JSONSchemaProps {
        type_: Some("object".to_owned()),
        x_kubernetes_preserve_unknown_fields: Some(true),
        ..JSONSchemaProps::default()
    };
    // Asked of whoever defines kinds in Kubernetes' own groups.
    let approval = ("api-approved.kubernetes.io".to_owned(), "unapproved, for labs and tests".to_owned());
    CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{plural}.{group}")),
            annotations: Some([approval].into()),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: group.to_owned(),
            scope: if namespaced { "Namespaced" } else { "Cluster" }.to_owned(),
            names: CustomResourceDefinitionNames {
                kind: kind.to_owned(),
                list_kind: Some(format!("{kind}List")),
                plural: plural.to_owned(),
                singular: Some(kind.to_lowercase()),
                short_names: (!short.is_empty()).then_some(short),
                ..CustomResourceDefinitionNames::default()
            },
            versions: vec![CustomResourceDefinitionVersion {
                name: version.to_owned(),
                served: true,
                storage: true,
                schema: Some(CustomResourceValidation { open_api_v3_schema: Some(anything) }),
                subresources: status
                    .map(|status| CustomResourceSubresources { status: Some(status), scale: None }),
                ..CustomResourceDefinitionVersion::default()
            }],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_servers_lack_something() {
        let names: Vec<_> =
            missing(Version::of_minor(21)).into_iter().filter_map(|found| found.metadata.name).collect();
        assert_eq!(names, ["endpointslices.discovery.k8s.io", "networkpolicies.networking.k8s.io"]);
        assert!(missing(Version::of_minor(22)).is_empty());
    }
}
