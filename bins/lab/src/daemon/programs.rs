//! The programs of the cluster: API server, operators, agents.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use reference::{ApiServer, Etcd, Files, Version};

use super::Context;
use super::keeper::Program;
use crate::fabric::UPLINK;
use crate::operators;
use crate::paths::Paths;
use crate::plan;
use crate::state::{Server, State};

/// The real server's etcd: in the fabric's namespace nobody else has these ports.
const ETCD: Etcd = Etcd { clients: 2379, peers: 2380 };

/// The API server, and what it needs. They serve in the fabric's namespace.
pub(super) fn api(state: &State, paths: &Paths, files: &Files) -> Result<Vec<Program>> {
    let program = |name: &str, path: PathBuf, arguments: Vec<String>| Program {
        name: name.to_owned(),
        path,
        arguments,
        environment: Vec::new(),
        netns: state.fabric.clone(),
        log: paths.log(name),
        pid: paths.pid(name),
        unattended: None,
    };
    match &state.server {
        Server::Embedded => {
            let mut arguments = vec!["apiserver".to_owned()];
            for address in state.api() {
                arguments.push(format!("--listen={}", SocketAddr::new(address, plan::API_PORT)));
            }
            arguments.push(format!("--journal={}", paths.api().join("journal").display()));
            if state.audit {
                arguments.push(format!("--audit-log={}", paths.audit().display()));
            }
            arguments.push(format!("--tls-cert={}", files.certificate().display()));
            arguments.push(format!("--tls-key={}", files.key().display()));
            Ok(vec![program("apiserver", state.programs.join("netloom"), arguments)])
        }
        Server::Reference { kube_apiserver, etcd } => {
            let any =
                if state.ipv4_only { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let server = ApiServer { bind: any, advertise: state.api()[0], port: plan::API_PORT, etcd: ETCD };
            let arguments = server.arguments(Version::of_program(kube_apiserver)?, files);
            Ok(vec![
                program("etcd", etcd.clone(), ETCD.arguments(&paths.api().join("etcd"))),
                program("apiserver", kube_apiserver.clone(), arguments),
            ])
        }
    }
}

/// The operators, each in the namespace of a node, whose ports they take as pods on the host's network do.
pub(super) fn operators(context: &Context) -> Vec<Program> {
    let Context { state, paths, .. } = context;
    let program = |(number, node): (usize, &plan::Node)| {
        let name = operators::name(number);
        let kubeconfig = paths.node(&node.name).kubeconfig();
        Program {
            path: state.programs.join("netloom-operator"),
            arguments: vec![
                format!("--config-dir={}", paths.config().display()),
                format!("--k8s-kubeconfig-path={}", kubeconfig.display()),
            ],
            // By this name it holds the Lease.
            environment: vec![("K8S_POD_NAME", name.clone())],
            netns: node.netns.clone(),
            log: paths.log(&name),
            pid: paths.pid(&name),
            unattended: None,
            name,
        }
    };
    state.nodes.iter().take(usize::from(state.operators)).enumerate().map(program).collect()
}

/// The agents, one a node.
pub(super) fn agents(context: &Context) -> Result<Vec<Program>> {
    let Context { state, paths, .. } = context;
    let mut programs = Vec::new();
    for node in &state.nodes {
        let files = paths.node(&node.name);
        fs::create_dir_all(files.state()).context("cannot make the agent's state directory")?;
        let mut arguments = vec![
            format!("--node={}", node.name),
            format!("--config-dir={}", paths.config().display()),
            format!("--uplink={UPLINK}"),
            format!("--k8s-kubeconfig-path={}", files.kubeconfig().display()),
            format!("--state-dir={}", files.state().display()),
            format!("--bpffs={}", files.bpffs().display()),
            format!("--socket={}", files.socket().display()),
            format!("--cni-queue={}", files.queue().display()),
            format!("--cni-bin-dir={}", files.plugins().display()),
            format!("--write-cni-conf-when-ready={}", files.config().display()),
            format!("--cni-log-file={}", files.cni_log().display()),
        ];
        if files.netconf().exists() {
            arguments.push(format!("--read-cni-conf={}", files.netconf().display()));
        }
        programs.push(Program {
            name: format!("the agent of {}", node.name),
            path: state.programs.join("netloom-agent"),
            arguments,
            environment: Vec::new(),
            netns: node.netns.clone(),
            log: files.agent_log(),
            pid: files.agent_pid(),
            unattended: Some(files.unattended()),
        });
    }
    Ok(programs)
}
