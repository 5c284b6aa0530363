//! A migration of a cluster: an API server, and beside it what would run in a cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use crds::{CiliumEndpoint, CiliumNode};
use k8s_openapi::api::apps::v1::{DaemonSet, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use migrate::{Options, Patience, Step, Survey, apply, plan};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const PATIENCE: Patience = Patience { drain: Duration::from_secs(20), network: Duration::from_secs(20) };

/// What runs in the cluster, once around: kubelets, controllers of DaemonSets, and Netloom's agents.
struct World {
    client: Client,
    /// A node that never gets a new network.
    broken: Option<&'static str>,
}

impl World {
    async fn start(client: &Client) -> Result<Self> {
        for name in ["kube-system", "default"] {
            create::<Namespace>(&Api::all(client.clone()), json!({"metadata": {"name": name}})).await?;
        }
        for node in ["a", "b"] {
            create::<Node>(&Api::all(client.clone()), json!({"metadata": {"name": node}})).await?;
        }
        let sets: Api<DaemonSet> = Api::namespaced(client.clone(), "kube-system");
        create(&sets, daemon_set("aws-node", "aws-node", None)).await?;
        Ok(Self { client: client.clone(), broken: None })
    }

    async fn install(&self) -> Result<()> {
        let expression =
            json!({"key": "io.cilium/aws-node-enabled", "operator": "NotIn", "values": ["true"]});
        let terms = json!([{"matchExpressions": [expression]}]);
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
        let sets: Api<DaemonSet> = Api::namespaced(self.client.clone(), "kube-system");
        create(&sets, daemon_set("netloom-agent", "cilium", Some(affinity))).await
    }

    /// The controller of a kind; one that is not there would be collected with what it owns.
    async fn owner(&self, kind: &str) -> Result<Value> {
        let owner = daemon_set("owner", "owner", None);
        let uid = match kind {
            "DaemonSet" => self.made::<DaemonSet>(owner).await?,
            _ => self.made::<ReplicaSet>(owner).await?,
        };
        Ok(json!({"apiVersion": "apps/v1", "kind": kind, "name": "owner", "uid": uid, "controller": true}))
    }

    /// Makes an object in the default namespace; its uid.
    async fn made<K>(&self, object: Value) -> Result<Option<String>>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + serde::Serialize,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), "default");
        create(&api, object).await?;
        Ok(api.get("owner").await?.uid())
    }

    /// A pod of a controller's, with an address of the node's network.
    async fn pod(&self, name: &str, node: &str, controller: Option<&str>) -> Result<()> {
        let owners = match controller {
            Some(kind) => vec![self.owner(kind).await?],
            None => Vec::new(),
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), "default");
        let spec = json!({"nodeName": node, "containers": [{"name": "c", "image": "x"}]});
        create(&pods, json!({"metadata": {"name": name, "ownerReferences": owners}, "spec": spec})).await?;
        let status = json!({"status": {"phase": "Running", "podIP": "10.0.0.9"}});
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(())
    }

    /// Goes on until it is dropped.
    async fn turn(&self) -> Result<()> {
        loop {
            self.kubelets().await?;
            self.daemon_sets().await?;
            self.agents().await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Pods that are to end do so; one of a DaemonSet comes again.
    async fn kubelets(&self) -> Result<()> {
        for pod in Api::<Pod>::all(self.client.clone()).list(&ListParams::default()).await? {
            if pod.metadata.deletion_timestamp.is_none() {
                continue;
            }
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
            let at_once = DeleteParams::default().grace_period(0);
            pods.delete(&pod.name_any(), &at_once).await.ok();
            if pod.owner_references().iter().any(|owner| owner.kind == "DaemonSet") && pod.name_any() == "log"
            {
                let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
                self.pod("log", &node, Some("DaemonSet")).await?;
                let endpoint = json!({"metadata": {"name": "log"}});
                create::<CiliumEndpoint>(&Api::namespaced(self.client.clone(), "default"), endpoint).await?;
            }
        }
        Ok(())
    }

    /// `aws-node` has a pod on each node that it may be on.
    async fn daemon_sets(&self) -> Result<()> {
        let sets: Api<DaemonSet> = Api::namespaced(self.client.clone(), "kube-system");
        let Some(set) = sets.get_opt("aws-node").await? else { return Ok(()) };
        let selector: BTreeMap<String, String> = set
            .spec
            .and_then(|spec| spec.template.spec)
            .and_then(|spec| spec.node_selector)
            .unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), "kube-system");
        for node in Api::<Node>::all(self.client.clone()).list(&ListParams::default()).await? {
            let name = format!("aws-node-{}", node.name_any());
            let belongs = selector.iter().all(|(key, value)| node.labels().get(key) == Some(value));
            match (belongs, pods.get_opt(&name).await?.is_some()) {
                (true, false) => {
                    let labels = json!({"k8s-app": "aws-node"});
                    let containers = json!([{"name": "c", "image": "x"}]);
                    let spec =
                        json!({"nodeName": node.name_any(), "hostNetwork": true, "containers": containers});
                    create(&pods, json!({"metadata": {"name": name, "labels": labels}, "spec": spec}))
                        .await?;
                }
                (false, true) => drop(pods.delete(&name, &DeleteParams::default().grace_period(0)).await?),
                _ => {}
            }
        }
        Ok(())
    }

    /// An agent is where `aws-node` is not, and says so.
    async fn agents(&self) -> Result<()> {
        let sets: Api<DaemonSet> = Api::namespaced(self.client.clone(), "kube-system");
        if sets.get_opt("netloom-agent").await?.is_none() {
            return Ok(());
        }
        for node in Api::<Node>::all(self.client.clone()).list(&ListParams::default()).await? {
            let name = node.name_any();
            if node.labels().contains_key("io.cilium/aws-node-enabled") || self.broken == Some(name.as_str())
            {
                continue;
            }
            let nodes: Api<CiliumNode> = Api::all(self.client.clone());
            if nodes.get_opt(&name).await?.is_none() {
                let annotations = json!({"netloom.io/cni-ready": "true"});
                create(&nodes, json!({"metadata": {"name": name, "annotations": annotations}, "spec": {}}))
                    .await?;
            }
        }
        Ok(())
    }

    /// Migrates, while the cluster goes on.
    async fn migrate(&self, options: Options) -> (Result<()>, Vec<Step>) {
        let mut steps = Vec::new();
        let migrated = apply(&self.client, options, PATIENCE, |step| steps.push(step.clone()));
        let ended = tokio::select! {
            ended = migrated => ended,
            turned = self.turn() => panic!("the cluster has ended: {turned:?}"),
        };
        (ended, steps)
    }

    async fn node(&self, name: &str) -> Result<Node> {
        Ok(Api::<Node>::all(self.client.clone()).get(name).await?)
    }
}

fn daemon_set(name: &str, app: &str, affinity: Option<Value>) -> Value {
    let labels = json!({"k8s-app": app});
    let mut spec = json!({"hostNetwork": true, "containers": [{"name": "c", "image": "x"}]});
    if let Some(affinity) = affinity {
        spec["affinity"] = affinity;
    }
    let template = json!({"metadata": {"labels": labels}, "spec": spec});
    json!({"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": template}})
}

/// Creates an object that may be there.
async fn create<K>(api: &Api<K>, object: Value) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
{
    let mut whole = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&())});
    whole.as_object_mut().unwrap().extend(object.as_object().unwrap().clone());
    match api.create(&PostParams::default(), &serde_json::from_value(whole)?).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn node_by_node_under_way_and_after_a_failure() -> Result<()> {
    for server in envtest::servers("node_by_node_under_way_and_after_a_failure").await? {
        let client = server.client().await?;
        kubernetes::install::install(&client, &crds::definitions()).await?;
        let mut world = World::start(&client).await?;
        world.pod("web", "a", Some("ReplicaSet")).await?;
        world.pod("log", "b", Some("DaemonSet")).await?;
        world.daemon_sets().await?;

        // Without Netloom nodes are prepared and nothing is emptied.
        let (ended, steps) = world.migrate(Options::default()).await;
        assert!(format!("{:#}", ended.unwrap_err()).contains("install Netloom"));
        assert!(
            steps.contains(&Step::Confine) && !steps.iter().any(|step| matches!(step, Step::Drain { .. }))
        );
        assert!(Api::<Pod>::namespaced(client.clone(), "default").get_opt("web").await?.is_some());

        // A node whose new network does not come up stops it there: that node takes no pods, the other is untouched.
        world.install().await?;
        world.broken = Some("a");
        let short = Patience { network: Duration::from_secs(1), ..PATIENCE };
        let stopped = tokio::select! {
            ended = apply(&client, Options::default(), short, |_| ()) => ended,
            turned = world.turn() => panic!("the cluster has ended: {turned:?}"),
        };
        // Which node came first depends on its pods alone: both have one.
        let error = format!("{:#}", stopped.unwrap_err());
        assert!(error.contains("node a") && error.contains("run this again"), "{error}");
        let begun = world.node("a").await?;
        assert_eq!(begun.spec.and_then(|spec| spec.unschedulable), Some(true));
        assert!(Api::<Pod>::namespaced(client.clone(), "default").get_opt("web").await?.is_none());
        assert!(world.node("b").await?.labels().contains_key("io.cilium/aws-node-enabled"));

        // Mended, it goes on where it was. What is planned is asked while nothing moves: the agent may be there by the
        // time of the first step.
        let left = plan(&Survey::read(&client).await?, Options::default()).steps;
        assert_eq!(left[..2], [Step::Await { node: "a".into() }, Step::Uncordon { node: "a".into() }]);
        world.broken = None;
        let (ended, steps) = world.migrate(Options::default()).await;
        ended?;
        assert!(left[..2].contains(&steps[0]), "{steps:?}");
        assert!(steps.contains(&Step::Renew { node: "b".into() }));
        for node in ["a", "b"] {
            let node = world.node(node).await?;
            assert!(!node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default());
            assert!(!node.annotations().contains_key("netloom.io/migration"));
        }
        let survey = Survey::read(&client).await?;
        assert_eq!(survey.aws_node, None);
        assert!(survey.nodes.values().all(|node| node.untagged.is_empty()));
        // The operator tells of the interfaces that it found: of those that aws-node made it is told on.
        let tagged = json!({"io.cilium/cluster-name": "shop"});
        let status = json!({"status": {"eni": {"enis": {
            "eni-0": {"number": 0}, "eni-1": {"number": 1, "tags": {"node.k8s.amazonaws.com/instance_id": "i-1"}},
            "eni-2": {"number": 2, "tags": tagged}, "eni-3": {"number": 3, "tags": {"use": "storage"}},
        }}}});
        let nodes: Api<CiliumNode> = Api::all(client.clone());
        let spec = json!({"spec": {"eni": {"exclude-interface-tags": {"use": "storage"}}}});
        nodes.patch("b", &PatchParams::default(), &Patch::Merge(&spec)).await?;
        nodes.patch_status("b", &PatchParams::default(), &Patch::Merge(&status)).await?;
        assert_eq!(Survey::read(&client).await?.nodes["b"].untagged, ["eni-1"]);
        assert!(survey.nodes.values().flat_map(|node| &node.pods).all(|pod| !pod.foreign));
        assert_eq!(plan(&survey, Options::default()).steps, []);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_nobody_would_bring_back_is_not_evicted() -> Result<()> {
    for server in envtest::servers("a_pod_that_nobody_would_bring_back_is_not_evicted").await? {
        let client = server.client().await?;
        kubernetes::install::install(&client, &crds::definitions()).await?;
        let world = World::start(&client).await?;
        world.install().await?;
        world.pod("alone", "a", None).await?;
        world.daemon_sets().await?;
        let (ended, steps) = world.migrate(Options::default()).await;
        assert!(ended.unwrap_err().to_string().contains("default/alone"));
        assert_eq!(steps, []);
        assert!(Api::<Pod>::namespaced(client.clone(), "default").get_opt("alone").await?.is_some());
        let (ended, _) = world.migrate(Options { force: true, ..Options::default() }).await;
        ended?;
        assert!(Api::<Pod>::namespaced(client.clone(), "default").get_opt("alone").await?.is_none());
    }
    Ok(())
}
