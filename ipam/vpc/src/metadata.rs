//! What the instance metadata service tells an instance, with a lag and omissions of its own.

use std::sync::Arc;

use ipam::ec2::{AttachmentStatus, Interface};

use crate::{InstanceState, Region, state::Instance};

/// The paths beneath `/latest/`.
const ROOT: &str = "dynamic/\nmeta-data/";
const META_DATA: &str = "iam/\ninstance-id\ninstance-type\nlocal-ipv4\nmac\nnetwork/\nplacement/\nservices/";
/// The role of every instance. Nobody asks whether it may.
const ROLE: &str = "netloom-vpc";
/// How long its credentials are good, in seconds: as EC2's.
const GOOD_FOR: i64 = 6 * 3600;
const SERVICES: &str = "domain\npartition";

impl Region {
    /// What an instance reads at a path, without the leading `/latest/`; nothing where the service answers
    /// 404.
    ///
    /// Interfaces are shown as they were [`Lags::metadata`](crate::Lags::metadata) ago, those that are
    /// attached, and without those that [`Faults`](crate::Faults) omits. The primary interface is always
    /// there.
    pub fn metadata(&mut self, now: ipam::Timestamp, instance_id: &str, path: &str) -> Option<String> {
        self.advance(now);
        let instance = self.state.instances.get(instance_id)?.clone();
        if instance.state == InstanceState::Terminated {
            return None;
        }
        let path = path.trim_matches('/');
        let Some(rest) = path.strip_prefix("meta-data").map(|rest| rest.trim_start_matches('/')) else {
            return match path {
                "" => Some(ROOT.to_owned()),
                "dynamic" => Some("instance-identity/".to_owned()),
                "dynamic/instance-identity" => Some("document".to_owned()),
                "dynamic/instance-identity/document" => self.identity(&instance),
                _ => None,
            };
        };
        match rest {
            "" => Some(META_DATA.to_owned()),
            "instance-id" => Some(instance.id),
            "instance-type" => Some(instance.instance_type),
            "mac" => self.primary(&instance).map(|one| one.mac.clone()),
            "local-ipv4" => self.primary(&instance).map(|one| one.primary_address.to_string()),
            "placement" => Some("availability-zone\nregion".to_owned()),
            "placement/availability-zone" => Some(instance.availability_zone),
            "placement/region" => Some(self.settings.region.clone()),
            "iam" => Some("security-credentials/".to_owned()),
            "iam/security-credentials" => Some(ROLE.to_owned()),
            "services" => Some(SERVICES.to_owned()),
            "services/domain" => Some("amazonaws.com".to_owned()),
            "services/partition" => Some("aws".to_owned()),
            "network" => Some("interfaces/".to_owned()),
            "network/interfaces" => Some("macs/".to_owned()),
            "network/interfaces/macs" => {
                let macs = self.shown(&instance);
                Some(macs.iter().map(|one| format!("{}/", one.mac)).collect::<Vec<_>>().join("\n"))
            }
            _ if rest.strip_prefix("iam/security-credentials/") == Some(ROLE) => self.credentials(),
            _ => {
                let (mac, leaf) = match rest.strip_prefix("network/interfaces/macs/")?.split_once('/') {
                    Some((mac, leaf)) => (mac, leaf),
                    None => (rest.strip_prefix("network/interfaces/macs/")?, ""),
                };
                let interface = self.attached_to(&instance).into_iter().find(|one| one.mac == mac)?;
                if !is_primary(&interface) && self.omits(&interface.id, false) {
                    return None;
                }
                self.about(&interface, leaf)
            }
        }
    }

    /// The instance that has an address: who asks the metadata service from there.
    #[must_use]
    pub fn instance_at(&self, address: std::net::Ipv4Addr) -> Option<String> {
        let attached = |one: &&crate::state::InterfaceState| {
            one.is.attachment.is_some() && crate::state::holds(&one.is, address)
        };
        let holder = self.state.interfaces.values().find(attached)?;
        holder.is.attachment.as_ref().map(|attachment| attachment.instance_id.clone())
    }

    /// How far away answers of the metadata service are heard.
    #[must_use]
    pub fn hop_limit(&self, instance_id: &str) -> Option<u8> {
        self.state.instances.get(instance_id).map(|instance| instance.hop_limit)
    }

    /// Interfaces that the instance has, as the service knows them.
    fn attached_to(&self, instance: &Instance) -> Vec<Arc<Interface>> {
        let then = self.then(self.settings.lags.metadata.min(self.settings.remembered));
        let is_there = |interface: &&Arc<Interface>| {
            interface.attachment.as_ref().is_some_and(|attachment| {
                attachment.instance_id == instance.id
                    && (attachment.device_index == 0 || attachment.status != AttachmentStatus::Attaching)
            })
        };
        let mut all: Vec<_> = self.history.all_at(then).filter(is_there).cloned().collect();
        if !all.iter().any(|one| is_primary(one)) {
            // An instance that is younger than the lag knows its primary interface all the same.
            let now = instance.interfaces.iter().filter_map(|id| self.history.at(id, self.now));
            all.extend(now.filter(|one| is_primary(one)).cloned());
        }
        all.sort_by_key(|one| one.mac.clone());
        all
    }

    fn shown(&mut self, instance: &Instance) -> Vec<Arc<Interface>> {
        let all = self.attached_to(instance);
        all.into_iter().filter(|one| is_primary(one) || !self.omits(&one.id, false)).collect()
    }

    fn omits(&mut self, interface_id: &str, prefixes: bool) -> bool {
        self.faults.omits(interface_id, prefixes, self.now, &mut self.luck)
    }

    fn primary(&self, instance: &Instance) -> Option<Arc<Interface>> {
        self.attached_to(instance).into_iter().find(|one| is_primary(one))
    }

    fn about(&mut self, interface: &Arc<Interface>, leaf: &str) -> Option<String> {
        let attachment = interface.attachment.as_ref()?;
        let lines = |items: Vec<String>| Some(items.join("\n"));
        match leaf.trim_end_matches('/') {
            "" => {
                let prefixes = if interface.prefixes.is_empty() { "" } else { "ipv4-prefix\n" };
                Some(format!(
                    "device-number\ninterface-id\n{prefixes}local-ipv4s\nmac\nnetwork-card\nowner-id\nsecurity-group-ids\n\
                     security-groups\nsubnet-id\nsubnet-ipv4-cidr-block\nvpc-id\nvpc-ipv4-cidr-block\nvpc-ipv4-cidr-blocks"
                ))
            }
            "device-number" => Some(attachment.device_index.to_string()),
            "interface-id" => Some(interface.id.clone()),
            "ipv4-prefix" if interface.prefixes.is_empty() || self.omits(&interface.id, true) => None,
            "ipv4-prefix" => lines(interface.prefixes.iter().map(ToString::to_string).collect()),
            "local-ipv4s" => {
                let all = std::iter::once(&interface.primary_address).chain(&interface.secondary_addresses);
                lines(all.map(ToString::to_string).collect())
            }
            "mac" => Some(interface.mac.clone()),
            "network-card" => Some(attachment.network_card.to_string()),
            "owner-id" => Some(self.settings.account.clone()),
            "security-group-ids" => lines(interface.security_groups.clone()),
            "security-groups" => lines(self.state.view(interface).group_names),
            "subnet-id" => Some(interface.subnet_id.clone()),
            "subnet-ipv4-cidr-block" => {
                Some(self.state.subnets.get(&interface.subnet_id)?.about.cidr.to_string())
            }
            "vpc-id" => Some(interface.vpc_id.clone()),
            "vpc-ipv4-cidr-block" => {
                Some(self.state.networks.get(&interface.vpc_id)?.cidrs.first()?.cidr.to_string())
            }
            "vpc-ipv4-cidr-blocks" => {
                let vpc = self.state.networks.get(&interface.vpc_id)?.view().vpc;
                lines(vpc.cidrs.iter().map(ToString::to_string).collect())
            }
            _ => None,
        }
    }

    /// Credentials of the role: requests are believed whoever signed them, but SDKs want to sign.
    fn credentials(&self) -> Option<String> {
        let now = jiff::Timestamp::from_millisecond(i64::try_from(self.now.0).ok()?).ok()?;
        let until = now.checked_add(jiff::SignedDuration::from_secs(GOOD_FOR)).ok()?;
        Some(format!(
            "{{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \"{now:.0}\",\n  \"Type\" : \"AWS-HMAC\",\n  \
             \"AccessKeyId\" : \"ASIANETLOOMVPC000000\",\n  \"SecretAccessKey\" : \"none\",\n  \
             \"Token\" : \"none\",\n  \"Expiration\" : \"{until:.0}\"\n}}"
        ))
    }

    /// The document that SDKs read the region from; unsigned.
    fn identity(&self, instance: &Instance) -> Option<String> {
        let primary = self.primary(instance)?.primary_address;
        Some(format!(
            "{{\n  \"accountId\" : \"{}\",\n  \"availabilityZone\" : \"{}\",\n  \"instanceId\" : \"{}\",\n  \
             \"instanceType\" : \"{}\",\n  \"privateIp\" : \"{primary}\",\n  \"region\" : \"{}\",\n  \
             \"version\" : \"2017-09-30\"\n}}",
            self.settings.account,
            instance.availability_zone,
            instance.id,
            instance.instance_type,
            self.settings.region,
        ))
    }
}

fn is_primary(interface: &Interface) -> bool {
    interface.attachment.as_ref().is_some_and(|attachment| attachment.device_index == 0)
}
