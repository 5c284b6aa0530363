//! `netloom policy verdict`.

use std::process::ExitCode;

use ::policy::judge::{Account, PathAccount, Reason, SideAccount, Wanted};
use anyhow::Result;
use clap::Args;

use super::files::Given;
use super::matrix::Prepared;
use super::{Mode, Output, say, say_json};

/// `netloom policy verdict`.
#[derive(Debug, Args)]
pub(crate) struct VerdictArgs {
    #[command(flatten)]
    given: Given,
    /// Who opens the connection: a pod, an address, a DNS name of --names, or an entity such as world, host, remote-node.
    #[arg(long, value_name = "NAMESPACE/POD|IP|NAME|ENTITY")]
    from: String,
    /// Where to: the same.
    #[arg(long, value_name = "NAMESPACE/POD|IP|NAME|ENTITY")]
    to: String,
    /// The port, by number or name, with TCP where no protocol is named; TYPE/ICMP, ICMP (an echo request), or the
    /// name of a protocol without ports, such as GRE.
    #[arg(long, value_name = "PORT[/PROTOCOL]")]
    port: String,
    #[command(flatten)]
    mode: Mode,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &VerdictArgs) -> Result<ExitCode> {
    let wanted = Wanted::parse(&args.port)?;
    let cluster = args.given.load(&[])?;
    let prepared = Prepared::new(&cluster, &args.mode)?;
    let account = prepared.judge(&cluster).account(&args.from, &args.to, &wanted)?;
    match args.output {
        Output::Json => say_json(&account)?,
        Output::Text => say(&text(&account))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(account: &Account) -> String {
    let mut lines = vec![format!("{}  {} -> {} {}", account.verdict, account.from, account.to, account.port)];
    for path in &account.paths {
        if account.paths.len() > 1 {
            lines.push(format!("backend {}: {}", end(path), path.verdict));
        } else {
            lines.push(format!("  {} -> {}", from(path), end(path)));
        }
        side(&path.egress, &path.from.name, &mut lines);
        side(&path.ingress, &path.to.name, &mut lines);
    }
    lines.join("\n")
}

fn from(path: &PathAccount) -> String {
    match path.from.address {
        Some(address) => format!("{} ({address})", path.from.name),
        None => path.from.name.clone(),
    }
}

fn end(path: &PathAccount) -> String {
    match path.to.address {
        Some(address) => format!("{} ({address}) {}", path.to.name, path.port),
        None => format!("{} {}", path.to.name, path.port),
    }
}

/// What one end says, and what it would have to say.
fn side(side: &SideAccount, subject: &str, lines: &mut Vec<String>) {
    let direction = side.direction;
    let why = match side.reason {
        Reason::Rules => "by these rules:".to_owned(),
        Reason::NoRule => format!("no rule allows it, and these close {direction} of {subject}:"),
        Reason::Unrestricted => format!("no policy closes {direction} of {subject}"),
        Reason::Enforcement => "no rule allows it, and everything else is closed".to_owned(),
        Reason::NoEndpoint => format!("{subject} has no policies"),
        Reason::Itself => "it talks to itself".to_owned(),
        Reason::OwnNode => format!("the own node always reaches {subject}"),
    };
    lines.push(format!("  {direction:<8}{:<9}{why}", side.verdict.as_str()));
    for rule in &side.rules {
        lines.push(format!("    {} {} ({}:{})", rule.object, rule.path, rule.file, rule.line));
    }
    if let Some(proxy) = side.proxy {
        lines.push(format!("    a proxy decides: {proxy}; dropped until the datapath has it"));
    }
    if let Some(mode) = side.authentication.and_then(|mode| serde_json::to_value(mode).ok()) {
        lines.push(format!("    authentication: {}", mode.as_str().unwrap_or_default()));
    }
    if let Some(rule) = &side.missing {
        lines.push(format!("    missing, in one of them: {direction}: [{rule}]"));
    }
}
