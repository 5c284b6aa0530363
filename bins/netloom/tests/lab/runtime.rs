//! A container runtime for tests: sandboxes, the plugin called by hand, and an agent that is away for as long as a
//! test wants.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use netcore::Netns;
use serde_json::{Value, json};

use crate::support::{Lab, eventually, kill};

/// A pod that the test connected.
pub(crate) struct Pod {
    /// The name of its network namespace.
    pub(crate) path: String,
    pub(crate) netns: Netns,
    /// IPv4 first.
    pub(crate) addresses: Vec<IpAddr>,
}

/// The addresses that ADD answered.
pub(crate) fn addresses(added: &Value) -> Vec<IpAddr> {
    let ips = added["ips"].as_array().unwrap();
    let address = |ip: &Value| ip["address"].as_str().unwrap().split('/').next().unwrap().parse().unwrap();
    ips.iter().map(address).collect()
}

/// What a call of the plugin came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) said: Value,
    pub(crate) elapsed: Duration,
}

impl Answer {
    /// The answer of a call that must succeed.
    #[track_caller]
    pub(crate) fn good(self) -> Value {
        assert!(self.success, "{}", self.said);
        self.said
    }

    /// The error code of a call that must not.
    #[track_caller]
    pub(crate) fn code(&self) -> u64 {
        assert!(!self.success, "{}", self.said);
        self.said["code"].as_u64().unwrap()
    }
}

/// The node's agent: the lab's first, or one that was started here.
struct Agent {
    pid: u32,
    child: Option<Child>,
}

/// A node whose pods and agent are the test's: the lab's daemon leaves it alone.
pub(crate) struct Runtime<'a> {
    pub(crate) lab: &'a Lab,
    node: &'static str,
    arguments: Vec<String>,
    agent: Mutex<Agent>,
}

impl<'a> Runtime<'a> {
    /// Takes `node1` over from the lab's daemon.
    pub(crate) fn new(lab: &'a Lab) -> Self {
        let node = "node1";
        let pid = lab.agent(node).pid;
        let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        let arguments = arguments.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
        std::fs::write(lab.files(node).unattended(), "").unwrap();
        Self { lab, node, arguments, agent: Mutex::new(Agent { pid, child: None }) }
    }

    /// Kills the agent, which stays away until [`start`](Self::start).
    pub(crate) fn kill(&self) {
        let mut agent = self.agent.lock().unwrap();
        kill(agent.pid, "KILL");
        if let Some(mut child) = agent.child.take() {
            child.wait().unwrap();
        }
        let gone = format!("/proc/{}/fd", agent.pid);
        eventually("a killed agent is gone", || std::fs::read_dir(&gone).is_err().then_some(()));
    }

    /// Starts an agent as the lab did.
    pub(crate) fn start(&self) {
        let log = OpenOptions::new().append(true).open(self.lab.files(self.node).agent_log()).unwrap();
        let mut command = Command::new(&self.arguments[0]);
        command.args(&self.arguments[1..]).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let netns = self.lab.netns(&format!("node/{}", self.node));
        let child = netcore::spawn::in_netns(&mut command, &netns).unwrap().spawn().unwrap();
        *self.agent.lock().unwrap() = Agent { pid: child.id(), child: Some(child) };
    }

    /// Waits until the agent can connect pods.
    pub(crate) fn ready(&self) {
        eventually("the agent is ready", || self.lab.agent(self.node).ready.then_some(()));
    }

    /// Announces a pod and connects it; says its network namespace and its addresses.
    pub(crate) fn pod(&self, name: &str) -> Pod {
        let (path, netns) = self.sandbox(name);
        self.announce(name);
        // As a runtime does, again while the agent is away for longer than the plugin waits.
        let added = eventually("a pod is added", || {
            let answer = self.call("ADD", name, &path);
            (answer.success || answer.code() != 11).then(|| answer.good())
        });
        Pod { path, netns, addresses: addresses(&added) }
    }

    /// A sandbox that goes with the lab; says the name of its network namespace.
    pub(crate) fn sandbox(&self, of: &str) -> (String, Netns) {
        lab::namespaces::create(&self.lab.name.parse().unwrap(), of).unwrap()
    }

    /// Tells the agents of a pod, which nobody but the test connects.
    pub(crate) fn announce(&self, pod: &str) {
        self.lab.announce(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {pod}, labels: {{app: {pod}}}}}\n\
             spec: {{nodeName: {}, containers: [{{name: c, image: x}}]}}\n",
            self.node
        ));
    }

    /// The network configuration, as libcni gives it to the plugin.
    pub(crate) fn config(&self) -> Value {
        let list = std::fs::read(self.lab.files(self.node).config()).unwrap();
        let list: Value = serde_json::from_slice(&list).unwrap();
        let mut config = list["plugins"][0].clone();
        config["name"] = list["name"].clone();
        // The list is for older runtimes too, which know neither CHECK nor GC.
        config["cniVersion"] = json!("1.1.0");
        config
    }

    /// Calls the plugin for a container named like its pod.
    pub(crate) fn call(&self, command: &str, pod: &str, netns: &str) -> Answer {
        let path = format!("/run/netns/{netns}");
        self.raw(&[("CNI_COMMAND", command), ("CNI_NETNS", &path)], pod, self.config().to_string().as_bytes())
    }

    /// Calls the plugin with more or other variables, and any input.
    pub(crate) fn raw(&self, variables: &[(&str, &str)], pod: &str, input: &[u8]) -> Answer {
        let arguments = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod}");
        let mut command = Command::new(self.lab.programs.join("netloom-cni"));
        command.env_clear().env("CNI_IFNAME", "eth0").env("CNI_PATH", &self.lab.programs);
        command.env("CNI_CONTAINERID", pod).env("CNI_ARGS", arguments).envs(variables.iter().copied());
        let start = Instant::now();
        let mut plugin = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // It may have refused before it read anything.
        let _ = plugin.stdin.take().unwrap().write_all(input);
        let output = plugin.wait_with_output().unwrap();
        let said = if output.stdout.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&output.stdout).unwrap()
        };
        Answer { success: output.status.success(), said, elapsed: start.elapsed() }
    }

    /// Calls GC with these pods as all that the runtime knows.
    pub(crate) fn keep_only(&self, pods: &[&str]) -> Answer {
        let mut config = self.config();
        let valid = pods.iter().map(|pod| json!({"containerID": pod, "ifname": "eth0"}));
        config["cni.dev/valid-attachments"] = valid.collect();
        self.raw(&[("CNI_COMMAND", "GC")], "gc", config.to_string().as_bytes())
    }

    /// The hosts' ends of pods' links.
    pub(crate) fn links(&self) -> BTreeSet<String> {
        let said = self.ip("-o link show type veth");
        let names = said.lines().filter_map(|line| line.split([' ', '@']).nth(1));
        names.filter(|name| name.starts_with("nl-")).map(str::to_owned).collect()
    }

    /// Whether what the agent remembers, what it gave out and what the kernel has are the same pods.
    pub(crate) fn settles(&self, pods: &[&Pod]) {
        let wanted: BTreeSet<IpAddr> = pods.iter().flat_map(|pod| pod.addresses.clone()).collect();
        assert_eq!(wanted.len(), pods.iter().map(|pod| pod.addresses.len()).sum::<usize>(), "given twice");
        eventually("the agent, its journal and the links agree", || {
            let status = self.lab.agent(self.node);
            let known = status.endpoints.iter().flat_map(|endpoint| endpoint.addresses.clone());
            let links = status.endpoints.iter().map(|endpoint| endpoint.host_ifname.clone()).collect();
            let agree = known.collect::<BTreeSet<_>>() == wanted
                && status.addresses_used == wanted.len() as u64
                && self.links() == links;
            agree.then_some(())
        });
    }

    /// Runs `ip` in the node's namespace.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        let (good, said) = self.lab.exec(&format!("node/{}", self.node), &format!("ip {arguments}"));
        assert!(good, "ip {arguments}: {said}");
        said
    }
}

impl Drop for Runtime<'_> {
    fn drop(&mut self) {
        if let Ok(agent) = self.agent.get_mut()
            && let Some(child) = &mut agent.child
        {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs `ip` in a sandbox.
pub(crate) fn ip_in(netns: &str, arguments: &str) {
    let words = arguments.split(' ');
    let status = Command::new("ip").args(["-n", netns]).args(words).status().unwrap();
    assert!(status.success(), "ip -n {netns} {arguments}");
}
