//! How long one change takes until packets are judged by it, and what it costs.
//!
//! A prober sends a small datagram every fifth of a millisecond, each from a port of its own and none of them answered:
//! so each is a new connection, which rules have to judge, and none rides on what an earlier one was allowed. The time
//! of a change is from the start of the command or the request until the first datagram **was sent** that was judged by
//! the new rule. Then the change is undone, which is timed likewise.
//!
//! Processor time is told of the same change made once more, without any packet: the agents of a setup that reports what
//! it drops would have work with the prober's. It is that of programs that are run for the change, and of the setup's
//! own ones, from the start until [`SETTLED`] later, less what these took in as long a time before. What the kernel does
//! later and elsewhere for a change, as freeing what it replaced, is nobody's and not in it.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use nix::unistd::Pid;

use super::Error;
use super::pods::Pod;
use super::rules::PORTS;
use super::setup::{Cost, Setup, SetupName};

/// Between two datagrams.
const PACE: Duration = Duration::from_micros(200);
/// How long everything that follows a change may take, and how long idle programs are looked at before.
pub const SETTLED: Duration = Duration::from_millis(300);
/// So long, and so many datagrams, must be lost until none of them counts as let through any more.
const SILENCE: (Duration, usize) = (Duration::from_millis(150), 300);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a change may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first port that datagrams come from. Each has one of its own until all were used.
const FIRST_PORT: u16 = 10_000;

/// A change that was made, seen by packets, and undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Changed {
    /// From the start of the operation until the first packet was sent that the new rule judged.
    pub update: Duration,
    /// The same of undoing it.
    pub undo: Duration,
    /// Until the command or the request returned.
    pub took: Duration,
    /// Processor time: of the programs that were run for it, and of the setup's own.
    pub cpu: Duration,
}

/// Makes the `newcomer` a peer of the policy, and undoes it.
///
/// # Errors
/// When the setup refuses, or the change is not seen in a minute.
pub fn add_peer(setup: &mut dyn Setup) -> Result<Changed, Error> {
    let (from, to) = (setup.pods().newcomer.clone(), setup.pods().server.clone());
    changed(setup, &from, &to, Seen::LetThrough, |setup| setup.add_peer(), |setup| setup.remove_peer())
}

/// Adds a policy about `other`, by which the `stranger` may not reach it any more, and undoes it.
///
/// # Errors
/// As [`add_peer`].
pub fn add_policy(setup: &mut dyn Setup) -> Result<Changed, Error> {
    let (from, to) = (setup.pods().stranger.clone(), setup.pods().other.clone());
    changed(setup, &from, &to, Seen::Dropped, |setup| setup.add_policy(), |setup| setup.remove_policy())
}

/// A change, or its undoing.
type Operation = fn(&mut dyn Setup) -> Result<Cost, Error>;

/// How a change is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    LetThrough,
    Dropped,
}

impl Seen {
    const fn undone(self) -> Self {
        match self {
            Self::LetThrough => Self::Dropped,
            Self::Dropped => Self::LetThrough,
        }
    }
}

fn changed(
    setup: &mut dyn Setup,
    from: &Pod,
    to: &Pod,
    seen: Seen,
    operation: Operation,
    undo: Operation,
) -> Result<Changed, Error> {
    let cpu = processor_time_of(setup, operation)?;
    undo(setup)?;
    let prober = Prober::new(setup.name(), from, to);
    prober.while_probing(|| {
        let (update, cost) = once(setup, &prober, seen, operation)?;
        let (undo, _) = once(setup, &prober, seen.undone(), undo)?;
        Ok(Changed { update, undo, took: cost.took, cpu })
    })
}

/// Makes one change, and says when it was seen, counted from its start.
fn once(
    setup: &mut dyn Setup,
    prober: &Prober<'_>,
    seen: Seen,
    operation: Operation,
) -> Result<(Duration, Cost), Error> {
    // Without it, the first datagram would be "judged by the new rule" whatever the change.
    prober.wait(prober.sent(), seen.undone())?;
    thread::sleep(SETTLED);
    let (first, start) = (prober.sent(), Instant::now());
    let cost = operation(setup)?;
    Ok((prober.wait(first, seen)?.saturating_duration_since(start), cost))
}

/// Makes one change while nothing else happens, and says what it took.
fn processor_time_of(setup: &mut dyn Setup, operation: Operation) -> Result<Duration, Error> {
    let processes = setup.processes();
    let (before, looked) = (processor_time(&processes), Instant::now());
    thread::sleep(SETTLED);
    let (between, start) = (processor_time(&processes), Instant::now());
    let cost = operation(setup)?;
    thread::sleep(SETTLED);
    let busy = processor_time(&processes).saturating_sub(between);
    let share = start.elapsed().as_secs_f64() / (start - looked).as_secs_f64().max(SETTLED.as_secs_f64());
    Ok(cost.children + busy.saturating_sub(between.saturating_sub(before).mul_f64(share)))
}

/// Processor time that these processes have taken so far, user and system, to the nanosecond. One that is gone has
/// taken none.
fn processor_time(processes: &[Pid]) -> Duration {
    let of = |pid: &Pid| ClockId::pid_cpu_clock_id(*pid).and_then(ClockId::now).map(Duration::from).ok();
    processes.iter().filter_map(of).sum()
}

/// The next port that a datagram comes from. Those of one measurement are not those of the one before.
static NEXT_PORT: AtomicU16 = AtomicU16::new(FIRST_PORT);

/// Sends datagrams from one pod to another, and knows which arrived.
struct Prober<'a> {
    setup: SetupName,
    from: &'a Pod,
    to: &'a Pod,
    /// When each was sent.
    sent: Mutex<Vec<Instant>>,
    /// The numbers of those that arrived.
    arrived: Mutex<Vec<usize>>,
    ended: AtomicBool,
}

impl<'a> Prober<'a> {
    fn new(setup: SetupName, from: &'a Pod, to: &'a Pod) -> Self {
        let (sent, arrived) = (Mutex::default(), Mutex::default());
        Self { setup, from, to, sent, arrived, ended: AtomicBool::new(false) }
    }

    /// Probes for as long as `body` takes.
    fn while_probing<T>(&self, body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let failed = |operation| move |source| Error::Socket { setup: self.setup, operation, source };
        let to = SocketAddrV4::new(self.to.address, *PORTS.end());
        let enter = |operation| Error::wiring(self.setup, operation);
        let sink = self.to.netns.run_in(|| UdpSocket::bind(to)).map_err(enter("entering the probed pod"))?;
        let sink = sink.map_err(failed("receiving datagrams"))?;
        sink.set_read_timeout(Some(PAUSE)).map_err(failed("receiving datagrams"))?;
        thread::scope(|scope| {
            scope.spawn(|| self.receive(&sink));
            let sender = scope.spawn(|| self.from.netns.run_in(|| self.send(to)));
            let outcome = body();
            self.ended.store(true, Ordering::Relaxed);
            let sent = sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // That nothing was sent is why the body failed.
            sent.map_err(enter("entering the probing pod"))?.map_err(failed("sending datagrams"))?;
            outcome
        })
    }

    fn send(&self, to: SocketAddrV4) -> std::io::Result<()> {
        while !self.ended.load(Ordering::Relaxed) {
            let next =
                |port: u16| Some(port.checked_add(1).filter(|port| *port < 60_000).unwrap_or(FIRST_PORT));
            let port =
                NEXT_PORT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(FIRST_PORT);
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
            let number = {
                let mut sent = lock(&self.sent);
                sent.push(Instant::now());
                sent.len() - 1
            };
            socket.send_to(&number.to_be_bytes(), to)?;
            thread::sleep(PACE);
        }
        Ok(())
    }

    fn receive(&self, sink: &UdpSocket) {
        let mut number = [0; size_of::<usize>()];
        while !self.ended.load(Ordering::Relaxed) {
            // Nothing for a while is what there is to see.
            if matches!(sink.recv(&mut number), Ok(length) if length == number.len()) {
                lock(&self.arrived).push(usize::from_be_bytes(number));
            }
        }
    }

    /// How many were sent.
    fn sent(&self) -> usize {
        lock(&self.sent).len()
    }

    /// Waits until datagrams from this number on are judged so, and says when the first of them was sent.
    fn wait(&self, from: usize, seen: Seen) -> Result<Instant, Error> {
        let start = Instant::now();
        loop {
            if let Some(number) = self.judged(from, seen)
                && let Some(sent) = lock(&self.sent).get(number)
            {
                return Ok(*sent);
            }
            if start.elapsed() > PATIENCE || self.sent() == 0 && start.elapsed() > SILENCE.0 * 20 {
                let seen = match seen {
                    Seen::LetThrough => "let through",
                    Seen::Dropped => "dropped",
                };
                let what = format!("{} to {} is {seen}", self.from.name, self.to.name);
                return Err(Error::Late { setup: self.setup, what, seconds: start.elapsed().as_secs() });
            }
            thread::sleep(PAUSE);
        }
    }

    /// The number of the first datagram that was judged so, if that can be told yet.
    fn judged(&self, from: usize, seen: Seen) -> Option<usize> {
        let arrived = lock(&self.arrived);
        let since = arrived.iter().rev().take_while(|number| **number >= from);
        if seen == Seen::LetThrough {
            return since.min().copied();
        }
        // Datagrams of one sender arrive in their order.
        let first = arrived.last().map_or(from, |last| from.max(last + 1));
        let sent = lock(&self.sent);
        let silent = sent.len().saturating_sub(first) >= SILENCE.1;
        (silent && sent.get(first)?.elapsed() >= SILENCE.0).then_some(first)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_datagram_that_the_new_rule_judged_is_told() {
        let netns = netcore::Netns::current().unwrap();
        let pod = Pod { name: "a".into(), netns, address: Ipv4Addr::LOCALHOST };
        let prober = Prober::new(SetupName::Nftables, &pod, &pod);
        let past = Instant::now().checked_sub(SILENCE.0 * 2).unwrap();
        lock(&prober.sent).resize(400, past);
        assert_eq!(prober.judged(20, Seen::LetThrough), None);
        // Nothing ever arrived: all are dropped.
        assert_eq!(prober.judged(20, Seen::Dropped), Some(20));
        lock(&prober.arrived).extend([18, 19, 22, 23]);
        assert_eq!(prober.judged(20, Seen::LetThrough), Some(22));
        assert_eq!(prober.judged(20, Seen::Dropped), Some(24));
        // A few that are missing may be under way.
        lock(&prober.arrived).push(200);
        assert_eq!(prober.judged(20, Seen::Dropped), None);
    }
}
