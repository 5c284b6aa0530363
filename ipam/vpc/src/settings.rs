//! How a region behaves.

use std::time::Duration;

/// How late views of the truth are, and how long changes take. All are zero by default, so that each call
/// sees what the one before did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lags {
    /// Describe shows interfaces as they were so long ago: new ones are missing, deleted ones are still
    /// there.
    pub describe: Duration,
    /// For so long after its making, an interface's id is unknown to every other request.
    pub new_ids: Duration,
    /// The metadata service shows interfaces as they were so long ago.
    pub metadata: Duration,
    /// From AttachNetworkInterface's answer until the instance sees the interface.
    pub attach: Duration,
    /// From DetachNetworkInterface's answer until the interface is free.
    pub detach: Duration,
    /// From RunInstances' answer until the instance runs.
    pub boot: Duration,
    /// From TerminateInstances' answer until the instance and its interfaces are gone.
    pub terminate: Duration,
    /// From AssociateVpcCidrBlock's answer until the CIDR is the VPC's.
    pub associate: Duration,
}

/// How EC2 spells an error for which it is known to have two spellings: no free prefix in
/// CreateNetworkInterface (`InsufficientCidrBlocks`, or `InvalidParameterValue` as in vpc-cni #3105), and
/// DeleteNetworkInterface of one that is attached (`InvalidNetworkInterface.InUse` or
/// `InvalidParameterValue`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    /// Always by the code of its own.
    Code,
    /// Always as an invalid parameter value.
    InvalidValue,
    /// Now so, now so, as the seed has it.
    #[default]
    Either,
}

/// Settings of a [`Region`](crate::Region).
#[derive(Clone, Debug)]
pub struct Settings {
    /// What ids and chosen addresses follow from.
    pub seed: u64,
    /// The region's name; its zones are this with a letter.
    pub region: String,
    /// The account that owns everything.
    pub account: String,
    /// Delays.
    pub lags: Lags,
    /// How far back stale reads can look. Longer than any lag of [`Lags`]; costs memory for every change in
    /// it.
    pub remembered: Duration,
    /// Whether requests are throttled, see [`crate::Buckets`].
    pub throttled: bool,
    /// Spellings of errors that have two.
    pub spelling: Spelling,
    /// Interfaces that the account may have in the region.
    pub interface_quota: usize,
    /// Security groups that an interface may have.
    pub groups_per_interface: usize,
    /// The length of a page where none is asked for. Interfaces come in one page then, however many there are
    /// (cilium #37983).
    pub page: usize,
}

impl Default for Settings {
    /// EC2's usual quotas, no throttling and no delay.
    fn default() -> Self {
        Self {
            seed: 0,
            region: "eu-central-1".to_owned(),
            account: "123456789012".to_owned(),
            lags: Lags::default(),
            remembered: Duration::from_secs(300),
            throttled: false,
            spelling: Spelling::default(),
            interface_quota: 5_000,
            groups_per_interface: 5,
            page: 1_000,
        }
    }
}
