use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::process::Process;
use crate::{ApiServer, Error, Etcd, Files, Programs, Version, definitions, kubeconfig, ports};

/// The token of the administrator of a server that only this machine can reach.
const TOKEN: &str = "administrator";

/// A server on loopback. It ends with this value.
#[derive(Debug)]
pub struct Server {
    url: String,
    kubeconfig: PathBuf,
    version: Version,
    // Dropped in this order: the server before what it stores in.
    server: Process,
    etcd: Process,
}

impl Server {
    /// Starts etcd and kube-apiserver on free ports, with all their files in a directory. The server is ready when
    /// this returns, and has all kinds that Netloom needs, whatever its version.
    ///
    /// # Errors
    ///
    /// When they do not start, or are not ready in 90 s.
    pub async fn start(programs: &Programs, directory: &Path) -> Result<Self, Error> {
        let version = Version::of_program(&programs.kube_apiserver)?;
        let files = Files::of(directory.to_owned());
        let address = Ipv4Addr::LOCALHOST.into();
        files.make(&[address], TOKEN)?;
        let [port, clients, peers] = ports::free().map_err(Error::Port)?;
        let etcd = Etcd { clients, peers };
        let server = ApiServer { bind: address, advertise: address, port, etcd };

        let arguments = etcd.arguments(&directory.join("etcd"));
        let mut etcd = Process::start(&programs.etcd, &arguments, directory.join("etcd.log"))?;
        etcd.wait(async || TcpStream::connect((Ipv4Addr::LOCALHOST, clients)).is_ok()).await?;
        let (arguments, log) = (server.arguments(version, &files), directory.join("kube-apiserver.log"));
        let mut server = Process::start(&programs.kube_apiserver, &arguments, log)?;

        let url = format!("https://{address}:{port}");
        let path = directory.join("kubeconfig");
        let text = kubeconfig("reference", &url, &files)?;
        fs::write(&path, text).map_err(|source| Error::File { path: path.clone(), source })?;
        let client = client(&path).await?;
        server.wait(async || is_ready(&client).await).await?;
        kubernetes::install::install(&client, &definitions::missing(version)).await?;
        Ok(Self { url, kubeconfig: path, version, server, etcd })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A kubeconfig of who may do everything.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What it is.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The process ids of kube-apiserver and etcd, for tests that stop or kill them.
    #[must_use]
    pub fn processes(&self) -> [u32; 2] {
        [self.server.id(), self.etcd.id()]
    }
}

async fn client(path: &Path) -> Result<Client, Error> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Kubeconfig {
        path: path.to_owned(),
        source,
    };
    let file = Kubeconfig::read_from(path).map_err(|error| failed(error.into()))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Client::try_from(config.map_err(|error| failed(error.into()))?).map_err(|error| failed(error.into()))
}

/// Whether it says so, and has the namespace that everybody takes for granted.
async fn is_ready(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
    client.request_text(request).await.is_ok()
        && Api::<Namespace>::all(client.clone()).get("default").await.is_ok()
}
