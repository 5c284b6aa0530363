//! What is on its way between operators, EC2 and the API server, and what goes wrong with it.

use ipam::{
    Timestamp,
    ec2::{Error, Reply, Request},
    eni::{Fleet, NodeRecord, NodeStatus, Outgoing, RequestId, WriteError},
};
use ipnetwork::Ipv4Network;

use crate::cluster::{Cluster, TICK};

/// When who asked EC2 waits no longer for an answer.
const PATIENCE: u64 = 10_000;

/// A write of an object.
pub enum Change {
    Status(NodeStatus),
    Drain(String),
}

pub enum Due {
    Execute { leader: usize, id: Option<RequestId>, request: Request },
    Reply { leader: usize, id: RequestId, result: Result<Reply, Error> },
    Read { leader: usize, id: RequestId, node: String },
    Write { leader: usize, id: RequestId, node: String, uid: String, version: String, change: Change },
    Observe { leader: usize, record: Box<NodeRecord> },
    Forget { leader: usize, node: String },
}

impl Cluster {
    pub fn send(&mut self, leader: usize, outgoing: Outgoing) {
        let api = if self.one_in(self.faults.slow_api) { self.lots.u64(..2000) } else { 0 };
        match outgoing {
            Outgoing::Request { id, request, not_after } => self.ask(leader, id, request, not_after),
            Outgoing::WriteStatus { id, node, uid, resource_version: version, status } => {
                let change = Change::Status(status);
                self.after(api, Due::Write { leader, id, node, uid, version, change });
            }
            Outgoing::WriteDrain { id, node, uid, resource_version: version, value } => {
                let change = Change::Drain(value);
                self.after(api, Due::Write { leader, id, node, uid, version, change });
            }
            Outgoing::Read { id, node } => self.after(api, Due::Read { leader, id, node }),
        }
        if api == 0 && self.faults.slow_api == 0 {
            self.settle();
        }
    }

    /// What is due now happens before the next thing is asked.
    pub fn settle(&mut self) {
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= self.now.0
        {
            let due = entry.remove();
            self.happen(due);
        }
    }

    /// A request to EC2, when its turn has come.
    fn ask(&mut self, leader: usize, id: RequestId, request: Request, not_after: Option<Timestamp>) {
        let action = request.action();
        let turn = if self.one_in(self.faults.late_turn) { self.lots.u64(..25_000) } else { 0 };
        let then = Timestamp(self.now.0 + turn);
        if not_after.is_some_and(|at| self.leaders[leader].at(then) > at) {
            let result = Err(Error::unsent(action, "too late"));
            return self.after(turn, Due::Reply { leader, id, result });
        }
        let lost = Err(Error::unanswered(action, "lost"));
        // Who sends looks at the lease once more; nobody knows whether it will be renewed, and it may.
        if self.leaders[leader].until + TICK <= then.0 && leader + 1 < self.leaders.len() {
            return self.after(turn, Due::Reply { leader, id, result: lost });
        }
        if self.one_in(self.faults.lost_request) {
            return self.after(turn + PATIENCE, Due::Reply { leader, id, result: lost });
        }
        if self.one_in(self.faults.repeated) && matches!(request, Request::Unassign { .. }) {
            let again = turn + self.lots.u64(1000..50_000);
            self.after(again, Due::Execute { leader, id: None, request: request.clone() });
        }
        let quick = self.lots.u64(50..400);
        if self.one_in(self.faults.lost_reply) {
            // It is carried out all the same, at some time.
            let delay = if self.lots.bool() { quick } else { self.lots.u64(..50_000) };
            self.after(turn + delay, Due::Execute { leader, id: None, request });
            return self.after(turn + PATIENCE, Due::Reply { leader, id, result: lost });
        }
        self.after(turn + quick, Due::Execute { leader, id: Some(id), request });
    }

    pub fn happen(&mut self, due: Due) {
        match due {
            Due::Execute { leader, id, request } => {
                let result = self.execute(&request);
                if let Some(id) = id {
                    self.happen(Due::Reply { leader, id, result });
                }
            }
            Due::Reply { leader, id, result } => {
                self.tell(leader, |fleet, now| fleet.complete(id, result, now));
            }
            Due::Read { leader, id, node } => {
                let object = self.nodes.get(&node).map(|node| node.object.clone());
                let failed = self.one_in(self.faults.failed_read);
                let read = if failed { Err(WriteError::Failed) } else { Ok(object) };
                self.tell(leader, |fleet, now| fleet.read(id, read, now));
            }
            Due::Write { leader, id, node, uid, version, change } => {
                let written = self.write(&node, &uid, &version, change);
                self.tell(leader, |fleet, now| fleet.written(id, written, now));
            }
            Due::Observe { leader, record } => {
                self.tell(leader, |fleet, _| fleet.observe(*record));
            }
            Due::Forget { leader, node } => self.tell(leader, |fleet, _| fleet.forget(&node)),
        }
    }

    fn tell(&mut self, leader: usize, event: impl FnOnce(&mut Fleet, Timestamp)) {
        let Some(leader) = self.leaders.get_mut(leader).filter(|leader| leader.alive) else { return };
        let at = leader.at(self.now);
        event(&mut leader.fleet, at);
        leader.stirred = true;
    }

    fn execute(&mut self, request: &Request) -> Result<Reply, Error> {
        let action = request.action();
        let lag = if self.one_in(self.faults.stale) { self.lots.u64(..4000) } else { 0 };
        if self.one_in(self.faults.throttled) {
            return Err(Error::answered(action, "RequestLimitExceeded", "too many"));
        }
        if matches!(request, Request::Attach { .. }) && self.one_in(self.faults.refused_attach) {
            return Err(Error::answered(action, "Weather", "so it was decided"));
        }
        if let Request::Unassign { interface_id, addresses, prefixes } = request {
            let singles = addresses.iter().map(|address| Ipv4Network::from(*address));
            self.may_be_taken(interface_id, prefixes.iter().copied().chain(singles));
        }
        self.cloud.call(request, self.now, lag)
    }

    /// P3.
    fn may_be_taken(&self, interface_id: &str, prefixes: impl Iterator<Item = Ipv4Network>) {
        let Some(interface) = self.cloud.interfaces.get(interface_id) else { return };
        let Some(to) = &interface.attachment else { return };
        let node = self.nodes.values().find(|node| node.object.instance_id == to.instance_id);
        let singles = |prefix: &Ipv4Network| interface.secondary_addresses.contains(&prefix.ip());
        for prefix in prefixes.filter(|prefix| interface.prefixes.contains(prefix) || singles(prefix)) {
            if let Some(why) = node.and_then(|node| node.needs(prefix, self.now)) {
                panic!("P3: {prefix} was taken from {}, and {why}", to.instance_id);
            }
        }
    }

    fn write(&mut self, name: &str, uid: &str, version: &str, change: Change) -> Result<String, WriteError> {
        self.writes += 1;
        let failed = self.one_in(self.faults.failed_write);
        if failed && self.lots.bool() {
            return Err(WriteError::Failed);
        }
        let node = self.nodes.get_mut(name).ok_or(WriteError::Conflict)?;
        if node.object.resource_version != version || node.object.uid != uid {
            return Err(WriteError::Conflict);
        }
        match change {
            Change::Status(status) => node.object.status = status,
            Change::Drain(value) => node.object.drain = Some(value),
        }
        self.changed(name);
        if failed { Err(WriteError::Failed) } else { Ok(self.nodes[name].object.resource_version.clone()) }
    }
}
