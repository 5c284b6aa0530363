//! Custom resource definitions, brought into a cluster.
//!
//! Several operators may do it at once, of different versions too: what is there and not older than ours stays, and
//! a write that lost a race is decided anew. Objects of a kind can be made as soon as its definition is
//! *established*, which [`install`] waits for.

use std::time::Duration;

use crds::{newer, older};
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition,
};
use kube::api::PostParams;
use kube::{Api, Client, Error, ResourceExt};
use tokio::time::{Instant, sleep, timeout_at};

/// How long a definition may take, from the first request until it is established.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait between two looks at it.
const PAUSE: Duration = Duration::from_millis(100);
/// How many definitions are dealt with at a time.
const AT_ONCE: usize = 4;

/// What became of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was none.
    Created,
    /// There was an older one.
    Updated,
    /// There was one of the same schema.
    Unchanged,
    /// There was one of a newer schema; it stays.
    Newer,
}

/// A definition that is established now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its name, as `ciliumnodes.cilium.io`.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// Why a definition is not there.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The server refused it.
    #[error("custom resource definition {name}: {operation}")]
    Refused {
        /// Its name.
        name: String,
        /// What was asked for.
        operation: &'static str,
        /// What the server says.
        source: Box<Error>,
    },
    /// Its names are another definition's.
    #[error("custom resource definition {name}: the server does not accept its names: {message}")]
    Names {
        /// Its name.
        name: String,
        /// What the server says.
        message: String,
    },
    /// The server took too long.
    #[error("custom resource definition {name}: not established after {} s: {last}", PATIENCE.as_secs())]
    Late {
        /// Its name.
        name: String,
        /// What was the matter last.
        last: String,
    },
}

/// Brings these definitions into the cluster, and waits until each is established.
///
/// # Errors
///
/// The first definition that the server refuses, or that is not established in [`PATIENCE`]. The others may or may
/// not be there; to try again does no harm.
pub async fn install(
    client: &Client,
    definitions: &[CustomResourceDefinition],
) -> Result<Vec<Installed>, InstallError> {
    let api = Api::all(client.clone());
    stream::iter(definitions).map(|ours| one(&api, ours)).buffered(AT_ONCE).try_collect().await
}

async fn one(
    api: &Api<CustomResourceDefinition>,
    ours: &CustomResourceDefinition,
) -> Result<Installed, InstallError> {
    let name = ours.name_any();
    let mut last = "no answer".to_owned();
    let end = Instant::now() + PATIENCE;
    let done = timeout_at(end, async {
        let outcome = write(api, ours, &name, &mut last).await?;
        established(api, &name, &mut last).await?;
        Ok(outcome)
    });
    match done.await {
        Ok(outcome) => Ok(Installed { name, outcome: outcome? }),
        Err(_) => Err(InstallError::Late { name, last }),
    }
}

/// Sees to it that a definition is there that is not older than `ours`.
async fn write(
    api: &Api<CustomResourceDefinition>,
    ours: &CustomResourceDefinition,
    name: &str,
    last: &mut String,
) -> Result<Outcome, InstallError> {
    let params = PostParams { field_manager: Some("netloom-operator".to_owned()), ..PostParams::default() };
    loop {
        let (operation, result) = match api.get_opt(name).await {
            Ok(None) => ("create", api.create(&params, ours).await.map(|_| Outcome::Created)),
            Ok(Some(existing)) if existing.metadata.deletion_timestamp.is_some() => {
                "the old one is still being deleted".clone_into(last);
                sleep(PAUSE).await;
                continue;
            }
            Ok(Some(existing)) if newer(&existing, ours) => return Ok(Outcome::Newer),
            Ok(Some(existing)) if !older(&existing, ours) => return Ok(Outcome::Unchanged),
            Ok(Some(existing)) => {
                let replacement = over(existing, ours);
                ("update", api.replace(name, &params, &replacement).await.map(|_| Outcome::Updated))
            }
            Err(error) => ("read", Err(error)),
        };
        match result {
            Ok(outcome) => return Ok(outcome),
            // Another replica was quicker, or the server is not well: look again.
            Err(error) if passing(&error) => *last = error.to_string(),
            Err(error) => {
                return Err(InstallError::Refused {
                    name: name.to_owned(),
                    operation,
                    source: Box::new(error),
                });
            }
        }
        sleep(PAUSE).await;
    }
}

/// `ours` in the place of `existing`: other people's labels and annotations stay, and so does the version that was
/// read, so that the server refuses to overwrite anything else.
fn over(existing: CustomResourceDefinition, ours: &CustomResourceDefinition) -> CustomResourceDefinition {
    let mut replacement = CustomResourceDefinition { spec: ours.spec.clone(), ..existing };
    replacement.labels_mut().extend(ours.labels().clone());
    replacement.metadata.managed_fields = None;
    replacement
}

async fn established(
    api: &Api<CustomResourceDefinition>,
    name: &str,
    last: &mut String,
) -> Result<(), InstallError> {
    loop {
        match api.get_opt(name).await {
            Ok(Some(definition)) => {
                let is = |type_: &str, status: &str| {
                    conditions(&definition).iter().find(|c| c.type_ == type_ && c.status == status)
                };
                if is("Established", "True").is_some() {
                    return Ok(());
                }
                if let Some(condition) = is("NamesAccepted", "False") {
                    let message = condition.message.clone().unwrap_or_default();
                    return Err(InstallError::Names { name: name.to_owned(), message });
                }
                "the server has not taken it up".clone_into(last);
            }
            Ok(None) => "it was deleted".clone_into(last),
            Err(error) if passing(&error) => *last = error.to_string(),
            Err(error) => {
                let source = Box::new(error);
                return Err(InstallError::Refused { name: name.to_owned(), operation: "read", source });
            }
        }
        sleep(PAUSE).await;
    }
}

fn conditions(definition: &CustomResourceDefinition) -> &[CustomResourceDefinitionCondition] {
    definition.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
}

/// Whether the same request may succeed later.
fn passing(error: &Error) -> bool {
    match error {
        Error::Api(status) => status.code == 409 || status.code == 429 || status.code >= 500,
        Error::HyperError(_) | Error::Service(_) => true,
        _ => false,
    }
}
