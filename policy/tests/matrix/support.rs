//! Small clusters, asked by both engines at once.

use netloom_policy::cluster::{Cluster, Names};
use netloom_policy::judge::{Explaining, Judge, OracleEngine, Peers, TablesEngine};
use netloom_policy::{Settings, manifest};
use serde_json::{Value, json};

/// The cluster that a text describes.
pub(crate) fn cluster(text: &str) -> Cluster {
    let objects = manifest::parse(text, "cluster.yaml", 1);
    Cluster::new(objects.into_iter().map(|object| object.unwrap_or_else(|rejected| panic!("{rejected}"))))
}

/// A cluster and what all its policies share.
pub(crate) struct Asked {
    cluster: Cluster,
    settings: Settings,
}

impl Asked {
    pub(crate) fn new(text: &str) -> Self {
        Self { cluster: cluster(text), settings: Settings::default() }
    }

    pub(crate) fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    pub(crate) fn with_names(mut self, names: &str) -> Self {
        self.cluster = self.cluster.with_names(Names::parse(names).unwrap());
        self
    }

    /// The answer, which all engines must agree on.
    pub(crate) fn ask(&self, probe: &Value) -> Value {
        let oracle = self.cluster.oracle(self.settings);
        let peers = Peers::new(&self.cluster, self.settings).unwrap();
        let by_oracle = Judge::new(&self.cluster, OracleEngine::new(&self.cluster, &oracle)).answer(probe);
        for explaining in [Explaining::ByTables, Explaining::Cheapest] {
            let engine = TablesEngine::new(&self.cluster, &peers, explaining);
            let by_tables = Judge::new(&self.cluster, engine).answer(probe);
            assert_eq!(sorted(by_tables), sorted(by_oracle.clone()), "{probe}");
        }
        by_oracle
    }

    /// `EGRESS INGRESS`, or the error.
    pub(crate) fn verdicts(&self, from: &str, to: &str, port: impl Into<Value>) -> String {
        self.brief(&json!({"from": from, "to": to, "port": port.into()}))
    }

    pub(crate) fn brief(&self, probe: &Value) -> String {
        let answer = self.ask(probe);
        match answer.get("error") {
            Some(error) => error.as_str().unwrap().to_owned(),
            None => format!("{} {}", answer["egress"].as_str().unwrap(), answer["ingress"].as_str().unwrap()),
        }
    }

    /// The deciding rules, as `object path:line direction`.
    pub(crate) fn rules(&self, from: &str, to: &str, port: impl Into<Value>) -> Vec<String> {
        let answer = self.ask(&json!({"from": from, "to": to, "port": port.into()}));
        let rules = answer["rules"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let text = |rule: &Value| {
            let field = |name: &str| rule[name].as_str().unwrap_or_else(|| panic!("{rule}")).to_owned();
            format!("{} {}:{} {}", field("object"), field("path"), rule["line"], field("direction"))
        };
        rules.iter().map(text).collect()
    }
}

/// With its lists of rules sorted: the oracle has them in no particular order.
pub(crate) fn sorted(mut answer: Value) -> Value {
    if let Some(rules) = answer.get_mut("rules").and_then(Value::as_array_mut) {
        rules.sort_by_key(ToString::to_string);
    }
    for backend in answer.get_mut("backends").and_then(Value::as_array_mut).into_iter().flatten() {
        *backend = sorted(backend.take());
    }
    answer
}
