//! The peers of Cilium's rules, as they are written.

use abi::Direction;
use ipnetwork::IpNetwork;

use super::{CidrRule, CidrSource, CiliumService, CiliumServices, Entity, L3, group};
use crate::cidr::{canonical, contains};
use crate::manifest::cidr_group::cidr;
use crate::manifest::label_selector::{self, Keys, LabelSelector};
use crate::manifest::meta::is_dns_subdomain;
use crate::manifest::reader::{Field, Fields};
use crate::name_pattern::NamePattern;
use crate::rule::Action;

/// How a field's items are read.
type Read = fn(&[Field<'_>]) -> L3;

const INGRESS: [(&str, Read); 6] = [
    ("fromEndpoints", endpoints),
    ("fromEntities", entities),
    ("fromCIDR", cidrs),
    ("fromCIDRSet", cidr_sets),
    ("fromNodes", nodes),
    ("fromGroups", groups),
];

const EGRESS: [(&str, Read); 8] = [
    ("toEndpoints", endpoints),
    ("toEntities", entities),
    ("toCIDR", cidrs),
    ("toCIDRSet", cidr_sets),
    ("toNodes", nodes),
    ("toGroups", groups),
    ("toServices", services),
    ("toFQDNs", names),
];

/// Reads the peers of a rule: none where no such field is there.
pub(super) fn read(fields: &mut Fields<'_>, direction: Direction, action: Action) -> Option<L3> {
    let (kinds, requires): (&[(&'static str, Read)], _) = match (direction, action) {
        (Direction::Ingress, _) => (&INGRESS, "fromRequires"),
        (Direction::Egress, Action::Allow) => (&EGRESS, "toRequires"),
        // Names can only be allowed.
        (Direction::Egress, _) => (&EGRESS[..EGRESS.len() - 1], "toRequires"),
    };
    let mut found: Vec<(&str, usize, L3)> = Vec::new();
    for (key, read) in kinds {
        let Some(field) = fields.get(key) else { continue };
        let Some(items) = field.list() else { continue };
        if let Some((other, ..)) = found.iter().find(|(_, len, _)| *len > 0 && !items.is_empty()) {
            field.error(
                format!("{key} cannot be combined with {other} in one rule"),
                "put it into a rule of its own",
            );
        }
        found.push((key, items.len(), read(&items)));
    }
    if let Some(field) = fields.get(requires)
        && !field.is_empty_list()
    {
        field.error(
            format!("{requires} has no effect any more"),
            "name all labels in one selector of the endpoints",
        );
    }
    // An empty list selects nobody, unless another one selects somebody.
    let chosen = found.iter().position(|(_, len, _)| *len > 0).unwrap_or(0);
    (!found.is_empty()).then(|| found.swap_remove(chosen).2)
}

fn selectors(items: &[Field<'_>]) -> Vec<LabelSelector> {
    items.iter().filter_map(|item| label_selector::read(item, Keys::WithSource)).collect()
}

fn endpoints(items: &[Field<'_>]) -> L3 {
    L3::Endpoints(selectors(items))
}

fn nodes(items: &[Field<'_>]) -> L3 {
    L3::Nodes(selectors(items))
}

fn entities(items: &[Field<'_>]) -> L3 {
    L3::Entities(items.iter().filter_map(|item| item.word("an entity", &Entity::NAMES)).collect())
}

fn cidrs(items: &[Field<'_>]) -> L3 {
    let rule = |cidr| CidrRule { cidr: CidrSource::Cidr(cidr), except: Vec::new() };
    L3::Cidrs(items.iter().filter_map(|item| cidr(item).map(canonical)).map(rule).collect())
}

fn cidr_sets(items: &[Field<'_>]) -> L3 {
    L3::Cidrs(items.iter().filter_map(cidr_set).collect())
}

fn groups(items: &[Field<'_>]) -> L3 {
    L3::Groups(items.iter().filter_map(group::read).collect())
}

fn services(items: &[Field<'_>]) -> L3 {
    L3::Services(items.iter().flat_map(service).collect())
}

fn names(items: &[Field<'_>]) -> L3 {
    L3::Names(items.iter().filter_map(name).collect())
}

/// An item of `fromCIDRSet` or `toCIDRSet`.
fn cidr_set(field: &Field<'_>) -> Option<CidrRule> {
    let mut fields = field.object()?;
    let items = fields.get("except").and_then(|field| field.list()).unwrap_or_default();
    let chosen = fields.exactly_one(&["cidr", "cidrGroupRef", "cidrGroupSelector"]);
    fields.finish();
    let (key, chosen) = chosen?;
    let source = match key {
        "cidr" => CidrSource::Cidr(canonical(cidr(&chosen)?)),
        "cidrGroupRef" => CidrSource::Group(group_name(&chosen)?),
        _ => CidrSource::Groups(label_selector::read(&chosen, Keys::WithSource)?),
    };
    let except = items.iter().filter_map(|item| except(item, &source)).collect();
    Some(CidrRule { cidr: source, except })
}

fn group_name(field: &Field<'_>) -> Option<String> {
    let name = field.string()?;
    if !is_dns_subdomain(&name) {
        field.error(
            format!("{name:?} is not the name of a CiliumCIDRGroup"),
            "lower-case letters, digits, '-' and '.'",
        );
        return None;
    }
    Some(name)
}

fn except(field: &Field<'_>, source: &CidrSource) -> Option<IpNetwork> {
    let except = canonical(cidr(field)?);
    if let CidrSource::Cidr(outer) = source
        && !contains(*outer, except)
    {
        field.error(format!("{except} does not lie inside {outer}"), "except takes parts of cidr away");
        return None;
    }
    Some(except)
}

/// An item of `toServices`: either way of choosing services, or both.
fn service(field: &Field<'_>) -> Vec<CiliumService> {
    let Some(mut fields) = field.object() else { return Vec::new() };
    let by_name = fields.get("k8sService").and_then(|field| {
        let mut fields = field.object()?;
        let name = fields.get("serviceName").and_then(|field| field.string());
        let namespace = namespace(&mut fields);
        fields.finish();
        // Without a name it is no service's.
        Some(CiliumService { services: CiliumServices::Name(name?), namespace })
    });
    let by_labels = fields.get("k8sServiceSelector").and_then(|field| {
        let mut fields = field.object()?;
        let selector = fields.require("selector", "selector: {} selects every service");
        let namespace = namespace(&mut fields);
        fields.finish();
        let selector = label_selector::read(&selector?, Keys::WithSource)?;
        Some(CiliumService { services: CiliumServices::Labels(selector), namespace })
    });
    fields.finish();
    by_name.into_iter().chain(by_labels).collect()
}

fn namespace(fields: &mut Fields<'_>) -> Option<String> {
    fields.get("namespace").and_then(|field| field.string()).filter(|namespace| !namespace.is_empty())
}

/// An item of `toFQDNs` or of `rules.dns`.
pub(super) fn name(field: &Field<'_>) -> Option<NamePattern> {
    let mut fields = field.object()?;
    let chosen = fields.exactly_one(&["matchName", "matchPattern"]);
    fields.finish();
    let (key, chosen) = chosen?;
    let text = chosen.string()?;
    let is_pattern = key == "matchPattern";
    if text.len() > 255 {
        chosen.error(format!("has {} characters", text.len()), "at most 255");
        return None;
    }
    if !is_dns_name(&text, is_pattern) {
        let (what, help) = match is_pattern {
            false if is_dns_name(&text, true) => ("a DNS name", "matchPattern has stars"),
            false => ("a DNS name", "such as www.example.com"),
            true => ("a pattern of DNS names", "such as *.example.com"),
        };
        chosen.error(format!("{text:?} is not {what}"), help);
        return None;
    }
    text.parse().map_err(|error| chosen.error(format!("{error}"), "")).ok()
}

/// Whether this is a DNS name, perhaps with a dot at the end, or a pattern of them.
pub(super) fn is_dns_name(text: &str, is_pattern: bool) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (is_pattern && byte == b'*');
    let text = text.strip_suffix('.').unwrap_or(text);
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(fits))
}
