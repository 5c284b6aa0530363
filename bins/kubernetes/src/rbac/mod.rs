//! What agent and operator may do: as little as they need.
//!
//! The rules are data, each with its reason. [`manifests`] makes Kubernetes objects of them: a ServiceAccount, a
//! ClusterRole and its binding, and for what happens in one namespace a Role and its binding. [`Program::may`] judges a
//! request by the same rules, so that what programs ask for can be held against them.

mod call;
mod rules;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::core::ObjectMeta;
use serde::Serialize;

pub use call::Call;
pub use rules::{Rule, Verb};

/// Whose rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// On every node.
    Agent,
    /// Once or twice in a cluster.
    Operator,
}

impl Program {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Agent, Self::Operator];

    /// The name of its ServiceAccount, and of everything that belongs to it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "netloom-agent",
            Self::Operator => "netloom-operator",
        }
    }

    /// What it may do in the whole cluster.
    #[must_use]
    pub const fn cluster_rules(self) -> &'static [Rule] {
        match self {
            Self::Agent => rules::AGENT,
            Self::Operator => rules::OPERATOR,
        }
    }

    /// What it may do in its own namespace.
    #[must_use]
    pub const fn own_rules(self) -> &'static [Rule] {
        match self {
            Self::Agent => &[],
            Self::Operator => rules::OPERATOR_AT_HOME,
        }
    }
}

/// One object of [`manifests`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Manifest {
    /// Who the program is.
    ServiceAccount(ServiceAccount),
    /// What it may do in the whole cluster.
    ClusterRole(ClusterRole),
    /// That it may.
    ClusterRoleBinding(ClusterRoleBinding),
    /// What it may do in its own namespace.
    Role(Role),
    /// That it may.
    RoleBinding(RoleBinding),
}

/// The objects that give `program`, running in `namespace`, what it needs.
#[must_use]
pub fn manifests(program: Program, namespace: &str) -> Vec<Manifest> {
    let name = program.name();
    let metadata = |namespace: Option<&str>| ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some(
            [("app.kubernetes.io/name", name), ("app.kubernetes.io/part-of", "netloom")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        ),
        ..ObjectMeta::default()
    };
    let subjects = || {
        Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: name.to_owned(),
            namespace: Some(namespace.to_owned()),
            ..Subject::default()
        }])
    };
    let role_ref = |kind: &str| RoleRef {
        api_group: "rbac.authorization.k8s.io".to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    };
    let here = Some(namespace);
    let mut all = vec![
        Manifest::ServiceAccount(ServiceAccount { metadata: metadata(here), ..ServiceAccount::default() }),
        Manifest::ClusterRole(ClusterRole {
            metadata: metadata(None),
            rules: Some(program.cluster_rules().iter().map(policy_rule).collect()),
            ..ClusterRole::default()
        }),
        Manifest::ClusterRoleBinding(ClusterRoleBinding {
            metadata: metadata(None),
            role_ref: role_ref("ClusterRole"),
            subjects: subjects(),
        }),
    ];
    if !program.own_rules().is_empty() {
        all.push(Manifest::Role(Role {
            metadata: metadata(here),
            rules: Some(program.own_rules().iter().map(policy_rule).collect()),
        }));
        all.push(Manifest::RoleBinding(RoleBinding {
            metadata: metadata(here),
            role_ref: role_ref("Role"),
            subjects: subjects(),
        }));
    }
    all
}

fn policy_rule(rule: &Rule) -> PolicyRule {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![rule.group.to_owned()]),
        resources: Some(owned(rule.resources)),
        resource_names: (!rule.names.is_empty()).then(|| owned(rule.names)),
        verbs: rule.verbs.iter().map(|verb| verb.name().to_owned()).collect(),
        non_resource_urls: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Verb, group and resource.
    type Right = (String, String, String);

    #[derive(serde::Deserialize)]
    struct Documented {
        rules: Vec<PolicyRule>,
    }

    /// What these rules grant; each once, whatever rule grants it.
    fn rights(rules: impl IntoIterator<Item = PolicyRule>) -> BTreeSet<Right> {
        let mut rights = BTreeSet::new();
        for rule in rules {
            for group in rule.api_groups.unwrap_or_default() {
                for resource in rule.resources.iter().flatten() {
                    rights.extend(
                        rule.verbs.iter().map(|verb| (verb.clone(), group.clone(), resource.clone())),
                    );
                }
            }
        }
        rights
    }

    #[test]
    fn the_documentation_lists_the_rules() {
        let pages = [
            (Program::Agent, include_str!("../../../../docs/kubernetes.md")),
            (Program::Operator, include_str!("../../../../docs/operator.md")),
        ];
        for (program, page) in pages {
            let permissions = page.split("\n## Permissions\n").nth(1).expect("a section");
            let block = permissions.split("```yaml\n").nth(1).expect("a block").split("```").next().unwrap();
            let documented: Documented = serde_saphyr::from_str(block).expect("rules");
            let rules = program.cluster_rules().iter().chain(program.own_rules());
            assert_eq!(rights(documented.rules), rights(rules.map(policy_rule)), "{}", program.name());
        }
    }
}
