//! What manifests mean, and what is said of those that mean nothing.

mod cilium_layer7;
mod cilium_peers;
mod cilium_ports;
mod cilium_specs;
mod cluster_network_policy;
mod documents;
mod fail_closed;
mod meaning;
mod network_policy;
mod objects;

use netloom_policy::manifest::{Object, Rejected, parse};
use netloom_policy::{Policy, Spec};

/// The object of a text that has one.
fn one(text: &str) -> Result<Object, Rejected> {
    let mut all = parse(text, "f.yaml", 1);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// A kind of policy. The spec of its manifests begins in line 5, column 3.
#[derive(Clone, Copy)]
enum Kind {
    Network,
    Cilium,
    Clusterwide,
    Cluster,
}

impl Kind {
    fn read(self, spec: &str) -> Result<Object, Rejected> {
        let (version, kind) = match self {
            Self::Network => ("networking.k8s.io/v1", "NetworkPolicy"),
            Self::Cilium => ("cilium.io/v2", "CiliumNetworkPolicy"),
            Self::Clusterwide => ("cilium.io/v2", "CiliumClusterwideNetworkPolicy"),
            Self::Cluster => ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"),
        };
        let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
        one(&format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: p}}\nspec:\n{spec}"))
    }

    fn policy(self, spec: &str) -> Policy {
        let object = self.read(spec).unwrap_or_else(|rejected| panic!("{spec}\n{rejected}"));
        object.policy().unwrap()
    }

    fn spec(self, spec: &str) -> Spec {
        self.policy(spec).specs.remove(0)
    }

    /// Every one of these is accepted.
    fn accepts(self, specs: &[&str]) {
        for spec in specs {
            self.policy(spec);
        }
    }

    /// Every one of these is refused, with just these diagnostics: a line each, without the file.
    fn refuses(self, cases: &[(&str, &str)]) {
        for (spec, expected) in cases {
            let rejected = self.read(spec).err().unwrap_or_else(|| panic!("accepted: {spec}"));
            let found: Vec<_> =
                rejected.diagnostics.iter().map(|d| d.to_string().replacen("f.yaml:", "", 1)).collect();
            assert_eq!(found, expected.lines().map(str::trim).collect::<Vec<_>>(), "{spec}");
            assert!(rejected.object.is_some(), "{spec}");
        }
    }
}

/// A spec of Cilium's policies with one rule.
fn with_rule(list: &str, rule: &str) -> String {
    format!("endpointSelector: {{}}\n{list}:\n- {rule}")
}

/// As [`Kind::accepts`], for the one rule of a CiliumNetworkPolicy.
fn accepts_rules(list: &str, rules: &[&str]) {
    for rule in rules {
        Kind::Cilium.policy(&with_rule(list, rule));
    }
}

/// As [`Kind::refuses`], for the one rule of a CiliumNetworkPolicy. It begins in line 7, column 5; places and paths
/// leave out `7:` and the rule.
fn refuses_rules(list: &str, cases: &[(&str, &str)]) {
    for (rule, expected) in cases {
        let rejected = Kind::Cilium.read(&with_rule(list, rule)).err();
        let rejected = rejected.unwrap_or_else(|| panic!("accepted: {rule}"));
        let rule_path = format!("spec.{list}[0]");
        let shown = |d: &netloom_policy::Diagnostic| {
            assert_eq!(d.line, 7, "{d}");
            let path = d.path.strip_prefix(&rule_path).unwrap_or(&d.path).trim_start_matches('.');
            let help = d.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{}: {path}: {}{help}", d.column, d.message)
        };
        let found: Vec<_> = rejected.diagnostics.iter().map(shown).collect();
        assert_eq!(found, expected.lines().map(str::trim).collect::<Vec<_>>(), "{rule}");
    }
}
