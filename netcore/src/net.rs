//! The netlink client of one network namespace.

use std::{fmt, io};

use futures_util::{Stream, StreamExt};
use nix::errno::Errno;
use rtnetlink::{
    packet_core::{
        ErrorMessage, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
        NetlinkMessage, NetlinkPayload, NlasIterator,
    },
    packet_route::RouteNetlinkMessage,
    proto::{ConnectionHandle, NetlinkCodec, from_socket_with_codec},
    sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};

use crate::{
    error::{Error, Result},
    netns::Netns,
};

/// The kernel's word for a list that changed while it was read (`NLM_F_DUMP_INTR`).
const DUMP_INTERRUPTED: u16 = 0x10;
/// How often a list is read again when it changed.
const DUMP_ATTEMPTS: u32 = 10;
/// Requests that are sent at once: their answers must find room in the socket's buffer.
const BATCH: usize = 64;
/// Length of a netlink header, which an acknowledgement quotes before the kernel's words.
const HEADER_LEN: usize = 16;
/// The kernel's words in an extended acknowledgement (`NLMSGERR_ATTR_MSG`).
const ACK_MESSAGE: u16 = 1;

type Message = NetlinkMessage<RouteNetlinkMessage>;

/// A netlink socket in one network namespace, driven by the Tokio runtime that it was opened in, which must
/// have I/O and time enabled.
///
/// Copies share the socket; it is closed with the last of them. Each operation is one request and one
/// answer, unless its documentation says otherwise.
#[derive(Clone)]
pub struct Net {
    handle: ConnectionHandle<RouteNetlinkMessage>,
    netns: Netns,
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Net({})", self.netns)
    }
}

/// How a request treats what is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Make it, fail if it exists.
    Create,
    /// Make it or take the place of what exists.
    Replace,
    /// Change or remove what exists.
    Existing,
}

/// One request, with what to say about it when it fails.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) operation: &'static str,
    pub(crate) subject: String,
    pub(crate) mode: Mode,
    pub(crate) message: RouteNetlinkMessage,
}

impl Request {
    fn flags(&self) -> u16 {
        let base = NLM_F_REQUEST | NLM_F_ACK;
        match self.mode {
            Mode::Create => base | NLM_F_CREATE | NLM_F_EXCL,
            Mode::Replace => base | NLM_F_CREATE | NLM_F_REPLACE,
            Mode::Existing => base,
        }
    }
}

impl Net {
    /// A client of the namespace, whichever the calling thread is in.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside of a Tokio runtime; [`Error::Netns`], [`Error::Socket`].
    pub fn in_netns(netns: &Netns) -> Result<Self> {
        Self::in_netns_after(netns, || Ok(()))
    }

    /// A client of the calling thread's namespace.
    ///
    /// # Errors
    /// As [`Net::in_netns`].
    pub fn current() -> Result<Self> {
        let netns = Netns::current()?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let socket = open(&runtime);
        Self::drive(&runtime, socket, netns)
    }

    /// As [`Net::in_netns`]; `prepare` runs first on the thread that has to enter the namespace anyway.
    pub(crate) fn in_netns_after(netns: &Netns, prepare: impl FnOnce() -> Result<()> + Send) -> Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let socket = netns.run_in(|| prepare().map(|()| open(&runtime)))??;
        Self::drive(&runtime, socket, netns.clone())
    }

    fn drive(
        runtime: &tokio::runtime::Handle,
        socket: io::Result<TokioSocket>,
        netns: Netns,
    ) -> Result<Self> {
        let socket = socket.map_err(|source| Error::Socket { netns: netns.to_string(), source })?;
        let (mut connection, handle, _) =
            from_socket_with_codec::<RouteNetlinkMessage, _, NetlinkCodec>(socket);
        // An answer is told from a socket that was closed.
        connection.set_forward_ack(true);
        connection.set_forward_done(true);
        runtime.spawn(connection);
        Ok(Self { handle, netns })
    }

    /// The namespace of this client.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Carries out one request.
    pub(crate) async fn submit(&self, request: Request) -> Result<()> {
        self.submit_each(vec![request]).await.pop().unwrap_or(Ok(()))
    }

    /// Carries out requests in their order, in as few system calls as possible. All are tried, also after
    /// one has failed; the first failure is returned.
    pub(crate) async fn submit_all(&self, requests: Vec<Request>) -> Result<()> {
        self.submit_each(requests).await.into_iter().collect()
    }

    /// As [`Net::submit_all`], with a result for each request.
    pub(crate) async fn submit_each(&self, requests: Vec<Request>) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(requests.len());
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            self.submit_batch(requests.by_ref().take(BATCH).collect(), &mut results).await;
        }
        results
    }

    async fn submit_batch(&self, requests: Vec<Request>, results: &mut Vec<Result<()>>) {
        let mut subjects = Vec::with_capacity(requests.len());
        let mut messages = Vec::with_capacity(requests.len());
        for request in requests {
            let flags = request.flags();
            subjects.push((request.operation, request.subject));
            messages.push(message(request.message, flags));
        }
        let mut answers = self.send(messages);
        for (operation, subject) in subjects {
            // The kernel takes the requests one after another, and so it answers.
            let answer = match &mut answers {
                Some(answers) => next_answer(answers).await,
                None => None,
            };
            results.push(match answer {
                None => Err(Error::Closed { operation, subject }),
                Some(answer) => verdict(&answer, operation, subject),
            });
        }
    }

    fn send(&self, messages: Vec<Message>) -> Option<impl Stream<Item = Message> + Unpin + use<>> {
        self.handle.request_batch(messages, SocketAddr::new(0, 0)).ok()
    }

    /// Carries out `first`, then asks for one object, in one system call.
    pub(crate) async fn submit_and_get(
        &self,
        first: Option<Request>,
        operation: &'static str,
        subject: &str,
        query: RouteNetlinkMessage,
    ) -> Result<RouteNetlinkMessage> {
        let closed = || Error::Closed { operation, subject: subject.to_owned() };
        let mut messages = Vec::with_capacity(2);
        let mut expected = None;
        if let Some(request) = first {
            let flags = request.flags();
            messages.push(message(request.message, flags));
            expected = Some((request.operation, request.subject));
        }
        messages.push(message(query, NLM_F_REQUEST));
        let mut answers = self.send(messages).ok_or_else(closed)?;
        if let Some((operation, subject)) = expected {
            let answer = next_answer(&mut answers).await.ok_or_else(closed)?;
            verdict(&answer, operation, subject)?;
        }
        match answers.next().await.map(|answer| answer.payload) {
            Some(NetlinkPayload::InnerMessage(object)) => Ok(object),
            Some(NetlinkPayload::Error(answer)) => {
                verdict(&answer, operation, subject.to_owned())?;
                Err(Error::Incomplete { operation, subject: subject.to_owned(), missing: "object" })
            }
            _ => Err(closed()),
        }
    }

    /// A complete and consistent list.
    pub(crate) async fn dump(
        &self,
        operation: &'static str,
        query: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(objects) = self.dump_once(operation, query.clone()).await? {
                return Ok(objects);
            }
        }
        Err(Error::Unstable { operation, attempts: DUMP_ATTEMPTS })
    }

    /// The list, or nothing if it changed while it was read.
    async fn dump_once(
        &self,
        operation: &'static str,
        query: RouteNetlinkMessage,
    ) -> Result<Option<Vec<RouteNetlinkMessage>>> {
        let closed = || Error::Closed { operation, subject: self.netns.to_string() };
        let messages = vec![message(query, NLM_F_REQUEST | NLM_F_DUMP)];
        let mut answers = self.send(messages).ok_or_else(closed)?;
        let mut objects = Vec::new();
        let mut consistent = true;
        while let Some(answer) = answers.next().await {
            consistent &= answer.header.flags & DUMP_INTERRUPTED == 0;
            match answer.payload {
                NetlinkPayload::InnerMessage(object) => objects.push(object),
                NetlinkPayload::Done(_) => return Ok(consistent.then_some(objects)),
                NetlinkPayload::Error(answer) => verdict(&answer, operation, self.netns.to_string())?,
                _ => return Err(closed()),
            }
        }
        Err(closed())
    }
}

/// Must run in the namespace; the runtime is the one that will drive the socket.
fn open(runtime: &tokio::runtime::Handle) -> io::Result<TokioSocket> {
    let _entered = runtime.enter();
    let socket = TokioSocket::new(NETLINK_ROUTE)?;
    // A refusal comes with the kernel's words, and does not quote the request.
    socket.socket_ref().set_ext_ack(true)?;
    socket.socket_ref().set_cap_ack(true)?;
    Ok(socket)
}

fn message(inner: RouteNetlinkMessage, flags: u16) -> Message {
    let mut message = Message::from(inner);
    message.header.flags = flags;
    message
}

/// The next acknowledgement or refusal.
async fn next_answer(answers: &mut (impl Stream<Item = Message> + Unpin)) -> Option<ErrorMessage> {
    while let Some(answer) = answers.next().await {
        match answer.payload {
            NetlinkPayload::Error(answer) => return Some(answer),
            // What the request made, which some kernels report before they acknowledge.
            NetlinkPayload::InnerMessage(_) => {}
            _ => return None,
        }
    }
    None
}

fn verdict(answer: &ErrorMessage, operation: &'static str, subject: String) -> Result<()> {
    match answer.code {
        None => Ok(()),
        Some(code) => {
            let errno = Errno::from_raw(code.get().wrapping_neg());
            Err(Error::from_errno(operation, subject, errno, reason(answer)))
        }
    }
}

/// The kernel's words in a refusal.
fn reason(answer: &ErrorMessage) -> Option<String> {
    let attributes = answer.header.get(HEADER_LEN..)?;
    NlasIterator::new(attributes).map_while(std::result::Result::ok).find_map(|attribute| {
        (attribute.kind() == ACK_MESSAGE)
            .then(|| String::from_utf8_lossy(attribute.value()).trim_end_matches('\0').to_owned())
    })
}
