//! A policy that is in the kernel.

use std::collections::HashMap;
use std::sync::Arc;

use abi::{Generation, PeerClass, PolicySlot, PortClass};
use api::RuleRef;
use policy::Compiled;

use crate::flows::Judgement;
use crate::tables::log;

/// How many judgements are kept ready. Few peers and ports are in use at a time, and where there are more it costs
/// work, not memory.
const READY: usize = 1024;

/// A policy in the kernel.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    /// What it was compiled from.
    compiled: Arc<Compiled>,
    /// Where it is.
    pub(super) slot: PolicySlot,
    /// Its number.
    pub(super) generation: Generation,
    /// Judgements that were asked for.
    judgements: HashMap<(PeerClass, PortClass), Arc<Judgement>>,
}

impl Installed {
    pub(super) fn new(compiled: Arc<Compiled>, slot: PolicySlot, generation: Generation) -> Self {
        Self { compiled, slot, generation, judgements: HashMap::new() }
    }

    /// What it was compiled from.
    pub(super) const fn compiled(&self) -> &Arc<Compiled> {
        &self.compiled
    }

    /// The same tables, or tables that were made the same, come from other rules now.
    pub(super) fn comes_from(&mut self, compiled: Arc<Compiled>) {
        self.compiled = compiled;
        self.judgements.clear();
    }

    /// The rules behind the verdict on a class of peers and a class of ports.
    pub(super) fn judgement(&mut self, peer: PeerClass, port: PortClass) -> Arc<Judgement> {
        if let Some(ready) = self.judgements.get(&(peer, port)) {
            return Arc::clone(ready);
        }
        let rule = |rule: &policy::RuleRef| RuleRef {
            policy: rule.policy.to_string(),
            path: rule.path.clone(),
            location: (!rule.file.is_empty()).then(|| format!("{}:{}", rule.file, rule.line)),
        };
        let judgement = Arc::new(Judgement {
            rules: self.compiled.reasons(peer, port).into_iter().map(rule).collect(),
            log: log(&self.compiled.tables, peer, port).map(ToOwned::to_owned),
        });
        if self.judgements.len() == READY {
            self.judgements.clear();
        }
        self.judgements.insert((peer, port), Arc::clone(&judgement));
        judgement
    }
}
