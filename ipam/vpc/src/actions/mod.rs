//! What each operation does.
//!
//! An operation checks everything first and changes things after, so that one that is refused changed
//! nothing.

mod addresses;
mod attachments;
mod describe;
pub(crate) mod filters;
mod instances;
mod interfaces;
mod networks;
mod paging;
mod tags;

use std::time::Duration;

use crate::{Answer, Call, Refusal, Region};

impl Region {
    /// Carries out a request; what is read is at least as old as told.
    pub(crate) fn perform(&mut self, call: &Call, age: Duration) -> Result<Answer, Refusal> {
        match call {
            Call::Assign { interface_id, wanted, reassign } => self.assign(interface_id, wanted, *reassign),
            Call::Unassign { interface_id, addresses, prefixes } => {
                self.unassign(interface_id, addresses, prefixes)
            }
            Call::CreateInterface(create) => self.create_interface(create),
            Call::Attach { interface_id, instance_id, device_index, network_card } => {
                self.attach(interface_id, instance_id, *device_index, *network_card)
            }
            Call::Detach { attachment_id } => self.detach(attachment_id),
            Call::DeleteInterface { interface_id } => self.delete_interface(interface_id),
            Call::ModifyInterface(modify) => self.modify_interface(modify),
            Call::CreateTags { resources, tags } => self.create_tags(resources, tags),
            Call::DeleteTags { resources, tags } => self.delete_tags(resources, tags),
            Call::Describe(listing, query) => self.describe(listing, query, age),
            Call::CreateVpc { cidr, tags } => self.create_vpc(*cidr, tags),
            Call::AssociateCidr { vpc_id, cidr } => self.associate_cidr(vpc_id, *cidr),
            Call::CreateSubnet { vpc_id, cidr, zone, tags } => {
                self.create_subnet(vpc_id, *cidr, zone.as_deref(), tags)
            }
            Call::CreateReservation { subnet_id, cidr, kind, description } => {
                self.create_reservation(subnet_id, *cidr, *kind, description)
            }
            Call::CreateSecurityGroup { vpc_id, name, description, tags } => {
                self.create_security_group(vpc_id, name, description, tags)
            }
            Call::RunInstances(run) => self.run_instances(run),
            Call::TerminateInstances { ids } => self.terminate_instances(ids),
        }
    }
}
