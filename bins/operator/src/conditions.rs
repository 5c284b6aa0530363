//! Conditions of Nodes.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NodeCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What a condition should say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) type_: &'a str,
    pub(crate) status: bool,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

impl Wanted<'_> {
    fn status(&self) -> &'static str {
        if self.status { "True" } else { "False" }
    }

    /// The condition of this type, if a Node has it.
    pub(crate) fn current<'a>(&self, conditions: &'a [NodeCondition]) -> Option<&'a NodeCondition> {
        conditions.iter().find(|condition| condition.type_ == self.type_)
    }

    /// Whether a condition says this, in whatever words.
    pub(crate) fn is_said_by(&self, condition: &NodeCondition) -> bool {
        condition.status == self.status() && condition.reason.as_deref() == Some(self.reason)
    }

    /// All conditions, with this one among them. The time of the transition is that of the status.
    pub(crate) fn among(&self, conditions: &[NodeCondition], now: Timestamp) -> Vec<NodeCondition> {
        let since = self.current(conditions).filter(|condition| condition.status == self.status());
        let since = since.and_then(|condition| condition.last_transition_time.clone());
        let condition = NodeCondition {
            type_: self.type_.to_owned(),
            status: self.status().to_owned(),
            reason: Some(self.reason.to_owned()),
            message: Some(self.message.to_owned()),
            last_heartbeat_time: Some(Time(now)),
            last_transition_time: Some(since.unwrap_or(Time(now))),
        };
        let others = conditions.iter().filter(|condition| condition.type_ != self.type_);
        others.cloned().chain([condition]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(status: bool, message: &str) -> Wanted<'_> {
        Wanted { type_: "example.com/Broken", status, reason: if status { "Yes" } else { "No" }, message }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_is_that_of_the_status() {
        let other = NodeCondition { type_: "Ready".to_owned(), ..NodeCondition::default() };
        let first = wanted(true, "one").among(&[other], at(1));
        let second = wanted(true, "two").among(&first, at(2));
        let third = wanted(false, "three").among(&second, at(3));
        let told = [&first, &second, &third].map(|all| {
            assert_eq!(all.len(), 2, "one of each type");
            let condition = &all[1];
            let since = condition.last_transition_time.as_ref().unwrap().0;
            (condition.status.clone(), condition.message.clone().unwrap(), since.as_second())
        });
        let line = |status: &str, message: &str, since| (status.to_owned(), message.to_owned(), since);
        assert_eq!(told, [line("True", "one", 1), line("True", "two", 1), line("False", "three", 3)]);
        assert!(wanted(true, "whatever").is_said_by(&second[1]));
        assert!(!wanted(true, "whatever").is_said_by(&third[1]));
    }
}
