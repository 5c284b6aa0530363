//! The agent under measurement, its node and its pods.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use api::{Attachment, Client, PodRef, Reply, Request, Status};
use netcore::{Address, IfIndex, Net, Netns, VethEnd};

use super::Options;
use super::cluster::{self, Cluster};
use super::report::Resident;
use super::watchdog::within;
use crate::Error;

/// How long the agent may take to learn of the cluster.
const LIST: Duration = Duration::from_secs(300);
/// How long its pods may take to have their identities.
const IDENTITIES: Duration = Duration::from_secs(60);
/// How long an answer on its socket may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How long it may take to stop.
const FAREWELL: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);
/// How much of its log is shown when something failed, in bytes.
const LAST_WORDS: usize = 4096;

/// The node: a network namespace with an uplink that leads nowhere.
pub(super) struct Place {
    netns: Netns,
}

impl Place {
    pub(super) async fn make() -> Result<Self, Error> {
        let failed = |source| Error::doing("making the node's network namespace", source);
        let netns = Netns::anonymous().map_err(failed)?;
        let net = Net::in_netns(&netns).map_err(failed)?;
        net.set_up(IfIndex::LOOPBACK).await.map_err(failed)?;
        let (uplink, wire) = (VethEnd::named("eth0").up(), VethEnd::named("wire").up());
        let uplink = net.create_veth(&uplink, &wire, 1500).await.map_err(failed)?;
        // The address that the node's object has, in a network that all other nodes are in.
        let address = Cluster::own_network();
        net.add_address(&Address::new(uplink.index, address)).await.map_err(failed)?;
        Ok(Self { netns })
    }

    /// A socket in the node, for the agent to connect to.
    pub(super) fn listen(&self) -> Result<TcpListener, Error> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = self.netns.run_in(listen);
        let listener = listener.map_err(|source| Error::doing("entering the node", source))?;
        listener.map_err(|source| Error::doing("listening for the agent", source))
    }
}

/// What the agent takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Memory that is resident now.
    pub(super) resident: Resident,
    /// The most that was resident so far, in bytes.
    pub(super) peak: u64,
    /// Processor time, in seconds.
    pub(super) cpu: f64,
}

/// The agent.
pub(super) struct Agent {
    child: Child,
    socket: PathBuf,
    bpffs: PathBuf,
    log: PathBuf,
    pods: Vec<Netns>,
}

impl Agent {
    pub(super) fn start(
        options: &Options,
        place: &Place,
        kubeconfig: &Path,
        room: &Path,
    ) -> Result<Self, Error> {
        let [socket, bpffs, log] = ["agent.sock", "bpf", "agent.log"].map(|name| room.join(name));
        let output =
            fs::File::create(&log).map_err(|source| Error::doing("making the agent's log", source))?;
        let mut command = Command::new(options.programs.join("netloom-agent"));
        command
            .args(["--node", cluster::NODE, "--ipam", "kubernetes", "--uplink", "eth0"])
            .arg("--k8s-kubeconfig-path")
            .arg(kubeconfig)
            .arg("--state-dir")
            .arg(room.join("state"))
            .arg("--bpffs")
            .arg(&bpffs)
            .arg("--socket")
            .arg(&socket)
            .arg("--cni-queue")
            .arg(room.join("queue"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(|source| Error::doing("making the agent's log", source))?)
            .stderr(output);
        netcore::spawn::in_netns(&mut command, &place.netns)
            .map_err(|source| Error::doing("entering the node", source))?;
        let child = command.spawn().map_err(|source| Error::doing("starting netloom-agent", source))?;
        Ok(Self { child, socket, bpffs, log, pods: Vec::new() })
    }

    /// Where the datapath's maps are.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.bpffs.join(format!("v{}", abi::LAYOUT_VERSION)).join("maps").join(name)
    }

    fn ask(&self, request: &Request) -> Result<Reply, Error> {
        let failed = |source| Error::doing("asking the agent", source);
        Client::connect(&self.socket, ANSWER).map_err(failed)?.call(request, None).map_err(failed)
    }

    fn status(&self) -> Option<Status> {
        match self.ask(&Request::Status) {
            Ok(Reply::Status(status)) => Some(*status),
            _ => None,
        }
    }

    /// Waits until the agent enforces what the API server has.
    pub(super) async fn wait_ready(&mut self) -> Result<(), Error> {
        within(LIST, "the agent's first list", async {
            loop {
                if let Ok(Some(status)) = self.child.try_wait() {
                    return Err(Error::control_plane(format!("the agent ended: {status}")));
                }
                if self.status().is_some_and(|status| status.ready) {
                    return Ok(());
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
        .await
    }

    /// Connects the pods of the node, one after another, as the plugin does. Returns how long each took.
    pub(super) fn connect_pods(&mut self, cluster: &Cluster) -> Result<Vec<f64>, Error> {
        let mut took = Vec::new();
        for index in 0..cluster.local_pods {
            let netns = Netns::anonymous().map_err(|source| Error::doing("making a pod", source))?;
            let name = cluster::local_pod_name(index);
            let request = Request::Add {
                attachment: Attachment { container_id: name.clone(), ifname: "eth0".into() },
                pod: Some(PodRef { namespace: cluster.local_pod_namespace(index), name }),
                netns: String::new(),
                mtu: None,
            };
            let started = Instant::now();
            let failed = |source| Error::doing("connecting a pod", source);
            let mut client = Client::connect(&self.socket, ANSWER).map_err(failed)?;
            client.call(&request, Some(netns.as_fd())).map_err(failed)?;
            took.push(started.elapsed().as_secs_f64());
            self.pods.push(netns);
        }
        Ok(took)
    }

    /// Waits until all pods of the node have an identity of their own.
    pub(super) async fn wait_identities(&self, pods: u32) -> Result<(), Error> {
        within(IDENTITIES, "giving identities to the node's pods", async {
            loop {
                let endpoints = self.status().map(|status| status.endpoints).unwrap_or_default();
                let known = endpoints.iter().filter(|endpoint| endpoint.identity >= 256).count();
                if known == pods as usize {
                    return Ok(());
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
        .await
    }

    pub(super) fn usage(&self) -> Result<Usage, Error> {
        let read = |file: &str| {
            let text = fs::read_to_string(format!("/proc/{}/{file}", self.child.id()));
            text.map_err(|source| Error::doing("asking what the agent takes", source))
        };
        let status = read("status")?;
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or_default()
        };
        let stat = read("stat")?;
        // The name of the program, in brackets, may have anything in it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        Ok(Usage {
            resident: Resident {
                total_bytes: kilobytes("VmRSS") << 10,
                anonymous_bytes: kilobytes("RssAnon") << 10,
                file_bytes: kilobytes("RssFile") << 10,
            },
            peak: kilobytes("VmHWM") << 10,
            cpu: (ticks(11) + ticks(12)) / per_second as f64,
        })
    }

    /// Stops the agent. Its last words, where it wrote any.
    pub(super) fn stop(&mut self) -> Option<String> {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().ok()?);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let end = Instant::now() + FAREWELL;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(PAUSE);
        }
        let text = fs::read(&self.log).unwrap_or_default();
        let last = &text[text.len().saturating_sub(LAST_WORDS)..];
        (!last.is_empty()).then(|| String::from_utf8_lossy(last).into_owned())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // With its pins the datapath goes; the links go with the namespaces.
        let _ = nix::mount::umount2(&self.bpffs, nix::mount::MntFlags::MNT_DETACH);
    }
}
