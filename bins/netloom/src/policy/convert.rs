//! `netloom policy convert`.

use std::path::PathBuf;
use std::process::ExitCode;

use ::policy::convert::{Converted, Ranges, convert};
use ::policy::manifest::Object;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use ipnetwork::IpNetwork;
use serde_json::{Value, json};

use super::{CidrMatchMode, files, say};

/// `netloom policy convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// Manifests: files, directories with all that is in them, or - for standard input. NetworkPolicies are converted;
    /// of Nodes, the addresses are taken (--pod-cidr, --node-cidr); the rest is passed over.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where pods have their addresses: needed to convert ipBlocks exactly. May be given several times.
    #[arg(long, value_name = "CIDR")]
    pod_cidr: Vec<IpNetwork>,
    /// Where nodes have their addresses: needed to convert ipBlocks exactly. May be given several times.
    #[arg(long, value_name = "CIDR")]
    node_cidr: Vec<IpNetwork>,
    /// Take ipBlocks to be about the outside of the cluster only, and lose what they say of pods and nodes.
    #[arg(long)]
    outside_only: bool,
    /// What CIDRs of Cilium's policies match in the cluster that the result is for, beside the outside.
    #[arg(long, value_enum, value_name = "MODE")]
    cidr_match_mode: Vec<CidrMatchMode>,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t)]
    output: Form,
}

/// How manifests are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Documents of YAML.
    #[default]
    Yaml,
    /// One JSON document: the object, or a List of several.
    Json,
}

pub(super) fn run(args: &ConvertArgs) -> Result<ExitCode> {
    let objects = files::objects(&args.files, &[])?;
    objects.report();
    let mut ranges = Ranges {
        pods: args.pod_cidr.clone(),
        nodes: args.node_cidr.clone(),
        cidrs_match_nodes: args.cidr_match_mode.contains(&CidrMatchMode::Nodes),
        outside_only: args.outside_only,
    };
    for object in &objects.valid {
        if let Object::Node(node) = object {
            ranges.pods.extend(&node.pod_cidrs);
            ranges.nodes.extend(node.addresses.iter().map(|addr| IpNetwork::from(*addr)));
        }
    }
    let mut all = objects.rejected.is_empty();
    let mut results = Vec::new();
    for object in &objects.valid {
        let Object::NetworkPolicy(policy) = object else { continue };
        match convert(policy, &ranges) {
            Ok(Converted { object, notes }) => {
                notes.iter().for_each(|note| eprintln!("note: {note}"));
                results.push(object);
            }
            Err(remarks) => {
                remarks.iter().for_each(|remark| eprintln!("error: {remark}"));
                all = false;
            }
        }
    }
    print(args.output, results)?;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(form: Form, mut results: Vec<Value>) -> Result<()> {
    match form {
        Form::Yaml => {
            let documents: Result<Vec<String>, _> = results.iter().map(serde_saphyr::to_string).collect();
            let documents = documents.context("cannot write YAML")?;
            if documents.is_empty() { Ok(()) } else { say(&documents.join("---\n")) }
        }
        Form::Json if results.len() == 1 => super::say_json(&results.remove(0)),
        Form::Json => super::say_json(&json!({"apiVersion": "v1", "kind": "List", "items": results})),
    }
}
