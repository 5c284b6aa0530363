//! Answers: what becomes of a connection, and who says so.

use std::sync::Arc;

use abi::Direction;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cluster::Party;
use crate::policy_key::RuleRef;
use crate::resolve::Explanation;
use crate::verdict::Verdict;

/// What becomes of a connection.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The worst of what its [`Answer::paths`] become: DENY before REDIRECT before ALLOW.
    pub verdict: Verdict,
    /// The ways that it may take: one, save for services and DNS names with several addresses.
    pub paths: Vec<Path>,
    /// Which of them is the worst: the first that has the verdict.
    pub worst: usize,
    /// Whether the target leads to backends, which are told one by one.
    pub has_backends: bool,
}

/// One way that a connection may take.
#[derive(Clone, Debug)]
pub struct Path {
    /// Where it comes from.
    pub from: Party,
    /// Where it ends up.
    pub to: Party,
    /// The port there.
    pub port: u16,
    /// What the sender's policies say.
    pub egress: Side,
    /// What the receiver's policies say.
    pub ingress: Side,
}

/// What one end says.
#[derive(Clone, Debug)]
pub enum Side {
    /// Its policies were asked.
    Judged(Arc<Explanation>),
    /// It has a say in nothing: ALLOW.
    Open(Open),
}

/// Why an end has no say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Open {
    /// It has no policies: it lies outside, or is a node where no policy is about nodes.
    NoEndpoint,
    /// It talks to itself.
    Itself,
    /// A pod's own node always reaches it.
    OwnNode,
}

/// A rule or a spec that decides, as it is printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deciding {
    /// The policy, such as `NetworkPolicy shop/db`.
    pub object: String,
    /// The rule, such as `spec.ingress[0]`; the spec where it decides by closing the direction.
    pub path: String,
    /// The file.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// `egress` or `ingress`.
    pub direction: &'static str,
}

impl Deciding {
    pub(super) fn new(rule: &RuleRef, direction: Direction) -> Self {
        Self {
            object: rule.policy.to_string(),
            path: rule.path.clone(),
            file: Arc::clone(&rule.file),
            line: rule.line,
            direction: direction_name(direction),
        }
    }

    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("object".into(), self.object.as_str().into());
        fields.insert("path".into(), self.path.as_str().into());
        fields.insert("file".into(), (*self.file).into());
        fields.insert("line".into(), self.line.into());
        fields.insert("direction".into(), self.direction.into());
        Value::Object(fields)
    }
}

/// `egress` or `ingress`.
#[must_use]
pub const fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "egress",
        Direction::Ingress => "ingress",
    }
}

impl Side {
    /// What becomes of the connection as far as this end goes.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Judged(explanation) => explanation.verdict,
            Self::Open(_) => Verdict::Allow,
        }
    }

    /// The rules that decide, or the specs that close the direction.
    #[must_use]
    pub fn rules(&self) -> &[RuleRef] {
        match self {
            Self::Judged(explanation) if explanation.rules.is_empty() => &explanation.closed_by,
            Self::Judged(explanation) => &explanation.rules,
            Self::Open(_) => &[],
        }
    }

    /// What its policies said.
    #[must_use]
    pub fn explanation(&self) -> Option<&Explanation> {
        match self {
            Self::Judged(explanation) => Some(explanation),
            Self::Open(_) => None,
        }
    }
}

impl Path {
    /// What becomes of it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.egress.verdict().max(self.ingress.verdict())
    }

    /// The rules that decide at both ends, the sender's first, each once.
    #[must_use]
    pub fn rules(&self) -> Vec<Deciding> {
        let mut found: Vec<Deciding> = Vec::new();
        for (side, direction) in [(&self.egress, Direction::Egress), (&self.ingress, Direction::Ingress)] {
            for rule in side.rules() {
                let deciding = Deciding::new(rule, direction);
                if !found.contains(&deciding) {
                    found.push(deciding);
                }
            }
        }
        found
    }

    /// Writes `egress`, `ingress`, `verdict` and `rules`, and what a proxy or an authentication has to do with it.
    fn write(&self, fields: &mut Map<String, Value>) {
        fields.insert("egress".into(), self.egress.verdict().as_str().into());
        fields.insert("ingress".into(), self.ingress.verdict().as_str().into());
        fields.insert("verdict".into(), self.verdict().as_str().into());
        let rules = self.rules().iter().map(Deciding::to_json).collect();
        fields.insert("rules".into(), Value::Array(rules));
        let sides = [&self.egress, &self.ingress].into_iter().filter_map(Side::explanation);
        if let Some(mode) = sides.filter_map(|side| side.authentication).max()
            && let Ok(mode) = serde_json::to_value(mode)
        {
            fields.insert("authentication".into(), mode);
        }
    }
}

impl Answer {
    /// The answer of several ways; none where there is no way.
    pub(super) fn of(paths: Vec<Path>, has_backends: bool) -> Option<Self> {
        let verdict = paths.iter().map(Path::verdict).max()?;
        let worst = paths.iter().position(|path| path.verdict() == verdict)?;
        Some(Self { verdict, paths, worst, has_backends })
    }

    /// The way that has the verdict.
    #[must_use]
    pub fn worst(&self) -> &Path {
        // `of` takes no empty list.
        &self.paths[self.worst]
    }

    /// Adds the answer to a probe. `describe` names parties.
    pub fn write(&self, fields: &mut Map<String, Value>, describe: impl Fn(&Party) -> String) {
        self.worst().write(fields);
        if !self.has_backends {
            return;
        }
        let backend = |path: &Path| {
            let mut fields = Map::new();
            fields.insert("to".into(), describe(&path.to).into());
            if let Some(addr) = path.to.addresses.first() {
                fields.insert("address".into(), addr.to_string().into());
            }
            fields.insert("port".into(), path.port.into());
            path.write(&mut fields);
            Value::Object(fields)
        };
        fields.insert("backends".into(), Value::Array(self.paths.iter().map(backend).collect()));
    }
}
