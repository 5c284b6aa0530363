//! RunInstances and TerminateInstances.

use std::{collections::BTreeSet, sync::Arc};

use ipam::ec2::Interface;

use crate::{
    Answer, CreateInterface, InstanceState, Refusal, Region, RunInstances, answer::InstanceView,
    events::Change, instance_types, region::Due, state::Instance,
};

/// What instances have if nobody says otherwise.
const HOP_LIMIT: u8 = 2;

impl Region {
    pub(super) fn run_instances(&mut self, run: &RunInstances) -> Result<Answer, Refusal> {
        if let Some((by, ids)) = run.client_token.as_ref().and_then(|token| self.started.get(token)) {
            if by != run {
                let message = "The same client token was used with different parameters.";
                return Err(Refusal::new("IdempotentParameterMismatch", message));
            }
            return Ok(Answer::Running(self.views(ids)));
        }
        if !instance_types().contains_key(&run.instance_type) {
            let name = &run.instance_type;
            return Err(Refusal::value(format!("Invalid value '{name}' for InstanceType.")));
        }
        if run.count == 0 || (run.count > 1 && run.primary_address.is_some()) {
            return Err(Refusal::value(format!("Invalid value '{}' for MaxCount.", run.count)));
        }
        let subnet = self.state.subnet(&run.subnet_id)?;
        // All or nothing: see whether the subnet has room before making the first.
        if subnet.space.available() < run.count {
            return Err(super::addresses::no_address());
        }
        if self.state.interfaces.len() + run.count as usize > self.settings.interface_quota {
            let message = "You have reached the limit of network interfaces in this region.";
            return Err(Refusal::new("NetworkInterfaceLimitExceeded", message));
        }
        let reservation_id = self.id("r");
        let ids: Vec<String> =
            (0..run.count).map(|_| self.run_one(run, &reservation_id)).collect::<Result<_, _>>()?;
        if let Some(token) = &run.client_token {
            self.started.insert(token.clone(), (run.clone(), ids.clone()));
        }
        Ok(Answer::Running(self.views(&ids)))
    }

    fn run_one(&mut self, run: &RunInstances, reservation_id: &str) -> Result<String, Refusal> {
        let interface_id = self.make_interface(&CreateInterface {
            subnet_id: run.subnet_id.clone(),
            security_groups: run.security_groups.clone(),
            primary_address: run.primary_address,
            tags: run.interface_tags.clone(),
            ..CreateInterface::default()
        })?;
        let about = &self.state.subnet(&run.subnet_id)?.about;
        let (vpc_id, availability_zone) = (about.vpc_id.clone(), about.availability_zone.clone());
        let id = self.id("i");
        let instance = Instance {
            id: id.clone(),
            reservation_id: reservation_id.to_owned(),
            instance_type: run.instance_type.clone(),
            state: InstanceState::Pending,
            launched: self.now,
            subnet_id: run.subnet_id.clone(),
            vpc_id,
            availability_zone,
            tags: run.tags.clone(),
            hop_limit: run.hop_limit.unwrap_or(HOP_LIMIT),
            interfaces: BTreeSet::new(),
        };
        self.state.instances.insert(id.clone(), instance);
        self.join(&interface_id, &id, 0, true)?;
        self.schedule(self.settings.lags.boot, Due::Running { instance_id: id.clone() });
        Ok(id)
    }

    /// An instance has booted; its primary interface comes with it.
    pub(crate) fn running(&mut self, id: &str) {
        let pending = |one: &&mut Instance| one.state == InstanceState::Pending;
        let Some(instance) = self.state.instances.get_mut(id).filter(pending) else { return };
        instance.state = InstanceState::Running;
        let interfaces = instance.interfaces.clone();
        self.tell(Change::Started { instance_id: id.to_owned() });
        let attachments: Vec<String> = interfaces.iter().filter_map(|id| self.attachment_of(id)).collect();
        for attachment in attachments {
            self.attached(&attachment);
        }
    }

    fn attachment_of(&self, interface_id: &str) -> Option<String> {
        Some(self.state.interfaces.get(interface_id)?.is.attachment.as_ref()?.id.clone())
    }

    pub(super) fn terminate_instances(&mut self, ids: &[String]) -> Result<Answer, Refusal> {
        if ids.is_empty() {
            return Err(Refusal::missing("InstanceId"));
        }
        for id in ids {
            self.state.instance(id)?;
        }
        let mut changes = Vec::new();
        for id in ids {
            let Some(instance) = self.state.instances.get_mut(id) else { continue };
            let before = instance.state;
            if matches!(before, InstanceState::Pending | InstanceState::Running) {
                instance.state = InstanceState::ShuttingDown;
                let due = Due::Terminated { instance_id: id.clone() };
                self.schedule(self.settings.lags.terminate, due);
            }
            let now = self.state.instances.get(id).map_or(before, |instance| instance.state);
            changes.push((id.clone(), before, now));
        }
        Ok(Answer::Terminating(changes))
    }

    /// An instance is gone, with its pods and the interfaces that are to be deleted with it; others are free
    /// now.
    pub(crate) fn terminated(&mut self, id: &str) {
        let Some(instance) = self.state.instances.get_mut(id) else { return };
        instance.state = InstanceState::Terminated;
        let interfaces = instance.interfaces.clone();
        self.pods.forget_instance(id);
        for interface_id in interfaces {
            let Some(interface) = self.state.interfaces.get(&interface_id).map(|one| one.is.clone()) else {
                continue;
            };
            self.lose(&interface);
        }
        self.tell(Change::Terminated { instance_id: id.to_owned() });
    }

    fn lose(&mut self, interface: &Interface) {
        let Some(attachment) = &interface.attachment else { return };
        self.detached(&attachment.id);
        if attachment.delete_on_termination {
            let free = self.state.interfaces.get(&interface.id).map(|one| one.is.clone());
            if let Some(free) = free {
                self.erase_interface(&free);
            }
        }
    }

    fn views(&self, ids: &[String]) -> Vec<InstanceView> {
        ids.iter()
            .filter_map(|id| self.state.instances.get(id))
            .map(|instance| self.instance_view(instance, self.now))
            .collect()
    }

    /// An instance with its interfaces as they were then.
    pub(crate) fn instance_view(&self, instance: &Instance, then: ipam::Timestamp) -> InstanceView {
        let attached = |interface: &&Arc<Interface>| {
            interface.attachment.as_ref().is_some_and(|attachment| attachment.instance_id == instance.id)
        };
        let seen = instance.interfaces.iter().filter_map(|id| self.history.at(id, then));
        let mut interfaces: Vec<_> = seen.filter(attached).map(|one| self.state.view(one)).collect();
        interfaces.sort_by_key(|view| view.interface.attachment.as_ref().map(|one| one.device_index));
        InstanceView {
            id: instance.id.clone(),
            reservation_id: instance.reservation_id.clone(),
            instance_type: instance.instance_type.clone(),
            state: instance.state,
            launched: instance.launched,
            subnet_id: instance.subnet_id.clone(),
            vpc_id: instance.vpc_id.clone(),
            availability_zone: instance.availability_zone.clone(),
            tags: instance.tags.clone(),
            hop_limit: instance.hop_limit,
            interfaces,
        }
    }
}
