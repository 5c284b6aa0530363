//! Programs that run inside a pod, on the processor of their side.

use std::io::{self, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use netcore::Netns;

use crate::network::cpu::Side;
use crate::network::traffic::inside;

/// How long a program may take beyond what it was told.
const GRACE: Duration = Duration::from_secs(5);
/// How long a server has until it listens.
const LISTENING: Duration = Duration::from_secs(3);

/// A running program; it ends with this.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    output: Option<thread::JoinHandle<io::Result<String>>>,
}

impl Running {
    pub(super) fn start(side: Side, netns: &Netns, program: &str, arguments: &[&str]) -> io::Result<Self> {
        let mut child = inside(netns, || {
            // What is started inherits the thread's namespace and processor.
            side.pin()?;
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
        })?;
        // Read as it comes: a program whose pipe is full would wait for us.
        let output = child.stdout.take().map(|stdout| thread::spawn(|| read(stdout)));
        Ok(Self { child, output })
    }

    /// What it said, once it has ended by itself.
    pub(super) fn said(mut self, within: Duration) -> io::Result<String> {
        let deadline = Instant::now() + within + GRACE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not end"));
            }
            thread::sleep(Duration::from_millis(10));
        };
        let output = self.output.take().map_or(Ok(String::new()), |reader| {
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        if status.success() {
            return Ok(output);
        }
        let tail = output.trim().lines().last().unwrap_or("nothing").to_owned();
        Err(io::Error::other(format!("it ended with {status} and said {tail}")))
    }
}

fn read(mut stdout: ChildStdout) -> io::Result<String> {
    let mut text = String::new();
    stdout.read_to_string(&mut text)?;
    Ok(text)
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nobody to end.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Waits until somebody listens on a TCP port of the namespace: told by its table of sockets, since connecting would be
/// taken for a client.
pub(super) fn until_listening(netns: &Netns, port: u16) -> io::Result<()> {
    let wanted = format!(":{port:04X} ");
    let deadline = Instant::now() + LISTENING;
    // State 0A is LISTEN (include/net/tcp_states.h).
    let listens = |line: &str| line.contains(&wanted) && line.split_whitespace().nth(3) == Some("0A");
    loop {
        let tables = inside(netns, || {
            let of = |name| std::fs::read_to_string(format!("/proc/thread-self/net/{name}"));
            Ok(of("tcp")? + &of("tcp6").unwrap_or_default())
        })?;
        if tables.lines().any(listens) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "its server does not listen"));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A figure behind a text, as `text 12.5`.
pub(super) fn number_after(output: &str, text: &str) -> io::Result<f64> {
    let after = output.lines().find_map(|line| line.split_once(text).map(|(_, rest)| rest));
    let number = after.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("it did not say {text:?} and a number"))
    })
}

/// Whole seconds, at least one: what these programs take.
pub(super) fn seconds(time: Duration) -> String {
    time.as_secs().max(1).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found() {
        let output = "Running 2s test\nRequests/sec:  13001.25\n";
        assert_eq!(number_after(output, "Requests/sec:").unwrap(), 13001.25);
        assert!(number_after(output, "Latency").is_err());
    }

    #[test]
    fn a_program_that_fails_says_so() {
        let netns = Netns::current().unwrap();
        let failed = Running::start(Side::Client, &netns, "false", &[]).unwrap();
        assert!(failed.said(Duration::ZERO).unwrap_err().to_string().contains("exit status: 1"));
        assert!(Running::start(Side::Client, &netns, "no-such-program", &[]).is_err());
    }
}
