//! Addresses to serve HTTP on.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Where to listen: `127.0.0.1:9879`, `[::1]:9879`, `localhost:9879` (both families' loopback), `:9962` or `9962`
/// (all addresses of the machine).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    host: Host,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    All,
    Loopback,
    Address(IpAddr),
}

/// Text that is no [`Listen`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address to listen on: ADDRESS:PORT, localhost:PORT or :PORT is expected")]
pub struct BadListen(String);

impl FromStr for Listen {
    type Err = BadListen;

    fn from_str(text: &str) -> Result<Self, BadListen> {
        let bad = || BadListen(text.to_owned());
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: Host::Address(address.ip()), port: address.port() });
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let host = match host {
            "" => Host::All,
            "localhost" => Host::Loopback,
            _ => return Err(bad()),
        };
        Ok(Self { host, port: port.parse().map_err(|_| bad())? })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::All => write!(f, ":{}", self.port),
            Host::Loopback => write!(f, "localhost:{}", self.port),
            Host::Address(address) => SocketAddr::new(address, self.port).fmt(f),
        }
    }
}

impl Listen {
    /// Loopback of both families.
    #[must_use]
    pub const fn loopback(port: u16) -> Self {
        Self { host: Host::Loopback, port }
    }

    /// All addresses of the machine.
    #[must_use]
    pub const fn all(port: u16) -> Self {
        Self { host: Host::All, port }
    }

    async fn bind(&self) -> io::Result<Vec<TcpListener>> {
        // A machine may have no IPv6, and then IPv4 alone is right.
        let (first, second): (IpAddr, Option<IpAddr>) = match self.host {
            Host::Address(address) => (address, None),
            // The socket of the unspecified IPv6 address takes IPv4 connections too.
            Host::All => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, self.port)).await {
                Ok(listener) => return Ok(vec![listener]),
                Err(_) => (Ipv4Addr::UNSPECIFIED.into(), None),
            },
            Host::Loopback => (Ipv4Addr::LOCALHOST.into(), Some(Ipv6Addr::LOCALHOST.into())),
        };
        let mut listeners = vec![TcpListener::bind((first, self.port)).await?];
        if let Some(second) = second {
            // The kernel chose the port if it was 0.
            let port = listeners[0].local_addr()?.port();
            listeners.extend(TcpListener::bind((second, port)).await.ok());
        }
        Ok(listeners)
    }
}

/// An HTTP server that ends with this value.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    // Aborts its tasks when dropped.
    _tasks: JoinSet<()>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[error("listening on {listen}")]
pub struct ListenError {
    listen: Listen,
    source: io::Error,
}

/// Serves `router` until the [`Server`] is dropped.
///
/// # Errors
///
/// When the address is taken, or is none of this machine's.
pub async fn serve(listen: &Listen, router: Router) -> Result<Server, ListenError> {
    let failed = |source| ListenError { listen: listen.clone(), source };
    let listeners = listen.bind().await.map_err(failed)?;
    let mut tasks = JoinSet::new();
    let address = listeners[0].local_addr().map_err(failed)?;
    for listener in listeners {
        let router = router.clone();
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%address, %error, "the HTTP server ended");
            }
        });
    }
    Ok(Server { address, _tasks: tasks })
}

impl Server {
    /// Where it listens; with the port that the kernel chose, if it was asked to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in ["127.0.0.1:9879", "[::1]:9879", "localhost:9234", ":9962", "0.0.0.0:0"] {
            assert_eq!(text.parse::<Listen>().map(|listen| listen.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("9962".parse(), Ok(Listen::all(9962)));
        for text in ["", ":", "host:1", "127.0.0.1", "::1", "127.0.0.1:65536", "localhost"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn loopback_is_both_families_and_a_taken_port_is_an_error() {
        let server = serve(&Listen::loopback(0), Router::new()).await.expect("it listens");
        let port = server.address().port();
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("IPv4");
        let error = serve(&Listen::loopback(port), Router::new()).await.expect_err("the port is taken");
        assert_eq!(error.to_string(), format!("listening on localhost:{port}"));
    }
}
