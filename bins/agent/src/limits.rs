//! What of a policy the datapath does not do yet.

use std::collections::BTreeSet;

use abi::DropReason;
use policy::l7::Proxy;
use policy::{Authentication, PeerSelector, Peers, Policy, Rule, ServiceKey, Subject};

/// How many Services are named in a sentence.
const NAMED: usize = 3;

/// Something that a policy asks for and the datapath does not do yet. In the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// It is about nodes.
    Nodes,
    /// A rule needs this proxy.
    Proxy(Proxy),
    /// A rule wants the two ends to prove who they are.
    Authentication,
    /// A rule selects peers by DNS names.
    Names,
}

/// What a policy asks for and the datapath does not do yet.
#[must_use]
pub fn limits(policy: &Policy) -> BTreeSet<Limit> {
    let nodes = policy.specs.iter().any(|spec| matches!(spec.subject, Subject::Nodes(_)));
    let rules = policy.specs.iter().flat_map(|spec| &spec.rules).flat_map(of_rule);
    rules.chain(nodes.then_some(Limit::Nodes)).collect()
}

fn of_rule(rule: &Rule) -> impl Iterator<Item = Limit> {
    let proxy = rule.l7.as_deref().and_then(policy::l7::L7::proxy).map(Limit::Proxy);
    let proof =
        rule.authentication.filter(|mode| *mode != Authentication::Disabled).map(|_| Limit::Authentication);
    let names = match &rule.peers {
        Peers::OneOf(peers) => peers.iter().any(|peer| matches!(peer, PeerSelector::Name(_))),
        Peers::Any => false,
    };
    [proxy, proof, names.then_some(Limit::Names)].into_iter().flatten()
}

/// As sentences for a person, each with the policy's name.
#[must_use]
pub fn sentences(policy: &Policy) -> Vec<String> {
    limits(policy).into_iter().map(|limit| format!("{}: {}", policy.key, limit.sentence())).collect()
}

/// What is said of Services whose virtual addresses nobody translates yet: one sentence, where somebody made such a
/// Service. Kubernetes makes its own in every cluster, whether a pod depends on it or not.
#[must_use]
pub fn untranslated<'a>(services: impl Iterator<Item = &'a ServiceKey>) -> Option<String> {
    let is_own = |key: &ServiceKey| key.namespace == "default" && key.name == "kubernetes";
    let names: Vec<String> = services.filter(|key| !is_own(key)).map(ToString::to_string).collect();
    let named = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| {
        format!(
            "cluster IPs of Services are not translated yet ({named}{more}); under an egress policy they are judged as \
             addresses outside"
        )
    })
}

impl Limit {
    /// What becomes of what is asked for.
    #[must_use]
    pub fn sentence(self) -> String {
        match self {
            Self::Nodes => "a policy about nodes is compiled, but not enforced on nodes yet".into(),
            Self::Proxy(proxy) => format!(
                "what has {} is compiled as REDIRECT: its connections are dropped (\"{}\") until the proxy exists",
                match proxy {
                    Proxy::Http => "HTTP rules",
                    Proxy::Dns => "DNS rules",
                    Proxy::Tls => "server names or TLS contexts",
                    Proxy::Listener | Proxy::PriorityListener(_) => "a listener",
                },
                DropReason::RedirectUnsupported.sentence()
            ),
            Self::Authentication => {
                format!("what wants authentication is dropped (\"{}\")", DropReason::AuthRequired.sentence())
            }
            Self::Names => {
                "toFQDNs selects nobody: no addresses of DNS names are known until the DNS proxy exists"
                    .into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn services_are_told_of_in_one_sentence() {
        let key = |name: &str| policy::ServiceKey { namespace: "default".into(), name: name.into() };
        let told = |names: &[&str]| {
            super::untranslated(names.iter().map(|name| key(name)).collect::<Vec<_>>().iter())
        };
        assert_eq!(told(&["kubernetes"]), None, "every cluster has it");
        assert!(told(&["kubernetes", "web"]).unwrap().contains("(default/web)"));
        assert!(told(&["a", "b", "c", "d", "e"]).unwrap().contains("default/c and 2 more"));
    }

    use policy::manifest::parse;

    use super::*;

    fn told(spec: &str) -> Vec<String> {
        let kind = if spec.contains("nodeSelector") {
            "CiliumClusterwideNetworkPolicy\nmetadata: {name: p}"
        } else {
            "CiliumNetworkPolicy\nmetadata: {name: p, namespace: n}"
        };
        let text = format!("apiVersion: cilium.io/v2\nkind: {kind}\nspec: {spec}\n");
        let objects = parse(&text, "p.yaml", 1);
        objects.into_iter().flat_map(|o| sentences(&o.unwrap().policy().unwrap())).collect()
    }

    #[test]
    fn what_tables_can_say_has_no_limits() {
        assert!(
            told(
                "{endpointSelector: {}, ingress: [{fromEntities: [host]}], egress: [{toCIDR: [10.0.0.0/8]}]}"
            )
            .is_empty()
        );
        assert!(told("{endpointSelector: {}, ingress: [{icmps: [{fields: [{type: 8}]}]}]}").is_empty());
        let none = "{endpointSelector: {}, ingress: [{authentication: {mode: disabled}, toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: []}}]}]}";
        assert!(told(none).is_empty());
    }

    #[test]
    fn each_limit_is_told_once() {
        let http = "{endpointSelector: {}, ingress: [
            {toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]},
            {authentication: {mode: required}, toPorts: [{ports: [{port: '81', protocol: TCP}], rules: {http: [{method: PUT}]}}]}]}";
        assert_eq!(
            told(http),
            [
                "CiliumNetworkPolicy n/p: what has HTTP rules is compiled as REDIRECT: its connections are dropped \
             (\"proxy redirection not supported\") until the proxy exists",
                "CiliumNetworkPolicy n/p: what wants authentication is dropped \
             (\"authentication required, which is not supported yet\")",
            ]
        );
        let names = "{endpointSelector: {}, egress: [{toFQDNs: [{matchName: example.com}]}]}";
        assert!(told(names)[0].contains("toFQDNs"));
        let nodes = "{nodeSelector: {}, ingress: [{fromEntities: [all]}]}";
        assert_eq!(
            told(nodes),
            [
                "CiliumClusterwideNetworkPolicy p: a policy about nodes is compiled, but not enforced on nodes yet",
            ]
        );
    }
}
