//! Nothing is taken away but on what was looked at a short time ago, in this term: the object, and then EC2.

use std::{collections::BTreeMap, time::Duration};

use ipam::{
    Timestamp,
    ec2::{Action, DescribeInterfaces, Error, Request},
    eni::{Fleet, NodeRecord, Outgoing, RequestId},
};

use crate::{
    cloud::Cloud,
    cluster::{Cluster, TICK},
    refusals::until_promised,
};

/// What a leader may count on after a look.
const FENCE: Duration = Duration::from_secs(15);

/// What a leader does that matters here.
#[derive(Clone, Debug, PartialEq)]
enum Deed {
    /// It begins to read the object from the API server itself.
    Read,
    /// It begins to look at the instance's interfaces.
    Look,
    /// It takes prefixes away, until then at the latest.
    Take { not_after: Option<Timestamp> },
}

/// A leader that knows an object in which the agent has promised a prefix back. Nothing is taken: whether to answer that
/// is up to the test.
struct Term {
    fleet: Fleet,
    cluster: Cluster,
    object: NodeRecord,
    now: Timestamp,
    until: Timestamp,
    deeds: Vec<(Timestamp, Deed)>,
    /// Reads are not answered.
    slow_api: bool,
    asked: BTreeMap<&'static str, RequestId>,
}

impl Term {
    fn new() -> Self {
        let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/24"]), true, 5);
        cluster.add("a", |settings| settings.watermarks.pre_allocate = 1);
        until_promised(&mut cluster, "a");
        let (mut fleet, object, now) = (cluster.another(), cluster.nodes["a"].object.clone(), cluster.now);
        fleet.observe(object.clone());
        let until = now.after(Duration::from_secs(3600));
        let (deeds, asked) = (Vec::new(), BTreeMap::new());
        Self { fleet, cluster, object, now, until, deeds, slow_api: false, asked }
    }

    /// A tick passes, in which the leader does what it wants to.
    fn tick(&mut self) {
        self.now = Timestamp(self.now.0 + TICK);
        self.fleet.leads_until(Some(self.until), self.now);
        for outgoing in self.fleet.poll(self.now) {
            self.perform(outgoing);
        }
    }

    fn perform(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Request { id, request: Request::Unassign { .. }, not_after } => {
                self.asked.insert("take", id);
                self.deeds.push((self.now, Deed::Take { not_after }));
            }
            Outgoing::Request { id, request, .. } => {
                let of_instance = |(name, _): &(String, _)| name == "attachment.instance-id";
                if matches!(&request, Request::DescribeInterfaces(DescribeInterfaces { filters, .. })
                    if filters.iter().any(of_instance))
                {
                    self.deeds.push((self.now, Deed::Look));
                }
                let reply = self.cluster.cloud.call(&request, self.now, 0);
                self.fleet.complete(id, reply, self.now);
            }
            Outgoing::WriteStatus { id, status, .. } => {
                let version = self.write(|object| object.status = status);
                self.fleet.written(id, Ok(version), self.now);
            }
            Outgoing::WriteDrain { id, value, .. } => {
                let version = self.write(|object| object.drain = Some(value));
                self.fleet.written(id, Ok(version), self.now);
            }
            Outgoing::Read { id, .. } => {
                self.deeds.push((self.now, Deed::Read));
                self.asked.insert("read", id);
                if !self.slow_api {
                    self.answer_read();
                }
            }
        }
    }

    fn answer_read(&mut self) {
        self.fleet.read(self.asked["read"], Ok(Some(self.object.clone())), self.now);
    }

    /// Somebody writes the object.
    fn write(&mut self, change: impl FnOnce(&mut NodeRecord)) -> String {
        change(&mut self.object);
        let version: u64 = self.object.resource_version.parse().unwrap();
        self.object.resource_version = (version + 1).to_string();
        self.object.resource_version.clone()
    }

    /// Ticks until the leader does this, and tells what it did meanwhile, and when.
    fn until(&mut self, wanted: impl Fn(&Deed) -> bool) -> Vec<(Timestamp, Deed)> {
        self.deeds.clear();
        for _ in 0..200 {
            self.tick();
            if self.deeds.iter().any(|(_, deed)| wanted(deed)) {
                return std::mem::take(&mut self.deeds);
            }
        }
        panic!("it does not: {:?}", self.deeds);
    }
}

fn is_take(deed: &Deed) -> bool {
    matches!(deed, Deed::Take { .. })
}

/// The last deeds before something was taken: a read, a look that began no earlier, and what is taken, as long as the
/// read is young.
#[track_caller]
fn is_fenced(deeds: &[(Timestamp, Deed)]) {
    let [.., (read, Deed::Read), (look, Deed::Look), (taken, Deed::Take { not_after })] = deeds else {
        panic!("object, EC2, request: {deeds:?}")
    };
    assert!(read <= look && look <= taken, "{deeds:?}");
    assert_eq!(*not_after, Some(read.after(FENCE)), "{deeds:?}");
}

#[test]
fn the_object_is_read_and_then_ec2_is_looked_at() {
    is_fenced(&Term::new().until(is_take));
}

/// A process that was stopped after it had looked.
#[test]
fn what_was_looked_at_too_long_ago() {
    let mut term = Term::new();
    term.until(|deed| *deed == Deed::Look);
    term.now = term.now.after(FENCE);
    is_fenced(&term.until(is_take));
}

/// It was too late when its turn came, or credentials took too long: it is looked again before it is tried again.
#[test]
fn what_was_not_sent() {
    let mut term = Term::new();
    term.until(is_take);
    let unsent = Error::unsent(Action::UnassignPrivateIpAddresses, "too late");
    term.fleet.complete(term.asked["take"], Err(unsent), term.now);
    is_fenced(&term.until(is_take));
}

/// What the agent says may have changed with the object.
#[test]
fn an_object_that_changes_after_it_was_read() {
    let mut term = Term::new();
    term.until(|deed| *deed == Deed::Look);
    term.write(|object| object.requested = Some(2));
    term.fleet.observe(term.object.clone());
    is_fenced(&term.until(is_take));
}

/// It led, did not, and leads again: the answer to a read of the first term is none of the second's.
#[test]
fn a_read_of_an_earlier_term() {
    let mut term = Term::new();
    term.slow_api = true;
    term.until(|deed| *deed == Deed::Read);
    let first = term.asked["read"];
    term.fleet.leads_until(None, term.now);
    term.fleet.leads_until(Some(term.until), term.now);
    term.fleet.read(first, Ok(Some(term.object.clone())), term.now);
    term.slow_api = false;
    is_fenced(&term.until(is_take));
}

/// Nor does what was asked to be taken in the first term count in the second.
#[test]
fn what_was_asked_for_in_an_earlier_term() {
    let mut term = Term::new();
    term.until(is_take);
    term.fleet.leads_until(None, term.now);
    is_fenced(&term.until(is_take));
}

/// The deadline is looked at before anything is sent at all.
#[test]
fn nothing_is_sent_after_the_deadline() {
    let mut term = Term::new();
    term.until(|deed| *deed == Deed::Look);
    term.fleet.leads_until(Some(term.now), term.now);
    let late = Timestamp(term.now.0 + 1);
    assert_eq!(term.fleet.poll(term.now), []);
    assert_eq!(term.fleet.poll(late), []);
}

/// An interface of ours that nobody needs is deleted as of a look that is young, too.
#[test]
fn an_interface_that_nobody_needs() {
    let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/24"]), false, 3);
    cluster.add("a", |settings| settings.first_interface_index = 1);
    while cluster.unattached() == 0 {
        cluster.tick();
    }
    cluster.cloud.terminate(&cluster.nodes["a"].object.instance_id.clone());
    let (mut fleet, mut now) = (cluster.another(), cluster.now);
    for _ in 0..2000 {
        now = Timestamp(now.0 + TICK);
        fleet.leads_until(Some(now.after(FENCE)), now);
        for outgoing in fleet.poll(now) {
            let Outgoing::Request { id, request, not_after } = outgoing else { continue };
            if matches!(request, Request::DeleteInterface { .. }) {
                let not_after = not_after.expect("it ends");
                assert!(not_after <= now.after(FENCE), "{not_after:?} at {now:?}");
                return;
            }
            let reply = cluster.cloud.call(&request, now, 0);
            fleet.complete(id, reply, now);
        }
    }
    panic!("it was not deleted");
}
