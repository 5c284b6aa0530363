//! How server-side apply merges what several people say of one object.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};

fn schema(plural: &str, version: &str) -> JSONSchemaProps {
    let definitions = crds::definitions();
    let definition =
        definitions.into_iter().find(|found| found.spec.names.plural == plural).expect("it is defined");
    let version =
        definition.spec.versions.into_iter().find(|found| found.name == version).expect("a version");
    version.schema.expect("a schema").open_api_v3_schema.expect("of OpenAPI")
}

/// What is at `path`; `[]` stands for the items of a list.
fn at(schema: &JSONSchemaProps, path: &str) -> JSONSchemaProps {
    path.split('.').fold(schema.clone(), |schema, step| {
        let found = if step == "[]" {
            schema.items.and_then(|items| match items {
                JSONSchemaPropsOrArray::Schema(item) => Some(*item),
                JSONSchemaPropsOrArray::Schemas(_) => None,
            })
        } else {
            schema.properties.and_then(|mut fields| fields.remove(step))
        };
        found.unwrap_or_else(|| panic!("{path}: no {step}"))
    })
}

#[test]
fn a_selector_is_of_one_owner() {
    for plural in ["ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies"] {
        let policy = schema(plural, "v2");
        for path in [
            "spec.endpointSelector",
            "spec.nodeSelector",
            "specs.[].endpointSelector",
            "spec.ingress.[].fromEndpoints.[]",
            "spec.egressDeny.[].toNodes.[]",
            "spec.ingressDeny.[].fromCIDRSet.[].cidrGroupSelector",
            "spec.egress.[].toServices.[].k8sServiceSelector.selector",
        ] {
            let how = at(&policy, path).x_kubernetes_map_type;
            assert_eq!(how.as_deref(), Some("atomic"), "{plural}: {path}");
        }
    }
}

#[test]
fn conditions_are_merged_by_their_type() {
    for plural in ["ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies", "ciliumloadbalancerippools"] {
        let conditions = at(&schema(plural, "v2"), "status.conditions");
        assert_eq!(conditions.x_kubernetes_list_type.as_deref(), Some("map"), "{plural}");
        assert_eq!(conditions.x_kubernetes_list_map_keys, Some(vec!["type".to_owned()]), "{plural}");
    }
}

#[test]
fn a_name_is_asked_for_once() {
    let names = at(&schema("ciliumnetworkpolicies", "v2"), "spec.egress.[].toPorts.[].serverNames");
    assert_eq!(names.x_kubernetes_list_type.as_deref(), Some("set"));
}
