//! What items of `toPorts` ask of a proxy.

use std::collections::BTreeSet;
use std::sync::Arc;

use abi::Direction;

use super::ports::Context;
use super::{http, l3};
use crate::l7::{L7, Listener, SecretRef, TlsContext};
use crate::manifest::reader::{Field, Fields};

/// What an item asks, and what its ports have to fit.
pub(super) struct Rules {
    /// None where nothing is asked.
    pub(super) l7: Option<Arc<L7>>,
    /// `rules` has a rule. Lists without any mean nothing.
    pub(super) present: bool,
    /// `rules.dns` has a rule.
    pub(super) has_dns: bool,
}

/// Reads all fields of an item save `ports`.
pub(super) fn read(fields: &mut Fields<'_>, context: Context) -> Rules {
    let mut l7 = L7::default();
    let present = fields.get("rules").is_some_and(|rules| protocols(&rules, context, &mut l7));
    l7.terminating_tls = fields.get("terminatingTLS").and_then(|field| tls_context(&field));
    l7.originating_tls = fields.get("originatingTLS").and_then(|field| tls_context(&field));
    if let Some(names) = fields.get("serverNames") {
        l7.server_names = server_names(&names);
        if present && fields.get("terminatingTLS").is_none() {
            names.error(
                "server names stand beside rules of layer 7 without terminatingTLS",
                "the proxy can only look into TLS that it ends",
            );
        }
    }
    if let Some(field) = fields.get("listener") {
        if context.direction == Direction::Ingress {
            field.error("a listener is not allowed for ingress", "egress only");
        }
        if present {
            field.error("a listener stands beside rules of layer 7", "the listener decides by itself");
        }
        l7.listener = listener(&field, context.namespaced);
    }
    let has_dns = !l7.dns.is_empty();
    let l7 = l7.proxy().is_some().then(|| Arc::new(l7));
    Rules { l7, present, has_dns }
}

/// Reads `rules`; true where there is one.
fn protocols(field: &Field<'_>, context: Context, l7: &mut L7) -> bool {
    let Some(mut fields) = field.object() else { return false };
    let (http, dns) = (fields.get("http"), fields.get("dns"));
    fields.removed(&["kafka", "l7", "l7proto"], "rules of layer 7 are http or dns");
    fields.finish();
    let items = |list: Option<Vec<_>>| list.unwrap_or_default();
    l7.http = items(http.as_ref().and_then(Field::list)).iter().filter_map(http::rule).collect();
    l7.dns = items(dns.as_ref().and_then(Field::list)).iter().filter_map(l3::name).collect();
    let has_rules = |list: &Option<Field<'_>>| list.as_ref().is_some_and(|list| !list.is_empty_list());
    let present = has_rules(&http) || has_rules(&dns);
    if let (Some(dns), true) = (dns.as_ref().filter(|_| present), http.is_some()) {
        dns.error("dns stands beside http", "one protocol for each item of toPorts");
    }
    let ingress = context.direction == Direction::Ingress;
    if context.host && ingress && present {
        field.error(
            "a policy for nodes has no rules of layer 7 on ingress",
            "for egress it can have rules for dns",
        );
    } else if let Some(dns) = dns.as_ref().filter(|dns| ingress && !dns.is_empty_list()) {
        dns.error("rules for DNS are not allowed for ingress", "egress only");
    } else if let Some(http) = http.as_ref().filter(|http| context.host && !http.is_empty_list()) {
        http.error("a policy for nodes has no rules for http", "for egress it can have rules for dns");
    }
    present
}

fn server_names(field: &Field<'_>) -> Vec<String> {
    let items = field.list().unwrap_or_default();
    if field.is_empty_list() {
        field.error("is empty", "at least one name, or no serverNames");
    }
    let mut seen = BTreeSet::new();
    let name = |item: &Field<'_>| {
        let name = item.string()?;
        let rest = name.strip_prefix("**.").or_else(|| name.strip_prefix("*.")).unwrap_or(&name);
        if name.len() > 255 || !l3::is_dns_name(rest, false) {
            item.error(
                format!("{name:?} is not a server name"),
                "such as www.example.com, *.example.com or **.example.com",
            );
            return None;
        }
        if !seen.insert(name.clone()) {
            item.error(format!("{name:?} is there twice"), "");
        }
        Some(name.to_ascii_lowercase())
    };
    items.iter().filter_map(name).collect()
}

fn listener(field: &Field<'_>, namespaced: bool) -> Option<Listener> {
    const KINDS: [(&str, &str); 2] = [
        ("CiliumEnvoyConfig", "CiliumEnvoyConfig"),
        ("CiliumClusterwideEnvoyConfig", "CiliumClusterwideEnvoyConfig"),
    ];
    let mut fields = field.object()?;
    let config = fields.require("envoyConfig", "envoyConfig: {name: …}").and_then(|field| {
        let mut fields = field.object()?;
        let kind = match fields.get("kind") {
            None => Some(KINDS[usize::from(!namespaced)].0),
            Some(kind) => kind.word("a kind of listeners' configurations", &KINDS),
        };
        if let (Some("CiliumEnvoyConfig"), false, Some(kind)) = (kind, namespaced, fields.get("kind")) {
            kind.error(
                "a clusterwide policy cannot use a listener of one namespace",
                "CiliumClusterwideEnvoyConfig",
            );
        }
        let name = fields.require("name", "the configuration's name").and_then(|field| field.text());
        fields.finish();
        Some((kind?.to_owned(), name?))
    });
    let name = fields.require("name", "the listener's name").and_then(|field| field.text());
    let priority = match fields.get("priority") {
        None => Some(None),
        Some(field) => match field.integer()? {
            priority @ 1..=100 => u8::try_from(priority).ok().map(Some),
            other => {
                field.error(format!("{other} is not a priority"), "1 (first) to 100");
                None
            }
        },
    };
    fields.finish();
    let (kind, config) = config?;
    Some(Listener { kind, config, name: name?, priority: priority? })
}

fn tls_context(field: &Field<'_>) -> Option<TlsContext> {
    let mut fields = field.object()?;
    let secret = fields.require("secret", "secret: {name: …}").and_then(|field| secret(&field));
    let mut text = |key| fields.get(key).and_then(|field| field.string()).filter(|text| !text.is_empty());
    let (trusted_ca, certificate, private_key) = (text("trustedCA"), text("certificate"), text("privateKey"));
    fields.finish();
    Some(TlsContext { secret: secret?, trusted_ca, certificate, private_key })
}

/// Reads the name of a secret.
pub(super) fn secret(field: &Field<'_>) -> Option<SecretRef> {
    let mut fields = field.object()?;
    let namespace = fields.get("namespace").and_then(|field| field.string()).filter(|text| !text.is_empty());
    let name = fields.require("name", "the secret's name").and_then(|field| field.text());
    fields.finish();
    Some(SecretRef { namespace, name: name? })
}
