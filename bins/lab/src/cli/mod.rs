//! `netloom lab …`.

mod flags;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use self::flags::{ControlFlags, How, Patience, PolicyFlags, Which};
use crate::attempt::Outcome;
use crate::batch::Batch;
use crate::console::{Colours, Progress};
use crate::name::LabName;
use crate::place::{Family, Place};
use crate::probe::{Probe, Target};
use crate::process::PidFile;
use crate::state::{State, labs};
use crate::up::{Up, resume};
use crate::{change, demo, down, exec, flows, paths, status};

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For a person.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// One JSON document a line, where the command may go on for ever.
    Jsonl,
}

/// `netloom lab …`.
#[derive(Debug, Args)]
pub struct LabArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a cluster on this machine: nodes and pods are network namespaces.
    Up {
        #[command(flatten)]
        which: Which,
        /// How many nodes.
        #[arg(long, default_value_t = 2)]
        nodes: u8,
        /// Manifests to begin with: a file, a directory or `-`. May be repeated.
        #[arg(long, value_name = "FILE|DIR")]
        apply: Vec<PathBuf>,
        /// Leave IPv6 out.
        #[arg(long)]
        ipv4_only: bool,
        #[command(flatten)]
        policy: PolicyFlags,
        #[command(flatten)]
        control: ControlFlags,
        /// How long agents and pods may take, in seconds.
        #[arg(long, default_value_t = 30)]
        timeout: u64,
        #[command(flatten)]
        how: How,
    },
    /// Create or change objects from manifests.
    Apply {
        #[command(flatten)]
        which: Which,
        /// A file, a directory or `-`. May be repeated.
        #[arg(short, long = "filename", required = true, value_name = "FILE|DIR")]
        file: Vec<PathBuf>,
        #[command(flatten)]
        patience: Patience,
        #[command(flatten)]
        how: How,
    },
    /// Delete objects, by manifests or by name.
    Delete {
        #[command(flatten)]
        which: Which,
        /// A file, a directory or `-`. May be repeated.
        #[arg(short, long = "filename", value_name = "FILE|DIR", conflicts_with = "kind")]
        file: Vec<PathBuf>,
        /// The object's kind.
        #[arg(requires = "object", required_unless_present = "file")]
        kind: Option<String>,
        /// The object: [NAMESPACE/]NAME.
        object: Option<String>,
        #[command(flatten)]
        patience: Patience,
        #[command(flatten)]
        how: How,
    },
    /// Run one of the host's programs inside a pod's network namespace.
    Exec {
        #[command(flatten)]
        which: Which,
        /// [NAMESPACE/]POD, node/NAME or `world`.
        place: Place,
        /// The program and its arguments, after `--`.
        #[arg(last = true, required = true)]
        program: Vec<OsString>,
    },
    /// Try to reach a port from a place, and print what became of it as JSON.
    Probe {
        #[command(flatten)]
        which: Which,
        /// [NAMESPACE/]POD, node/NAME or `world`.
        from: Place,
        /// As FROM, or an address.
        to: Place,
        /// PORT[/PROTOCOL]: TCP (the default), UDP or SCTP.
        port: Target,
        /// 4 or 6; by default the destination's first address.
        #[arg(long)]
        family: Option<Family>,
        /// How long to try, in milliseconds.
        #[arg(long, default_value_t = 1000, value_name = "MS")]
        timeout: u64,
        #[command(flatten)]
        how: How,
    },
    /// Start the lab's daemon again, if it has ended: pods and what is enforced on them were not touched.
    Resume {
        #[command(flatten)]
        which: Which,
        /// How long it may take, in seconds.
        #[arg(long, default_value_t = 30)]
        timeout: u64,
        #[command(flatten)]
        how: How,
    },
    /// Print the path of a kubeconfig for the lab's API.
    Kubeconfig {
        #[command(flatten)]
        which: Which,
    },
    /// Show how the lab is.
    Status {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        how: How,
    },
    /// Show the flows of all nodes.
    Flows {
        #[command(flatten)]
        which: Which,
        /// Go on with new flows.
        #[arg(long, short)]
        follow: bool,
        /// How many past flows of each node.
        #[arg(long, default_value_t = 100)]
        last: usize,
        #[command(flatten)]
        how: How,
    },
    /// List the labs of this machine.
    List {
        #[command(flatten)]
        how: How,
    },
    /// Remove a lab: processes, namespaces, mounts, files. Also what a crash left.
    Down {
        #[command(flatten)]
        which: Which,
        /// Remove all labs.
        #[arg(long, conflicts_with = "name")]
        all: bool,
        #[command(flatten)]
        how: How,
    },
    /// Show what netloom does: policies, drops with their reasons, and an agent killed under traffic.
    Demo {
        /// The name of the lab that is made and removed.
        #[arg(long, default_value = "demo")]
        name: LabName,
        #[command(flatten)]
        how: How,
    },
}

/// Runs a command of `netloom lab`.
///
/// # Errors
/// When it fails; the error is for a person.
pub fn run(args: LabArgs) -> Result<ExitCode> {
    match args.command {
        Command::Up { which, nodes, apply, ipv4_only, policy, control, timeout, how } => {
            let up = Up {
                name: which.name,
                nodes,
                ipv4_only,
                mtu: crate::plan::MTU,
                settings: policy.settings().into_iter().chain(control.config.clone()).collect(),
                operators: control.operators,
                ipam: control.ipam,
                instance_type: control.instance_type()?,
                max_pods: control.max_pods,
                server: control.server()?,
                audit: control.audit,
                port: control.api_port,
                manifests: Batch::read(&apply)?,
                patience: Duration::from_secs(timeout),
            };
            up.run(&Progress::new())?;
            print_status(&up.name, &how)?;
        }
        Command::Apply { which, file, patience, how } => {
            let batch = Batch::read(&file)?;
            change::apply(&which.name, &batch, patience.duration())?;
            let applied: Vec<_> = batch.items.iter().map(|item| item.target.key.to_string()).collect();
            // Agents know what they can do; before they enforce the change they know nothing of it.
            let warnings = match patience.duration() {
                Some(_) => status::warnings(&which.name, &applied)?,
                None => Vec::new(),
            };
            print_change("applied", &applied, &warnings, &how)?;
        }
        Command::Delete { which, file, kind, object, patience, how } => {
            let targets = match (kind, object) {
                (Some(kind), Some(object)) => vec![change::target(&kind, &object)?],
                _ => change::targets_of(&file)?,
            };
            let removed = change::delete(&which.name, &targets, patience.duration())?;
            let named = !file.is_empty();
            ensure!(named || !removed.is_empty(), "there is no {}", targets[0].key);
            let removed: Vec<_> = removed.iter().map(ToString::to_string).collect();
            print_change("deleted", &removed, &[], &how)?;
        }
        Command::Exec { which, place, program } => exec::exec(&State::load(&which.name)?, &place, &program)?,
        Command::Probe { which, from, to, port, family, timeout, how } => {
            let timeout = Duration::from_millis(timeout);
            let probe = Probe { from, to, target: port, family, timeout };
            // The daemon is who answers on pods' ports.
            let report = probe.run(&State::running(&which.name)?)?;
            // A probe is for programs: text is the same document on several lines.
            if how.output == Output::Text {
                pretty(&report)?;
            } else {
                json(&report)?;
            }
            // That the network does not let it through is an answer; that it could not be tried is not.
            return Ok(if report.outcome == Outcome::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS });
        }
        Command::Resume { which, timeout, how } => {
            resume(&which.name, Duration::from_secs(timeout))?;
            print_status(&which.name, &how)?;
        }
        Command::Kubeconfig { which } => {
            warn(&State::load(&which.name)?)?;
            say(&paths::Paths::new(&which.name).kubeconfig().display().to_string())?;
        }
        Command::Status { which, how } => print_status(&which.name, &how)?,
        Command::Flows { which, follow, last, how } => {
            let state = State::load(&which.name)?;
            warn(&state)?;
            print_flows(&state, follow, last, how.output)?;
        }
        Command::List { how } => list(&how)?,
        Command::Down { which, all, how } => {
            let names = if all { labs()? } else { vec![which.name] };
            take_down(&names, &how)?;
        }
        Command::Demo { name, how } => return demo::run(&name, how.output != Output::Text),
    }
    Ok(ExitCode::SUCCESS)
}

fn json<T: Serialize>(value: &T) -> Result<()> {
    say(&serde_json::to_string(value)?)
}

fn pretty<T: Serialize>(value: &T) -> Result<()> {
    say(&serde_json::to_string_pretty(value)?)
}

/// Prints to standard output. A reader that has gone away, as `head` does, has seen enough.
fn say(text: &str) -> Result<()> {
    use std::io::{ErrorKind, Write};
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

fn print_status(name: &LabName, how: &How) -> Result<()> {
    let status = status::status(name)?;
    if how.output == Output::Text {
        say(&status::text(&status, Colours::of_stdout()))?;
    } else {
        json(&status)?;
    }
    // Shown all the same: it is then that somebody asks.
    status.problem.map_or(Ok(()), |problem| bail!("{problem}"))
}

/// Says on standard error if a lab cannot go on, where what was asked for can be had all the same.
fn warn(state: &State) -> Result<()> {
    if let Some(problem) = state.problem()? {
        eprintln!("warning: {problem}");
    }
    Ok(())
}

fn print_change(verb: &str, objects: &[String], warnings: &[String], how: &How) -> Result<()> {
    if how.output == Output::Text {
        let colours = Colours::of_stdout();
        let lines = objects.iter().map(|object| format!("{object} {verb}"));
        let warnings = warnings.iter().map(|warning| format!("{} {warning}", colours.notable("warning:")));
        return say(&lines.chain(warnings).collect::<Vec<_>>().join("\n"));
    }
    let mut document = serde_json::json!({verb: objects});
    if !warnings.is_empty() {
        document["warnings"] = warnings.into();
    }
    json(&document)
}

fn print_flows(state: &State, follow: bool, last: usize, output: Output) -> Result<()> {
    let colours = Colours::of_stdout();
    if !follow {
        let flows = flows::kept(state, last);
        return match output {
            Output::Json => json(&flows),
            Output::Jsonl => flows.iter().try_for_each(json),
            Output::Text => flows.iter().try_for_each(|flow| say(&flows::line(flow, colours))),
        };
    }
    if output == Output::Json {
        bail!("flows that go on are no single document: use --output jsonl");
    }
    for flow in flows::follow(state, last)? {
        if output == Output::Text { say(&flows::line(&flow, colours))? } else { json(&flow)? }
    }
    Ok(())
}

#[derive(Serialize)]
struct Listed {
    name: LabName,
    running: bool,
    nodes: usize,
}

fn list(how: &How) -> Result<()> {
    let mut listed = Vec::new();
    for name in labs()? {
        let running = PidFile::holder(&paths::Paths::new(&name).daemon_pid())?.is_some();
        // One that was never finished has no nodes to speak of.
        let nodes = State::load(&name).map_or(0, |state| state.nodes.len());
        listed.push(Listed { name, running, nodes });
    }
    if how.output != Output::Text {
        return json(&listed);
    }
    listed.iter().try_for_each(|lab| {
        let name = &lab.name;
        let running = match lab.running {
            true => "running".to_owned(),
            false => format!(
                "its daemon is dead: netloom lab resume --name {name} starts it again, netloom lab down --name {name} removes all"
            ),
        };
        say(&format!("{:<20} {} nodes  {running}", lab.name.as_str(), lab.nodes))
    })
}

fn take_down(names: &[LabName], how: &How) -> Result<()> {
    let progress = Progress::new();
    let mut failures = Vec::new();
    for name in names {
        progress.step(&format!("removing lab {name}"));
        failures.extend(down::down(name).err().map(|error| format!("{error:#}")));
    }
    drop(progress);
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    if how.output == Output::Text { Ok(()) } else { json(&serde_json::json!({"removed": names})) }
}
