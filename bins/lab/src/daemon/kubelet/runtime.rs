//! Calls the CNI plugin as a container runtime does.

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use ipnetwork::IpNetwork;
use netcore::Netns;
use serde_json::Value;

use crate::daemon::Context;
use crate::plan::Node;
use crate::state::Sandbox;

/// The interface of every pod.
const IFNAME: &str = "eth0";

/// The container runtime of one node, for one pod.
pub(super) struct Runtime<'a> {
    pub(super) context: &'a Context,
    pub(super) node: &'a Node,
    pub(super) sandbox: &'a Sandbox,
}

impl Runtime<'_> {
    /// Connects the pod; says what the plugin answered.
    pub(super) fn add(&self) -> Result<Value> {
        self.call("ADD", None)
    }

    /// Disconnects the pod.
    pub(super) fn del(&self, added: Option<&Value>) -> Result<()> {
        self.call("DEL", added).map(drop)
    }

    fn call(&self, command: &str, added: Option<&Value>) -> Result<Value> {
        let Sandbox { pod, uid, container_id, netns, .. } = self.sandbox;
        let Some(id) = container_id else { bail!("{pod} is on the host's network") };
        let (program, config) = self.config(added)?;
        let plugins = self.context.paths.node(&self.node.name).plugins();
        let mut plugin = Command::new(plugins.join(&program));
        plugin
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", id)
            .env("CNI_NETNS", Netns::path(netns)?)
            .env("CNI_IFNAME", IFNAME)
            .env("CNI_PATH", &plugins)
            .env(
                "CNI_ARGS",
                format!(
                    "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_UID={uid};\
                     K8S_POD_INFRA_CONTAINER_ID={id}",
                    pod.namespace, pod.name
                ),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        // Runtimes call plugins in the node's namespace.
        netcore::spawn::in_netns(&mut plugin, &Netns::open(&self.node.netns)?)?;
        let mut plugin = plugin.spawn().with_context(|| format!("cannot start {program}"))?;
        if let Some(mut stdin) = plugin.stdin.take() {
            stdin.write_all(config.to_string().as_bytes())?;
        }
        let output = plugin.wait_with_output().with_context(|| format!("cannot wait for {program}"))?;
        let answer =
            if output.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&output.stdout)? };
        if output.status.success() {
            Ok(answer)
        } else {
            bail!(
                "{program} {command} failed ({}): {}",
                answer["code"],
                answer["msg"].as_str().unwrap_or("?")
            )
        }
    }

    /// The plugin, and its configuration as libcni makes it of the list.
    fn config(&self, added: Option<&Value>) -> Result<(String, Value)> {
        let path = self.context.paths.node(&self.node.name).config();
        let list: Value = crate::state::read_json(&path)?
            .with_context(|| format!("there is no network configuration {}", path.display()))?;
        let mut config = list["plugins"][0].clone();
        config["name"] = list["name"].clone();
        config["cniVersion"] = list["cniVersion"].clone();
        if let Some(added) = added {
            config["prevResult"] = added.clone();
        }
        let program = config["type"].as_str().context("the network configuration names no plugin")?;
        Ok((program.to_owned(), config))
    }
}

/// The pod's addresses in the result of ADD.
pub(super) fn addresses(added: &Value) -> Result<Vec<IpAddr>> {
    let ips = added["ips"].as_array().context("the result of ADD has no addresses")?;
    ips.iter()
        .map(|ip| {
            let text = ip["address"].as_str().context("an address without text")?;
            Ok(text.parse::<IpNetwork>().with_context(|| format!("no address: {text:?}"))?.ip())
        })
        .collect()
}
