//! Why a node does not get what it wants.

use super::subnet::Kind;
use crate::ec2::Error;

/// The most that is told of an error, in characters.
const LONGEST: usize = 400;
/// What EC2 appends to what it does not allow: a text for machines, another one each time.
const ENCODED: &str = "Encoded authorization failure message";

/// A reason, which names what it is about. It says the same as long as it holds, so that a status that shows it is not
/// written again and again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// EC2 tells no limits of the type.
    #[error("the limits of instance type {0:?} are unknown")]
    UnknownLimits(String),
    /// No interface with number 0 is attached.
    #[error("EC2 shows no primary interface of the instance: it is gone, or not there yet")]
    NoPrimaryInterface,
    /// The instance cannot have more interfaces with the numbers that are allowed.
    #[error(
        "{instance_type} has {interfaces} interfaces, and none from number {first} on can be added, \
         nor have those that are there room"
    )]
    NoFreeInterface {
        /// Its type.
        instance_type: String,
        /// How many it may have.
        interfaces: u32,
        /// The lowest number that pods may use.
        first: u32,
    },
    /// A subnet has no room.
    #[error("subnet {subnet} has no free {}", kind_name(*kind))]
    SubnetFull {
        /// The subnet.
        subnet: String,
        /// What it was asked for.
        kind: Kind,
    },
    /// No subnet is what the settings ask for.
    #[error("no subnet of zone {zone:?} is what the settings allow: {looked_for}")]
    NoSubnet {
        /// The zone.
        zone: String,
        /// What was looked for.
        looked_for: String,
    },
    /// No security group is what the settings ask for.
    #[error("no security group has the tags {0}")]
    NoSecurityGroup(String),
    /// The type takes no prefixes; single addresses are used.
    #[error("interfaces of {0} take no prefixes")]
    PrefixesUnsupported(String),
    /// EC2 says of an interface what this version does not know. It is used as if nothing were the matter.
    #[error("EC2 shows interface {0} in a state that this version does not know")]
    UnknownState(String),
    /// An interface has more than can be attached.
    #[error("interface {0} has more addresses than the instance type allows")]
    TooManyAddresses(String),
    /// An annotation of the handshake cannot be read.
    #[error("{0}")]
    Annotation(String),
    /// EC2 does not list what has to be known.
    #[error("{action} fails: {why}")]
    NotListed {
        /// The action's name.
        action: &'static str,
        /// EC2's code and message, or why there is no answer.
        why: String,
    },
    /// EC2 refused.
    #[error("EC2 refused {action} for {subject}: {why}")]
    Refused {
        /// The action's name.
        action: &'static str,
        /// What it was for.
        subject: String,
        /// EC2's code and message.
        why: String,
    },
}

impl Reason {
    /// A list that cannot be read.
    pub(super) fn not_listed(error: &Error) -> Self {
        Self::NotListed { action: error.action.name(), why: why(error) }
    }

    /// A request that was refused.
    pub(super) fn refused(error: &Error, subject: &str) -> Self {
        Self::Refused { action: error.action.name(), subject: subject.to_owned(), why: why(error) }
    }

    /// What is told where `told` was told before: the same, if both are about the same, and EC2's words differ in nothing
    /// but what it makes anew for each answer, as the id of a request.
    pub(super) fn after(self, told: Option<Self>) -> Self {
        match told {
            Some(told) if told.is_much_like(&self) => told,
            _ => self,
        }
    }

    fn is_much_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NotListed { action, why }, Self::NotListed { action: other, why: new }) => {
                action == other && gist(why).eq(gist(new))
            }
            (
                Self::Refused { action, subject, why },
                Self::Refused { action: other, subject: of, why: new },
            ) => action == other && subject == of && gist(why).eq(gist(new)),
            _ => self == other,
        }
    }
}

/// What an error says, in one line that is not too long.
fn why(error: &Error) -> String {
    let message = error.message.split(ENCODED).next().unwrap_or_default();
    let words: Vec<&str> = message.split_whitespace().collect();
    let text =
        if words.is_empty() { error.code.clone() } else { format!("{}: {}", error.code, words.join(" ")) };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The words without digits: ids have some.
fn gist(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |part: &&str| !part.is_empty() && !part.contains(|letter: char| letter.is_ascii_digit());
    text.split(|letter: char| letter.is_whitespace() || "\"'(),:;".contains(letter)).filter(is_word)
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Prefix => "/28",
        Kind::Address => "address",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::Action;

    fn denied(message: &str) -> Error {
        Error::answered(Action::AttachNetworkInterface, "UnauthorizedOperation", message)
    }

    #[test]
    fn what_is_told_is_what_people_can_read() {
        let message = "You are not authorized to perform: ec2:AttachNetworkInterface.\n Encoded authorization failure \
                       message: 3Xk9aB";
        let reason = Reason::refused(&denied(message), "eni-1");
        assert_eq!(
            reason.to_string(),
            "EC2 refused AttachNetworkInterface for eni-1: UnauthorizedOperation: You are not authorized to perform: \
             ec2:AttachNetworkInterface."
        );
        assert_eq!(
            Reason::refused(&denied(""), "eni-1").to_string().rsplit(": ").next(),
            Some("UnauthorizedOperation")
        );
        let long = Reason::not_listed(&denied(&"ä".repeat(1000))).to_string();
        assert!(long.chars().count() < 500 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn what_differs_by_an_id_is_told_once() {
        let of = |message: &str| Reason::not_listed(&denied(message));
        let first = of("no role (request id: 5e1f-77ab)");
        assert_eq!(of("no role (request id: 9c0d-12ef)").after(Some(first.clone())), first);
        let other = of("the token has expired (request id: 9c0d-12ef)");
        assert_eq!(other.clone().after(Some(first)), other);
        assert_eq!(other.clone().after(None), other);
    }

    #[test]
    fn what_is_about_something_else_is_told() {
        let of = |subject| Reason::refused(&denied("no role (request id: 5e1f-77ab)"), subject);
        assert_eq!(of("subnet-2").after(Some(of("subnet-1"))), of("subnet-2"));
        let unknown = Reason::UnknownState("eni-2".to_owned());
        assert_eq!(unknown.clone().after(Some(Reason::UnknownState("eni-1".to_owned()))), unknown);
    }
}
