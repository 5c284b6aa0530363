//! Filters of the Describe operations.

use ipam::ec2::{AttachmentStatus, InstanceType, InterfaceStatus, Subnet, Tags};

use crate::{
    Refusal, ReservationKind,
    answer::{GroupView, InstanceView, InterfaceView, Reservation, VpcView},
};

/// What can be listed and filtered.
pub(super) trait Listed {
    /// Filters that it has, beside those for tags. Another one is an error, not a filter that lets everything
    /// through.
    const FILTERS: &'static [&'static str];

    /// Its id.
    fn id(&self) -> &str;

    /// Its tags, where it can have any.
    fn tags(&self) -> Option<&Tags>;

    /// What a filter compares.
    fn values(&self, filter: &str) -> Vec<String>;
}

/// Checks that all filters are known.
pub(super) fn check<T: Listed>(filters: &[(String, Vec<String>)]) -> Result<(), Refusal> {
    for (name, _) in filters {
        let known = name == "tag-key" || name.starts_with("tag:") || T::FILTERS.contains(&name.as_str());
        if !known {
            return Err(Refusal::value(format!("The filter '{name}' is invalid")));
        }
    }
    Ok(())
}

/// Whether all filters let it through.
pub(super) fn pass<T: Listed>(item: &T, filters: &[(String, Vec<String>)]) -> bool {
    filters.iter().all(|(name, patterns)| {
        let has = match (name.as_str(), name.strip_prefix("tag:")) {
            ("tag-key", _) => item.tags().into_iter().flat_map(|tags| tags.keys().cloned()).collect(),
            (_, Some(key)) => item.tags().and_then(|tags| tags.get(key).cloned()).into_iter().collect(),
            (name, None) => item.values(name),
        };
        has.iter().any(|value| patterns.iter().any(|pattern| matches(pattern.as_bytes(), value.as_bytes())))
    })
}

/// Whether a value is what a pattern says; `*` is any text, `?` any character, and a backslash takes their
/// meaning.
fn matches(pattern: &[u8], value: &[u8]) -> bool {
    // Where to go on when what came after the last `*` turns out to be wrong.
    let (mut at, mut seen, mut retry) = (0, 0, None);
    while seen < value.len() {
        let (literal, width) = match pattern.get(at) {
            Some(b'\\') if at + 1 < pattern.len() => (Some(pattern[at + 1]), 2),
            Some(b'*') => {
                retry = Some((at + 1, seen));
                at += 1;
                continue;
            }
            Some(b'?') => (Some(value[seen]), 1),
            other => (other.copied(), 1),
        };
        if literal == Some(value[seen]) {
            (at, seen) = (at + width, seen + 1);
        } else if let Some((after, from)) = retry {
            (at, seen) = (after, from + 1);
            retry = Some((after, from + 1));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

impl Listed for InterfaceView {
    const FILTERS: &'static [&'static str] = &[
        "addresses.private-ip-address",
        "attachment.attachment-id",
        "attachment.delete-on-termination",
        "attachment.device-index",
        "attachment.instance-id",
        "attachment.status",
        "availability-zone",
        "description",
        "group-id",
        "group-name",
        "interface-type",
        "mac-address",
        "network-interface-id",
        "private-ip-address",
        "requester-managed",
        "source-dest-check",
        "status",
        "subnet-id",
        "vpc-id",
    ];

    fn id(&self) -> &str {
        &self.interface.id
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.interface.tags)
    }

    fn values(&self, filter: &str) -> Vec<String> {
        let is = &self.interface;
        let attachment = is.attachment.as_ref();
        match filter {
            "addresses.private-ip-address" | "private-ip-address" => {
                let single = std::iter::once(&is.primary_address).chain(&is.secondary_addresses);
                single.map(ToString::to_string).collect()
            }
            "attachment.attachment-id" => attachment.map(|one| one.id.clone()).into_iter().collect(),
            "attachment.delete-on-termination" => {
                attachment.map(|one| one.delete_on_termination.to_string()).into_iter().collect()
            }
            "attachment.device-index" => {
                attachment.map(|one| one.device_index.to_string()).into_iter().collect()
            }
            "attachment.instance-id" => attachment.map(|one| one.instance_id.clone()).into_iter().collect(),
            "attachment.status" => {
                attachment.map(|one| attachment_status(one.status).to_owned()).into_iter().collect()
            }
            "availability-zone" => vec![is.availability_zone.clone()],
            "description" => vec![is.description.clone()],
            "group-id" => is.security_groups.clone(),
            "group-name" => self.group_names.clone(),
            "interface-type" => vec![is.kind.clone()],
            "mac-address" => vec![is.mac.clone()],
            "network-interface-id" => vec![is.id.clone()],
            "requester-managed" => vec![is.requester_managed.to_string()],
            "source-dest-check" => vec![self.source_check.to_string()],
            "status" => vec![interface_status(is.status).to_owned()],
            "subnet-id" => vec![is.subnet_id.clone()],
            "vpc-id" => vec![is.vpc_id.clone()],
            _ => Vec::new(),
        }
    }
}

/// EC2's word for it.
pub(crate) fn interface_status(status: InterfaceStatus) -> &'static str {
    match status {
        InterfaceStatus::Available => "available",
        InterfaceStatus::Attaching => "attaching",
        InterfaceStatus::InUse => "in-use",
        InterfaceStatus::Detaching => "detaching",
        InterfaceStatus::Unknown => "unknown",
    }
}

/// EC2's word for it.
pub(crate) fn attachment_status(status: AttachmentStatus) -> &'static str {
    match status {
        AttachmentStatus::Attaching => "attaching",
        AttachmentStatus::Attached => "attached",
        AttachmentStatus::Detaching => "detaching",
        AttachmentStatus::Detached => "detached",
        AttachmentStatus::Unknown => "unknown",
    }
}

impl Listed for Subnet {
    const FILTERS: &'static [&'static str] = &[
        "availability-zone",
        "available-ip-address-count",
        "cidr",
        "cidr-block",
        "state",
        "subnet-id",
        "vpc-id",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.tags)
    }

    fn values(&self, filter: &str) -> Vec<String> {
        match filter {
            "availability-zone" => vec![self.availability_zone.clone()],
            "available-ip-address-count" => vec![self.available_addresses.to_string()],
            "cidr" | "cidr-block" => vec![self.cidr.to_string()],
            "state" => vec!["available".to_owned()],
            "subnet-id" => vec![self.id.clone()],
            "vpc-id" => vec![self.vpc_id.clone()],
            _ => Vec::new(),
        }
    }
}

impl Listed for VpcView {
    const FILTERS: &'static [&'static str] =
        &["cidr", "cidr-block-association.cidr-block", "is-default", "state", "vpc-id"];

    fn id(&self) -> &str {
        &self.vpc.id
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.vpc.tags)
    }

    fn values(&self, filter: &str) -> Vec<String> {
        match filter {
            "cidr" => vec![self.vpc.primary_cidr.to_string()],
            "cidr-block-association.cidr-block" => {
                self.cidrs.iter().map(|one| one.cidr.to_string()).collect()
            }
            "is-default" => vec!["false".to_owned()],
            "state" => vec!["available".to_owned()],
            "vpc-id" => vec![self.vpc.id.clone()],
            _ => Vec::new(),
        }
    }
}

impl Listed for GroupView {
    const FILTERS: &'static [&'static str] = &["description", "group-id", "group-name", "vpc-id"];

    fn id(&self) -> &str {
        &self.group.id
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.group.tags)
    }

    fn values(&self, filter: &str) -> Vec<String> {
        match filter {
            "description" => vec![self.description.clone()],
            "group-id" => vec![self.group.id.clone()],
            "group-name" => vec![self.group.name.clone()],
            "vpc-id" => vec![self.group.vpc_id.clone()],
            _ => Vec::new(),
        }
    }
}

impl Listed for InstanceType {
    const FILTERS: &'static [&'static str] = &["bare-metal", "hypervisor", "instance-type"];

    fn id(&self) -> &str {
        &self.name
    }

    fn tags(&self) -> Option<&Tags> {
        None
    }

    fn values(&self, filter: &str) -> Vec<String> {
        match filter {
            "bare-metal" => vec![self.bare_metal.to_string()],
            "hypervisor" => self.hypervisor.clone().into_iter().collect(),
            "instance-type" => vec![self.name.clone()],
            _ => Vec::new(),
        }
    }
}

impl Listed for InstanceView {
    const FILTERS: &'static [&'static str] = &[
        "availability-zone",
        "instance-id",
        "instance-state-code",
        "instance-state-name",
        "instance-type",
        "network-interface.network-interface-id",
        "private-ip-address",
        "reservation-id",
        "subnet-id",
        "vpc-id",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.tags)
    }

    fn values(&self, filter: &str) -> Vec<String> {
        match filter {
            "availability-zone" => vec![self.availability_zone.clone()],
            "instance-id" => vec![self.id.clone()],
            "instance-state-code" => vec![self.state.name().1.to_string()],
            "instance-state-name" => vec![self.state.name().0.to_owned()],
            "instance-type" => vec![self.instance_type.clone()],
            "network-interface.network-interface-id" => {
                self.interfaces.iter().map(|view| view.interface.id.clone()).collect()
            }
            "private-ip-address" => {
                let primary = self.interfaces.first().map(|view| view.interface.primary_address.to_string());
                primary.into_iter().collect()
            }
            "reservation-id" => vec![self.reservation_id.clone()],
            "subnet-id" => vec![self.subnet_id.clone()],
            "vpc-id" => vec![self.vpc_id.clone()],
            _ => Vec::new(),
        }
    }
}

impl Listed for Reservation {
    const FILTERS: &'static [&'static str] = &["reservationType", "subnet-id"];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> Option<&Tags> {
        None
    }

    fn values(&self, filter: &str) -> Vec<String> {
        match filter {
            "reservationType" => vec![self.kind.name().to_owned()],
            "subnet-id" => vec![self.subnet_id.clone()],
            _ => Vec::new(),
        }
    }
}

impl ReservationKind {
    /// EC2's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Explicit => "explicit",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, value, expected) in [
            ("eni-1", "eni-1", true),
            ("eni-1", "eni-12", false),
            ("eni-*", "eni-12", true),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a\\*c", "a*c", true),
            ("a\\*c", "abc", false),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), value.as_bytes()), expected, "{pattern} {value}");
        }
    }
}
