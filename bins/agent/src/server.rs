//! The agent's socket.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::{Envelope, ErrorCode, ErrorReply, PROTOCOL_VERSION, Reply, Request, decode_length, encode};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::engine::Call;
use crate::flows::FlowLog;

/// The revisions that are enforced: each one's sender, or receiver.
#[derive(Clone, Debug)]
pub struct Enforced<T> {
    /// Of the source's objects.
    pub objects: T,
    /// Of all that policy depends on.
    pub policy: T,
}

impl Enforced<watch::Sender<u64>> {
    /// Nothing is enforced yet: where to say what is, and where to hear of it.
    #[must_use]
    pub fn channel() -> (Self, Enforced<watch::Receiver<u64>>) {
        let ((objects, objects_heard), (policy, policy_heard)) = (watch::channel(0), watch::channel(0));
        (Self { objects, policy }, Enforced { objects: objects_heard, policy: policy_heard })
    }
}

/// What a connection needs to answer.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where calls for the engine go.
    calls: mpsc::Sender<Call>,
    /// The revisions that are enforced.
    enforced: Enforced<watch::Receiver<u64>>,
    /// Flows.
    flows: FlowLog,
    answers: Answers,
}

/// The answers that are owed.
#[derive(Clone, Debug)]
pub struct Answers(watch::Sender<Owed>);

#[derive(Clone, Copy, Debug, Default)]
struct Owed {
    count: usize,
    is_ending: bool,
}

impl Answers {
    /// From now on nobody is heard any more.
    pub fn refuse_new(&self) {
        self.0.send_modify(|owed| owed.is_ending = true);
    }

    /// Returns when whoever was heard has been answered.
    pub async fn all_given(&self) {
        let mut heard = self.0.subscribe();
        // There is a sender: it is borrowed here.
        let _ = heard.wait_for(|owed| owed.count == 0).await;
    }

    async fn end(&self) {
        let mut heard = self.0.subscribe();
        let _ = heard.wait_for(|owed| owed.is_ending).await;
    }

    /// Counts an answer as owed until what is returned is dropped.
    fn owe(&self) -> OwedAnswer {
        self.0.send_modify(|owed| owed.count += 1);
        OwedAnswer(self.clone())
    }
}

struct OwedAnswer(Answers);

impl Drop for OwedAnswer {
    fn drop(&mut self) {
        self.0.0.send_modify(|owed| owed.count -= 1);
    }
}

impl Server {
    /// Asks the engine over a channel, and answers the rest from what is published and kept.
    #[must_use]
    pub fn new(calls: mpsc::Sender<Call>, enforced: Enforced<watch::Receiver<u64>>, flows: FlowLog) -> Self {
        Self { calls, enforced, flows, answers: Answers(watch::Sender::new(Owed::default())) }
    }

    /// The answers that it owes.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.answers.clone()
    }

    /// Listens on a socket that only root may use. A socket that an earlier agent left is replaced.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn listen(path: &Path) -> Result<UnixListener> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("creating {}", directory.display()))?;
        }
        // Bound under another name first: the socket is never there with other permissions, and a caller finds
        // the old one or the new one.
        let beside = path.with_extension("new");
        let _ = std::fs::remove_file(&beside);
        let listener =
            UnixListener::bind(&beside).with_context(|| format!("listening on {}", path.display()))?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&beside, path))
            .with_context(|| format!("putting the socket at {}", path.display()))?;
        Ok(listener)
    }

    /// Serves connections until the listener breaks.
    ///
    /// # Errors
    /// When no connection can be accepted any more.
    pub async fn run(self, listener: UnixListener) -> Result<()> {
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted.context("accepting a connection")?.0,
                () = self.answers.end() => break,
            };
            let server = self.clone();
            tokio::spawn(async move {
                if let Err(error) = server.serve(stream).await {
                    tracing::debug!(error = format!("{error:#}"), "a connection ended");
                }
            });
        }
        // Who calls now finds nobody, and waits for the next agent.
        drop(listener);
        std::future::pending().await
    }

    async fn serve(self, mut stream: UnixStream) -> Result<()> {
        let uid = stream.peer_cred().context("asking who calls")?.uid();
        if uid != 0 {
            bail!("user {uid} may not use the socket");
        }
        loop {
            let received = tokio::select! {
                received = receive(&stream) => received?,
                () = self.answers.end() => None,
            };
            let Some((body, fds)) = received else { return Ok(()) };
            let request = match parse(&body) {
                Ok(request) => request,
                Err(refusal) => {
                    send(&mut stream, &Reply::Error(refusal)).await?;
                    continue;
                }
            };
            match request {
                Request::Flows { last, follow } => self.send_flows(&mut stream, last, follow).await?,
                Request::Wait { revision, timeout_ms } => {
                    let timeout = Duration::from_millis(timeout_ms);
                    let reply = wait("revision", &self.enforced.objects, revision, timeout).await;
                    send(&mut stream, &reply).await?;
                }
                Request::WaitPolicy { revision, timeout_ms } => {
                    let timeout = Duration::from_millis(timeout_ms);
                    let reply = wait("policy revision", &self.enforced.policy, revision, timeout).await;
                    send(&mut stream, &reply).await?;
                }
                request => {
                    let owed = self.answers.owe();
                    let reply = self.ask(request, fds.into_iter().next()).await;
                    send(&mut stream, &reply).await?;
                    drop(owed);
                }
            }
        }
    }

    async fn ask(&self, request: Request, netns: Option<OwnedFd>) -> Reply {
        let (answer, answered) = oneshot::channel();
        let gone = || {
            Reply::Error(ErrorReply { code: ErrorCode::NotReady, message: "the agent is stopping".into() })
        };
        if self.calls.send(Call { request, netns, answer }).await.is_err() {
            return gone();
        }
        answered.await.unwrap_or_else(|_| gone())
    }

    async fn send_flows(&self, stream: &mut UnixStream, last: usize, follow: bool) -> Result<()> {
        let (kept, mut next) = self.flows.subscribe(last);
        for flow in kept {
            send(stream, &Reply::Flow(Box::new(flow))).await?;
        }
        if !follow {
            return send(stream, &Reply::EndOfFlows).await;
        }
        loop {
            tokio::select! {
                flow = next.recv() => match flow {
                    Ok(flow) => send(stream, &Reply::Flow(Box::new((*flow).clone()))).await?,
                    // A listener that is too slow misses flows rather than holding up the others.
                    Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "a listener of flows is too slow"),
                    Err(RecvError::Closed) => return Ok(()),
                },
                hung_up = receive(stream) => {
                    hung_up?;
                    return Ok(());
                }
            }
        }
    }
}

/// Waits until a revision is enforced.
async fn wait(kind: &str, enforced: &watch::Receiver<u64>, revision: u64, timeout: Duration) -> Reply {
    let mut heard = enforced.clone();
    match tokio::time::timeout(timeout, heard.wait_for(|enforced| *enforced >= revision)).await {
        Ok(Ok(_)) => Reply::Done,
        _ => Reply::Error(ErrorReply {
            code: ErrorCode::Timeout,
            message: format!("{kind} {revision} is not enforced yet: the node is at {}", *enforced.borrow()),
        }),
    }
}

fn parse(body: &[u8]) -> Result<Request, ErrorReply> {
    let invalid = |message: String| ErrorReply { code: ErrorCode::Invalid, message };
    let version: Envelope<serde::de::IgnoredAny> = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the request cannot be read: {error}")))?;
    if version.version != PROTOCOL_VERSION {
        let message = format!(
            "the request is in version {} of the protocol, this agent speaks {PROTOCOL_VERSION}",
            version.version
        );
        return Err(ErrorReply { code: ErrorCode::Version, message });
    }
    let envelope: Envelope<Request> = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the request cannot be read: {error}")))?;
    Ok(envelope.body)
}

async fn send(stream: &mut UnixStream, reply: &Reply) -> Result<()> {
    let bytes = encode(&Envelope { version: PROTOCOL_VERSION, body: reply })?;
    stream.write_all(&bytes).await.context("answering")
}

/// The next message and the descriptors that came with it; nothing where the caller hung up.
async fn receive(stream: &UnixStream) -> Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut bytes = Vec::new();
    let mut fds = Vec::new();
    let mut wanted = 4;
    loop {
        if bytes.len() == wanted {
            let head = bytes.first_chunk().copied().unwrap_or_default();
            let length = decode_length(head)?;
            if bytes.len() == 4 + length {
                bytes.drain(..4);
                return Ok(Some((bytes, fds)));
            }
            wanted = 4 + length;
        }
        let read = stream
            .async_io(Interest::READABLE, || read_some(stream, &mut bytes, wanted, &mut fds))
            .await
            .context("reading a request")?;
        if read == 0 {
            if bytes.is_empty() {
                return Ok(None);
            }
            bail!("the caller hung up in the middle of a request");
        }
    }
}

/// Reads up to `wanted` bytes in all, and descriptors.
fn read_some(
    stream: &UnixStream,
    bytes: &mut Vec<u8>,
    wanted: usize,
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let have = bytes.len();
    let mut room = vec![0; (wanted - have).min(1 << 16)];
    let mut control = nix::cmsg_space!([i32; 4]);
    let mut parts = [io::IoSliceMut::new(&mut room)];
    let message = recvmsg::<()>(
        stream.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = control {
            fds.extend(received.into_iter().map(own));
        }
    }
    let read = message.bytes;
    bytes.extend_from_slice(&room[..read]);
    Ok(read)
}

#[expect(unsafe_code, reason = "a descriptor that the kernel has just handed over")]
fn own(fd: i32) -> OwnedFd {
    // SAFETY: the descriptor came with the message and is nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
