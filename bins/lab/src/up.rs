//! Makes a lab.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use netcore::Netns;
use nix::mount::{MsFlags, mount};

use crate::batch::Batch;
use crate::cloud::{self, Setup, links, values};
use crate::cluster::Cluster;
use crate::config::{Config, Setting};
use crate::console::Progress;
use crate::ended::Ended;
use crate::name::LabName;
use crate::paths::Paths;
use crate::process::PidFile;
use crate::state::{Ipam, MAX_PODS, Server, State, write_json};
use crate::wait::Wanted;
use crate::{checked, down, fabric, lock, plan, port, wait};

/// How long the daemon may take to begin.
const BEGIN: Duration = Duration::from_secs(5);
/// Between two looks at whether a program has begun.
const PAUSE: Duration = Duration::from_millis(5);
/// How much of a log goes into an error, in lines.
const TAIL: usize = 15;

/// What lab to make.
#[derive(Clone, Debug)]
pub struct Up {
    /// Its name.
    pub name: LabName,
    /// How many nodes.
    pub nodes: u8,
    /// Without IPv6.
    pub ipv4_only: bool,
    /// The MTU of the links between the nodes, in bytes.
    pub mtu: u32,
    /// What operators and agents are told beside what they need.
    pub settings: Vec<Setting>,
    /// How many operators: no more than nodes.
    pub operators: u8,
    /// How pods get their addresses.
    pub ipam: Ipam,
    /// What nodes are in ENI mode, which has no IPv6 either.
    pub instance_type: String,
    /// How many pods a node takes; where none is said, what kubelet would be told.
    pub max_pods: Option<u32>,
    /// What serves the API.
    pub server: Server,
    /// Whether what is asked of it is written down; netloom's own server does that.
    pub audit: bool,
    /// The port of this machine's loopback that leads to the API; a free one where none is given.
    pub port: Option<u16>,
    /// Manifests to begin with.
    pub manifests: Batch,
    /// How long agents and pods may take.
    pub patience: Duration,
}

impl Up {
    /// A lab of this name and number of nodes, with nothing in it, and the rest as `netloom lab up` has it.
    #[must_use]
    pub fn new(name: LabName, nodes: u8) -> Self {
        Self {
            name,
            nodes,
            ipv4_only: false,
            mtu: plan::MTU,
            settings: Vec::new(),
            operators: 1,
            ipam: Ipam::default(),
            instance_type: cloud::INSTANCE_TYPE.to_owned(),
            max_pods: None,
            server: Server::default(),
            audit: false,
            port: None,
            manifests: Batch::default(),
            patience: Duration::from_secs(30),
        }
    }

    /// Makes the lab, and returns when its agents enforce and its pods run. A lab that cannot be finished is
    /// removed again.
    ///
    /// # Errors
    /// When there is a living lab of this name, or something cannot be made; with the ends of the logs.
    pub fn run(&self, progress: &Progress) -> Result<State> {
        ensure!(nix::unistd::geteuid().is_root(), "a lab is made of network namespaces: run netloom as root");
        let programs = programs()?;
        let paths = Paths::new(&self.name);
        let mut nodes = plan::nodes(self.nodes, self.ipam, self.ipv4_only())?;
        let config = Config::new(self.ipam, self.ipv4_only(), &self.settings)?;
        let cloud = match self.ipam {
            Ipam::Eni => Some(Setup::new(&self.instance_type, &config)?),
            Ipam::ClusterPool | Ipam::Kubernetes => None,
        };
        ensure!(
            (1..=self.nodes).contains(&self.operators),
            "operators run on nodes, one on each: 1 to {} of them, not {}",
            self.nodes,
            self.operators
        );
        let lock = lock::Lock::take(&self.name)?;
        if PidFile::holder(&paths.daemon_pid())?.is_some() {
            bail!("lab {} is up already: netloom lab down --name {}", self.name, self.name);
        }
        progress.step("checking the configuration");
        for warning in checked::check(&programs, &config)? {
            progress.say(&format!("warning: {warning}"));
        }
        progress.step("removing what an earlier lab left");
        down::remove(&self.name)?;
        // Removing has taken the locked directory away.
        drop(lock);
        let _lock = lock::Lock::take(&self.name)?;
        let made = self.make(&paths, &programs, &mut nodes, config, cloud, progress);
        made.map_err(|error| {
            // What is read first on a terminal is what comes last.
            progress.say(logs(&paths).trim_start());
            let error = error.context(format!("lab {} could not be made", self.name));
            match down::remove(&self.name) {
                Ok(()) => error,
                Err(left) => error.context(format!("and could not be removed: {left:#}")),
            }
        })
    }

    fn make(
        &self,
        paths: &Paths,
        programs: &Path,
        nodes: &mut [plan::Node],
        config: Config,
        cloud: Option<Setup>,
        progress: &Progress,
    ) -> Result<State> {
        progress.step("joining the nodes");
        fs::create_dir_all(paths.pods()).context("cannot make the directory of pods")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (fabric, fabric_netns) = match &cloud {
            Some(_) => runtime.block_on(links::make_fabric(&self.name))?,
            None => runtime.block_on(fabric::make_fabric(&self.name, self.ipv4_only))?,
        };
        for node in &mut *nodes {
            self.make_node(paths, &runtime, &fabric_netns, node)?;
        }
        if self.mtu != plan::MTU {
            let netns = nodes.iter().map(|node| Netns::open(&node.netns));
            let netns: Vec<Netns> = [Ok(fabric_netns)].into_iter().chain(netns).collect::<Result<_, _>>()?;
            runtime.block_on(fabric::set_mtu(&netns, self.mtu))?;
        }
        let of_type = cloud.as_ref().and_then(|setup| setup.max_pods(&config));
        let state = State {
            max_pods: self.max_pods.or(of_type).unwrap_or(MAX_PODS),
            name: self.name.clone(),
            fabric,
            nodes: nodes.to_vec(),
            programs: programs.to_owned(),
            ipv4_only: self.ipv4_only(),
            config,
            operators: self.operators,
            ipam: self.ipam,
            server: self.server.clone(),
            audit: self.audit,
            port: port::free(&self.name, self.port)?,
            cloud,
        };
        state.config.write(&paths.config())?;
        write_json(&paths.state(), &state)?;
        let netconf = match &state.cloud {
            Some(setup) => Some(setup.netconf.clone()),
            None => values::of_user(&state.config)?,
        };
        if let Some(netconf) = netconf {
            values::write(&netconf, &state.nodes, paths)?;
        }
        if let Some(setup) = &state.cloud {
            progress.step("starting EC2");
            setup.start(&state, paths)?;
        }
        progress.step("starting the API server");
        let deadline = Instant::now() + self.patience;
        start_daemon(&state, paths)?;
        wait::until_reachable(&state, deadline)?;
        progress.step("starting the agents");
        let cluster = Cluster::of(&self.name)?;
        wait::until_nodes_ready(&state, &cluster, deadline)?;
        if !self.manifests.items.is_empty() {
            progress.step("starting the pods");
            let applied = self.manifests.apply(&cluster)?;
            wait::until(&state, &cluster, &Wanted { applied, ..Wanted::default() }, deadline)?;
        }
        Ok(state)
    }

    /// Pods of a VPC have no IPv6.
    fn ipv4_only(&self) -> bool {
        self.ipv4_only || self.ipam == Ipam::Eni
    }

    fn make_node(
        &self,
        paths: &Paths,
        runtime: &tokio::runtime::Runtime,
        fabric: &Netns,
        node: &mut plan::Node,
    ) -> Result<()> {
        let failed = format!("cannot make {}", node.name);
        let made = match self.ipam {
            Ipam::Eni => runtime.block_on(links::make_node(&self.name, node)),
            Ipam::ClusterPool | Ipam::Kubernetes => {
                runtime.block_on(fabric::make_node(&self.name, fabric, node))
            }
        };
        made.context(failed)?;
        let files = paths.node(&node.name);
        fs::create_dir_all(files.bpffs())
            .with_context(|| format!("cannot make {}", files.bpffs().display()))?;
        // A file system of the node's own, so that nodes of one machine do not share pinned maps.
        mount(Some("bpf"), &files.bpffs(), Some("bpf"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, None::<&str>)
            .with_context(|| format!("cannot mount {}", files.bpffs().display()))
    }
}

/// Starts the daemon of a lab whose daemon has ended, and returns when its nodes are ready again. Pods and their
/// connections stay.
///
/// # Errors
/// When there is no such lab, or it is not ready in time.
pub fn resume(name: &LabName, patience: Duration) -> Result<State> {
    let state = State::load(name)?;
    let paths = Paths::new(name);
    let _lock = lock::Lock::take(name)?;
    let deadline = Instant::now() + patience;
    if state.cloud.is_some() {
        ensure!(
            PidFile::holder(&paths.cloud_pid())?.is_some(),
            "the EC2 of lab {name} has ended, and what it knew is gone: only netloom lab down --name {name} is left"
        );
    }
    if PidFile::holder(&paths.daemon_pid())?.is_none() {
        start_daemon(&state, &paths)?;
    }
    wait::until_reachable(&state, deadline)?;
    wait::until_nodes_ready(&state, &Cluster::of(name)?, deadline)?;
    Ok(state)
}

fn start_daemon(state: &State, paths: &Paths) -> Result<()> {
    Ended::forget_all(paths)?;
    start(state, "lab-daemon", &paths.daemon_log())?;
    let start = Instant::now();
    while PidFile::holder(&paths.daemon_pid())?.is_none() {
        ensure!(start.elapsed() < BEGIN, "the lab's daemon does not begin");
        sleep(PAUSE);
    }
    Ok(())
}

/// Starts one of the lab's own programs.
pub(crate) fn start(state: &State, command: &str, log: &Path) -> Result<Child> {
    let log = File::options().append(true).create(true).open(log);
    let log = log.with_context(|| format!("cannot make the log of {command}"))?;
    Command::new(state.programs.join("netloom"))
        .args([command, "--name", state.name.as_str()])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {command}"))
}

/// The directory of netloom's programs: `NETLOOM_BIN_DIR`, or where the running program is.
///
/// # Errors
/// When one of them is missing there.
pub fn programs() -> Result<PathBuf> {
    let directory = match std::env::var_os("NETLOOM_BIN_DIR") {
        Some(directory) => fs::canonicalize(&directory)
            .with_context(|| format!("NETLOOM_BIN_DIR={}", Path::new(&directory).display()))?,
        None => {
            let own = std::env::current_exe().context("cannot tell where this program is")?;
            own.parent().context("this program is nowhere")?.to_owned()
        }
    };
    for program in ["netloom", "netloom-agent", "netloom-cni", "netloom-operator"] {
        ensure!(
            directory.join(program).is_file(),
            "there is no {program} in {}: build all programs (cargo build --release), or set NETLOOM_BIN_DIR",
            directory.display()
        );
    }
    Ok(directory)
}

/// The ends of the lab's logs, for an error.
fn logs(paths: &Paths) -> String {
    let mut files = vec![paths.daemon_log()];
    let programs = crate::state::files(paths.root()).unwrap_or_default();
    let is_log = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "log");
    files.extend(programs.into_iter().filter(|file| is_log(file) && *file != paths.daemon_log()));
    if let Ok(nodes) = crate::state::files(&paths.nodes()) {
        files.extend(nodes.into_iter().map(|node| node.join("agent.log")));
    }
    let mut text = String::new();
    for file in files {
        let Ok(log) = fs::read_to_string(&file) else { continue };
        let lines: Vec<_> = log.lines().collect();
        if !lines.is_empty() {
            let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
            text.push_str(&format!("\n--- {}\n{tail}", file.display()));
        }
    }
    text
}
