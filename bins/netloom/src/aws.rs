//! What an installation on AWS needs to know beforehand.

use anyhow::{Context, Result};
use ipam::ec2::iam::{self, Scope};

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
    /// Interfaces are given up while their instance runs
    #[arg(long)]
    release_interfaces: bool,
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
        release_interfaces: args.release_interfaces,
    });
    println!("{}", serde_json::to_string_pretty(&policy).context("the policy as JSON")?);
    Ok(())
}
