//! What a program asks of the API server, and whether its rules allow it.

use serde::Deserialize;

use super::{Program, Rule};

/// A request, in the words of roles; as the audit log of the embedded API server writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// As [`Verb::name`](super::Verb::name); others are allowed by no rule.
    pub verb: String,
    /// The API group.
    pub group: String,
    /// The resource's plural name; empty where the path is no resource's.
    pub resource: String,
    /// As `status`; empty for the resource itself.
    pub subresource: String,
    /// The namespace; empty for all, and for what is in none.
    pub namespace: String,
    /// The object's name; empty where the request names none, as creations do.
    pub name: String,
}

impl Call {
    /// The resource as rules write it, with its subresource.
    #[must_use]
    pub fn resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

impl Rule {
    /// Whether a role with this rule allows the call, where that role holds.
    #[must_use]
    pub fn allows(&self, call: &Call) -> bool {
        self.group == call.group
            && self.verbs.iter().any(|verb| verb.name() == call.verb)
            && self.resources.contains(&call.resource().as_str())
            && (self.names.is_empty() || self.names.contains(&call.name.as_str()))
    }
}

impl Program {
    /// The rules that allow the call to the program, whose own namespace is `home`.
    pub fn rules_for(self, call: &Call, home: &str) -> impl Iterator<Item = &'static Rule> {
        let own = if call.namespace == home && !home.is_empty() { self.own_rules() } else { &[] };
        self.cluster_rules().iter().chain(own).filter(move |rule| rule.allows(call))
    }

    /// Whether the program, whose own namespace is `home`, may do this.
    #[must_use]
    pub fn may(self, call: &Call, home: &str) -> bool {
        self.rules_for(call, home).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "kube-system";

    /// `VERB GROUP/RESOURCE[/SUBRESOURCE] NAMESPACE NAME`; `-` is empty.
    fn call(text: &str) -> Call {
        let words: Vec<&str> = text.split(' ').map(|word| if word == "-" { "" } else { word }).collect();
        let path: Vec<&str> = words[1].split('/').collect();
        Call {
            verb: words[0].to_owned(),
            group: path[0].to_owned(),
            resource: path[1].to_owned(),
            subresource: path.get(2).copied().unwrap_or_default().to_owned(),
            namespace: words[2].to_owned(),
            name: words[3].to_owned(),
        }
    }

    fn agent(text: &str) -> bool {
        Program::Agent.may(&call(text), HOME)
    }

    fn operator(text: &str) -> bool {
        Program::Operator.may(&call(text), HOME)
    }

    #[test]
    fn verbs_and_groups_are_looked_at() {
        assert!(agent("watch /pods - -"));
        assert!(!agent("delete /pods default web"));
        assert!(!agent("list apps/pods - -"));
        assert!(!agent("list /secrets - -"));
        assert!(!agent("deletecollection cilium.io/ciliumendpoints default -"));
        assert!(agent("patch cilium.io/ciliumendpoints default web"));
        assert!(!agent("get / - -"), "a path that is no resource's");
    }

    #[test]
    fn a_subresource_is_a_resource_of_its_own() {
        assert!(operator("patch /nodes/status - n1"));
        assert!(!operator("update /nodes/status - n1"));
        assert!(!operator("patch /pods/status default web"));
        assert!(!operator("get /nodes/proxy - n1"));
        assert!(operator("patch cilium.io/ciliumnetworkpolicies/status default p"));
        assert!(!operator("patch cilium.io/ciliumnetworkpolicies default p"));
    }

    #[test]
    fn a_rule_with_names_holds_for_them_alone() {
        let on = |verb: &str, name: &str| {
            operator(&format!("{verb} apiextensions.k8s.io/customresourcedefinitions - {name}"))
        };
        assert!(on("update", "ciliumnodes.cilium.io"));
        assert!(!on("update", "widgets.example.com"));
        assert!(!on("update", "-"), "a request that names none");
        assert!(on("create", "-") && on("get", "widgets.example.com"), "another rule, without names");
    }

    #[test]
    fn a_role_holds_in_its_namespace() {
        let lease = |namespace: &str| operator(&format!("update coordination.k8s.io/leases {namespace} l"));
        assert!(lease(HOME));
        assert!(!lease("default"));
        assert!(!lease("-"), "all namespaces");
        assert!(!agent("update coordination.k8s.io/leases kube-system l"));
        let everywhere = call("update coordination.k8s.io/leases - l");
        assert!(!Program::Operator.may(&everywhere, ""), "no namespace is not one's own");
    }

    #[test]
    fn it_is_read_from_a_line_of_the_audit_log() {
        let line = serde_json::json!({
            "verb": "patch", "group": "", "version": "v1", "resource": "nodes", "subresource": "status",
            "namespace": "", "name": "n1", "userAgent": "netloom-operator/0.1.0",
            "path": "/api/v1/nodes/n1/status", "code": 200,
        });
        let read: Call = serde_json::from_value(line).unwrap();
        assert_eq!(read, call("patch /nodes/status - n1"));
    }
}
