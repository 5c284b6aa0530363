//! Where a lab keeps its files.

use std::path::{Path, PathBuf};

use crate::name::LabName;

/// The directory of all labs.
pub const ROOT: &str = "/run/netloom/lab";

/// The files of one lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// Those of the lab of this name.
    #[must_use]
    pub fn new(name: &LabName) -> Self {
        Self { root: Path::new(ROOT).join(name.as_str()) }
    }

    /// The lab's directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What `lab up` decided.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// What operators and agents are told: a file for each key, as a ConfigMap is mounted.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    /// How the lab's user reaches the API.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// What the API server keeps: its journal or its etcd's data, keys and certificates.
    #[must_use]
    pub fn api(&self) -> PathBuf {
        self.root.join("api")
    }

    /// What was asked of the API server, a line each, where the lab keeps that.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.root.join("audit.log")
    }

    /// What a program of the cluster says.
    #[must_use]
    pub fn log(&self, program: &str) -> PathBuf {
        self.root.join(format!("{program}.log"))
    }

    /// A program's process id.
    #[must_use]
    pub fn pid(&self, program: &str) -> PathBuf {
        self.root.join(format!("{program}.pid"))
    }

    /// A file for each namespace that the lab made or was about to make.
    #[must_use]
    pub fn namespaces(&self) -> PathBuf {
        self.root.join("namespaces")
    }

    /// A file for each pod that has a namespace.
    #[must_use]
    pub fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    /// Held locked by the daemon while it lives; holds its process id.
    #[must_use]
    pub fn daemon_pid(&self) -> PathBuf {
        self.root.join("daemon.pid")
    }

    /// What the daemon says.
    #[must_use]
    pub fn daemon_log(&self) -> PathBuf {
        self.root.join("daemon.log")
    }

    /// Held locked by the lab's cloud while it lives; holds its process id.
    #[must_use]
    pub fn cloud_pid(&self) -> PathBuf {
        self.pid("cloud")
    }

    /// What the cloud says.
    #[must_use]
    pub fn cloud_log(&self) -> PathBuf {
        self.log("cloud")
    }

    /// Where the cloud is asked what EC2 tells nobody.
    #[must_use]
    pub fn cloud_socket(&self) -> PathBuf {
        self.root.join("cloud.sock")
    }

    /// All nodes' directories.
    #[must_use]
    pub fn nodes(&self) -> PathBuf {
        self.root.join("nodes")
    }

    /// A node's files.
    #[must_use]
    pub fn node(&self, node: &str) -> NodePaths {
        NodePaths { root: self.nodes().join(node) }
    }
}

/// The files of a lab's node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePaths {
    root: PathBuf,
}

impl NodePaths {
    /// What the agent remembers.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The node's own BPF file system.
    #[must_use]
    pub fn bpffs(&self) -> PathBuf {
        self.root.join("bpf")
    }

    /// The agent's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root.join("agent.sock")
    }

    /// What the agent says.
    #[must_use]
    pub fn agent_log(&self) -> PathBuf {
        self.root.join("agent.log")
    }

    /// The agent's process id.
    #[must_use]
    pub fn agent_pid(&self) -> PathBuf {
        self.root.join("agent.pid")
    }

    /// How the node's programs reach the API.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// Where this is, the lab leaves the node's agent and pods alone: for who wants to play its kubelet.
    #[must_use]
    pub fn unattended(&self) -> PathBuf {
        self.root.join("unattended")
    }

    /// The network configuration that the agent reads and passes on: in ENI mode with wishes about the VPC.
    #[must_use]
    pub fn netconf(&self) -> PathBuf {
        self.root.join("cni-config.json")
    }

    /// The queue of disconnections.
    #[must_use]
    pub fn queue(&self) -> PathBuf {
        self.root.join("cni-queue")
    }

    /// What the plugin says.
    #[must_use]
    pub fn cni_log(&self) -> PathBuf {
        self.root.join("cni.log")
    }

    /// The runtime's directory of network configurations.
    #[must_use]
    pub fn configs(&self) -> PathBuf {
        self.root.join("net.d")
    }

    /// Where the agent installs its plugin.
    #[must_use]
    pub fn plugins(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// Whether there is a network configuration.
    #[must_use]
    pub fn has_config(&self) -> bool {
        self.config().exists()
    }

    /// The network configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.configs().join("05-cilium.conflist")
    }
}
