//! What a node's request led to.

use super::{Fleet, Node, RETRY};
use crate::{
    Timestamp,
    ec2::{
        Addresses, Assigned, Attachment, AttachmentStatus, CreateInterface, Error, ErrorKind, Interface,
        InterfaceStatus, Reply, Request,
    },
    eni::{Kind, Reason},
};

/// How often an interface that EC2 does not find is looked for, in a row.
const PATIENCE: u32 = 5;

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
                node.backoff.worked();
                node.refused = None;
                node.mutated = Some(now);
                self.done(&mut node, request, reply, sent);
            }
            Err(error) => self.failed(&mut node, request, &error, now),
        }
        self.nodes.insert(name.to_owned(), node);
    }

    fn done(&mut self, node: &mut Node, request: &Request, reply: Reply, sent: Timestamp) {
        match (request, reply) {
            (Request::Assign { interface_id, addresses }, Reply::Assigned(assigned)) => {
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
                node.attached_as(interface_id, instance_id, *device_index, attachment_id, sent);
            }
            (Request::SetDeleteOnTermination { interface_id, delete, .. }, _) => {
                if let Some(attachment) = node.interface(interface_id).and_then(|of| of.attachment.as_mut()) {
                    attachment.delete_on_termination = *delete;
                }
            }
            // Unassigned, or an answer that says too little.
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

    fn failed(&mut self, node: &mut Node, request: &Request, error: &Error, now: Timestamp) {
        if error.kind.is_ambiguous() {
            // It may have been carried out. What is being made is asked for again, with the token; the rest is looked
            // at, when EC2 had time to show it.
            node.mutated = Some(now);
            node.must_ask = !matches!(request, Request::CreateInterface(_));
            node.backoff.failed(RETRY.0, RETRY.1, now, &mut self.lots);
            return;
        }
        node.creating = None;
        node.refused = Some(Reason::Refused {
            action: error.action.name(),
            subject: subject(request).to_owned(),
            code: error.code.clone(),
        });
        match error.kind {
            ErrorKind::NoFreePrefix | ErrorKind::NoFreeAddress => {
                let (subnet, addresses) = match request {
                    Request::Assign { interface_id, addresses } => {
                        (node.interface(interface_id).map(|of| of.subnet_id.clone()), Some(addresses))
                    }
                    Request::CreateInterface(create) => {
                        (Some(create.subnet_id.clone()), create.addresses.as_ref())
                    }
                    _ => (None, None),
                };
                if let (Some(subnet), Some(addresses)) = (subnet, addresses) {
                    self.history.refused(&subnet, kind_of(addresses), addresses.slots(), now, &mut self.lots);
                    // The plan says so, and goes another way at once.
                    node.refused = None;
                    return;
                }
            }
            ErrorKind::PrefixesUnsupported => {
                let of = self.limits.get_mut(&node.record.settings.instance_type);
                of.into_iter().flatten().for_each(|limits| limits.prefixes = false);
            }
            ErrorKind::TokenMismatch => {
                node.attempt = node.attempt.wrapping_add(1);
                self.lists.hurry();
            }
            ErrorKind::Throttled => node.refused = None,
            _ => {}
        }
        if let Request::Attach { interface_id, .. } = request {
            self.not_attached(node, interface_id, error.kind);
        }
        node.must_ask |= !matches!(error.kind, ErrorKind::Throttled | ErrorKind::Denied);
        node.backoff.failed(RETRY.0, RETRY.1, now, &mut self.lots);
    }

    fn not_attached(&mut self, node: &mut Node, interface_id: &str, kind: ErrorKind) {
        match kind {
            // It can never be attached here.
            ErrorKind::InterfaceFull | ErrorKind::InstanceGone | ErrorKind::InstanceFull => {
                self.garbage.condemn(interface_id.to_owned());
            }
            ErrorKind::InterfaceInUse | ErrorKind::NotPermitted => {}
            // A new one may not be visible yet; one that never is, is gone.
            ErrorKind::InterfaceNotFound if node.backoff.failures() >= PATIENCE => {}
            _ => return,
        }
        node.unattached.retain(|interface| interface.id != interface_id);
        node.attempt = node.attempt.wrapping_add(1);
    }
}

impl Node {
    fn interface(&mut self, id: &str) -> Option<&mut Interface> {
        self.interfaces.iter_mut().flatten().find(|interface| interface.id == id)
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

fn subject(request: &Request) -> &str {
    match request {
        Request::Assign { interface_id, .. }
        | Request::Unassign { interface_id, .. }
        | Request::Attach { interface_id, .. }
        | Request::SetDeleteOnTermination { interface_id, .. } => interface_id,
        Request::CreateInterface(CreateInterface { subnet_id, .. }) => subnet_id,
        _ => "the node",
    }
}
