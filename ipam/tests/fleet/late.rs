//! Answers that come when what they are about is another by now.

use ipam::{
    Timestamp,
    ec2::{Assigned, Reply, Request},
    eni::{Fleet, Outgoing, RequestId},
};

use crate::{cloud::Cloud, cluster::Cluster};

/// A fleet that knows its one node, has asked EC2 for more addresses for it, and waits for the answer.
struct Waiting {
    fleet: Fleet,
    cluster: Cluster,
    now: Timestamp,
    request: RequestId,
}

impl Waiting {
    fn new() -> Self {
        let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/24"]), false, 5);
        cluster.add("a", |_| ());
        let mut fleet = cluster.another();
        let now = cluster.now;
        fleet.leads_until(Some(Timestamp(now.0 + 1_000_000)), now);
        fleet.observe(cluster.nodes["a"].object.clone());
        let mut waiting = Self { fleet, cluster, now, request: RequestId::default() };
        for _ in 0..20 {
            waiting.second(None);
        }
        assert_ne!(waiting.request, RequestId::default(), "it asks for addresses");
        waiting
    }

    /// A second passes: EC2 answers lists, and nothing else; the API server answers nothing. Tells what is asked.
    fn second(&mut self, until: Option<Timestamp>) -> Vec<Request> {
        self.now = Timestamp(self.now.0 + 1000);
        if let Some(until) = until {
            self.fleet.leads_until(Some(until), self.now);
        }
        let mut asked = Vec::new();
        for outgoing in self.fleet.poll(self.now) {
            let Outgoing::Request { id, request, .. } = outgoing else { continue };
            if request.action().reads() {
                let reply = self.cluster.cloud.call(&request, self.now, 0);
                self.fleet.complete(id, reply, self.now);
            } else {
                self.request = id;
            }
            asked.push(request);
        }
        asked
    }

    /// The answer to the request that was asked first: it had given something that EC2 does not show.
    fn answer(&mut self, id: RequestId) {
        let prefixes = vec!["10.1.0.240/28".parse().unwrap()];
        let assigned = Assigned { prefixes, ..Assigned::default() };
        self.fleet.complete(id, Ok(Reply::Assigned(assigned)), self.now);
    }

    fn prefixes(&self) -> usize {
        self.fleet.interfaces("a").unwrap_or_default().iter().map(|of| of.prefixes.len()).sum()
    }
}

fn assigns(asked: &[Request]) -> usize {
    asked.iter().filter(|request| matches!(request, Request::Assign { .. })).count()
}

fn looks(asked: &[Request]) -> bool {
    asked.iter().any(|request| matches!(request, Request::DescribeInterfaces(_)))
}

#[test]
fn an_answer_is_taken() {
    let mut waiting = Waiting::new();
    waiting.answer(waiting.request);
    assert_eq!(waiting.prefixes(), 1);
}

/// The object is the same, the instance is another: what the old one was given is not the new one's, and one request
/// at a time is under way for it.
#[test]
fn an_answer_about_an_instance_that_was_replaced() {
    let mut waiting = Waiting::new();
    let first = waiting.request;
    let instance_id = waiting.cluster.cloud.start();
    let object = waiting.cluster.nodes["a"].object.clone();
    waiting.fleet.observe(ipam::eni::NodeRecord { instance_id, ..object });
    // It is looked for in the next list of all; then it asks for itself.
    let asked: usize = (0..10).map(|_| assigns(&waiting.second(None))).sum();
    assert_eq!(asked, 1);
    waiting.answer(first);
    assert_eq!(waiting.prefixes(), 0);
    let asked: usize = (0..20).map(|_| assigns(&waiting.second(None))).sum();
    assert_eq!(asked, 0, "one is under way");
}

/// It led, did not, and leads again: what was asked for before is not counted, and looked for.
#[test]
fn an_answer_to_who_leads_again() {
    let mut waiting = Waiting::new();
    let first = waiting.request;
    waiting.fleet.leads_until(None, waiting.now);
    let until = Timestamp(waiting.now.0 + 1_000_000);
    let asked: usize = (0..10).map(|_| assigns(&waiting.second(Some(until)))).sum();
    assert_eq!(asked, 1);
    waiting.answer(first);
    assert_eq!(waiting.prefixes(), 0);
    // The second is answered as well: then EC2 is looked at, since the first may have changed something.
    waiting.answer(waiting.request);
    assert!((0..10).any(|_| looks(&waiting.second(Some(until)))));
}
