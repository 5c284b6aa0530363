//! The limit: links and routes, and nobody who looks at a packet.

use nix::unistd::Pid;

use super::wiring::{Kind, Wiring};
use super::{Cost, Loaded, Setup, SetupName, kernel};
use crate::network::Error;
use crate::network::pods::Pods;

/// Pods that nobody protects.
pub(super) struct Veth {
    wiring: Wiring,
}

impl Veth {
    pub(super) fn make() -> Result<Self, Error> {
        Ok(Self { wiring: Wiring::make(SetupName::Veth, Kind::Routed)? })
    }

    fn nothing(change: &'static str) -> Error {
        Error::NothingToChange { setup: SetupName::Veth, change }
    }
}

impl Setup for Veth {
    fn name(&self) -> SetupName {
        SetupName::Veth
    }

    fn pods(&self) -> &Pods {
        &self.wiring.pods
    }

    fn load(&mut self, _: usize) -> Result<Loaded, Error> {
        Ok(Loaded::default())
    }

    fn set_mtu(&mut self, mtu: u32) -> Result<(), Error> {
        self.wiring.set_mtu(mtu)
    }

    fn add_peer(&mut self) -> Result<Cost, Error> {
        Err(Self::nothing("a peer is added"))
    }

    fn remove_peer(&mut self) -> Result<Cost, Error> {
        Err(Self::nothing("a peer is removed"))
    }

    fn add_policy(&mut self) -> Result<Cost, Error> {
        Err(Self::nothing("a policy is added"))
    }

    fn remove_policy(&mut self) -> Result<Cost, Error> {
        Err(Self::nothing("a policy is removed"))
    }

    fn processes(&self) -> Vec<Pid> {
        Vec::new()
    }

    fn rules(&self) -> Result<String, Error> {
        Ok(String::new())
    }

    /// Nothing of netfilter may be in the way, in any of its namespaces.
    fn inspect(&self, _: usize) -> Result<(), Error> {
        let pods = self.wiring.pods.all().map(|pod| &pod.netns);
        self.wiring.nodes.iter().chain(pods).try_for_each(|netns| kernel::hold_bare(SetupName::Veth, netns))
    }
}
