//! Waiting until the lab is as its store says.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use api::{Client, ClientError, PodRef, Request};

use crate::paths::Paths;
use crate::pod::Pod;
use crate::state::{Sandbox, State};
use crate::store::Store;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until every pod of the store runs and every agent enforces what the store says then.
///
/// # Errors
/// After `patience`, with who lags.
pub fn until_enforced(state: &State, patience: Duration) -> Result<u64> {
    let paths = Paths::new(&state.name);
    let store = Store::new(paths.store());
    let deadline = Instant::now() + patience;
    until_pods_run(&store, deadline)?;
    let revision = store.revision()?;
    for node in &state.nodes {
        until_revision(&paths.node(&node.name).socket(), &node.name, revision, deadline)?;
    }
    Ok(revision)
}

fn until_pods_run(store: &Store, deadline: Instant) -> Result<()> {
    loop {
        let mut late = Pod::all(store)?;
        late.retain(|pod| !pod.is_running());
        if late.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let reasons: Vec<_> = late
                .iter()
                .map(|pod| {
                    format!("{}: {}", pod.name, pod.status.message.as_deref().unwrap_or("not started yet"))
                })
                .collect();
            bail!("{} pods do not run:\n{}", late.len(), reasons.join("\n"));
        }
        sleep(PAUSE);
    }
}

fn until_revision(socket: &std::path::Path, node: &str, revision: u64, deadline: Instant) -> Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let wait = Request::Wait { revision, timeout_ms };
        // The agent's own time-out should come before ours.
        let asked = Client::connect(socket, left + Duration::from_secs(2))
            .and_then(|mut client| client.call(&wait, None));
        match asked {
            Ok(_) => return Ok(()),
            // It is being started, or started again.
            Err(ClientError::Connect { .. } | ClientError::Io(_)) if !left.is_zero() => sleep(PAUSE),
            Err(ClientError::Refused(refusal))
                if refusal.code == api::ErrorCode::NotReady && !left.is_zero() =>
            {
                sleep(PAUSE);
            }
            Err(error) => bail!("{node} does not enforce revision {revision}: {error}"),
        }
    }
}

/// Waits until these pods are gone.
///
/// # Errors
/// After `patience`, with which are not.
pub fn until_gone(state: &State, pods: &[PodRef], patience: Duration) -> Result<()> {
    let paths = Paths::new(&state.name);
    let store = Store::new(paths.store());
    let deadline = Instant::now() + patience;
    loop {
        let mut there = Vec::new();
        for name in pods {
            // A new pod of the same name is none of ours.
            let wanted = Pod::get(&store, name)?.map(|pod| pod.uid);
            if let Some(sandbox) = Sandbox::load(&paths, name)?
                && wanted != Some(sandbox.uid)
            {
                there.push(name.to_string());
            }
        }
        if there.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("still there: {}", there.join(", "));
        }
        sleep(PAUSE);
    }
}
