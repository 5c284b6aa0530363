//! Making setups, and what this machine lacks for them.

use super::ipset::Ipset;
use super::iptables::{Iptables, Variant};
use super::netfilter::Netfilter;
use super::netloom::Netloom;
use super::nftables::Nftables;
use super::veth::Veth;
use super::{Missing, Setup, SetupName, ipset, nftables, tool};
use crate::network::Error;

/// Makes these setups; all of them stand at the same time. What one of an earlier run left is removed first.
///
/// # Errors
/// When this is not run by root, or something cannot be made. What was made is removed again.
pub fn build(names: &[SetupName]) -> Result<Vec<Box<dyn Setup>>, Error> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    names.iter().map(|name| make(*name)).collect()
}

fn make(name: SetupName) -> Result<Box<dyn Setup>, Error> {
    Ok(match name {
        SetupName::Veth => Box::new(Veth::make()?),
        SetupName::IptablesLegacy => Box::new(Netfilter::make(Iptables(Variant::Legacy))?),
        SetupName::IptablesNft => Box::new(Netfilter::make(Iptables(Variant::Nft))?),
        SetupName::Ipset => Box::new(Netfilter::make(Ipset)?),
        SetupName::Nftables => Box::new(Netfilter::make(Nftables)?),
        SetupName::Netloom => Box::new(Netloom::make()?),
    })
}

/// The programs that these setups need and this machine has not.
#[must_use]
pub fn missing(names: &[SetupName]) -> Vec<Missing> {
    let mut missing = Vec::new();
    for &setup in names {
        let mut need = |programs: &[&str], package: &str| {
            let absent = programs.iter().filter(|program| tool::find(program).is_none());
            missing.extend(absent.map(|program| Missing {
                setup,
                program: (*program).to_owned(),
                package: format!("package {package} of Debian"),
            }));
        };
        match setup {
            SetupName::Veth => {}
            SetupName::IptablesLegacy => need(&Variant::Legacy.programs(), "iptables"),
            SetupName::IptablesNft => need(&Variant::Nft.programs(), "iptables"),
            SetupName::Ipset => {
                need(&ipset::TABLES.programs(), "iptables");
                need(&[ipset::PROGRAM], "ipset");
            }
            SetupName::Nftables => need(&[nftables::PROGRAM], "nftables"),
            SetupName::Netloom => {
                if let Err(error) = lab::up::programs() {
                    let (program, package) = ("netloom's programs".to_owned(), format!("{error:#}"));
                    missing.push(Missing { setup, program, package });
                }
            }
        }
    }
    missing
}
