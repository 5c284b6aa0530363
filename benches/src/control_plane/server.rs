//! The API server: one of our own, or one that is running.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Options;
use super::watchdog::within;
use crate::Error;

/// How long the API server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// An API server.
pub(super) struct Server {
    kubeconfig: Kubeconfig,
    pub(super) client: Client,
    /// Our own.
    child: Option<Process>,
    /// Where it listens.
    pub(super) address: String,
    /// Whether what is said to it can be read.
    pub(super) is_plain: bool,
}

impl Server {
    pub(super) async fn start(options: &Options, room: &Path) -> Result<Self, Error> {
        let (path, child) = match &options.kubeconfig {
            Some(path) => (path.clone(), None),
            None => {
                let path = room.join("kubeconfig");
                let child = Command::new(options.programs.join("netloom"))
                    .args([
                        "apiserver",
                        "--listen",
                        "127.0.0.1:0",
                        "--history",
                        "100000",
                        "--write-kubeconfig",
                    ])
                    .arg(&path)
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .map_err(|source| Error::doing("starting netloom apiserver", source))?;
                (path, Some(Process(child)))
            }
        };
        within(PATIENCE, "starting the API server", wait_for(&path)).await?;
        let kubeconfig =
            Kubeconfig::read_from(&path).map_err(|source| Error::doing("reading the kubeconfig", source))?;
        let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &KubeConfigOptions::default())
            .await
            .map_err(|source| Error::doing("reading the kubeconfig", source))?;
        let url = config.cluster_url.clone();
        let is_plain = url.scheme_str() == Some("http");
        let port = url.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        let address = format!("{}:{port}", url.host().unwrap_or_default());
        let client =
            Client::try_from(config).map_err(|source| Error::doing("making a client of the API", source))?;
        Ok(Self { kubeconfig, client, child, address, is_plain })
    }

    /// What it is, for the report.
    pub(super) fn name(&self) -> String {
        if self.child.is_some() { "embedded".into() } else { self.address.clone() }
    }

    /// Writes a kubeconfig of this server by another address.
    pub(super) fn kubeconfig_for(&self, address: SocketAddr, room: &Path) -> Result<PathBuf, Error> {
        let scheme = if self.is_plain { "http" } else { "https" };
        let mut kubeconfig = self.kubeconfig.clone();
        for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
            cluster.server = Some(format!("{scheme}://{address}"));
        }
        let path = room.join("kubeconfig-agent");
        let text = serde_json::to_vec(&kubeconfig)
            .map_err(|source| Error::doing("writing the agent's kubeconfig", source))?;
        std::fs::write(&path, text)
            .map_err(|source| Error::doing("writing the agent's kubeconfig", source))?;
        Ok(path)
    }
}

async fn wait_for(path: &Path) -> Result<(), Error> {
    while !path.exists() {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// A process that does not outlive its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
