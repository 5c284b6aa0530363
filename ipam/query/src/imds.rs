//! IMDSv2: what an instance learns about itself.
//!
//! The service lags behind EC2 and may leave out interfaces and prefixes (vpc-cni #1967, #3876): what it does
//! not say is no reason to give anything up.

use std::{net::Ipv4Addr, str::FromStr, sync::Mutex, sync::PoisonError, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use ipnetwork::Ipv4Network;

use crate::transport::{BadEndpoint, HttpError, Transport};

/// Where the service is on every instance.
pub const ENDPOINT: &str = "http://169.254.169.254";

const TOKEN: &str = "x-aws-ec2-metadata-token";
const LIFETIME: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// How long a token is asked for, in seconds: the longest there is.
const TOKEN_LIFETIME: u32 = 21_600;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service did not answer, however often it was asked.
    #[error("the metadata service does not answer for {path}")]
    Unanswered {
        /// What was asked for.
        path: String,
        /// Why the last time.
        #[source]
        source: HttpError,
    },
    /// The service answered with an error.
    #[error("the metadata service answers {status} for {path}")]
    Status {
        /// What was asked for.
        path: String,
        /// The answer.
        status: StatusCode,
    },
    /// The service has no such thing, and should.
    #[error("the metadata service has no {path}")]
    Absent {
        /// What was asked for.
        path: String,
    },
    /// The answer is not what it should be.
    #[error("the metadata service says {value:?} at {path}")]
    Value {
        /// What was asked for.
        path: String,
        /// What was answered.
        value: String,
    },
}

/// What an instance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// `m5.large`.
    pub instance_type: String,
    /// `eu-central-1a`.
    pub availability_zone: String,
    /// `eu-central-1`.
    pub region: String,
    /// The MAC address of its primary interface.
    pub mac: String,
}

/// What is known of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its MAC address, by which its link is found.
    pub mac: String,
    /// `eni-…`.
    pub id: String,
    /// Its number on the card.
    pub device_index: u32,
    /// The network card.
    pub network_card: u32,
    /// Its subnet.
    pub subnet_id: String,
    /// The subnet's CIDR.
    pub subnet_cidr: Ipv4Network,
    /// Its VPC.
    pub vpc_id: String,
    /// All CIDRs of the VPC.
    pub vpc_cidrs: Vec<Ipv4Network>,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// Its addresses, the primary one first.
    pub addresses: Vec<Ipv4Addr>,
    /// Its prefixes, as far as they are told.
    pub prefixes: Vec<Ipv4Network>,
}

/// A client of the service.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    token: Mutex<Option<String>>,
    attempts: u32,
}

impl Client {
    /// A client of the service at an address ([`ENDPOINT`], if it is not an emulator's), which waits 2 s for
    /// an answer and asks up to 4 times.
    ///
    /// # Errors
    ///
    /// If the address is none.
    pub fn new(endpoint: &str) -> Result<Self, BadEndpoint> {
        Self::with_patience(endpoint, Duration::from_secs(2), 4)
    }

    /// A client that waits so long for each answer, and asks so often, once at least.
    ///
    /// # Errors
    ///
    /// If the address is none.
    pub fn with_patience(endpoint: &str, timeout: Duration, attempts: u32) -> Result<Self, BadEndpoint> {
        let transport = Transport::new(endpoint, timeout)?;
        Ok(Self { transport, token: Mutex::default(), attempts: attempts.max(1) })
    }

    /// What the service says at a path beneath `/latest/meta-data/`; nothing where it says 404.
    ///
    /// # Errors
    ///
    /// If it does not answer, or with another error.
    pub async fn get(&self, path: &str) -> Result<Option<String>, Error> {
        let path = format!("/latest/meta-data/{path}");
        let mut refreshed = false;
        loop {
            let token = self.token(refreshed).await?;
            let build = || {
                Request::builder()
                    .method(Method::GET)
                    .uri(self.transport.at(&path))
                    .header(TOKEN, &token)
                    .body(Full::default())
            };
            let response = self.repeat(&path, build).await?;
            match response.status() {
                StatusCode::OK => return Ok(Some(String::from_utf8_lossy(response.body()).into_owned())),
                StatusCode::NOT_FOUND => return Ok(None),
                // The token may have ended, or the service forgot it.
                StatusCode::UNAUTHORIZED if !refreshed => refreshed = true,
                status => return Err(Error::Status { path, status }),
            }
        }
    }

    /// What the instance is.
    ///
    /// # Errors
    ///
    /// If the service does not say.
    pub async fn instance(&self) -> Result<Instance, Error> {
        Ok(Instance {
            id: self.need("instance-id").await?,
            instance_type: self.need("instance-type").await?,
            availability_zone: self.need("placement/availability-zone").await?,
            region: self.need("placement/region").await?,
            mac: self.need("mac").await?,
        })
    }

    /// The MAC addresses of the interfaces that the service tells about.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub async fn macs(&self) -> Result<Vec<String>, Error> {
        let list = self.need("network/interfaces/macs/").await?;
        Ok(lines(&list).map(|line| line.trim_end_matches('/').to_owned()).collect())
    }

    /// What is known of an interface; nothing if the service does not know it.
    ///
    /// # Errors
    ///
    /// If the service does not answer, or with something else than it should.
    pub async fn interface(&self, mac: &str) -> Result<Option<Interface>, Error> {
        let at = |leaf: &str| format!("network/interfaces/macs/{mac}/{leaf}");
        let Some(id) = self.get(&at("interface-id")).await? else { return Ok(None) };
        Ok(Some(Interface {
            mac: mac.to_owned(),
            id,
            device_index: self.one(&at("device-number")).await?,
            // Types of one card don't say its number.
            network_card: self.many(&at("network-card")).await?.first().copied().unwrap_or(0),
            subnet_id: self.need(&at("subnet-id")).await?,
            subnet_cidr: self.one(&at("subnet-ipv4-cidr-block")).await?,
            vpc_id: self.need(&at("vpc-id")).await?,
            vpc_cidrs: self.many(&at("vpc-ipv4-cidr-blocks")).await?,
            security_groups: self.many(&at("security-group-ids")).await?,
            addresses: self.many(&at("local-ipv4s")).await?,
            prefixes: self.many(&at("ipv4-prefix")).await?,
        }))
    }

    async fn need(&self, path: &str) -> Result<String, Error> {
        self.get(path).await?.ok_or_else(|| Error::Absent { path: path.to_owned() })
    }

    async fn one<T: FromStr>(&self, path: &str) -> Result<T, Error> {
        parse(path, &self.need(path).await?)
    }

    async fn many<T: FromStr>(&self, path: &str) -> Result<Vec<T>, Error> {
        let list = self.get(path).await?.unwrap_or_default();
        lines(&list).map(|line| parse(path, line)).collect()
    }

    /// The token; a new one if there is none, or the one there was is no good.
    async fn token(&self, renew: bool) -> Result<String, Error> {
        let known = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = known.filter(|_| !renew) {
            return Ok(token);
        }
        let path = "/latest/api/token".to_owned();
        let build = || {
            Request::builder()
                .method(Method::PUT)
                .uri(self.transport.at(&path))
                .header(LIFETIME, TOKEN_LIFETIME)
                .body(Full::default())
        };
        let response = self.repeat(&path, build).await?;
        if response.status() != StatusCode::OK {
            return Err(Error::Status { path, status: response.status() });
        }
        let token = String::from_utf8_lossy(response.body()).into_owned();
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    /// Asks until there is an answer that is not the server's failure, a little later each time.
    async fn repeat(
        &self,
        path: &str,
        build: impl Fn() -> Result<Request<Full<Bytes>>, http::Error>,
    ) -> Result<Response<Bytes>, Error> {
        let unanswered = |source| Error::Unanswered { path: path.to_owned(), source };
        let mut attempt = 1;
        loop {
            let request = build().map_err(|error| unanswered(error.into()))?;
            let last = attempt >= self.attempts;
            match self.transport.send(request).await {
                Ok(response) if last || !response.status().is_server_error() => return Ok(response),
                Err(error) if last => return Err(unanswered(error)),
                Ok(_) | Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(100) * attempt).await;
            attempt += 1;
        }
    }
}

fn lines(list: &str) -> impl Iterator<Item = &str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn parse<T: FromStr>(path: &str, value: &str) -> Result<T, Error> {
    let value = value.trim();
    value.parse().map_err(|_| Error::Value { path: path.to_owned(), value: value.to_owned() })
}
