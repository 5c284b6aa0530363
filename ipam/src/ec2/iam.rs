//! What an operator has to be allowed: an IAM policy that names each resource as closely as EC2 can tell it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Action;

/// The key of the tag by which an operator knows its interfaces again; its value is the cluster's name.
pub const CLUSTER_TAG: &str = "io.cilium/cluster-name";

/// What a policy is to cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The cluster's name: the value of [`CLUSTER_TAG`].
    pub cluster: String,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// The region; `*` for any.
    pub region: String,
    /// The account's number; `*` for any.
    pub account: String,
    /// The VPC; interfaces are made in its subnets only then.
    pub vpc: Option<String>,
    /// Whether pods get addresses of primary interfaces (`first-interface-index` 0). EC2 makes those, without
    /// the cluster's tag, so that a tag cannot be asked of them.
    pub primary_interfaces: bool,
}

/// An identity-based policy. Its JSON is what IAM takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    /// The version of the policy language.
    pub version: &'static str,
    /// What is allowed: anything that one statement allows.
    pub statement: Vec<Statement>,
}

/// A part of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// What it is for, in one word.
    pub sid: &'static str,
    /// `Allow`.
    pub effect: &'static str,
    /// Actions, as `ec2:…`.
    pub action: Vec<String>,
    /// Names of resources, which may hold `*`.
    pub resource: Vec<String>,
    /// An operator, the keys that it looks at, and what they have to be.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl Statement {
    fn allow(sid: &'static str, actions: &[Action], resource: Vec<String>) -> Self {
        let action = actions.iter().map(|action| format!("ec2:{action}")).collect();
        Self { sid, effect: "Allow", action, resource, condition: BTreeMap::new() }
    }

    fn when(mut self, operator: &'static str, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.condition.entry(operator).or_default().insert(key.into(), value.into());
        self
    }
}

/// The least policy that an operator can work with.
///
/// Lists cannot be confined to resources. Everything else is: interfaces by the cluster's tag, which they have
/// from their first moment, wherever interfaces that somebody else made need not be touched. Instances are
/// never asked for tags, since who starts them may give them none.
///
/// Which kinds of resources and which condition keys an action knows is from the Service Authorization
/// Reference, "Actions, resources, and condition keys for Amazon EC2".
///
/// ```
/// use ipam::ec2::iam::{Scope, policy};
///
/// let policy = policy(&Scope {
///     cluster: "shop".into(),
///     partition: "aws".into(),
///     region: "eu-west-1".into(),
///     account: "123456789012".into(),
///     vpc: None,
///     primary_interfaces: false,
/// });
/// assert!(!serde_json::to_string(&policy)?.contains("Detach"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn policy(scope: &Scope) -> Policy {
    let arn = |kind: &str| format!("arn:{}:ec2:{}:{}:{kind}", scope.partition, scope.region, scope.account);
    let interfaces = || vec![arn("network-interface/*")];
    let ours = |statement: Statement| {
        statement.when("StringEquals", format!("aws:ResourceTag/{CLUSTER_TAG}"), &scope.cluster)
    };
    let in_vpc = |statement: Statement| match &scope.vpc {
        Some(vpc) => statement.when("ArnLike", "ec2:Vpc", arn(&format!("vpc/{vpc}"))),
        None => statement,
    };

    let reads: Vec<Action> = Action::ALL.iter().copied().filter(|action| action.reads()).collect();
    let create = [Action::CreateNetworkInterface];
    let addresses = [Action::AssignPrivateIpAddresses, Action::UnassignPrivateIpAddresses];
    // No interface is detached from an instance that lives, so nobody needs the right to.
    let attach = [Action::AttachNetworkInterface, Action::ModifyNetworkInterfaceAttribute];

    let give = Statement::allow("Addresses", &addresses, interfaces());
    let keep = Statement::allow(
        "Interfaces",
        &[&attach[..], &[Action::DeleteNetworkInterface]].concat(),
        interfaces(),
    );
    Policy {
        version: "2012-10-17",
        statement: vec![
            Statement::allow("Look", &reads, vec!["*".to_owned()]),
            Statement::allow("Create", &create, interfaces()).when(
                "StringEquals",
                format!("aws:RequestTag/{CLUSTER_TAG}"),
                &scope.cluster,
            ),
            in_vpc(Statement::allow("CreateIn", &create, vec![arn("subnet/*"), arn("security-group/*")])),
            // Tags come with the interface, and at no other time.
            Statement::allow("Tag", &[Action::CreateTags], interfaces()).when(
                "StringEquals",
                "ec2:CreateAction",
                Action::CreateNetworkInterface.name(),
            ),
            if scope.primary_interfaces { in_vpc(give) } else { ours(give) },
            ours(keep),
            Statement::allow("Instances", &attach, vec![arn("instance/*")]),
            // A changed list of security groups is a change of the interface; the groups are named with it.
            in_vpc(Statement::allow(
                "Groups",
                &[Action::ModifyNetworkInterfaceAttribute],
                vec![arn("security-group/*")],
            )),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope {
            cluster: "shop".into(),
            partition: "aws".into(),
            region: "eu-west-1".into(),
            account: "123456789012".into(),
            vpc: Some("vpc-1".into()),
            primary_interfaces: false,
        }
    }

    /// What IAM decides about one resource of a request: enough of its rules for these policies.
    fn allows(policy: &Policy, action: Action, resource: &str, facts: &[(&str, &str)]) -> bool {
        let name = format!("ec2:{action}");
        let arn = format!("arn:aws:ec2:eu-west-1:123456789012:{resource}");
        policy.statement.iter().any(|statement| {
            let matches = |pattern: &String| match pattern.strip_suffix('*') {
                Some(start) => arn.starts_with(start),
                None => arn == *pattern,
            };
            let holds = |key: &str, value: &str| facts.contains(&(key, value));
            statement.action.contains(&name)
                && statement.resource.iter().any(matches)
                && statement.condition.values().flatten().all(|(key, value)| holds(key, value))
        })
    }

    const OURS: &[(&str, &str)] = &[("aws:ResourceTag/io.cilium/cluster-name", "shop")];
    const VPC: &[(&str, &str)] = &[("ec2:Vpc", "arn:aws:ec2:eu-west-1:123456789012:vpc/vpc-1")];

    #[test]
    fn every_action_is_allowed_on_what_is_ours() {
        let all = policy(&scope());
        for action in Action::ALL {
            let facts = match action {
                Action::CreateNetworkInterface => &[("aws:RequestTag/io.cilium/cluster-name", "shop")],
                Action::CreateTags => &[("ec2:CreateAction", "CreateNetworkInterface")],
                _ => OURS,
            };
            let allowed = allows(&all, *action, "network-interface/eni-1", facts);
            let is_never_asked = matches!(action, Action::DeleteTags | Action::DetachNetworkInterface);
            assert_eq!(allowed, !is_never_asked, "{action}");
        }
        assert!(allows(&all, Action::CreateNetworkInterface, "subnet/subnet-1", VPC));
        assert!(allows(&all, Action::AttachNetworkInterface, "instance/i-1", &[]));
    }

    #[test]
    fn what_others_made_is_out_of_reach() {
        let least = policy(&scope());
        for action in Action::ALL.iter().filter(|action| !action.reads()) {
            assert!(!allows(&least, *action, "network-interface/eni-1", &[]), "{action}");
        }
        assert!(!allows(&least, Action::CreateNetworkInterface, "subnet/subnet-1", &[]));
    }

    #[test]
    fn pods_on_primary_interfaces_need_addresses_there() {
        let with = policy(&Scope { primary_interfaces: true, ..scope() });
        assert!(allows(&with, Action::AssignPrivateIpAddresses, "network-interface/eni-1", VPC));
        assert!(!allows(&with, Action::DeleteNetworkInterface, "network-interface/eni-1", VPC));
    }

    #[test]
    fn its_json_is_what_iam_takes() {
        let json = serde_json::to_value(policy(&scope())).unwrap();
        assert_eq!(json["Version"], "2012-10-17");
        assert_eq!(json["Statement"][0]["Effect"], "Allow");
        assert!(json["Statement"][0].get("Condition").is_none());
        assert_eq!(
            json["Statement"][1]["Condition"]["StringEquals"]["aws:RequestTag/io.cilium/cluster-name"],
            "shop"
        );
    }
}
