//! A blocking client: no runtime, so that a short-lived program starts at once.

use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use crate::PROTOCOL_VERSION;
use crate::frame::{FrameError, decode_length, encode};
use crate::message::{Envelope, ErrorReply, Reply, Request};

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("the agent does not answer on {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("talking to the agent: {0}")]
    Io(#[source] std::io::Error),
    /// The agent took the connection, and says nothing: it is stopped, or has too much to do.
    #[error("the agent does not answer in time")]
    Late,
    /// The message cannot be framed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The agent's answer cannot be read.
    #[error("the agent's answer cannot be read: {0}")]
    Decode(#[source] serde_json::Error),
    /// The agent speaks another version of the protocol.
    #[error("the agent speaks protocol version {theirs}, this program {PROTOCOL_VERSION}")]
    Version {
        /// The agent's version.
        theirs: u32,
    },
    /// The agent refused.
    #[error("{0}")]
    Refused(ErrorReply),
}

impl From<std::io::Error> for ClientError {
    fn from(error: std::io::Error) -> Self {
        // What the kernel calls "temporarily unavailable" is the time limit of a socket.
        match error.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Self::Late,
            _ => Self::Io(error),
        }
    }
}

/// A connection to the agent.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects to the agent's socket; `timeout` bounds every later read and write.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Self, ClientError> {
        let connect = || {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(timeout))?;
            stream.set_write_timeout(Some(timeout))?;
            Ok(stream)
        };
        let stream = connect().map_err(|source| ClientError::Connect { path: path.into(), source })?;
        Ok(Self { stream })
    }

    /// Sends a request, with the descriptor of a network namespace where it needs one, and reads its
    /// (first) reply.
    ///
    /// # Errors
    /// When the connection breaks, the versions differ or the agent refuses.
    pub fn call(&mut self, request: &Request, netns: Option<BorrowedFd<'_>>) -> Result<Reply, ClientError> {
        let bytes = encode(&Envelope { version: PROTOCOL_VERSION, body: request })?;
        let fds = netns.map(|fd| [fd.as_raw_fd()]);
        let rights = fds.as_ref().map(|fds| ControlMessage::ScmRights(fds));
        let sent = sendmsg::<()>(
            self.stream.as_raw_fd(),
            &[IoSlice::new(&bytes)],
            rights.as_slice(),
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
        .map_err(std::io::Error::from)?;
        self.stream.write_all(&bytes[sent..])?;
        self.next_reply()
    }

    /// Reads the next reply of a streaming request.
    ///
    /// # Errors
    /// When the connection breaks, the versions differ or the agent refuses.
    pub fn next_reply(&mut self) -> Result<Reply, ClientError> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head)?;
        let mut body = vec![0; decode_length(head)?];
        self.stream.read_exact(&mut body)?;
        let envelope: Envelope<Reply> = serde_json::from_slice(&body).map_err(|error| {
            // An answer of another version need not have our form, but always names its version.
            match serde_json::from_slice::<Envelope<serde::de::IgnoredAny>>(&body) {
                Ok(other) if other.version != PROTOCOL_VERSION => {
                    ClientError::Version { theirs: other.version }
                }
                _ => ClientError::Decode(error),
            }
        })?;
        match envelope.body {
            Reply::Error(error) => Err(ClientError::Refused(error)),
            _ if envelope.version != PROTOCOL_VERSION => {
                Err(ClientError::Version { theirs: envelope.version })
            }
            reply => Ok(reply),
        }
    }
}
