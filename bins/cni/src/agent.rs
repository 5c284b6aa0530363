//! Calls to the agent.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use api::{Client, ClientError, ErrorCode, Reply, Request};

/// How long ADD tries to reach an agent that is away.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// How long an agent that took the request may work on it.
const WORK: Duration = Duration::from_secs(30);
/// How long DEL waits before it leaves the disconnection in the queue.
const DEL: Duration = Duration::from_millis(1500);

/// The agent of this node.
pub(crate) struct Agent {
    socket: PathBuf,
}

impl Agent {
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.into() }
    }

    /// Sends a request and waits for the answer.
    pub(crate) fn ask(&self, request: &Request, netns: Option<&OwnedFd>) -> Result<Reply, ClientError> {
        self.ask_within(request, netns, WORK)
    }

    /// As [`ask`](Self::ask), for a caller that has something else to do when it takes long.
    pub(crate) fn ask_briefly(&self, request: &Request) -> Result<Reply, ClientError> {
        self.ask_within(request, None, DEL)
    }

    /// As [`ask`](Self::ask), again and again while the agent is away or not ready yet. The request must be
    /// idempotent: an agent that dies at work may have done it.
    pub(crate) fn ask_patiently(
        &self,
        request: &Request,
        netns: Option<&OwnedFd>,
    ) -> Result<Reply, ClientError> {
        let start = Instant::now();
        loop {
            let answer = self.ask(request, netns);
            let later = match &answer {
                Err(ClientError::Connect { .. } | ClientError::Io(_) | ClientError::Late) => true,
                Err(ClientError::Refused(refusal)) => refusal.code == ErrorCode::NotReady,
                _ => false,
            };
            if !later || start.elapsed() >= PATIENCE {
                return answer;
            }
            sleep(PAUSE);
        }
    }

    fn ask_within(
        &self,
        request: &Request,
        netns: Option<&OwnedFd>,
        timeout: Duration,
    ) -> Result<Reply, ClientError> {
        Client::connect(&self.socket, timeout)?.call(request, netns.map(AsFd::as_fd))
    }
}
