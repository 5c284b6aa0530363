//! What `lab up` decided, and what the daemon knows of each pod: small JSON files.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cloud::{self, Setup};
use crate::config::Config;
use crate::name::LabName;
use crate::paths::{Paths, ROOT};
use crate::plan::{self, Node};
use crate::process::PidFile;

/// What `lab up` decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The lab's name.
    pub name: LabName,
    /// The fabric's network namespace.
    pub fabric: String,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Where the programs are.
    pub programs: PathBuf,
    /// Whether there is no IPv6.
    pub ipv4_only: bool,
    /// What operators and agents are told beside what they need.
    #[serde(default)]
    pub config: Config,
    /// How many operators.
    pub operators: u8,
    /// How nodes get their ranges of pod addresses.
    pub ipam: Ipam,
    /// What serves the API.
    pub server: Server,
    /// Whether what is asked of the API server is written down.
    #[serde(default)]
    pub audit: bool,
    /// The port of the machine's loopback that leads to the API.
    pub port: u16,
    /// How many pods a node takes.
    #[serde(default = "usual_max_pods")]
    pub max_pods: u32,
    /// The VPC, where nodes are instances of one.
    #[serde(default)]
    pub cloud: Option<Setup>,
}

/// How many pods kubelet takes where it is told nothing.
pub(crate) const MAX_PODS: u32 = 110;

const fn usual_max_pods() -> u32 {
    MAX_PODS
}

/// How nodes get their ranges of pod addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Ipam {
    /// The operator gives each a range of the cluster's.
    #[default]
    ClusterPool,
    /// The Node objects say them.
    Kubernetes,
    /// Nodes are instances of a VPC of EC2, and pods have addresses of their network interfaces.
    Eni,
}

impl std::fmt::Display for Ipam {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ClusterPool => "cluster-pool",
            Self::Kubernetes => "kubernetes",
            Self::Eni => "eni",
        })
    }
}

/// What serves the lab's API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Server {
    /// Netloom's own small API server.
    #[default]
    Embedded,
    /// The real one.
    #[serde(rename_all = "camelCase")]
    Reference {
        /// The program `kube-apiserver`.
        kube_apiserver: PathBuf,
        /// The program `etcd`.
        etcd: PathBuf,
    },
}

impl State {
    /// Reads the state of a lab.
    ///
    /// # Errors
    /// When there is no such lab, or it was never finished.
    pub fn load(name: &LabName) -> Result<Self> {
        let paths = Paths::new(name);
        match read_json(&paths.state())? {
            Some(state) => Ok(state),
            None if paths.root().exists() => {
                bail!("lab {name} was never finished: netloom lab down --name {name}")
            }
            None => bail!("there is no lab {name}: netloom lab up --name {name}"),
        }
    }

    /// As [`load`](Self::load), of a lab that can be changed and tried.
    ///
    /// # Errors
    /// When its daemon, or the EC2 that it needs, is dead; the error says what to do.
    pub fn running(name: &LabName) -> Result<Self> {
        let state = Self::load(name)?;
        state.problem()?.map_or(Ok(state), |problem| bail!("{problem}"))
    }

    /// What keeps the lab from going on, and what to do then; nothing where all is well.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn problem(&self) -> Result<Option<String>> {
        let (paths, name) = (Paths::new(&self.name), &self.name);
        if self.cloud.is_some() && PidFile::holder(&paths.cloud_pid())?.is_none() {
            return Ok(Some(format!(
                "the EC2 of lab {name} has ended, and what it knew is gone: only netloom lab down --name {name} is left"
            )));
        }
        Ok(PidFile::holder(&paths.daemon_pid())?.is_none().then(|| {
            format!("the daemon of lab {name} is dead: netloom lab resume --name {name} starts it again")
        }))
    }

    /// The API server's addresses.
    #[must_use]
    pub fn api(&self) -> Vec<IpAddr> {
        match self.ipam {
            Ipam::Eni => vec![cloud::plan::API.into()],
            Ipam::ClusterPool | Ipam::Kubernetes => {
                let of_lab = |address: &IpAddr| address.is_ipv4() || !self.ipv4_only;
                plan::api().map(|address| address.ip()).into_iter().filter(of_lab).collect()
            }
        }
    }

    /// The node of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.nodes.iter().find(|node| node.name == name).with_context(|| {
            let names: Vec<_> = self.nodes.iter().map(|node| node.name.as_str()).collect();
            format!("lab {} has no node {name}, only {}", self.name, names.join(", "))
        })
    }
}

/// A pod's network namespace, as the daemon made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sandbox {
    /// The pod.
    pub pod: api::PodRef,
    /// The object's uid.
    pub uid: String,
    /// Its node.
    pub node: String,
    /// The container id that the plugin was told; none on the host's network.
    pub container_id: Option<String>,
    /// The network namespace; the node's on the host's network.
    pub netns: String,
    /// Its addresses; none before it runs.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

impl Sandbox {
    /// Its file.
    #[must_use]
    pub fn path(paths: &Paths, pod: &api::PodRef) -> PathBuf {
        paths.pods().join(format!("{}_{}.json", pod.namespace, pod.name))
    }

    /// The sandbox of a pod.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn load(paths: &Paths, pod: &api::PodRef) -> Result<Option<Self>> {
        read_json(&Self::path(paths, pod))
    }

    /// All sandboxes, in their pods' order.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn all(paths: &Paths) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for path in files(&paths.pods())? {
            all.extend(read_json::<Self>(&path)?);
        }
        all.sort_by(|a, b| a.pod.cmp(&b.pod));
        Ok(all)
    }
}

/// The names of all labs that have a directory.
///
/// # Errors
/// When the directory cannot be read.
pub fn labs() -> Result<Vec<LabName>> {
    let names = files(Path::new(ROOT))?;
    let name = |path: &PathBuf| path.file_name()?.to_str()?.parse().ok();
    let mut labs: Vec<LabName> = names.iter().filter_map(name).collect();
    labs.sort();
    Ok(labs)
}

/// The entries of a directory; none where it is missing. Those that begin with a dot are left out.
pub(crate) fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot list {}", directory.display()))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", directory.display()))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a JSON file; nothing where it is missing.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        bytes => {
            let bytes = bytes.with_context(|| format!("cannot read {}", path.display()))?;
            let value = serde_json::from_slice(&bytes);
            value.map(Some).with_context(|| format!("cannot understand {}", path.display()))
        }
    }
}

/// Writes a file so that readers see the old or the new content and nothing else.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".tmp-{}-{name}", std::process::id()));
    let write = || {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(content)?;
        fs::rename(&temporary, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// As [`replace`], with JSON.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    replace(path, &serde_json::to_vec_pretty(value).context("cannot write JSON")?)
}
