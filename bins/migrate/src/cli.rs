//! `netloom migrate`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::{Args, Subcommand};
use kubernetes::client::{Connector, Settings};

use crate::apply::{Patience, apply};
use crate::plan::{Options, Plan, plan};
use crate::survey::Survey;

/// What to migrate from.
#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Amazon's VPC CNI on EKS. Prints what is left to be done; does it with `--apply`
    AwsNode(AwsNodeArgs),
}

/// How to migrate from `aws-node`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct AwsNodeArgs {
    /// Do it. May be cut off, and run again to go on
    #[arg(long)]
    apply: bool,
    /// Label nodes and confine aws-node to them, no more: new nodes are Netloom's from then on
    #[arg(long)]
    prepare: bool,
    /// Leave the DaemonSet, confined to a label that no node has
    #[arg(long)]
    park: bool,
    /// Evict pods that no controller would bring back, too
    #[arg(long)]
    force: bool,
    /// Evict pods that lose files in an emptyDir, too
    #[arg(long)]
    delete_emptydir_data: bool,
    /// EKS does not keep aws-node as an add-on any more
    #[arg(long)]
    addon_removed: bool,
    /// Go on where pods have no place for a while
    #[arg(long)]
    allow_downtime: bool,
    /// Seconds until a node's pods must be gone
    #[arg(long, default_value_t = 600)]
    drain_timeout: u64,
    /// Seconds until a node's new network must be up
    #[arg(long, default_value_t = 300)]
    network_timeout: u64,
    /// A kubeconfig; else KUBECONFIG, ~/.kube/config, or the pod's own credentials
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// No connection, a refusal, or a step that failed.
pub fn run(command: &MigrateCommand) -> Result<()> {
    let MigrateCommand::AwsNode(args) = command;
    let options = Options {
        force: args.force,
        delete_emptydir_data: args.delete_emptydir_data,
        addon_removed: args.addon_removed,
        allow_downtime: args.allow_downtime,
        prepare: args.prepare,
        park: args.park,
    };
    let patience = Patience {
        drain: Duration::from_secs(args.drain_timeout),
        network: Duration::from_secs(args.network_timeout),
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let client = Connector::new(settings(args.kubeconfig.clone())?).await?.client()?;
        if args.apply {
            apply(&client, options, patience, |step| println!("{step}")).await?;
            println!("done");
            // What operators said meanwhile of the nodes that they got.
            notes(&plan(&Survey::read(&client).await?, options));
            return Ok(());
        }
        let survey = Survey::read(&client).await?;
        let plan = plan(&survey, options);
        if args.json {
            println!("{}", serde_json::to_string_pretty(&plan)?);
        } else {
            if survey.aws_node.is_none() {
                println!("there is no DaemonSet kube-system/aws-node");
            }
            print(&plan);
        }
        if !plan.refusals.is_empty() {
            bail!("it must not be done as things are");
        }
        Ok(())
    })
}

/// The kubeconfig that is named, or else the usual one; in a pod there need be none.
fn settings(kubeconfig: Option<PathBuf>) -> Result<Settings> {
    let named = std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    let found = kubeconfig.or(named).or_else(|| home.filter(|path| path.exists()));
    settings_of(found, std::env::var_os("KUBERNETES_SERVICE_HOST").is_some())
}

fn settings_of(kubeconfig: Option<PathBuf>, in_pod: bool) -> Result<Settings> {
    ensure!(
        kubeconfig.is_some() || in_pod,
        "there is no kubeconfig: name one by --kubeconfig or KUBECONFIG; ~/.kube/config is not there, and this is no pod"
    );
    Ok(Settings { kubeconfig, ..Settings::new("netloom-migrate") })
}

fn notes(plan: &Plan) {
    for note in &plan.notes {
        println!("note: {note}");
    }
}

fn print(plan: &Plan) {
    for refusal in &plan.refusals {
        println!("refused: {refusal}");
    }
    for (number, step) in plan.steps.iter().enumerate() {
        println!("{:>3}. {step}", number + 1);
    }
    notes(plan);
    if plan.steps.is_empty() {
        println!("nothing is left to be done");
    } else if plan.refusals.is_empty() {
        println!("nothing was changed: --apply does it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_kubeconfig_it_says_what_to_do() {
        let refused = settings_of(None, false).map(drop).unwrap_err().to_string();
        assert!(refused.contains("--kubeconfig or KUBECONFIG"), "{refused}");
        assert_eq!(settings_of(None, true).unwrap().kubeconfig, None, "a pod has credentials of its own");
        assert!(settings_of(Some("/x".into()), false).is_ok());
    }
}
