//! What an installation on AWS needs to know beforehand.

use anyhow::{Context, Result, bail};
use ipam::ec2::iam::{self, Scope};
use ipam::eni::{MaxPodsOptions, max_pods_with_addresses as figure};
use policy::ClusterName;
use serde::Serialize;

use crate::out;

/// The longest name of a cluster in EKS.
const LONGEST: usize = 100;

/// What the operator's role is for.
#[derive(Debug, clap::Args)]
pub(crate) struct IamPolicyArgs {
    /// The cluster's name, with which its network interfaces are tagged
    #[arg(long, value_name = "NAME", value_parser = cluster)]
    cluster: String,
    /// The partition: aws, aws-cn or aws-us-gov
    #[arg(long, default_value = "aws")]
    partition: String,
    /// The region; any if it is left out
    #[arg(long, default_value = "*", hide_default_value = true)]
    region: String,
    /// The account; any if it is left out
    #[arg(long, value_name = "NUMBER", default_value = "*", hide_default_value = true)]
    account: String,
    /// The VPC; if it is named, interfaces are made nowhere else
    #[arg(long, value_name = "VPC")]
    vpc: Option<String>,
    /// The first network interface that serves pods, as in the nodes' settings: with 0 the primary one does,
    /// which has no tag of the cluster
    #[arg(long, value_name = "N", default_value_t = 0)]
    first_interface_index: u32,
}

/// A cluster's name as EKS takes it.
fn cluster(text: &str) -> Result<String, String> {
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let goes_on = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if begins && goes_on && text.len() <= LONGEST {
        return Ok(text.to_owned());
    }
    Err(format!(
        "EKS takes 1 to {LONGEST} letters, digits, dashes and underscores, the first a letter or a digit"
    ))
}

/// Prints the least policy for the operator's role.
pub(crate) fn iam_policy(args: IamPolicyArgs) -> Result<()> {
    // The policy allows what has the tag, and the operator tags with its own key.
    if let Err(wrong) = args.cluster.parse::<ClusterName>() {
        eprintln!(
            "warning: the operator's cluster-name, which is the tag of its network interfaces, cannot be this: {wrong}"
        );
    }
    let policy = iam::policy(&Scope {
        cluster: args.cluster,
        partition: args.partition,
        region: args.region,
        account: args.account,
        vpc: args.vpc,
        primary_interfaces: args.first_interface_index == 0,
    });
    let policy = serde_json::to_string_pretty(&policy).context("the policy as JSON")?;
    out::say(&format!("{policy}\n"))
}

/// For which instances.
#[derive(Debug, clap::Args)]
pub(crate) struct MaxPodsArgs {
    /// The instance type, as in m5.large
    instance_type: String,
    /// The first network interface that serves pods, as in the nodes' settings
    #[arg(long, value_name = "N", default_value_t = 0)]
    first_interface_index: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Kubelet's `max-pods` for an instance type.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MaxPods<'a> {
    instance_type: &'a str,
    first_interface_index: u32,
    interfaces: u32,
    ipv4_per_interface: u32,
    /// With single addresses.
    without_prefixes: u32,
    /// None where the type takes no prefixes.
    with_prefixes: Option<u32>,
}

/// Prints kubelet's `max-pods`, with prefixes and without.
pub(crate) fn max_pods(args: &MaxPodsArgs) -> Result<()> {
    let name = args.instance_type.as_str();
    let Some(of) = vpc::instance_types().get(name) else {
        bail!("no instance type {name} is known here; EC2's DescribeInstanceTypes has them all");
    };
    let options = |prefixes| MaxPodsOptions { prefixes, first_interface_index: args.first_interface_index };
    let figures = MaxPods {
        instance_type: name,
        first_interface_index: args.first_interface_index,
        interfaces: of.interfaces,
        ipv4_per_interface: of.ipv4_per_interface,
        without_prefixes: figure(of, options(false))?,
        with_prefixes: of.has_prefixes().then(|| figure(of, options(true))).transpose()?,
    };
    if args.json {
        return out::say(&format!("{}\n", serde_json::to_string_pretty(&figures)?));
    }
    let with_prefixes = match figures.with_prefixes {
        Some(pods) => format!("max-pods with prefixes:    {pods}"),
        None => "it takes no prefixes".to_owned(),
    };
    let (interfaces, addresses) = (figures.interfaces, figures.ipv4_per_interface);
    out::say(&format!(
        "{name}: {interfaces} network interfaces of {addresses} IPv4 addresses\n\
         max-pods without prefixes: {}\n{with_prefixes}\n",
        figures.without_prefixes
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_named_as_eks_has_them() {
        for name in ["a", "shop", "Shop_1-eu", &"a".repeat(100)] {
            assert_eq!(cluster(name), Ok(name.to_owned()));
        }
        for wrong in ["", "-a", "_a", "a b", "a.b", "ä", "${x}", &"a".repeat(101)] {
            assert!(cluster(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_index_beyond_the_types_interfaces_is_told() {
        let of = |first_interface_index| {
            max_pods(&MaxPodsArgs { instance_type: "m5.large".into(), first_interface_index, json: true })
        };
        assert!(of(2).is_ok());
        let wrong = of(5).unwrap_err().to_string();
        assert!(
            wrong.contains("m5.large has 3 network interfaces") && wrong.contains("from 5 on"),
            "{wrong}"
        );
    }
}
