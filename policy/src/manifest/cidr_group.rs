//! `cilium.io/v2` CiliumCIDRGroup, and how CIDRs are read.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::meta::Meta;
use super::reader::{Field, Fields};
use crate::cidr::canonical;

/// A named group of CIDRs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CidrGroup {
    /// Name and labels.
    pub meta: Meta,
    /// `spec.externalCIDRs`.
    pub cidrs: Vec<IpNetwork>,
}

/// Reads a group.
pub(super) fn read(meta: Meta, mut object: Fields<'_>) -> Option<CidrGroup> {
    let spec = object.require("spec", "spec: {externalCIDRs: […]}");
    object.ignore(&["status"]);
    object.finish();
    let mut spec = spec?.object()?;
    let items = spec.require("externalCIDRs", "the group's CIDRs").and_then(|field| field.list());
    spec.finish();
    Some(CidrGroup { meta, cidrs: items?.iter().filter_map(cidr_or_address).collect() })
}

/// A CIDR with its length. Host bits are kept: [`canonical`] clears them.
pub(super) fn cidr(field: &Field<'_>) -> Option<IpNetwork> {
    let text = field.str()?;
    let parsed = parse(text);
    if parsed.is_none() {
        field.error(format!("{text:?} is not a CIDR"), "such as 10.0.0.0/8 or fd00::/8");
    }
    parsed
}

/// A CIDR, or a single address; without host bits.
pub(super) fn cidr_or_address(field: &Field<'_>) -> Option<IpNetwork> {
    let text = field.str()?;
    let parsed = parse(text).or_else(|| text.parse::<IpAddr>().ok().map(IpNetwork::from));
    if parsed.is_none() {
        field.error(format!("{text:?} is neither a CIDR nor an address"), "such as 10.0.0.0/8 or 10.0.0.1");
    }
    parsed.map(canonical)
}

/// `address/length`, the length in plain digits; never a mask.
fn parse(text: &str) -> Option<IpNetwork> {
    let (addr, length) = text.split_once('/')?;
    let plain =
        length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let length = length.parse().ok().filter(|_| plain)?;
    IpNetwork::new(addr.parse().ok()?, length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_lengths_are_cidrs() {
        assert_eq!(parse("10.1.2.3/8").map(canonical), "10.0.0.0/8".parse().ok());
        assert!(parse("::/0").is_some());
        for wrong in [
            "10.0.0.0",
            "10.0.0.0/255.0.0.0",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/33",
            "10.0.0/8",
            "/8",
            "10.0.0.0/",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
