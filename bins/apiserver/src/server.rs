//! The server as others start it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::audit::Audit;
use crate::store::{JournalError, Store};
use crate::{boot, collect, http, tls};

/// Events that are kept of each kind.
const HISTORY: usize = 20_000;
/// How long requests may take to finish when the server stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address can't be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The journal can't be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The audit log can't be used.
    #[error("cannot open the audit log {}: {source}", path.display())]
    Audit {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Certificate or key can't be used.
    #[error("cannot use {} for TLS: {why}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The first objects can't be made.
    #[error("cannot make the first objects: {0}")]
    Boot(String),
}

/// What a server is to be like.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    listen: Vec<SocketAddr>,
    journal: Option<PathBuf>,
    audit: Option<PathBuf>,
    tls: Option<(PathBuf, PathBuf)>,
    advertise: Option<SocketAddr>,
    history: Option<usize>,
}

impl Builder {
    /// Listens on an address too. Without any, a free port of 127.0.0.1 is taken.
    pub fn listen(mut self, address: SocketAddr) -> Builder {
        self.listen.push(address);
        self
    }

    /// Keeps objects in a file, and takes up what is in it.
    pub fn journal(mut self, path: impl Into<PathBuf>) -> Builder {
        self.journal = Some(path.into());
        self
    }

    /// Writes a line about each request.
    pub fn audit_log(mut self, path: impl Into<PathBuf>) -> Builder {
        self.audit = Some(path.into());
        self
    }

    /// Speaks TLS, with a certificate and its key in PEM files.
    pub fn tls(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Builder {
        self.tls = Some((cert.into(), key.into()));
        self
    }

    /// Makes the service `default/kubernetes`, with this address behind it.
    pub fn advertise(mut self, address: SocketAddr) -> Builder {
        self.advertise = Some(address);
        self
    }

    /// How many events of each kind are kept for watchers that are behind (20,000).
    pub fn history(mut self, events: usize) -> Builder {
        self.history = Some(events);
        self
    }

    /// Starts the server; it is ready when this returns.
    pub async fn start(self) -> Result<Server, StartError> {
        let audit = match &self.audit {
            None => None,
            Some(path) => {
                let opened = Audit::open(path);
                Some(opened.map_err(|source| StartError::Audit { path: path.clone(), source })?)
            }
        };
        let store = Store::new(self.history.unwrap_or(HISTORY));
        if let Some(path) = &self.journal {
            let objects = store.journal(path)?;
            tracing::info!(objects, journal = %path.display(), "objects are back");
        }
        let stop = CancellationToken::new();
        let (chores, receiver) = mpsc::unbounded_channel();
        let api = Arc::new(Api::new(store, audit, &chores, stop.clone()));
        boot::boot(&api, self.advertise).map_err(|error| StartError::Boot(error.to_string()))?;
        api.resume();
        let acceptor = match &self.tls {
            Some((cert, key)) => Some(tls::acceptor(cert, key)?),
            None => None,
        };
        let mut wanted = self.listen;
        if wanted.is_empty() {
            wanted.push(SocketAddr::from(([127, 0, 0, 1], 0)));
        }
        let (mut tasks, mut addresses) = (JoinSet::new(), Vec::new());
        for address in wanted {
            let refused = |source| StartError::Listen { address, source };
            let socket = TcpListener::bind(address).await.map_err(refused)?;
            addresses.push(socket.local_addr().map_err(refused)?);
            let router = Router::new().fallback(http::handle).with_state(api.clone());
            let stopped = stop.clone().cancelled_owned();
            match &acceptor {
                None => {
                    let socket = socket.tap_io(|stream| drop(stream.set_nodelay(true)));
                    tasks.spawn(
                        async move { axum::serve(socket, router).with_graceful_shutdown(stopped).await },
                    );
                }
                Some(acceptor) => {
                    let listener = tls::Listener::new(socket, acceptor.clone()).map_err(refused)?;
                    tasks.spawn(async move {
                        axum::serve(listener, router).with_graceful_shutdown(stopped).await
                    });
                }
            }
        }
        let keeper = api.clone();
        tasks.spawn(async move {
            // The sender lives as long as the collector.
            let _chores = chores;
            collect::run(keeper, receiver).await;
            Ok(())
        });
        let certificate = self.tls.map(|(cert, _)| cert);
        Ok(Server { addresses, api, tasks, stop, certificate })
    }
}

/// A server that runs. Dropping it ends it at once.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    api: Arc<Api>,
    tasks: JoinSet<std::io::Result<()>>,
    stop: CancellationToken,
    certificate: Option<PathBuf>,
}

impl Server {
    /// A server that is still to be described.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Addresses that it listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Its URL, by the first address.
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        match self.addresses.first() {
            Some(address) => format!("{scheme}://{address}"),
            None => String::new(),
        }
    }

    /// A kubeconfig for `kubectl` and others.
    pub fn kubeconfig(&self) -> String {
        kubeconfig(&self.url(), self.certificate.as_deref())
    }

    /// How many objects there are.
    pub fn objects(&self) -> usize {
        self.api.store.len()
    }

    /// Forgets what happened before now, as a compaction of etcd does: watchers that are behind have to list anew.
    pub fn compact(&self) {
        self.api.store.compact();
    }

    /// Ends it: watches end, other requests are finished.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // Clients that keep a connection open are cut off.
        let _ = tokio::time::timeout(FAREWELL, all).await;
        self.tasks.shutdown().await;
    }

    /// Runs until it is told to stop from elsewhere.
    pub async fn wait(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Watches run on tasks of their own.
        self.stop.cancel();
    }
}

/// A kubeconfig for a server. A certificate is one that clients are to trust.
pub(crate) fn kubeconfig(url: &str, certificate: Option<&Path>) -> String {
    let trust = match certificate {
        Some(path) => format!("    certificate-authority: {}\n", path.display()),
        None => String::new(),
    };
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: netloom\n  cluster:\n    server: {url}\n{trust}users:\n- name: admin\n  user: {{}}\ncontexts:\n- name: netloom\n  context:\n    cluster: netloom\n    user: admin\ncurrent-context: netloom\n"
    )
}
