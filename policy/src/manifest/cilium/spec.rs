//! Reads Cilium's policies.

use std::sync::Arc;

use abi::Direction;

use super::conflict;
use super::ports::{self, Context};
use super::{CiliumPolicy, CiliumRule, CiliumSpec, CiliumSubject, PortRule, icmp, key, l3};
use crate::cluster_name::ClusterName;
use crate::manifest::label_selector::{self, Keys, LabelSelector};
use crate::manifest::log_value;
use crate::manifest::meta::Meta;
use crate::manifest::reader::{Field, Fields};
use crate::pod::NAMESPACE;
use crate::rule::{Action, Authentication, Policy};

const RULES: [(&str, Direction, Action); 4] = [
    ("ingress", Direction::Ingress, Action::Allow),
    ("ingressDeny", Direction::Ingress, Action::Deny),
    ("egress", Direction::Egress, Action::Allow),
    ("egressDeny", Direction::Egress, Action::Deny),
];

const MODES: [(&str, Authentication); 3] = [
    ("disabled", Authentication::Disabled),
    ("required", Authentication::Required),
    ("test-always-fail", Authentication::TestAlwaysFail),
];

/// A spec with the places of the items of `toPorts`, for each rule.
struct Read<'a> {
    spec: CiliumSpec,
    sites: Vec<Vec<Field<'a>>>,
}

/// Reads a policy. The second value is set where the policy is wrong but its subjects are known: default deny for
/// the directions that it names.
pub(in crate::manifest) fn read(
    meta: Meta,
    mut object: Fields<'_>,
) -> (Option<CiliumPolicy>, Option<Policy>) {
    let report = object.field.report;
    let mut fields: Vec<Field<'_>> = object.get("spec").into_iter().collect();
    if let Some(list) = object.get("specs") {
        fields.extend(list.list().unwrap_or_default());
    } else if fields.is_empty() {
        object.field.error("\"spec\" is missing", "spec, or specs for several");
    }
    object.ignore(&["status"]);
    object.finish();
    let (specs, sites): (Vec<_>, Vec<_>) =
        fields.iter().filter_map(|field| spec(field, &meta)).map(|read| (read.spec, read.sites)).unzip();
    if report.count() == 0 {
        conflict::check(&specs, &sites);
    }
    let policy = CiliumPolicy { meta, specs };
    if report.count() == 0 {
        return (Some(policy), None);
    }
    let mut closed = policy.normalise(&ClusterName::default());
    for spec in &mut closed.specs {
        spec.rules.clear();
    }
    (None, Some(closed).filter(|policy| !policy.specs.is_empty()))
}

/// Reads a spec; none where its subject is not known. Where anything else is wrong it closes the directions
/// that it names.
fn spec<'a>(field: &Field<'a>, meta: &Meta) -> Option<Read<'a>> {
    let before = field.report.count();
    let mut fields = field.object()?;
    let subject = subject(&mut fields, meta);
    let host = fields.get("nodeSelector").is_some();
    let mut rules = Vec::new();
    let mut sites = Vec::new();
    let mut named = [false; 2];
    for (name, direction, action) in RULES {
        let Some(list) = fields.get(name) else { continue };
        let items = list.list();
        // A list that is none names its direction too.
        named[direction as usize] |= items.as_ref().is_none_or(|items| !items.is_empty());
        let context = Context { direction, action, host, namespaced: meta.namespace.is_some() };
        for item in items.unwrap_or_default() {
            if let Some((rule, places)) = rule(&item, context, meta) {
                rules.push(rule);
                sites.push(places);
            }
        }
    }
    let mut default_deny = named;
    if let Some(mut inner) = fields.get("enableDefaultDeny").and_then(|field| field.object()) {
        for (name, direction) in [("ingress", Direction::Ingress), ("egress", Direction::Egress)] {
            if let Some(value) = inner.get(name).and_then(|field| field.boolean()) {
                default_deny[direction as usize] = value;
            }
        }
        inner.finish();
    }
    let log = annotations(&mut fields);
    fields.finish();
    if named == [false; 2] {
        field.error("has no rules", "at least one of ingress, ingressDeny, egress, egressDeny");
    }
    if field.report.count() != before {
        default_deny = [default_deny[0] | named[0], default_deny[1] | named[1]];
    }
    let spec = CiliumSpec {
        subject: subject?,
        log,
        default_deny_ingress: default_deny[Direction::Ingress as usize],
        default_deny_egress: default_deny[Direction::Egress as usize],
        rules,
        origin: field.origin(key(meta)),
    };
    Some(Read { spec, sites })
}

/// Reads `labels`, `description` and `log`, of which only the last one means something: its value.
fn annotations(fields: &mut Fields<'_>) -> Option<Arc<str>> {
    for label in fields.get("labels").and_then(|field| field.list()).unwrap_or_default() {
        let Some(mut label) = label.object() else { continue };
        if let Some(key) = label.require("key", "the label's key") {
            key.string();
        }
        for name in ["value", "source"] {
            if let Some(text) = label.get(name) {
                text.string();
            }
        }
        label.finish();
    }
    if let Some(description) = fields.get("description") {
        description.string();
    }
    let mut log = fields.get("log")?.object()?;
    let value = log.get("value").and_then(|field| {
        let text = field.string()?;
        if let Some(wrong) = log_value::wrong(&text) {
            field.error(wrong, "at most 32 printable characters");
        }
        Some(text)
    });
    log.finish();
    value.filter(|text| !text.is_empty()).map(Arc::from)
}

fn subject(fields: &mut Fields<'_>, meta: &Meta) -> Option<CiliumSubject> {
    let field = fields.field;
    match (fields.get("endpointSelector"), fields.get("nodeSelector")) {
        (Some(selector), None) => {
            let mut selector = label_selector::read(&selector, Keys::WithSource)?;
            if meta.namespace.is_some() {
                forget_namespace(&mut selector);
            }
            Some(CiliumSubject::Endpoints(selector))
        }
        (None, None) => {
            field.error("\"endpointSelector\" is missing", "endpointSelector: {} selects every pod");
            None
        }
        (_, Some(nodes)) if meta.namespace.is_some() => {
            nodes.error("a namespaced policy has no nodeSelector", "CiliumClusterwideNetworkPolicy has");
            None
        }
        (Some(_), Some(nodes)) => {
            nodes.error("nodeSelector stands beside endpointSelector", "a spec is about pods or about nodes");
            None
        }
        (None, Some(nodes)) => label_selector::read(&nodes, Keys::WithSource).map(CiliumSubject::Nodes),
    }
}

/// A namespaced policy is about its own namespace, whatever its selector's matchLabels say of it: Cilium puts the
/// policy's in its place (`ParseToCiliumRule` in `pkg/k8s/apis/cilium.io/utils`).
fn forget_namespace(selector: &mut LabelSelector) {
    selector.match_labels.remove(&format!("k8s:{NAMESPACE}"));
}

fn rule<'a>(field: &Field<'a>, context: Context, meta: &Meta) -> Option<(CiliumRule, Vec<Field<'a>>)> {
    let mut fields = field.object()?;
    let peers = l3::read(&mut fields, context.direction, context.action);
    let port_items = fields.get("toPorts").and_then(|field| field.list()).unwrap_or_default();
    let (mut ports, sites): (Vec<_>, Vec<_>) =
        port_items.iter().filter_map(|item| Some((ports::read(item, context)?, *item))).unzip();
    let mut icmps = Vec::new();
    if let Some(list) = fields.get("icmps") {
        let items = list.list().unwrap_or_default();
        if !items.is_empty() && !port_items.is_empty() {
            list.error("icmps stands beside toPorts", "put it into a rule of its own");
        }
        icmps = icmp::read(&items);
        if !items.is_empty() && icmps.is_empty() {
            ports.push(PortRule { ports: Vec::new(), l7: None });
        }
    }
    let mut authentication = None;
    if context.action == Action::Allow
        && let Some(mut inner) = fields.get("authentication").and_then(|field| field.object())
    {
        let mode = inner.require("mode", "disabled, required or test-always-fail");
        authentication = mode.and_then(|mode| mode.word("a mode of authentication", &MODES));
        inner.finish();
    }
    fields.finish();
    let rule = CiliumRule {
        direction: context.direction,
        action: context.action,
        peers,
        ports,
        icmps,
        authentication,
        origin: field.origin(key(meta)),
    };
    Some((rule, sites))
}
