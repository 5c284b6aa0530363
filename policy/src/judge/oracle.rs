//! Answers by the oracle: slow and obviously right.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use abi::{CellAction, Identity};

use super::engine::{Endpoint, Engine, Other, Question};
use super::trouble::Trouble;
use crate::cluster::Cluster;
use crate::oracle::{Judgement, Oracle, Party, Subject};
use crate::resolve::Explanation;
use crate::settings::Settings;
use crate::verdict::Verdict;

/// Asks the oracle.
pub struct OracleEngine<'a> {
    cluster: &'a Cluster,
    oracle: &'a Oracle,
    subjects: HashMap<Endpoint, Subject<'a>>,
}

impl Cluster {
    /// The oracle of this cluster.
    #[must_use]
    pub fn oracle(&self, settings: Settings) -> Oracle {
        let names: BTreeMap<IpAddr, BTreeSet<String>> =
            self.names().iter().map(|(addr, names)| (addr, names.clone())).collect();
        Oracle::new(self.objects(), settings, names)
    }
}

impl<'a> OracleEngine<'a> {
    /// Asks the oracle of a cluster.
    #[must_use]
    pub fn new(cluster: &'a Cluster, oracle: &'a Oracle) -> Self {
        Self { cluster, oracle, subjects: HashMap::new() }
    }

    fn subject(&mut self, endpoint: Endpoint) -> Result<&Subject<'a>, Trouble> {
        let made = match endpoint {
            _ if self.subjects.contains_key(&endpoint) => None,
            Endpoint::Pod(pod) => self.cluster.pod_object(pod).map(|pod| self.oracle.pod(pod)),
            Endpoint::Node(node) => self.cluster.node_object(node).map(|node| self.oracle.node(node)),
        };
        if let Some(subject) = made {
            self.subjects.insert(endpoint, subject);
        }
        self.subjects.get(&endpoint).ok_or(Trouble::Gone)
    }
}

impl Engine for OracleEngine<'_> {
    fn ask(&mut self, question: &Question) -> Result<Arc<Explanation>, Trouble> {
        let Question { subject, direction, peer, addr, proto, port } = *question;
        let cluster = self.cluster;
        let party = match peer {
            Other::Pod(pod) => Party::Pod(cluster.pod_object(pod).ok_or(Trouble::Gone)?),
            Other::OwnNode(node) | Other::OtherNode(node) => {
                Party::Node(cluster.node_object(node).ok_or(Trouble::Gone)?)
            }
            Other::Outside => addr.map_or(Party::Reserved(Identity::WORLD), Party::outside),
            Other::Fixed(identity) => Party::Reserved(identity),
        };
        let judgement = self.subject(subject)?.verdict(direction, party, addr, proto, port);
        Ok(Arc::new(explanation(judgement)))
    }
}

/// In the words of the rules. The order of rules is that of their places, so that both engines say the same.
fn explanation(judgement: Judgement) -> Explanation {
    let Judgement { verdict, proxy, authentication, rules, closed_by, .. } = judgement;
    let action = match verdict {
        Verdict::Allow => CellAction::Allow,
        Verdict::Redirect => CellAction::Redirect,
        Verdict::Deny if rules.is_empty() => CellAction::NoRule,
        Verdict::Deny => CellAction::Deny,
    };
    Explanation { verdict, proxy, authentication, rules, closed_by, action }
}
