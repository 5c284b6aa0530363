//! Objects that an installation needs, as text.

use anyhow::Result;
use clap::ValueEnum;
use kubernetes::rbac::{self, Program};
use kubernetes::render::{self, render};
use serde::Serialize;

use crate::out;

/// How objects are printed.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Format {
    /// One document each.
    #[default]
    Yaml,
    /// One list.
    Json,
}

/// Which roles are printed.
#[derive(Debug, clap::Args)]
pub(crate) struct RbacArgs {
    /// Whose; both by default
    #[arg(value_enum)]
    program: Option<Who>,
    /// The namespace that they run in
    #[arg(long, short, default_value = "kube-system")]
    namespace: String,
    /// How to print them
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// Whose rights.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Who {
    /// The program on every node.
    Agent,
    /// The program that is there once or twice.
    Operator,
}

/// Prints the definitions of the custom resources.
pub(crate) fn crds(format: Format) -> Result<()> {
    say(&crds::definitions(), format)
}

/// Prints roles and their bindings.
pub(crate) fn rbac(args: &RbacArgs) -> Result<()> {
    let programs = match args.program {
        Some(Who::Agent) => vec![Program::Agent],
        Some(Who::Operator) => vec![Program::Operator],
        None => Program::ALL.to_vec(),
    };
    let manifests: Vec<_> =
        programs.into_iter().flat_map(|program| rbac::manifests(program, &args.namespace)).collect();
    say(&manifests, args.output)
}

fn say<T: Serialize>(objects: &[T], format: Format) -> Result<()> {
    let format = match format {
        Format::Yaml => render::Format::Yaml,
        Format::Json => render::Format::Json,
    };
    out::say(&render(objects, format)?)
}
