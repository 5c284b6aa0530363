//! One process: a candidate that works while it leads.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use daemon::health::{Health, KUBERNETES};
use daemon::watchdog::Watchdog;
use jiff::Timestamp;
use kubernetes::client::{Connector, Settings as ClientSettings};
use kubernetes::install::{Installed, install};
use kubernetes::lease::{self, Election, Leadership, Settings as LeaseSettings};
use tokio::sync::watch;

use crate::controllers;
use crate::eni;
use crate::metrics::Metrics;
use crate::options::{Keys, Options};

/// The part of the program's health that stands for the custom resources.
const DEFINITIONS: &str = "custom-resources";

/// The part of the program's health that stands for the duties.
const DUTIES: &str = "duties";

/// What a duty may take for one step; requests end far earlier.
const STEP: Duration = Duration::from_secs(600);

/// Runs until `shutdown` resolves; then gives the lease back.
///
/// # Errors
///
/// When the configuration does not fit, there is no client to be made of it, or a duty ends, which none should.
pub async fn run(
    keys: &Keys,
    identity: String,
    metrics: &Metrics,
    health: &Health,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let options = Arc::new(keys.options()?);
    let timing = keys.timing()?;
    let connector = Connector::new(ClientSettings {
        kubeconfig: keys.k8s_kubeconfig_path.clone(),
        server: keys.k8s_api_server.clone(),
        rate: keys.rate(),
        observer: Some(Arc::new(metrics.requests.clone())),
        ..ClientSettings::new("netloom-operator")
    })
    .await?;
    tokio::pin!(shutdown);
    let ec2 = match &options.eni {
        None => None,
        Some(eni) => tokio::select! {
            () = &mut shutdown => return Ok(()),
            connected = eni::connect(eni) => Some(connected?),
        },
    };
    health.expect(KUBERNETES);
    health.expect_vital(DUTIES);
    if !keys.skip_crd_creation {
        health.expect(DEFINITIONS);
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            installed = define(&connector) => installed?,
        }
        health.set(DEFINITIONS, Ok::<(), String>(()));
    }
    let settings =
        LeaseSettings { namespace: keys.namespace(), name: lease::OPERATORS.to_owned(), identity, timing };
    let election = Election::start(connector.prompt(timing.renew_deadline / 2)?, settings);
    let mut terms = election.terms();
    let outcome = loop {
        // Who follows has none.
        health.set(DUTIES, Ok::<(), String>(()));
        let term = terms.borrow_and_update().clone();
        let Some(leadership) = term else {
            tokio::select! {
                () = &mut shutdown => break Ok(()),
                changed = terms.changed() => changed.context("the election has ended")?,
            }
            continue;
        };
        metrics.leader.set(1);
        metrics.seconds_leading.set(Timestamp::now().as_duration().as_secs_f64());
        let ended = tokio::select! {
            () = &mut shutdown => Some(Ok(())),
            ended = lead(&connector, leadership, &options, ec2.clone(), metrics, health, &mut terms) => {
                ended.err().map(Err)
            }
        };
        metrics.leader.set(0);
        if let Some(ended) = ended {
            break ended;
        }
    };
    // Nothing is written any more: the next leader need not wait for the lease to expire.
    tokio::time::timeout(Duration::from_secs(5), election.release())
        .await
        .context("giving the lease back")?;
    outcome
}

/// Brings the custom resources into the cluster, however long that takes: nothing works without.
async fn define(connector: &Connector) -> Result<()> {
    let client = connector.client()?;
    let definitions = crds::definitions();
    loop {
        match install(&client, &definitions).await {
            Ok(installed) => {
                for Installed { name, outcome } in installed {
                    tracing::debug!(name, ?outcome, "custom resource");
                }
                return Ok(());
            }
            Err(error) => {
                tracing::warn!(error = %anyhow::Error::from(error), "custom resources: tried again");
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Works until the term is over.
async fn lead(
    connector: &Connector,
    leadership: Leadership,
    options: &Arc<Options>,
    ec2: Option<eni::Client>,
    metrics: &Metrics,
    health: &Health,
    terms: &mut watch::Receiver<Option<Leadership>>,
) -> Result<()> {
    let client = connector.fenced(leadership.clone())?;
    let watchdog = Watchdog::new(DUTIES, STEP);
    let mut tasks = controllers::start(client, leadership, options, ec2, (metrics, health), &watchdog);
    let outcome = tokio::select! {
        never = watchdog.watch(health) => match never {},
        changed = terms.changed() => changed.context("the election has ended"),
        ended = tasks.join_next() => match ended {
            Some(Err(error)) => Err(error).context("a duty has failed"),
            _ => bail!("a duty has ended"),
        },
    };
    // Until each of them has ended, one may still write.
    tasks.shutdown().await;
    // Who does not lead asks nothing of EC2.
    health.remove(eni::PART);
    outcome
}
