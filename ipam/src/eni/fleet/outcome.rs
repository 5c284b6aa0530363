//! What a node's request led to.

use super::{Fleet, Node, turn::Kept};
use crate::{
    Timestamp,
    ec2::{
        Addresses, Assigned, Attachment, AttachmentStatus, CreateInterface, Error, ErrorKind, Interface,
        InterfaceStatus, Reply, Request,
    },
    eni::{Kind, Reason},
};

/// The code of a right that is missing: it may be missing for one interface alone, where a policy asks for our tags.
const NO_RIGHT: &str = "UnauthorizedOperation";
/// The code of an instance that EC2 does not know, or not yet. What is known to be gone has others.
const UNKNOWN_INSTANCE: &str = "InvalidInstanceID.NotFound";

impl Fleet {
    /// Takes the answer to a node's request.
    pub(super) fn outcome(
        &mut self,
        name: &str,
        request: &Request,
        result: Result<Reply, Error>,
        sent: Timestamp,
        now: Timestamp,
    ) {
        let Some(mut node) = self.nodes.remove(name) else { return };
        node.at_ec2 = false;
        node.stirred = true;
        match result {
            Ok(reply) => {
                node.troubles.worked(request.action());
                named(request).for_each(|id| node.troubles.seen(id));
                node.mutated = Some(now);
                self.done(&mut node, request, reply, sent);
            }
            // Nothing happened; what was looked at is too old.
            Err(error) if error.kind == ErrorKind::Unsent => node.read_at = None,
            Err(error) => self.failed(&mut node, request, &error, sent, now),
        }
        self.nodes.insert(name.to_owned(), node);
    }

    fn done(&mut self, node: &mut Node, request: &Request, reply: Reply, sent: Timestamp) {
        match (request, reply) {
            (Request::Assign { interface_id, addresses }, Reply::Assigned(assigned)) => {
                node.troubles.changed(interface_id);
                let subnet = node.interface(interface_id).map(|of| of.subnet_id.clone());
                self.gave(subnet.as_deref(), addresses);
                node.assigned(interface_id, assigned, sent);
            }
            (Request::CreateInterface(create), Reply::Created(interface)) => {
                node.creating = None;
                if let Some(addresses) = &create.addresses {
                    self.gave(Some(&create.subnet_id), addresses);
                }
                node.unattached.retain(|other| other.id != interface.id);
                node.unattached.insert(0, *interface);
            }
            (
                Request::Attach { interface_id, instance_id, device_index },
                Reply::Attached { attachment_id },
            ) => {
                node.troubles.settled(interface_id);
                node.attached_as(interface_id, instance_id, *device_index, attachment_id, sent);
            }
            (Request::SetDeleteOnTermination { interface_id, delete, .. }, _) => {
                if let Some(attachment) = node.interface(interface_id).and_then(|of| of.attachment.as_mut()) {
                    attachment.delete_on_termination = *delete;
                }
            }
            (Request::Unassign { interface_id, .. }, _) => {
                node.troubles.changed(interface_id);
                node.must_ask = true;
            }
            // An answer that says too little.
            _ => node.must_ask = true,
        }
    }

    fn gave(&mut self, subnet: Option<&str>, addresses: &Addresses) {
        let (kind, count) = (kind_of(addresses), addresses.slots());
        let Some(subnet) = subnet else { return };
        self.history.gave(subnet, kind, count);
        if let Some(subnet) = self.subnets.get_mut(subnet) {
            subnet.available_addresses = subnet.available_addresses.saturating_sub(count * kind.addresses());
        }
    }

    fn failed(&mut self, node: &mut Node, request: &Request, error: &Error, sent: Timestamp, now: Timestamp) {
        let action = error.action;
        if error.kind.is_ambiguous() {
            // It may have been carried out. What is being made is asked for again, with the token; the rest is looked
            // at, when EC2 had time to show it.
            node.mutated = Some(now);
            node.must_ask = !matches!(request, Request::CreateInterface(_));
            return node.troubles.failed(action, None, now, &mut self.lots);
        }
        if matches!(request, Request::CreateInterface(_)) {
            node.creating = None;
        }
        if unknown(request, error).is_some_and(|id| node.troubles.unseen(id, now, &mut self.lots)) {
            // Looking would take longer than EC2 does.
            return;
        }
        let reason = Reason::refused(error, subject(request));
        match (error.kind, request) {
            (
                ErrorKind::NoFreePrefix | ErrorKind::NoFreeAddress,
                Request::Assign { addresses, .. }
                | Request::CreateInterface(CreateInterface { addresses: Some(addresses), .. }),
            ) => {
                if let Some(subnet) = node.subnet_of(request) {
                    // The plan says so, and goes another way at once.
                    let (kind, count) = (kind_of(addresses), addresses.slots());
                    self.history.refused(&subnet, (kind, count), sent, now, &mut self.lots);
                    return node.troubles.worked(action);
                }
            }
            // Others may be ours to change.
            (_, Request::Assign { interface_id, .. } | Request::Unassign { interface_id, .. })
                if may_be_of_one(request, error) =>
            {
                return node.troubles.avoid(interface_id, reason, now, &mut self.lots);
            }
            (ErrorKind::PrefixesUnsupported, _) => {
                let of = self.limits.get_mut(&node.record.settings.instance_type);
                of.into_iter().flatten().for_each(|limits| limits.prefixes = false);
            }
            (ErrorKind::TokenMismatch, _) => {
                node.attempt = node.attempt.wrapping_add(1);
                self.lists.turns.hurry(Kept::Interfaces);
            }
            (_, Request::Attach { interface_id, .. }) => self.not_attached(node, interface_id, error.kind),
            _ => {}
        }
        node.must_ask |= !matches!(error.kind, ErrorKind::Throttled | ErrorKind::Denied);
        let told = (error.kind != ErrorKind::Throttled).then_some(reason);
        node.troubles.failed(action, told, now, &mut self.lots);
    }

    fn not_attached(&mut self, node: &mut Node, interface_id: &str, kind: ErrorKind) {
        match kind {
            // That says nothing about the interface.
            ErrorKind::Throttled | ErrorKind::Denied => return,
            // It can never be attached here.
            ErrorKind::InterfaceFull | ErrorKind::InstanceGone | ErrorKind::InstanceFull => {
                self.garbage.condemn(interface_id.to_owned());
            }
            ErrorKind::InterfaceInUse | ErrorKind::NotPermitted => {}
            _ if !node.troubles.not_attached(interface_id) => return,
            // It had its time to become visible: it is gone.
            ErrorKind::InterfaceNotFound => {}
            // Whatever it is, another may do.
            _ => self.garbage.condemn(interface_id.to_owned()),
        }
        node.troubles.settled(interface_id);
        node.unattached.retain(|interface| interface.id != interface_id);
        node.attempt = node.attempt.wrapping_add(1);
    }
}

impl Node {
    fn interface(&mut self, id: &str) -> Option<&mut Interface> {
        self.interfaces.iter_mut().flatten().find(|interface| interface.id == id)
    }

    /// The subnet that a request takes addresses of.
    fn subnet_of(&mut self, request: &Request) -> Option<String> {
        match request {
            Request::Assign { interface_id, .. } => {
                self.interface(interface_id).map(|of| of.subnet_id.clone())
            }
            Request::CreateInterface(create) => Some(create.subnet_id.clone()),
            _ => None,
        }
    }

    /// An interface was given something, by a request that was sent then.
    fn assigned(&mut self, interface_id: &str, assigned: Assigned, sent: Timestamp) {
        let none = assigned.addresses.is_empty() && assigned.prefixes.is_empty();
        let singles = assigned.addresses.iter().map(|address| ipnetwork::Ipv4Network::from(*address));
        self.seen.extend(assigned.prefixes.iter().copied().chain(singles).map(|prefix| (prefix, sent)));
        match self.interface(interface_id) {
            Some(interface) if !none => {
                interface.secondary_addresses.extend(assigned.addresses);
                interface.prefixes.extend(assigned.prefixes);
            }
            _ => self.must_ask = true,
        }
    }

    fn attached_as(
        &mut self,
        id: &str,
        instance_id: &str,
        number: u32,
        attachment_id: String,
        sent: Timestamp,
    ) {
        let Some(position) = self.unattached.iter().position(|interface| interface.id == id) else {
            self.must_ask = true;
            return;
        };
        let mut interface = self.unattached.remove(position);
        interface.status = InterfaceStatus::InUse;
        interface.attachment = Some(Attachment {
            id: attachment_id,
            instance_id: instance_id.to_owned(),
            device_index: number,
            network_card: 0,
            delete_on_termination: false,
            status: AttachmentStatus::Attached,
            attached_at: None,
        });
        self.seen.extend(super::node::assigned(&interface).map(|prefix| (prefix, sent)));
        match &mut self.interfaces {
            Some(interfaces) => interfaces.push(interface),
            None => self.must_ask = true,
        }
    }
}

fn kind_of(addresses: &Addresses) -> Kind {
    match addresses {
        Addresses::Count(_) | Addresses::Exact(_) => Kind::Address,
        Addresses::PrefixCount(_) | Addresses::ExactPrefixes(_) => Kind::Prefix,
    }
}

/// What EC2 does not know of what a request names: an interface that it made just now, one that it attached, or a new
/// instance.
fn unknown<'a>(request: &'a Request, error: &Error) -> Option<&'a str> {
    match request {
        Request::Attach { instance_id, .. } if error.code == UNKNOWN_INSTANCE => Some(instance_id),
        Request::Attach { interface_id, .. } | Request::SetDeleteOnTermination { interface_id, .. } => {
            (error.kind == ErrorKind::InterfaceNotFound).then_some(interface_id)
        }
        _ => None,
    }
}

/// What a request names that EC2 may not know yet.
pub(super) fn named(request: &Request) -> impl Iterator<Item = &str> {
    let (interface, instance) = match request {
        Request::Attach { interface_id, instance_id, .. } => (Some(interface_id), Some(instance_id)),
        Request::SetDeleteOnTermination { interface_id, .. } => (Some(interface_id), None),
        _ => (None, None),
    };
    interface.into_iter().chain(instance).map(String::as_str)
}

/// Whether an action may have been denied for its subject alone.
pub(super) fn denied_for_one(request: &Request, result: &Result<Reply, Error>) -> bool {
    result.as_ref().is_err_and(|error| may_be_of_one(request, error))
}

fn may_be_of_one(request: &Request, error: &Error) -> bool {
    let about_one = matches!(request, Request::Assign { .. } | Request::Unassign { .. });
    about_one && error.kind == ErrorKind::Denied && error.code == NO_RIGHT
}

/// What a request is about.
pub(super) fn subject(request: &Request) -> &str {
    match request {
        Request::Assign { interface_id, .. }
        | Request::Unassign { interface_id, .. }
        | Request::Attach { interface_id, .. }
        | Request::SetDeleteOnTermination { interface_id, .. } => interface_id,
        Request::CreateInterface(CreateInterface { subnet_id, .. }) => subnet_id,
        _ => "the node",
    }
}
