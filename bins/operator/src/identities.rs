//! Which CiliumIdentities there should be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use policy::LabelSet;

use crate::label_sets::LabelSets;
use crate::view::{IdentityView, Version};

/// The numbers that stand for labels of pods.
pub(crate) const NUMBERS: std::ops::RangeInclusive<u32> = 256..=65535;

/// Labels as a CiliumIdentity has them.
pub(crate) type SecurityLabels = BTreeMap<String, String>;

/// What to do with an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing uses it: note since when.
    Mark(String, Version),
    /// It is used again.
    Unmark(String, Version),
    /// Nothing used it for long.
    Delete(String, Version),
}

/// What identities are used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    /// Numbers that endpoints have.
    pub(crate) numbers: HashSet<u32>,
    /// Labels that pods have, where the operator makes identities. Of several identities for the same labels only
    /// the one that counts is used by them.
    pub(crate) labels: HashSet<SecurityLabels>,
}

/// Decides on every identity, by name. `known` is by name, too.
///
/// Whoever takes an unused identity into use removes the mark: then it is another version, and is not deleted.
pub(crate) fn collect(
    known: &BTreeMap<String, Arc<IdentityView>>,
    used: &Used,
    now: Timestamp,
    timeout: Duration,
) -> Vec<Act> {
    let counts: HashSet<&String> = best(known).into_values().collect();
    let act = |(name, identity): (&String, &Arc<IdentityView>)| {
        let alive = identity.number.is_some_and(|number| used.numbers.contains(&number))
            || (counts.contains(name) && used.labels.contains(&identity.labels));
        let (name, version) = (name.clone(), identity.version.clone());
        match (alive, identity.marked) {
            (true, None) => None,
            (true, Some(_)) => Some(Act::Unmark(name, version)),
            (false, None) => Some(Act::Mark(name, version)),
            (false, Some(since)) => {
                let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
                (age >= timeout).then_some(Act::Delete(name, version))
            }
        }
    };
    known.iter().filter_map(act).collect()
}

/// Whether its labels can be said with it. Others stand for something else, or for nothing.
fn is_usable(identity: &IdentityView) -> bool {
    identity.number.is_some_and(|number| NUMBERS.contains(&number))
}

/// For each set of labels, the identity that counts: the oldest one, then the smallest number.
fn best(known: &BTreeMap<String, Arc<IdentityView>>) -> HashMap<&SecurityLabels, &String> {
    let mut best: HashMap<&SecurityLabels, (&String, &IdentityView)> = HashMap::new();
    for (name, identity) in known.iter().filter(|(_, identity)| is_usable(identity)) {
        let rank = |identity: &IdentityView| (identity.created, identity.number);
        let entry = best.entry(&identity.labels).or_insert((name, identity));
        if rank(identity) < rank(entry.1) {
            *entry = (name, identity);
        }
    }
    best.into_iter().map(|(labels, (name, _))| (labels, name)).collect()
}

/// How many identities there are for labels that another one stands for already.
pub(crate) fn duplicates(known: &BTreeMap<String, Arc<IdentityView>>) -> usize {
    known.values().filter(|identity| is_usable(identity)).count() - best(known).len()
}

/// New identities for labels that have none, each with a number that is free.
///
/// Numbers are taken from `start` on, round and round: one that was just given back is not given to others at once.
/// Labels that get none are left out.
pub(crate) fn create(
    known: &BTreeMap<String, Arc<IdentityView>>,
    wanted: &LabelSets,
    start: u32,
) -> BTreeMap<u32, SecurityLabels> {
    let have: HashSet<&SecurityLabels> =
        known.values().filter(|identity| is_usable(identity)).map(|identity| &identity.labels).collect();
    let taken: HashSet<u32> = known.values().filter_map(|identity| identity.number).collect();
    let start = start.clamp(*NUMBERS.start(), *NUMBERS.end());
    let free =
        (start..=*NUMBERS.end()).chain(*NUMBERS.start()..start).filter(|number| !taken.contains(number));
    let missing: BTreeSet<&SecurityLabels> = wanted.all().filter(|labels| !have.contains(labels)).collect();
    free.zip(missing.into_iter().cloned()).collect()
}

/// Identities that this leader made and that the watch has not told of yet. One that it does not tell of for long is
/// gone again, whoever deleted it.
#[derive(Default)]
pub(crate) struct Pending(BTreeMap<u32, (SecurityLabels, Timestamp)>);

/// How long the watch may take to tell of an identity.
const PENDING: Duration = Duration::from_secs(30);

impl Pending {
    /// Notes one that was made.
    pub(crate) fn made(&mut self, number: u32, labels: SecurityLabels, now: Timestamp) {
        self.0.insert(number, (labels, now));
    }

    /// Adds them to those that the watch has told of.
    pub(crate) fn complete(&mut self, known: &mut BTreeMap<String, Arc<IdentityView>>, now: Timestamp) {
        self.0.retain(|number, (labels, since)| {
            let waits = Duration::try_from(now.duration_since(*since)).unwrap_or_default() < PENDING;
            let name = number.to_string();
            if !waits || known.contains_key(&name) {
                return false;
            }
            known.insert(name, Arc::new(IdentityView::pending(*number, labels.clone())));
            true
        });
    }

    /// Whether there is one that the watch may still tell of.
    pub(crate) fn waits(&self) -> bool {
        !self.0.is_empty()
    }
}

/// A label set as a CiliumIdentity has it.
pub(crate) fn security_labels(labels: &LabelSet) -> SecurityLabels {
    labels.iter().map(|label| (format!("{}:{}", label.source, label.key), label.value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use kubernetes::watch::Key;

    use super::*;

    fn identity(app: &str, age: i64, marked: Option<i64>, number: u32) -> (String, Arc<IdentityView>) {
        let time = |second| Timestamp::from_second(second).unwrap();
        let view = IdentityView {
            version: Version::default(),
            created: time(age),
            number: Some(number),
            labels: labels(app),
            marked: marked.map(time),
        };
        (number.to_string(), Arc::new(view))
    }

    fn labels(app: &str) -> SecurityLabels {
        [("k8s:app".to_owned(), app.to_owned())].into()
    }

    fn wanted(apps: &[&str]) -> LabelSets {
        let mut sets = LabelSets::default();
        for app in apps {
            sets.set(Key::new("a", app), Some(labels(app)));
        }
        sets
    }

    fn text(acts: &[Act]) -> String {
        let line = |act: &Act| match act {
            Act::Mark(name, _) => format!("mark {name}"),
            Act::Unmark(name, _) => format!("unmark {name}"),
            Act::Delete(name, _) => format!("delete {name}"),
        };
        acts.iter().map(line).collect::<Vec<_>>().join(", ")
    }

    fn collected(known: &BTreeMap<String, Arc<IdentityView>>, used: &Used, now: i64) -> String {
        text(&collect(known, used, Timestamp::from_second(now).unwrap(), Duration::from_secs(100)))
    }

    #[test]
    fn marked_then_deleted_unless_used_again() {
        let known = [
            identity("used", 1, None, 300),
            identity("used-again", 1, Some(500), 301),
            identity("unused", 1, None, 302),
            identity("unused-since", 1, Some(500), 303),
            identity("unused-long", 1, Some(400), 304),
            identity("clock-went-back", 1, Some(900), 305),
        ];
        let used = Used { numbers: [300, 301].into(), labels: HashSet::new() };
        assert_eq!(collected(&known.into(), &used, 500), "unmark 301, mark 302, delete 304");
    }

    #[test]
    fn of_duplicates_the_oldest_counts() {
        let known: BTreeMap<_, _> =
            [identity("web", 5, None, 300), identity("web", 4, None, 302), identity("web", 4, None, 301)]
                .into();
        assert_eq!(duplicates(&known), 2);
        let by_pods = Used { numbers: HashSet::new(), labels: [labels("web")].into() };
        assert_eq!(collected(&known, &by_pods, 10), "mark 300, mark 302");
        // One that an endpoint has still is kept, whatever counts.
        let by_endpoint = Used { numbers: [300].into(), labels: [labels("web")].into() };
        assert_eq!(collected(&known, &by_endpoint, 10), "mark 302");
    }

    #[test]
    fn what_agents_do_not_use_stands_for_nothing() {
        let (_, stray) = identity("web", 1, None, 300);
        for (name, number) in [("foo", None), ("7", Some(7)), ("70000", Some(70_000))] {
            let known = [(name.to_owned(), Arc::new(IdentityView { number, ..(*stray).clone() }))].into();
            assert_eq!(create(&known, &wanted(&["web"]), 300), [(300, labels("web"))].into(), "{name}");
        }
    }

    #[test]
    fn what_the_watch_never_tells_of_is_made_again() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut pending = Pending::default();
        pending.made(300, labels("web"), at(0));
        let names = |pending: &mut Pending, told: &[u32], second| {
            let mut known = told.iter().map(|number| identity("told", 1, None, *number)).collect();
            pending.complete(&mut known, at(second));
            known.into_values().map(|identity| identity.labels["k8s:app"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&mut pending, &[], 29), ["web"]);
        assert!(names(&mut pending, &[], 31).is_empty() && !pending.waits());
        pending.made(300, labels("web"), at(40));
        assert_eq!(names(&mut pending, &[300], 41), ["told"]);
        assert!(!pending.waits());
    }

    #[test]
    fn new_ones_get_numbers_that_are_free() {
        let known: BTreeMap<_, _> = [identity("web", 1, None, 65535), identity("db", 1, None, 256)].into();
        let created = create(&known, &wanted(&["web", "a", "b"]), 65534);
        assert_eq!(created, [(65534, labels("a")), (257, labels("b"))].into());
        let full = NUMBERS.map(|number| identity(&number.to_string(), 1, None, number)).collect();
        assert!(create(&full, &wanted(&["one-more"]), 256).is_empty());
    }
}
