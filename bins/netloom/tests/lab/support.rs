//! A lab for a test, and what a test asks of it.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use api::{Client, Reply, Request, Status};
use lab::attempt::{Attempt, Outcome, Protocol, Reached};
use lab::paths::{NodePaths, Paths};
use lab::place::{Family, Place};
use lab::state::State;
use netcore::Netns;
use serde_json::Value;

pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// How long something may take that is to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long an answer is waited for that is not to come.
const SILENCE: Duration = Duration::from_millis(300);

/// Where the three programs are; nothing where they were not built together, or a lab cannot be made.
pub(crate) fn programs() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_BIN_EXE_netloom")).parent().unwrap().to_owned();
    let directory = std::env::var_os("NETLOOM_BIN_DIR").map_or(own, PathBuf::from);
    for program in ["netloom-agent", "netloom-cni", "netloom-operator"] {
        if !directory.join(program).exists() {
            eprintln!("skipped: {program} is not built (cargo build --workspace)");
            return None;
        }
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !root {
        eprintln!("skipped: a lab needs root");
    }
    root.then_some(directory)
}

/// Whether this machine has a program; a test without it says that it is skipped.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|directory| directory.join(program).exists());
    if !there {
        eprintln!("skipped: there is no {program}");
    }
    there
}

/// A lab that is removed, whatever becomes of the test.
pub(crate) struct Lab {
    pub(crate) name: String,
    pub(crate) programs: PathBuf,
}

impl Lab {
    /// A lab that is not up yet.
    pub(crate) fn named(of: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Some(Self { name: format!("e{}-{number}-{of}", std::process::id()), programs: programs()? })
    }

    /// A lab of this many nodes with these objects.
    pub(crate) fn up(of: &str, nodes: u8, manifests: &str) -> Option<Self> {
        Self::up_with(of, &["--nodes", &nodes.to_string()], manifests)
    }

    /// A lab that is made with these arguments, with these objects.
    pub(crate) fn up_with(of: &str, arguments: &[&str], manifests: &str) -> Option<Self> {
        let lab = Self::named(of)?;
        lab.json("up", arguments);
        if !manifests.is_empty() {
            lab.applied(manifests);
        }
        Some(lab)
    }

    pub(crate) fn command(&self, command: &str) -> Command {
        let mut process = Command::new(env!("CARGO_BIN_EXE_netloom"));
        process.env("NETLOOM_BIN_DIR", &self.programs).args(["lab", command, "--name", &self.name]);
        process
    }

    pub(crate) fn run(&self, command: &str, arguments: &[&str]) -> Output {
        self.command(command).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    pub(crate) fn json(&self, command: &str, arguments: &[&str]) -> Value {
        let output = self.run(command, &[&["--output", "json"], arguments].concat());
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How the lab is, be it well or not.
    pub(crate) fn look(&self) -> Value {
        let output = self.run("status", &["--output", "json"]);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Runs a command that fails; says why.
    pub(crate) fn refused(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.run(command, arguments);
        assert!(!output.status.success(), "{command} {arguments:?} is not refused");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(crate) fn apply(&self, text: &str) -> Output {
        self.feed("apply", &[], text)
    }

    /// Applies what is right, and does not wait.
    pub(crate) fn announce(&self, text: &str) {
        let output = self.feed("apply", &["--wait", "false"], text);
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    }

    fn feed(&self, command: &str, arguments: &[&str], text: &str) -> Output {
        let mut process = self.command(command);
        process.args(["-f", "-", "--output", "json"]).args(arguments);
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = process.spawn().unwrap();
        process.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        process.wait_with_output().unwrap()
    }

    /// Applies what is right, and waits until it is enforced.
    pub(crate) fn applied(&self, text: &str) {
        let output = self.apply(text);
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    }

    /// Deletes what these manifests name, and waits until it is gone.
    pub(crate) fn deleted(&self, text: &str) {
        let output = self.feed("delete", &[], text);
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs a program inside a place; says what it printed, which includes its errors.
    pub(crate) fn exec(&self, place: &str, program: &str) -> (bool, String) {
        let words: Vec<&str> = program.split(' ').collect();
        let output = self.run("exec", &[&[place, "--"], &words[..]].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    pub(crate) fn namespaces(&self) -> usize {
        Netns::list(&format!("netloom-{}-", self.name)).unwrap().len()
    }

    pub(crate) fn state(&self) -> State {
        State::load(&self.name.parse().unwrap()).unwrap()
    }

    pub(crate) fn netns(&self, place: &str) -> Netns {
        parse(place).netns(&self.state()).unwrap()
    }

    pub(crate) fn address(&self, place: &str, family: Family) -> IpAddr {
        parse(place).address(&self.state(), Some(family)).unwrap()
    }

    pub(crate) fn files(&self, node: &str) -> NodePaths {
        Paths::new(&self.name.parse().unwrap()).node(node)
    }

    /// How a node's agent is, as soon as there is one.
    pub(crate) fn agent(&self, node: &str) -> Status {
        let socket = self.files(node).socket();
        eventually("an agent answers", || {
            match Client::connect(&socket, PATIENCE).ok()?.call(&Request::Status, None) {
                Ok(Reply::Status(status)) => Some(*status),
                _ => None,
            }
        })
    }

    /// Runs kubectl against the lab's API.
    pub(crate) fn kubectl(&self, arguments: &str) -> (bool, String) {
        self.kubectl_with(arguments, "")
    }

    /// As [`kubectl`](Self::kubectl), with something on its standard input.
    pub(crate) fn kubectl_with(&self, arguments: &str, input: &str) -> (bool, String) {
        let kubeconfig = self.run("kubeconfig", &[]).stdout;
        let kubeconfig = String::from_utf8(kubeconfig).unwrap();
        let mut process = Command::new("kubectl");
        process.env("KUBECONFIG", kubeconfig.trim()).args(arguments.split(' '));
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = process.spawn().unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), said)
    }

    /// The process of a program of the cluster: `apiserver`, `operator1`…
    pub(crate) fn pid(&self, program: &str) -> u32 {
        let file = Paths::new(&self.name.parse().unwrap()).pid(program);
        eventually(&format!("{program} runs"), || {
            let pid = std::fs::read_to_string(&file).ok()?.trim().parse().ok()?;
            Path::new(&format!("/proc/{pid}/fd/0")).exists().then_some(pid)
        })
    }

    /// What a program of the cluster says.
    pub(crate) fn log(&self, program: &str) -> PathBuf {
        Paths::new(&self.name.parse().unwrap()).log(program)
    }

    /// Kills a program of the cluster and waits for the next one.
    pub(crate) fn kill_program(&self, program: &str) {
        let before = self.pid(program);
        kill(before, "KILL");
        eventually(&format!("another {program} runs"), || (self.pid(program) != before).then_some(()));
    }

    /// Kills a node's agent, which the lab starts again after a moment.
    pub(crate) fn kill_agent(&self, node: &str) -> u32 {
        let pid = self.agent(node).pid;
        kill(pid, "KILL");
        pid
    }

    /// Waits for the agent after this one, until it is ready.
    pub(crate) fn another_agent(&self, node: &str, before: u32) -> Status {
        eventually("another agent is ready", || {
            Some(self.agent(node)).filter(|status| status.pid != before && status.ready)
        })
    }

    /// Tries to reach a port; what is not to be reached is given up soon.
    pub(crate) fn attempt(&self, from: &str, to: SocketAddr, protocol: Protocol, expected: bool) -> Reached {
        let timeout = if expected { PATIENCE / 4 } else { SILENCE };
        // The fabric's own address is on the nodes' link; the world is beyond it.
        let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
        let source = (from == "world").then(|| self.address(from, family));
        Attempt { from: self.netns(from), source, to, protocol, timeout }.run().unwrap()
    }

    /// Whether a TCP port can be reached, by family: while a change is under way they may differ.
    pub(crate) fn reached(&self, from: &str, to: &str, port: u16, expected: bool) -> [bool; 2] {
        FAMILIES.map(|family| {
            let to = SocketAddr::new(self.address(to, family), port);
            self.attempt(from, to, Protocol::Tcp, expected).outcome == Outcome::Connected
        })
    }

    /// Whether a TCP port can be reached, in both families alike.
    pub(crate) fn reaches(&self, from: &str, to: &str, port: u16, expected: bool) -> bool {
        let reached = self.reached(from, to, port, expected);
        assert_eq!(reached[0], reached[1], "{from} to {to}:{port}: IPv4 {}, IPv6 {}", reached[0], reached[1]);
        reached[0]
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let programs = ["operator1", "cloud"].map(|program| self.log(program));
            for log in ["node1", "node2"].map(|node| self.files(node).agent_log()).into_iter().chain(programs)
            {
                // Not every lab has all of them.
                let Ok(text) = std::fs::read_to_string(&log) else { continue };
                let lines: Vec<_> = text.lines().collect();
                eprintln!("--- {}\n{}", log.display(), lines[lines.len().saturating_sub(20)..].join("\n"));
            }
        }
        let output = self.run("down", &[]);
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

fn parse(place: &str) -> Place {
    let Ok(place) = place.parse();
    place
}

/// Sends a signal to a process of the test's own lab.
pub(crate) fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
    assert!(status.success(), "cannot send {signal} to {pid}");
}

/// Asks again and again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "it does not come to pass that {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
