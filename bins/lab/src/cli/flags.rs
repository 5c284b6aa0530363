//! What the lab's commands have in common, and what `up` is told.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use super::Output;
use crate::cloud::INSTANCE_TYPE;
use crate::config::Setting;
use crate::name::LabName;
use crate::state::{Ipam, Server};

/// Which lab.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The lab's name.
    #[arg(long, default_value = "default")]
    pub(super) name: LabName,
}

/// How to print.
#[derive(Debug, Args)]
pub(super) struct How {
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t)]
    pub(super) output: Output,
}

/// Whether and how long to wait.
#[derive(Debug, Args)]
pub(super) struct Patience {
    /// Whether to wait until the change is enforced.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    wait: bool,
    /// As `--wait false`.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait, in seconds.
    #[arg(long, default_value_t = 30)]
    timeout: u64,
}

impl Patience {
    pub(super) fn duration(&self) -> Option<Duration> {
        (self.wait && !self.no_wait).then(|| Duration::from_secs(self.timeout))
    }
}

/// What is said of policy, in the words of the programs' own options.
#[derive(Debug, Args)]
pub(super) struct PolicyFlags {
    /// When pods are closed to what no policy allows: default, always or never.
    #[arg(long, value_name = "MODE")]
    policy_enforcement_mode: Option<policy::Enforcement>,
    /// Let through what policies would drop, and report it.
    #[arg(long)]
    policy_audit_mode: bool,
    /// What CIDR rules of Cilium's policies match beside what lies outside the cluster: nodes.
    #[arg(long, value_name = "WHAT", value_parser = ["nodes"])]
    policy_cidr_match_mode: Option<String>,
    /// Which labels make identities, beside the usual ones: [SOURCE:][!]EXPRESSION, apart by spaces.
    #[arg(long, value_name = "PATTERNS")]
    labels: Option<String>,
}

impl PolicyFlags {
    /// In the words of the programs' configuration.
    pub(super) fn settings(&self) -> Vec<Setting> {
        [
            ("enable-policy", self.policy_enforcement_mode.map(|mode| mode.to_string())),
            ("policy-audit-mode", self.policy_audit_mode.then(|| "true".to_owned())),
            ("policy-cidr-match-mode", self.policy_cidr_match_mode.clone()),
            ("labels", self.labels.clone()),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some(Setting { key: key.to_owned(), value: value? }))
        .collect()
    }
}

/// What the control plane is made of.
#[derive(Debug, Args)]
pub(super) struct ControlFlags {
    /// What serves the API: netloom's own small server, or kube-apiserver and etcd.
    #[arg(long, value_enum, default_value_t)]
    api: ApiKind,
    /// The program kube-apiserver, for `--api reference`; else it is looked for in KUBEBUILDER_ASSETS and PATH.
    #[arg(long, value_name = "FILE")]
    kube_apiserver: Option<PathBuf>,
    /// The program etcd, likewise.
    #[arg(long, value_name = "FILE")]
    etcd: Option<PathBuf>,
    /// Write a line about each request to the embedded API server into the lab's directory.
    #[arg(long)]
    pub(super) audit: bool,
    /// The port of 127.0.0.1 that leads to the API; by default a free one.
    #[arg(long, value_name = "PORT")]
    pub(super) api_port: Option<u16>,
    /// How many operators run, one of which leads.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) operators: u8,
    /// How pods get their addresses: `eni` makes a VPC of EC2 whose instances the nodes are (IPv4 only).
    #[arg(long = "mode", alias = "ipam", value_name = "MODE", value_enum, default_value_t)]
    pub(super) ipam: Ipam,
    /// What the nodes are, with `--mode eni` [default: m5.large].
    #[arg(long, value_name = "TYPE")]
    instance_type: Option<String>,
    /// How many pods a node takes [default: in ENI mode what `netloom max-pods` says of the type, else 110].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_pods: Option<u32>,
    /// A key of the ConfigMap that operators and agents read, and its value; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) config: Vec<Setting>,
}

/// What serves the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ApiKind {
    /// Netloom's own small API server.
    #[default]
    Embedded,
    /// The real kube-apiserver and etcd.
    Reference,
}

impl ControlFlags {
    /// What nodes are in ENI mode.
    pub(super) fn instance_type(&self) -> Result<String> {
        let said = self.instance_type.clone();
        ensure!(said.is_none() || self.ipam == Ipam::Eni, "--instance-type is for --mode eni");
        Ok(said.unwrap_or_else(|| INSTANCE_TYPE.to_owned()))
    }

    pub(super) fn server(&self) -> Result<Server> {
        if self.api == ApiKind::Embedded && self.kube_apiserver.is_none() && self.etcd.is_none() {
            return Ok(Server::Embedded);
        }
        ensure!(!self.audit, "--audit is for the embedded API server: kube-apiserver has a log of its own");
        let find = |given: &Option<PathBuf>, name: &str| match given {
            Some(path) => {
                ensure!(path.is_file(), "there is no {}", path.display());
                std::fs::canonicalize(path).with_context(|| format!("{}", path.display()))
            }
            None => reference::find(name).with_context(|| {
                format!("there is no {name} in KUBEBUILDER_ASSETS or PATH: name it by --{name}")
            }),
        };
        Ok(Server::Reference {
            kube_apiserver: find(&self.kube_apiserver, "kube-apiserver")?,
            etcd: find(&self.etcd, "etcd")?,
        })
    }
}
