//! The same probes in all setups, which have to come out alike: as the policies say, and in the limit, which enforces
//! none, let through. What judged otherwise would be measured at different work.

use std::fmt;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use lab::attempt::{Attempt, Outcome, Protocol};
use lab::daemon::{Answering, Responder};
use lab::pod::Port;

use super::Error;
use super::pods::{Pod, Pods, Position};
use super::report::Probed;
use super::rules::{CLOSED, PORTS};
use super::setup::{Setup, SetupName};

/// How long a packet that is let through may take. It is there in a millisecond.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long nothing may come back until a packet counts as dropped: less than until TCP sends it again.
const SILENCE: Duration = Duration::from_millis(700);

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Probe {
    /// The pod that tries.
    pub from: String,
    /// The pod that is tried.
    pub to: String,
    /// The port.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Whether a setup that enforces lets it through.
    pub allowed: bool,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} port {}/{}", self.from, self.to, self.port, self.protocol)
    }
}

/// What was held of all setups.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Proof {
    /// How many peers the policy had.
    pub peers: usize,
    /// Who was probed.
    pub setups: Vec<SetupName>,
    /// What each let through or dropped, as it should.
    pub probes: Vec<Probe>,
}

/// Probes all setups, at the same time.
///
/// # Errors
/// [`Error::Untrue`] for the first probe that came out otherwise than the policies say; [`Error::Impure`] where the
/// kernel did something else than the setup is about.
pub fn prove(setups: &[Box<dyn Setup>], peers: usize) -> Result<Proof, Error> {
    let probes = probes(peers);
    let asked: Vec<(SetupName, bool, &Pods)> =
        setups.iter().map(|setup| (setup.name(), setup.enforces(), setup.pods())).collect();
    thread::scope(|scope| {
        let running: Vec<_> = asked
            .iter()
            .map(|(setup, enforces, pods)| {
                let probes = &probes;
                scope.spawn(move || hold(*setup, *enforces, pods, probes, peers))
            })
            .collect();
        let mut outcome = Ok(());
        for thread in running {
            let held = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome = outcome.and(held);
        }
        outcome
    })?;
    setups.iter().try_for_each(|setup| setup.inspect(peers))?;
    Ok(Proof { peers, setups: asked.iter().map(|(setup, ..)| *setup).collect(), probes })
}

/// What became of each probe with policies of each size.
pub(crate) fn table(proofs: &[Proof]) -> Vec<Probed> {
    let mut table: Vec<Probed> = Vec::new();
    for proof in proofs {
        for probe in &proof.probes {
            let name = probe.to_string();
            let index = table.iter().position(|row| row.probe == name).unwrap_or_else(|| {
                table.push(Probed { probe: name, let_through: Vec::new(), dropped: Vec::new() });
                table.len() - 1
            });
            let row = &mut table[index];
            if probe.allowed { row.let_through.push(proof.peers) } else { row.dropped.push(proof.peers) }
        }
    }
    table
}

/// Whom to try from where. Without a policy everything is let through.
fn probes(peers: usize) -> Vec<Probe> {
    let open = peers == 0;
    let mut probes = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut probe = |from: &str, to: &str, port: u16, allowed: bool| {
            let allowed = allowed || open;
            probes.push(Probe { from: from.to_owned(), to: to.to_owned(), port, protocol, allowed });
        };
        for client in Position::ALL {
            probe(client.as_str(), "server", *PORTS.start(), true);
            probe(client.as_str(), "server", *PORTS.end(), true);
            probe(client.as_str(), "server", CLOSED, false);
        }
        for client in ["stranger", "newcomer"] {
            probe(client, "server", *PORTS.start(), false);
            probe(client, "other", *PORTS.start(), true);
        }
    }
    probes
}

fn hold(setup: SetupName, enforces: bool, pods: &Pods, probes: &[Probe], peers: usize) -> Result<(), Error> {
    let failed = |operation| move |error: anyhow::Error| Error::lab(setup, operation, &error);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|source| Error::Socket { setup, operation: "starting a runtime", source })?;
    let _entered = runtime.enter();
    let answer = |pod: &Pod| Responder::start(&pod.netns, &answering(pod));
    let responders = [&pods.server, &pods.other].map(answer);
    for responder in responders {
        let responder = responder.map_err(failed("answering probes"))?;
        if let Some(problem) = responder.problems().first() {
            return Err(Error::lab(setup, "answering probes", &anyhow::anyhow!("{problem}")));
        }
        // Kept until the probes are through.
        runtime.spawn(async move {
            let _responder = responder;
            std::future::pending::<()>().await;
        });
    }
    let outcome = thread::scope(|scope| {
        let tries: Vec<_> = probes
            .iter()
            .map(|probe| scope.spawn(move || attempt(setup, enforces, pods, probe, peers)))
            .collect();
        let mut outcome = Ok(());
        for thread in tries {
            let tried = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome = outcome.and(tried);
        }
        outcome
    });
    runtime.shutdown_timeout(PATIENCE);
    outcome
}

fn attempt(setup: SetupName, enforces: bool, pods: &Pods, probe: &Probe, peers: usize) -> Result<(), Error> {
    let named = |name: &str| {
        let pod = pods.all().find(|pod| pod.name == name);
        pod.ok_or_else(|| Error::lab(setup, "probing", &anyhow::anyhow!("there is no pod {name}")))
    };
    let passes = probe.allowed || !enforces;
    let attempt = Attempt {
        from: named(&probe.from)?.netns.clone(),
        source: None,
        to: SocketAddr::from((named(&probe.to)?.address, probe.port)),
        protocol: probe.protocol,
        timeout: if passes { PATIENCE } else { SILENCE },
    };
    let reached = attempt.run().map_err(|error| Error::lab(setup, "probing", &error))?;
    let expected = if passes { "let through" } else { "dropped" };
    let found = match reached.outcome {
        Outcome::Connected => "let through",
        Outcome::Timeout => "dropped",
        Outcome::Refused => "refused",
        Outcome::Unreachable => "unreachable",
        Outcome::Error => "impossible",
    };
    if found == expected {
        return Ok(());
    }
    Err(Error::Untrue { setup, peers, probe: probe.clone(), found, expected })
}

/// A pod that answers on all ports that are probed.
fn answering(pod: &Pod) -> Answering {
    let port = |(number, protocol): (u16, &str)| Port { name: None, number, protocol: protocol.to_owned() };
    let ports = [*PORTS.start(), *PORTS.end(), CLOSED];
    Answering {
        name: pod.name.clone(),
        addresses: vec![pod.address.into()],
        ports: ports.into_iter().flat_map(|number| [(number, "TCP"), (number, "UDP")]).map(port).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_policies_drop_is_let_through_without_them() {
        let proof = |peers| Proof { peers, setups: vec![SetupName::Nftables], probes: probes(peers) };
        let table = table(&[proof(0), proof(10), proof(10_000)]);
        let dropped: Vec<_> = table.iter().filter(|row| !row.dropped.is_empty()).collect();
        // Three peers to the closed port and two others to an open one, by both protocols.
        assert_eq!(dropped.len(), 10);
        for row in dropped {
            assert_eq!((&row.let_through[..], &row.dropped[..]), (&[0][..], &[10, 10_000][..]), "{row:?}");
        }
        // Nobody is dropped wherever he goes, and nobody drops whoever comes.
        for pod in ["first", "stranger", "newcomer", "to server", "to other"] {
            let through = |row: &&Probed| row.probe.contains(pod) && row.let_through.len() == 3;
            assert!(table.iter().any(|row| through(&row)), "{pod}");
        }
    }
}
