//! Where rules are in the manifests that `netloom lab apply` was given.
//!
//! Objects in the API have no lines. What is applied is therefore annotated with the line of each rule, so that what
//! agents say of a rule's path can be told as a line of its user's file.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use api::RuleRef;
use kube::ResourceExt;
use policy::manifest::{Object, parse};

use crate::batch::MANIFEST;
use crate::cluster::{Cluster, named};
use crate::name::LabName;

/// The annotation with the lines of an object's rules, as JSON: `{"spec.ingress[0]": 12}`.
pub(crate) const RULES: &str = "netloom.io/rules";

/// The kinds that have rules.
const POLICIES: [&str; 4] =
    ["NetworkPolicy", "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "ClusterNetworkPolicy"];
/// The API is not asked more often than this.
const FRESH: Duration = Duration::from_secs(1);
/// One that does not answer is not asked for so long: flows are told without lines rather than late.
const UNANSWERED: Duration = Duration::from_secs(30);

/// The lines of the rules in a manifest, by their paths; none where it has no rules.
#[must_use]
pub(crate) fn lines(text: &str, file: &str, line: u32) -> BTreeMap<String, u32> {
    let policies = parse(text, file, line).into_iter().flatten();
    policies
        .filter_map(|object: Object| object.policy())
        .flat_map(|policy| policy.specs)
        .flat_map(|spec| spec.rules.into_iter().map(|rule| rule.origin).chain([spec.origin]))
        .map(|origin| (origin.path, origin.line))
        .collect()
}

/// The lines of all rules of a lab that are known, asked for when they are needed.
#[derive(Debug)]
pub(crate) struct Locations {
    lab: LabName,
    /// When the API may be asked again.
    next: Option<Instant>,
    /// By policy: its file, and the lines of its rules.
    known: BTreeMap<String, (String, BTreeMap<String, u32>)>,
}

impl Locations {
    /// Those of this lab.
    pub(crate) fn of(lab: &LabName) -> Self {
        Self { lab: lab.clone(), next: None, known: BTreeMap::new() }
    }

    /// Writes into rules where they are; nothing where that is not known.
    pub(crate) fn tell(&mut self, rules: &mut [RuleRef]) {
        let unknown = rules.iter().any(|rule| !self.known.contains_key(&rule.policy));
        if unknown && self.next.is_none_or(|next| Instant::now() > next) {
            let answered = self.ask().is_some();
            self.next = Some(Instant::now() + if answered { FRESH } else { UNANSWERED });
        }
        for rule in rules {
            rule.location = self.known.get(&rule.policy).and_then(|(file, lines)| {
                let line = lines.get(&rule.path)?;
                Some(format!("{file}:{line}"))
            });
        }
    }

    /// Nothing without an answer: what was known before is still the best.
    fn ask(&mut self) -> Option<()> {
        let cluster = Cluster::of(&self.lab).ok()?;
        // Lists are asked for patiently, each by itself.
        if !cluster.is_ready() {
            return None;
        }
        for kind in POLICIES.iter().filter_map(|kind| named(kind)) {
            for object in cluster.all(kind).ok()? {
                let (Some(place), Some(rules)) =
                    (object.annotations().get(MANIFEST), object.annotations().get(RULES))
                else {
                    continue;
                };
                let file = place.rsplit_once(':').map_or(place.as_str(), |(file, _)| file).to_owned();
                let lines = serde_json::from_str(rules).unwrap_or_default();
                let name = match object.namespace() {
                    Some(namespace) => format!("{} {namespace}/{}", kind.kind, object.name_any()),
                    None => format!("{} {}", kind.kind, object.name_any()),
                };
                self.known.insert(name, (file, lines));
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_lines() {
        let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n  podSelector: {}\n  ingress:\n  - {}\n  - ports: [{port: 1}]\n";
        let lines = lines(text, "a.yaml", 11);
        assert_eq!((lines["spec.ingress[0]"], lines["spec.ingress[1]"]), (17, 18));
        assert!(lines.contains_key("spec"), "{lines:?}");
        assert!(super::lines("kind: x\n", "a.yaml", 1).is_empty());
    }

    /// There may be thousands of flows.
    #[test]
    fn an_api_that_does_not_answer_is_not_asked_for_each_rule() {
        let mut locations = Locations::of(&"never-made".parse().unwrap());
        let mut rules = [RuleRef { policy: "NetworkPolicy a/p".into(), path: "spec".into(), location: None }];
        locations.tell(&mut rules);
        assert!(locations.next.unwrap() > Instant::now() + FRESH);
    }

    #[test]
    fn what_no_manifest_tells_has_no_place() {
        let lines = BTreeMap::from([("spec.ingress[0]".to_owned(), 12)]);
        let known = BTreeMap::from([("NetworkPolicy a/p".to_owned(), ("f.yaml".to_owned(), lines))]);
        let lab = "x".parse().unwrap();
        let mut locations = Locations { lab, next: Some(Instant::now() + UNANSWERED), known };
        let rule = |policy: &str| RuleRef {
            policy: policy.into(),
            path: "spec.ingress[0]".into(),
            location: Some(format!("{policy}:1")),
        };
        let mut rules = [rule("NetworkPolicy a/p"), rule("NetworkPolicy a/q")];
        locations.tell(&mut rules);
        assert_eq!(rules[0].location.as_deref(), Some("f.yaml:12"));
        assert_eq!(rules[1].location, None);
    }
}
