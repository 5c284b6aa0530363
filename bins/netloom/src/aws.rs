//! What an installation on AWS needs to know beforehand.

use anyhow::{Context, Result, bail};
use ipam::ec2::iam::{self, Scope};
use ipam::eni::{MaxPodsOptions, max_pods as figure};
use serde::Serialize;

/// What the operator's role is for.
#[derive(Debug, clap::Args)]
pub(crate) struct IamPolicyArgs {
    /// The cluster's name, with which its network interfaces are tagged
    #[arg(long, value_name = "NAME")]
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

/// Prints the least policy for the operator's role.
pub(crate) fn iam_policy(args: IamPolicyArgs) -> Result<()> {
    let policy = iam::policy(&Scope {
        cluster: args.cluster,
        partition: args.partition,
        region: args.region,
        account: args.account,
        vpc: args.vpc,
        primary_interfaces: args.first_interface_index == 0,
    });
    println!("{}", serde_json::to_string_pretty(&policy).context("the policy as JSON")?);
    Ok(())
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
        without_prefixes: figure(of, options(false)),
        with_prefixes: of.has_prefixes().then(|| figure(of, options(true))),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
        return Ok(());
    }
    println!(
        "{name}: {} network interfaces of {} IPv4 addresses",
        figures.interfaces, figures.ipv4_per_interface
    );
    println!("max-pods without prefixes: {}", figures.without_prefixes);
    match figures.with_prefixes {
        Some(pods) => println!("max-pods with prefixes:    {pods}"),
        None => println!("it takes no prefixes"),
    }
    Ok(())
}
