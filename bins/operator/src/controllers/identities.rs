//! Collects identities that nothing uses, and makes those that pods need where that is the operator's duty.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crds::CiliumIdentity;
use crds::types::HEARTBEAT_ANNOTATION;
use jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kubernetes::client::{Budget, Rate};
use kubernetes::watch::Key;
use policy::pod::NAMESPACE;

use super::{Context, QUIET};
use crate::identities::{self, Act, NUMBERS, Pending, SecurityLabels, Used, security_labels};
use crate::label_sets::LabelSets;
use crate::metrics::{Outcome, Status};
use crate::options::IdentityManagement;
use crate::pulse::Pulse;
use crate::rounds::Rounds;
use crate::store::Changes;
use crate::view::{IdentityView, PodView};
use crate::writer::{Written, annotation, as_of, exactly, merge};

pub(super) async fn collect(context: Context) {
    let options = &context.options;
    let manages = options.identity_management != IdentityManagement::Agent;
    context.identities.synced().await;
    context.endpoints.synced().await;
    if manages {
        context.pods.synced().await;
        context.namespaces.synced().await;
    }
    let per_second =
        f64::from(options.identity_gc_rate_limit) / options.identity_gc_rate_interval.as_secs_f64();
    let budget = Budget::new(Rate { per_second, burst: options.identity_gc_rate_limit });
    let mut rounds = Rounds::new("unused identities", &context.watchdog, options.identity_gc_interval);
    loop {
        rounds.next().await;
        let used = Used {
            numbers: context.endpoints.read().values().map(|endpoint| endpoint.identity).collect(),
            labels: if manages { labels_of_pods(&context) } else { HashSet::new() },
        };
        let known = known(&context);
        let acts = identities::collect(&known, &used, Timestamp::now(), options.identity_heartbeat_timeout);
        let mut deleted = 0;
        let mut failed = false;
        for act in acts {
            rounds.moved();
            if matches!(act, Act::Delete(..)) {
                budget.wait().await;
            }
            let written = perform(&context, &act).await;
            failed |= matches!(written, Written::Failed | Written::Refused);
            deleted += usize::from(matches!(act, Act::Delete(..)) && written == Written::Done);
        }
        let metrics = &context.metrics;
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        metrics.identity_entries.get_or_create(&Status { status: "deleted" }).set(gauge(deleted));
        metrics.identity_entries.get_or_create(&Status { status: "alive" }).set(gauge(known.len() - deleted));
        metrics.identity_duplicates.set(gauge(identities::duplicates(&known)));
        let outcome = if failed { "fail" } else { "success" };
        metrics.identity_runs.get_or_create(&Outcome { outcome }).inc();
    }
}

async fn perform(context: &Context, act: &Act) -> Written {
    let api = context.writer.all::<CiliumIdentity>();
    match act {
        Act::Mark(name, version) => {
            let now = Timestamp::now().to_string();
            merge(&api, name, &as_of(version, annotation(HEARTBEAT_ANNOTATION, Some(&now)))).await
        }
        Act::Unmark(name, version) => {
            merge(&api, name, &as_of(version, annotation(HEARTBEAT_ANNOTATION, None))).await
        }
        Act::Delete(name, version) => {
            let result = api.delete(name, &exactly(version)).await;
            let written = Written::from(result, &format_args!("CiliumIdentity {name}"));
            if written == Written::Done {
                tracing::info!(identity = name, "identity deleted: nothing uses it");
            }
            written
        }
    }
}

/// Makes an identity for the labels of each pod.
pub(super) async fn create(context: Context) {
    let mut pulse = Pulse::new("identities", &context.watchdog, QUIET, Duration::from_secs(60))
        .on(&context.pods)
        .on(&context.namespaces)
        .on(&context.identities);
    context.pods.synced().await;
    context.namespaces.synced().await;
    context.identities.synced().await;
    let mut pods = Pods::new(&context);
    let identities = context.identities.changes();
    let mut pending = Pending::default();
    let mut undone = false;
    let mut start = NUMBERS.start() + jiff::Timestamp::now().subsec_nanosecond().unsigned_abs() % 60_000;
    loop {
        let has_new = pulse.look(|| pods.update(&context));
        let changed = !identities.take().is_empty();
        // Most changes of pods bring no labels that are new.
        let acts = if has_new || changed || undone || pending.waits() {
            let mut known = known(&context);
            pending.complete(&mut known, Timestamp::now());
            identities::create(&known, &pods.sets, start)
        } else {
            BTreeMap::new()
        };
        undone = false;
        for (number, labels) in acts {
            let object = format!("{labels:?}");
            if !pulse.may(&object) {
                undone = true;
                continue;
            }
            start = number + 1;
            let name = number.to_string();
            let identity = CiliumIdentity {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    labels: labels
                        .get(&format!("k8s:{NAMESPACE}"))
                        .map(|namespace| [(NAMESPACE.to_owned(), namespace.clone())].into()),
                    ..ObjectMeta::default()
                },
                security_labels: labels.clone(),
            };
            let result =
                context.writer.all::<CiliumIdentity>().create(&PostParams::default(), &identity).await;
            let written = Written::from(result, &format_args!("CiliumIdentity {name}"));
            if written == Written::Done {
                tracing::info!(identity = name, ?labels, "identity made");
                context.metrics.identities_created.inc();
                pending.made(number, labels, Timestamp::now());
            }
            // A number that another took is another number the next time.
            undone |= written != Written::Done;
            pulse.note(&object, written);
        }
        if pending.waits() {
            pulse.again_in(Duration::from_secs(10));
        }
        pulse.next().await;
    }
}

fn known(context: &Context) -> BTreeMap<String, Arc<IdentityView>> {
    let items = context.identities.read();
    items.iter().map(|(key, identity)| (key.name().to_owned(), Arc::clone(identity))).collect()
}

/// The labels of all pods that need an identity, kept.
struct Pods {
    sets: LabelSets,
    pods: Arc<Changes>,
    namespaces: Arc<Changes>,
}

impl Pods {
    fn new(context: &Context) -> Self {
        let (pods, namespaces) = (context.pods.changes(), context.namespaces.changes());
        Self { sets: LabelSets::default(), pods, namespaces }
    }

    /// Looks at what changed; says whether a pod has labels that none had before.
    fn update(&mut self, context: &Context) -> bool {
        let mut changed = self.pods.take();
        let namespaces = self.namespaces.take();
        if !namespaces.is_empty() {
            let pods = context.pods.read();
            changed.extend(
                pods.keys().filter(|pod| namespaces.contains(&Key::new("", pod.namespace()))).cloned(),
            );
        }
        let mut has_new = false;
        for key in changed {
            let labels = context.pods.get(&key).and_then(|pod| labels_of(context, &pod));
            has_new |= self.sets.set(key, labels);
        }
        has_new
    }
}

/// The labels of all pods that need an identity.
fn labels_of_pods(context: &Context) -> HashSet<SecurityLabels> {
    context.pods.read().values().filter_map(|pod| labels_of(context, pod)).collect()
}

fn labels_of(context: &Context, pod: &PodView) -> Option<SecurityLabels> {
    if !pod.live || pod.host_network {
        return None;
    }
    let parsed = pod.parsed.as_ref()?;
    let namespace = context.namespaces.get(&Key::new("", parsed.meta.namespace()))?;
    Some(security_labels(&context.options.labelling.labels(parsed, &namespace.labels)))
}
