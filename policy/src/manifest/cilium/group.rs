//! `fromGroups` and `toGroups`: security groups of a cloud.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use std::collections::BTreeMap;

use crate::label::Source;
use crate::manifest::reader::Field;
use crate::peer_selector::{CidrGroupSelector, Named, PeerSelector};
use crate::selector::{Requirement, Selector};

/// The prefix of the label by which a CiliumCIDRGroup says which group's addresses it lists.
const PREFIX: &str = "extgrp.cilium.io/";

/// What Cilium appends to a group's JSON before it cuts the key: the SHA-224 of nothing.
const SUFFIX: [u8; 28] = [
    0xd1, 0x4a, 0x02, 0x8c, 0x2a, 0x3a, 0x2b, 0xc9, 0x47, 0x61, 0x02, 0xbb, 0x28, 0x82, 0x34, 0xc4, 0x15,
    0xa2, 0xb0, 0x1f, 0x82, 0x8e, 0xa6, 0x2a, 0xc5, 0xb3, 0xe4, 0x2f,
];

/// The longest name of a label.
const LENGTH: usize = 63;

/// A group, in the order in which Cilium writes its fields (`pkg/policy/api/groups.go`).
#[derive(Serialize)]
struct Group {
    #[serde(skip_serializing_if = "Option::is_none")]
    aws: Option<Aws>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Aws {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    security_groups_ids: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    security_groups_names: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    region: String,
}

/// Reads a group, as the key of the label of the CiliumCIDRGroups that list its addresses.
pub(super) fn read(field: &Field<'_>) -> Option<String> {
    let mut fields = field.object()?;
    let aws = fields.get("aws").and_then(|field| aws(&field));
    fields.finish();
    Some(key(&Group { aws }))
}

fn aws(field: &Field<'_>) -> Option<Aws> {
    let mut fields = field.object()?;
    let aws = Aws {
        labels: fields.get("labels").and_then(|field| field.string_map()).unwrap_or_default(),
        security_groups_ids: fields
            .get("securityGroupsIds")
            .and_then(|field| field.strings())
            .unwrap_or_default(),
        security_groups_names: fields
            .get("securityGroupsNames")
            .and_then(|field| field.strings())
            .unwrap_or_default(),
        region: fields.get("region").and_then(|field| field.string()).unwrap_or_default(),
    };
    fields.finish();
    Some(aws)
}

fn key(group: &Group) -> String {
    // Strings and maps of strings always serialise.
    let json = serde_json::to_string(group).unwrap_or_default();
    // Go's encoder escapes these three for the sake of HTML.
    let json = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let mut name = URL_SAFE_NO_PAD.encode([json.as_bytes(), &SUFFIX].concat());
    name.truncate(LENGTH);
    format!("{PREFIX}{name}")
}

/// The addresses of the group with this key.
pub(super) fn selector(key: &str) -> PeerSelector {
    let labelled = Selector::everything().and(Requirement::exists(Source::K8s, key));
    PeerSelector::CidrGroup(CidrGroupSelector { groups: Named::Labels(labelled), except: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_one_that_ciliums_operator_writes() {
        let aws = Aws {
            labels: [("foo".to_owned(), "bar".to_owned())].into(),
            security_groups_ids: Vec::new(),
            security_groups_names: Vec::new(),
            region: String::new(),
        };
        assert_eq!(
            key(&Group { aws: Some(aws) }),
            "extgrp.cilium.io/eyJhd3MiOnsibGFiZWxzIjp7ImZvbyI6ImJhciJ9fX3RSgKMKjoryUdhArsogjT"
        );
    }
}
