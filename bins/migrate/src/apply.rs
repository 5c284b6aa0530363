//! A plan's steps, done.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use crds::CiliumNode;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use kubernetes::refusal::{is_conflict, is_missing};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::drain::Eviction;
use crate::names::{AWS_NODE, CORDONED, LABEL, NAMESPACE};
use crate::plan::{Options, plan};
use crate::step::Step;
use crate::survey::{Survey, full_name, is_aws_node, is_ready};

/// How long a step waits for the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until a node's pods are gone: budgets for disruptions may hold them for long.
    pub drain: Duration,
    /// Until a node's new network is up.
    pub network: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { drain: Duration::from_secs(600), network: Duration::from_secs(300) }
    }
}

/// How often the cluster is asked while a step waits.
const LOOK: Duration = Duration::from_millis(500);

/// Does what is left to be done, a step at a time; before each the cluster is asked anew, so that nodes and pods
/// that came in between are seen. Tells `say` of each step before it begins.
///
/// # Errors
/// A refusal, a request that failed, or a wait that took too long. What was done stays, and the next call goes on.
pub async fn apply(
    client: &Client,
    options: Options,
    patience: Patience,
    mut say: impl FnMut(&Step),
) -> Result<()> {
    let mut before: Option<Step> = None;
    loop {
        let survey = Survey::read(client).await?;
        let plan = plan(&survey, options);
        if let Some(refusal) = plan.refusals.first() {
            bail!("{refusal}");
        }
        let Some(step) = plan.steps.into_iter().next() else { return Ok(()) };
        if before.as_ref() == Some(&step) {
            bail!("it was done and had no effect: {step}");
        }
        say(&step);
        perform(client, &step, options, patience, &survey).await.with_context(|| step.to_string())?;
        // Parked, it is left as it is.
        if step == Step::Confine && options.park && survey.nodes.values().all(|node| !node.labelled) {
            return Ok(());
        }
        before = Some(step);
    }
}

async fn perform(
    client: &Client,
    step: &Step,
    options: Options,
    patience: Patience,
    survey: &Survey,
) -> Result<()> {
    match step {
        Step::Label { node } => patch(client, node, json!({"metadata": {"labels": {LABEL: "true"}}})).await,
        Step::Confine => {
            let selector = json!({"spec": {"template": {"spec": {"nodeSelector": {LABEL: "true"}}}}});
            let sets: Api<DaemonSet> = Api::namespaced(client.clone(), NAMESPACE);
            sets.patch(AWS_NODE, &PatchParams::default(), &Patch::Merge(&selector)).await?;
            Ok(())
        }
        Step::Install => {
            bail!("nodes are prepared, and nothing was emptied yet: install Netloom, and run this again")
        }
        Step::Cordon { node } => {
            let cordon =
                json!({"metadata": {"annotations": {CORDONED: "cordoned"}}, "spec": {"unschedulable": true}});
            patch(client, node, cordon).await
        }
        Step::Drain { node } => {
            let leaves = |pod: &Pod| match Eviction::of(pod) {
                Eviction::Evicted => true,
                Eviction::Stays => false,
                Eviction::Kept(why) => options.allow(why),
            };
            empty(client, node, patience.drain, leaves).await
        }
        Step::HandOver { node } => {
            patch(client, node, json!({"metadata": {"labels": {LABEL: Value::Null}}})).await
        }
        Step::Await { node } => {
            let nodes: Api<Node> = Api::all(client.clone());
            let said: Api<CiliumNode> = Api::all(client.clone());
            until(patience.network, || async {
                nodes.get_opt(node).await?.with_context(|| format!("node {node} is gone"))?;
                if pods_on(client, node).await?.iter().any(is_aws_node) {
                    return Ok(Some("a pod of aws-node is still on it".to_owned()));
                }
                // Before Netloom's definitions are there it is missing as well.
                let ready = said.get_opt(node).await?.as_ref().is_some_and(is_ready);
                Ok((!ready).then(|| "its agent has not said so".to_owned()))
            })
            .await
        }
        Step::Renew { node } => {
            let facts = survey.nodes.get(node).with_context(|| format!("node {node} is gone"))?;
            let old: Vec<_> =
                facts.pods.iter().filter(|pod| pod.foreign).map(|pod| pod.name.clone()).collect();
            empty(client, node, patience.drain, |pod| old.contains(&full_name(pod))).await
        }
        Step::Uncordon { node } => {
            let uncordon = json!({"metadata": {"annotations": {CORDONED: Value::Null}}, "spec": {"unschedulable": Value::Null}});
            patch(client, node, uncordon).await
        }
        Step::Remove => {
            let sets: Api<DaemonSet> = Api::namespaced(client.clone(), NAMESPACE);
            match sets.delete(AWS_NODE, &DeleteParams::background()).await {
                Err(error) if is_missing(&error) => Ok(()),
                other => Ok(other.map(drop)?),
            }
        }
    }
}

async fn patch(client: &Client, node: &str, change: Value) -> Result<()> {
    Api::<Node>::all(client.clone()).patch(node, &PatchParams::default(), &Patch::Merge(&change)).await?;
    Ok(())
}

async fn pods_on(client: &Client, node: &str) -> Result<Vec<Pod>> {
    let on_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
    Ok(Api::all(client.clone()).list(&on_node).await?.items)
}

/// Evicts the pods of a node that `chosen` names, and waits until those very pods are gone.
async fn empty(client: &Client, node: &str, patience: Duration, chosen: impl Fn(&Pod) -> bool) -> Result<()> {
    let mut pods = pods_on(client, node).await?;
    pods.retain(|pod| {
        !pod.spec.as_ref().is_some_and(|spec| spec.host_network.unwrap_or_default()) && chosen(pod)
    });
    until(patience, || async {
        let mut left = None;
        for pod in &pods {
            let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
            let there = api.get_opt(&pod.name_any()).await?.filter(|there| there.uid() == pod.uid());
            let Some(there) = there else { continue };
            let name = full_name(pod);
            left = Some(format!("pod {name} is still there"));
            if there.metadata.deletion_timestamp.is_none()
                && let Some(why) =
                    evict(&api, &there).await.with_context(|| format!("evicting pod {name}"))?
            {
                left = Some(format!("pod {name} is still there: {why}"));
            }
        }
        Ok(left)
    })
    .await
}

/// Asks for a pod's eviction; tells why it cannot be now.
async fn evict(api: &Api<Pod>, pod: &Pod) -> Result<Option<String>> {
    let this_one = Preconditions { uid: pod.uid(), ..Preconditions::default() };
    let parameters = EvictParams {
        delete_options: Some(DeleteParams::default().preconditions(this_one)),
        ..EvictParams::default()
    };
    match api.evict(&pod.name_any(), &parameters).await {
        Ok(_) => Ok(None),
        // A budget for disruptions does not allow it now; or it is another pod by now, or none.
        Err(kube::Error::Api(status)) if status.code == 429 => Ok(Some(status.message.clone())),
        Err(error) if is_missing(&error) || is_conflict(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Asks until there is nothing left to wait for.
async fn until<F: Future<Output = Result<Option<String>>>>(
    patience: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<()> {
    let end = Instant::now() + patience;
    loop {
        let Some(left) = ask().await? else { return Ok(()) };
        if Instant::now() >= end {
            bail!("{left} after {} s; run this again to go on", patience.as_secs());
        }
        sleep(LOOK).await;
    }
}
