//! A VPC of EC2 that carries packets: what nodes of `lab up --mode eni` are instances of.
//!
//! It is a program of its own (`netloom lab-cloud`) beside the lab's API server, so that what EC2 knows outlives the
//! lab's daemon, its operators and its agents.
//!
//! | file | what |
//! |---|---|
//! | [`plan`] | zones, subnets and addresses, as the first commands of a cluster's administrator would choose them |
//! | [`values`] | what operators and agents are told of it |
//! | [`room`] | how many pods an instance takes |
//! | [`region`] | makes all that in the emulator |
//! | [`links`] | the network namespaces: a router instead of a switch, and instances without interfaces |
//! | [`plug`] | what EC2 does to interfaces is done to links and routes |
//! | [`rules`] | what EC2's network drops |
//! | [`control`] | what others ask of the program, and its client |
//! | [`program`] | the program |
//! | `view` | how the cloud is, for a person |
//!
//! The fabric is no switch here. It is the VPC's router: every interface's other end is in its namespace, it answers
//! ARP for every address that it has a route to, and it has routes to what EC2 assigned and to nothing else.

pub mod control;
pub mod links;
pub mod plan;
pub mod plug;
pub mod program;
pub mod region;
pub mod room;
pub mod rules;
pub mod values;
pub(crate) mod view;

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use ipam::eni::max_pods_with_addresses;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Config;
use crate::paths::Paths;
use crate::state::State;
use crate::{random, up};

/// What nodes are, where nobody says otherwise.
pub const INSTANCE_TYPE: &str = "m5.large";
/// How long the program may take to begin, with an interface for each of many nodes.
const BEGIN: Duration = Duration::from_secs(15);
/// Between two looks at whether it has.
const PAUSE: Duration = Duration::from_millis(5);

/// What VPC a lab has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setup {
    /// What its nodes are.
    pub instance_type: String,
    /// What ids and chosen addresses follow from.
    pub seed: u64,
    /// What agents are told of it, as a network configuration.
    pub netconf: Value,
}

impl Setup {
    /// A VPC with instances of this type, for programs that are told this.
    ///
    /// # Errors
    /// When there is no such type or no pod could have an address there, or the network configuration that `config`
    /// names cannot be read.
    pub fn new(instance_type: &str, config: &Config) -> Result<Self> {
        let known = vpc::instance_types();
        let Some(found) = known.get(instance_type) else {
            let family = |name: &str| name.split('.').next().map(str::to_owned);
            let like = known.keys().filter(|name| family(name) == family(instance_type));
            let like: Vec<_> = like.map(String::as_str).collect();
            let like = if like.is_empty() { INSTANCE_TYPE.to_owned() } else { like.join(", ") };
            bail!("EC2 has no instance type {instance_type:?}; there is {like}");
        };
        let netconf = values::netconf(config)?;
        max_pods_with_addresses(found, room::options(config, &netconf))?;
        let seed = u64::from_ne_bytes(random::bytes()?);
        Ok(Self { instance_type: instance_type.to_owned(), seed, netconf })
    }

    /// How many pods kubelet may start on such an instance; none where the type is not known any more.
    #[must_use]
    pub fn max_pods(&self, config: &Config) -> Option<u32> {
        let of = vpc::instance_types().get(&self.instance_type)?;
        max_pods_with_addresses(of, room::options(config, &self.netconf)).ok()
    }

    /// Starts the program for a lab, and returns when the instances have their first interfaces.
    ///
    /// # Errors
    /// When the program does not begin.
    pub(crate) fn start(&self, state: &State, paths: &Paths) -> Result<()> {
        let mut child = up::start(state, "lab-cloud", &paths.cloud_log())?;
        let client = control::Client::new(&paths.cloud_socket());
        let start = Instant::now();
        while !paths.cloud_socket().exists() || client.status().is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("the lab's EC2 has ended: {status}");
            }
            ensure!(start.elapsed() < BEGIN, "the lab's EC2 does not begin");
            sleep(PAUSE);
        }
        Ok(())
    }
}
