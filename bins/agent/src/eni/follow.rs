//! The agent's half of the handshake by which prefixes are given back, carried out on what is on disk.

use std::collections::BTreeSet;
use std::time::SystemTime;

use anyhow::Result;
use ipam::eni::handshake::agent::{Step, Told, next};
use ipam::eni::handshake::{Drain, Drained, Unreadable};
use ipnetwork::Ipv4Network;

use crate::addresses::AddressBook;
use crate::source::OwnInterfaces;

/// Steps about one object, at most. Each kind comes once or twice.
const STEPS: usize = 64;

/// Does what an object asks of the addresses: all that is journalled is on disk when this returns. The answer that is
/// to be written into the object, if one is.
pub(crate) fn follow(
    book: &mut AddressBook,
    told: &OwnInterfaces,
    usable: &BTreeSet<Ipv4Network>,
    now: SystemTime,
) -> Result<Option<Drained>> {
    let parse = || -> Result<(Drain, Option<Drained>), Unreadable> {
        let drain = told.drain.as_deref().map(Drain::parse).transpose()?.unwrap_or_default();
        let drained = told.drained.as_deref().map(Drained::parse).transpose()?;
        Ok((drain, drained))
    };
    let (drain, drained) = match parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            // What was promised before cannot be told: no prefix is taken over.
            tracing::error!(%error, "nothing of this node's object is taken over before that is removed");
            return Ok(None);
        }
    };
    let told = Told { drain: &drain, drained: drained.as_ref(), listed: usable };
    for _ in 0..STEPS {
        match next(book.pool(), told, now.into()) {
            Step::Journal(record) => book.commit(&record)?,
            Step::Use(prefixes) => book.set_prefixes(&prefixes)?,
            Step::Answer(answer) => {
                tracing::info!(%answer, "the operator is answered");
                return Ok(Some(answer));
            }
            Step::Stale => {
                tracing::debug!("this node's object is older than what the journal knows");
                return Ok(None);
            }
            Step::Broken(prefixes) => {
                let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
                tracing::error!(
                    prefixes = prefixes.join(", "),
                    "pods have addresses of prefixes that this node's object says were promised back"
                );
                return Ok(None);
            }
            Step::Nothing => return Ok(None),
        }
    }
    tracing::error!("this node's object asks for something ever anew");
    Ok(None)
}

#[cfg(test)]
mod tests {
    use api::Attachment;

    use super::*;

    const ONE: &str = "100.64.0.16/28";
    const TWO: &str = "100.64.0.32/28";

    struct Node {
        directory: tempfile::TempDir,
        book: AddressBook,
    }

    impl Node {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let book = AddressBook::open(&directory.path().join("journal"), &[], SystemTime::now()).unwrap();
            Self { directory, book }
        }

        /// The power fails.
        fn crash(&mut self) {
            // One process has the journal at a time.
            let elsewhere = tempfile::tempdir().unwrap();
            self.book = AddressBook::open(&elsewhere.path().join("journal"), &[], SystemTime::now()).unwrap();
            self.book =
                AddressBook::open(&self.directory.path().join("journal"), &[], SystemTime::now()).unwrap();
        }

        fn follow(&mut self, drain: &str, drained: Option<&Drained>, usable: &[&str]) -> Option<Drained> {
            let told = OwnInterfaces {
                drain: Some(drain.to_owned()),
                drained: drained.map(ToString::to_string),
                ..OwnInterfaces::default()
            };
            follow(&mut self.book, &told, &prefixes(usable), SystemTime::now()).unwrap()
        }

        /// The third part of the address that a new pod gets, by its prefix.
        fn add(&mut self, name: &str) -> Option<&'static str> {
            let attachment = Attachment { container_id: name.into(), ifname: "eth0".into() };
            let given = self.book.allocate(&attachment, None, SystemTime::now()).ok()?;
            let network = |prefix: &&str| {
                given.iter().any(|ip| prefix.parse::<ipnetwork::IpNetwork>().unwrap().contains(*ip))
            };
            [ONE, TWO].into_iter().find(network)
        }
    }

    fn prefixes(texts: &[&str]) -> BTreeSet<Ipv4Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn ask(epoch: u64, asked: &[&str]) -> String {
        serde_json::json!({"epoch": epoch, "prefixes": asked}).to_string()
    }

    /// vpc-cni #3824, cilium #13412: what is promised is used by nobody, what is used is not promised, whenever the
    /// agent dies.
    #[test]
    fn a_promise_outlives_the_agent() {
        let mut node = Node::new();
        let introduced = node.follow(&ask(0, &[]), None, &[ONE, TWO]).unwrap();
        assert_eq!((introduced.epoch.0, introduced.prefixes.len()), (0, 0));
        assert_eq!(node.add("a"), Some(ONE));

        let answer = node.follow(&ask(1, &[ONE, TWO]), Some(&introduced), &[ONE, TWO]).unwrap();
        assert_eq!((&answer.prefixes, &answer.refused), (&prefixes(&[TWO]), &prefixes(&[ONE])));
        // It dies before the answer is written; the operator asks still, and lists the prefix still.
        node.crash();
        assert_eq!(node.follow(&ask(1, &[ONE, TWO]), Some(&introduced), &[ONE, TWO]), Some(answer.clone()));
        let given: Vec<_> = (0..20).filter_map(|pod| node.add(&format!("b{pod}"))).collect();
        assert_eq!(given, [ONE; 15]);
        // The answer is there, the prefix is listed no more, then again, by somebody who is behind.
        for listed in [&[ONE, TWO][..], &[ONE], &[ONE, TWO]] {
            node.crash();
            assert_eq!(node.follow(&ask(1, &[ONE, TWO]), Some(&answer), listed), None);
            assert_eq!(node.add("c"), None, "{listed:?}");
        }
        // A later epoch: it is over, and a prefix that comes is a new one.
        node.follow(&ask(2, &[]), Some(&answer), &[ONE, TWO]);
        assert_eq!(node.add("c"), Some(TWO));
        // Of an object that is older, or was made anew and knows nothing, the list is not taken over: it is told how
        // far things are.
        let again = node.follow(&ask(1, &[ONE, TWO]), Some(&answer), &[ONE]);
        assert_eq!(again.map(|answer| (answer.epoch.0, answer.prefixes.len())), Some((2, 0)));
        assert_eq!(node.add("d"), Some(TWO));
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        let mut node = Node::new();
        node.follow(&ask(0, &[]), None, &[ONE]);
        assert_eq!(node.follow("{", None, &[ONE, TWO]), None);
        assert_eq!(node.book.capacity(), 16);
    }
}
