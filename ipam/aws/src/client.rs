//! The client of EC2.

use std::time::Duration;

use aws_config::{AppName, BehaviorVersion};
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::{Builder, IdentityCache, StalledStreamProtectionConfig};
use aws_smithy_http_client::proxy::ProxyError;
use http::Uri;
use ipam::ec2::{Ec2, Error, Reply, Request};

use crate::checks::Check;
use crate::{ask, https};

/// How long a request may take, the time to get credentials included: as the small client's. Whoever plans releases
/// counts on less than a minute.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to be connected: name, TCP and TLS.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it may take to get credentials.
const CREDENTIALS: Duration = Duration::from_secs(20);
/// What the user agent says.
const NAME: &str = "netloom";

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint is no address of a server.
    #[error("{endpoint:?} is no http:// or https:// address of a server: {why}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody says which region it is.
    #[error("no region: set AWS_REGION, or let the instance metadata service be reached")]
    Region,
    /// The environment's proxy is none.
    #[error("the proxy of HTTPS_PROXY or ALL_PROXY")]
    Proxy(#[source] ProxyError),
}

/// A client of EC2 by Amazon's SDK. Cloning it shares connections and credentials.
#[derive(Clone, Debug)]
pub struct Client {
    ec2: aws_sdk_ec2::Client,
}

impl Client {
    /// A client with what the environment, the profile and the instance metadata service say, in this order.
    ///
    /// The region is that of `AWS_REGION`, the profile, or the instance. The endpoint is the one given here, that of
    /// `AWS_ENDPOINT_URL_EC2`, or Amazon's own for the region. Credentials are those of the SDK's default chain, and are
    /// asked for when the first request is made.
    ///
    /// # Errors
    ///
    /// If no region is known, or the endpoint or the proxy has no address. Credentials are no matter of this.
    pub async fn connect(endpoint: Option<&str>) -> Result<Self, ConnectError> {
        Self::with_timeout(endpoint, PATIENCE).await
    }

    /// A client with a time limit of one's own for each request.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn with_timeout(endpoint: Option<&str>, timeout: Duration) -> Result<Self, ConnectError> {
        if let Some(endpoint) = endpoint {
            check(endpoint)?;
        }
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(https::client().map_err(ConnectError::Proxy)?)
            .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS).build());
        if let Ok(name) = AppName::new(NAME) {
            loader = loader.app_name(name);
        }
        let shared = loader.load().await;
        if shared.region().is_none() {
            return Err(ConnectError::Region);
        }
        // Of EC2 alone: what gives credentials has its own limits, and is asked again.
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT.min(timeout)).operation_timeout(timeout);
        let mut config = Builder::from(&shared)
            .interceptor(Check::Whole)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint);
        }
        Ok(Self { ec2: aws_sdk_ec2::Client::from_conf(config.build()) })
    }
}

impl Ec2 for Client {
    async fn call(&self, request: Request) -> Result<Reply, Error> {
        ask::ask(&self.ec2, request).await
    }
}

fn check(endpoint: &str) -> Result<(), ConnectError> {
    let bad = |why: String| ConnectError::Endpoint { endpoint: endpoint.to_owned(), why };
    let uri: Uri = endpoint.parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(bad("http:// or https:// and a host are needed".to_owned()));
    }
    Ok(())
}
