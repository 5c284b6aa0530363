//! Clients of the API server.
//!
//! What `kube` gives by default waits without end for a server that accepted a request and then stopped, tries a
//! write again for minutes, and reports failures as errors in the log. Here every request but a watch is answered
//! in bounded time, writes are tried again only where the server asks for it, and whoever wants to counts.

mod budget;
mod gate;
mod idle;
mod retry;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Uri, header};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::ServiceBuilder;

use crate::lease::Leadership;

pub use budget::{Budget, Rate};
pub(crate) use gate::jitter;
pub use gate::{Call, Observer};

/// How long a server may take for a whole answer that is not a watch.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a watch may be silent.
pub const WATCH_SILENCE: Duration = Duration::from_secs(120);

/// How to reach the API server.
#[derive(Clone)]
pub struct Settings {
    /// A kubeconfig file; its current context is used.
    pub kubeconfig: Option<PathBuf>,
    /// URL of the server: in place of the kubeconfig's, or with the pod's own credentials, or with none.
    pub server: Option<String>,
    /// Name of the program, as in `netloom-agent`; the version is added.
    pub program: String,
    /// How many requests are sent a second; watches that go on are not counted. None for no limit.
    pub rate: Option<Rate>,
    /// How long a server may take for a whole answer that is not a watch.
    pub timeout: Duration,
    /// How long a watch may be silent before it is started anew. Servers send a bookmark about every minute.
    pub silence: Duration,
    /// Who is told of each request.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Settings {
    /// In-cluster configuration, without a limit.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            kubeconfig: None,
            server: None,
            program: program.into(),
            rate: None,
            timeout: REQUEST_TIMEOUT,
            silence: WATCH_SILENCE,
            observer: None,
        }
    }
}

/// An error whose text has that of its cause in it already: a chain would say it twice.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Whole<E: std::fmt::Display>(pub E);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig file cannot be used.
    #[error("kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Whole<kube::config::KubeconfigError>,
    },
    /// Neither a file nor a URL was given, and this is no pod.
    #[error("in-cluster configuration; outside of a pod, give a kubeconfig or the server's URL")]
    InCluster {
        /// Why.
        source: Whole<kube::config::InClusterError>,
    },
    /// The URL cannot be used.
    #[error("API server {url:?}")]
    Url {
        /// What was given.
        url: String,
        /// Why.
        source: http::uri::InvalidUri,
    },
    /// The name of the program is no header value.
    #[error("user agent {value:?}")]
    UserAgent {
        /// What was to be sent.
        value: String,
        /// Why.
        source: header::InvalidHeaderValue,
    },
    /// Certificates or credentials cannot be used.
    #[error("connection to {url}")]
    Setup {
        /// The server.
        url: Uri,
        /// Why.
        source: Box<kube::Error>,
    },
}

/// Makes clients that share a configuration. Those that limit themselves share one budget.
#[derive(Clone)]
pub struct Connector {
    config: Config,
    settings: Settings,
    budget: Option<Arc<Budget>>,
}

impl Connector {
    /// Reads the configuration. Nothing is sent.
    ///
    /// # Errors
    ///
    /// When a file, the URL or the program's name cannot be used.
    pub async fn new(settings: Settings) -> Result<Self, ClientError> {
        let mut config = base(&settings).await?;
        let value = format!("{}/{}", settings.program, env!("CARGO_PKG_VERSION"));
        let agent =
            HeaderValue::from_str(&value).map_err(|source| ClientError::UserAgent { value, source })?;
        config.headers.push((header::USER_AGENT, agent));
        config.connect_timeout = Some(settings.timeout.min(Duration::from_secs(10)));
        let budget = settings.rate.map(|rate| Arc::new(Budget::new(rate)));
        Ok(Self { config, settings, budget })
    }

    /// The server's URL.
    pub fn url(&self) -> &Uri {
        &self.config.cluster_url
    }

    /// A client for everything that needs no lease.
    ///
    /// # Errors
    ///
    /// When certificates or credentials cannot be used.
    pub fn client(&self) -> Result<Client, ClientError> {
        self.build(self.terms())
    }

    /// A client whose writes are sent only while `leadership` holds; others fail with
    /// [`NotLeader`](crate::lease::NotLeader). That is asked each time when a request leaves, after all waiting; one
    /// that is under way when the term ends is given up.
    ///
    /// # Errors
    ///
    /// When certificates or credentials cannot be used.
    pub fn fenced(&self, leadership: Leadership) -> Result<Client, ClientError> {
        self.build(gate::Terms { fence: Some(leadership), ..self.terms() })
    }

    /// A client for a lease: without a limit, nothing is sent again, and the answer is there in time or there is none.
    ///
    /// # Errors
    ///
    /// When certificates or credentials cannot be used.
    pub fn prompt(&self, timeout: Duration) -> Result<Client, ClientError> {
        self.build(gate::Terms { budget: None, timeout, again: false, ..self.terms() })
    }

    fn terms(&self) -> gate::Terms {
        gate::Terms {
            budget: self.budget.clone(),
            timeout: self.settings.timeout,
            silence: self.settings.silence,
            again: true,
            fence: None,
            observer: self.settings.observer.clone(),
        }
    }

    fn build(&self, terms: gate::Terms) -> Result<Client, ClientError> {
        let config = &self.config;
        let setup = |source| ClientError::Setup { url: config.cluster_url.clone(), source: Box::new(source) };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(config.connect_timeout);
        // A peer that vanished without a word is found out by the kernel, also below a watch where nothing happens.
        tcp.set_keepalive(Some(Duration::from_secs(15)));
        tcp.set_keepalive_interval(Some(Duration::from_secs(5)));
        tcp.set_keepalive_retries(Some(3));
        tcp.set_tcp_user_timeout(Some(Duration::from_secs(30)));
        let connector = config.rustls_https_connector_with_connector(tcp).map_err(setup)?;
        let http = Http::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(90))
            .build::<_, Body>(connector);
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer().map_err(setup)?)
            .layer(config.extra_headers_layer().map_err(setup)?)
            .map_err(tower::BoxError::from)
            .service(http);
        Ok(Client::new(gate::Gate::new(service, terms), config.default_namespace.clone()))
    }
}

async fn base(settings: &Settings) -> Result<Config, ClientError> {
    let server = settings.server.as_ref().map(|text| parse_url(text)).transpose()?;
    let mut config = match (&settings.kubeconfig, &server) {
        (Some(path), _) => {
            let wrong = |source| ClientError::Kubeconfig { path: path.clone(), source: Whole(source) };
            let file = Kubeconfig::read_from(path).map_err(wrong)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(wrong)?
        }
        (None, Some(url)) => Config::incluster().unwrap_or_else(|_| Config::new(url.clone())),
        (None, None) => {
            Config::incluster().map_err(|source| ClientError::InCluster { source: Whole(source) })?
        }
    };
    if let Some(url) = server {
        config.cluster_url = url;
    }
    Ok(config)
}

/// `host:port` without a scheme is plain HTTP, as in other clients.
fn parse_url(text: &str) -> Result<Uri, ClientError> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    full.parse().map_err(|source| ClientError::Url { url: text.to_owned(), source })
}
