//! AttachNetworkInterface and DetachNetworkInterface.

use ipam::ec2::{Attachment, AttachmentStatus, Interface};

use crate::{
    Answer, InstanceState, Operation, Refusal, Region, actions::addresses::no_prefixes, events::Change,
    instance_types, refusal::Resource, region::Due,
};

impl Region {
    pub(super) fn attach(
        &mut self,
        interface_id: &str,
        instance_id: &str,
        device_index: u32,
        network_card: u32,
    ) -> Result<Answer, Refusal> {
        let interface = self.mine(interface_id)?.is.clone();
        if interface.attachment.is_some() {
            let message = format!("Interface: [{interface_id}] in use.");
            return Err(Refusal::new("InvalidNetworkInterface.InUse", message));
        }
        self.check_attach(&interface, instance_id, device_index, network_card)?;
        let attachment_id = self.join(interface_id, instance_id, device_index, false)?;
        self.schedule(self.settings.lags.attach, Due::Attached { attachment_id: attachment_id.clone() });
        Ok(Answer::Attached { attachment_id })
    }

    fn check_attach(
        &self,
        interface: &Interface,
        instance_id: &str,
        device_index: u32,
        network_card: u32,
    ) -> Result<(), Refusal> {
        let instance = self.state.instance(instance_id)?;
        if instance.state != InstanceState::Running {
            let message = format!("Instance '{instance_id}' is not 'running' or 'stopped'.");
            return Err(Refusal::new("IncorrectState", message));
        }
        if instance.availability_zone != interface.availability_zone || instance.vpc_id != interface.vpc_id {
            return Err(Refusal::combination(
                "You may not attach a network interface to an instance if they are not in the same availability zone and VPC",
            ));
        }
        if network_card != 0 {
            return Err(Refusal::value(format!("Invalid value '{network_card}' for networkCardIndex.")));
        }
        let Some(limits) = instance_types().get(&instance.instance_type) else {
            return Err(Refusal::value(format!("Unknown instance type {}", instance.instance_type)));
        };
        let attached = u32::try_from(instance.interfaces.len()).unwrap_or(u32::MAX);
        if attached >= limits.interfaces {
            let (count, name) = (attached + 1, &limits.name);
            let message = format!("Interface count {count} exceeds the limit for {name}");
            return Err(Refusal::new("AttachmentLimitExceeded", message));
        }
        let attachments = instance.interfaces.iter().filter_map(|id| self.state.interfaces.get(id));
        let mut indexes =
            attachments.filter_map(|one| one.is.attachment.as_ref()).map(|one| one.device_index);
        if indexes.any(|index| index == device_index) {
            return Err(Refusal::value(format!(
                "Instance '{instance_id}' already has an interface attached at device index '{device_index}'."
            )));
        }
        if interface.slots() > limits.ipv4_per_interface {
            let (count, name) = (interface.slots(), &limits.name);
            let message = format!("Address count {count} on interface exceeds the limit for {name}");
            return Err(Refusal::new("InvalidInterface.IpAddressLimitExceeded", message));
        }
        if !interface.prefixes.is_empty() && !limits.has_prefixes() {
            return Err(no_prefixes(limits));
        }
        Ok(())
    }

    /// Joins an interface and an instance; the instance does not see it yet. Returns the attachment's id.
    pub(super) fn join(
        &mut self,
        interface_id: &str,
        instance_id: &str,
        device_index: u32,
        delete_on_termination: bool,
    ) -> Result<String, Refusal> {
        let id = self.id("eni-attach");
        let attachment = Attachment {
            id: id.clone(),
            instance_id: instance_id.to_owned(),
            device_index,
            network_card: 0,
            delete_on_termination,
            status: AttachmentStatus::Attaching,
            attached_at: Some(self.now),
        };
        self.state.interface_mut(interface_id)?.is.attachment = Some(attachment);
        self.state.attachments.insert(id.clone(), interface_id.to_owned());
        if let Some(instance) = self.state.instances.get_mut(instance_id) {
            instance.interfaces.insert(interface_id.to_owned());
        }
        self.changed(interface_id);
        Ok(id)
    }

    /// The instance sees the interface now, unless it is being detached again.
    pub(crate) fn attached(&mut self, attachment_id: &str) {
        let Some(id) = self.state.attachments.get(attachment_id).cloned() else { return };
        let Ok(interface) = self.state.interface_mut(&id) else { return };
        let attaching = |one: &&mut Attachment| one.status == AttachmentStatus::Attaching;
        let Some(attachment) = interface.is.attachment.as_mut().filter(attaching) else { return };
        attachment.status = AttachmentStatus::Attached;
        self.changed(&id);
        if let Some(interface) = self.state.interfaces.get(&id).map(|one| one.is.clone()) {
            self.tell(Change::Attached(Box::new(interface)));
        }
    }

    pub(super) fn detach(&mut self, attachment_id: &str) -> Result<Answer, Refusal> {
        let not_found = || Refusal::not_found(Resource::Attachment, attachment_id);
        let id = self.state.attachments.get(attachment_id).cloned().ok_or_else(not_found)?;
        let interface = self.mine(&id)?.is.clone();
        let attachment = interface.attachment.as_ref().ok_or_else(not_found)?;
        if attachment.device_index == 0 {
            let message = "The network interface at device index 0 cannot be detached.";
            return Err(Refusal::new("OperationNotPermitted", message));
        }
        if attachment.status == AttachmentStatus::Detaching {
            let message = format!("The attachment '{attachment_id}' is being detached already.");
            return Err(Refusal::new("IncorrectState", message));
        }
        self.note_release_of_all(&interface, Operation::DetachNetworkInterface);
        if let Some(attachment) = self.state.interface_mut(&id)?.is.attachment.as_mut() {
            attachment.status = AttachmentStatus::Detaching;
        }
        self.changed(&id);
        self.schedule(self.settings.lags.detach, Due::Detached { attachment_id: attachment_id.to_owned() });
        Ok(Answer::Done)
    }

    /// The interface is free now.
    pub(crate) fn detached(&mut self, attachment_id: &str) {
        let Some(id) = self.state.attachments.remove(attachment_id) else { return };
        let Ok(interface) = self.state.interface_mut(&id) else { return };
        let Some(attachment) = interface.is.attachment.take() else { return };
        let interface = interface.is.clone();
        if let Some(instance) = self.state.instances.get_mut(&attachment.instance_id) {
            instance.interfaces.remove(&id);
        }
        self.changed(&id);
        let interface = Box::new(self.state.interfaces.get(&id).map_or(interface, |one| one.is.clone()));
        self.tell(Change::Detached { instance_id: attachment.instance_id, interface });
    }
}
