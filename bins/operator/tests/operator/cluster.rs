//! A cluster to try the operator on: an API server, operators as processes, and objects as JSON.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// How long something may take before it counts as never happening. Nothing asserts how fast it is.
const PATIENCE: Duration = Duration::from_secs(45);
pub(crate) const LEASE: &str = "cilium-operator-resource-lock";

pub(crate) struct Cluster {
    /// What to call the server in messages.
    name: String,
    kubeconfig: PathBuf,
    client: Client,
    dir: tempfile::TempDir,
    started: usize,
}

/// An operator; killed with this value.
pub(crate) struct Operator {
    child: Child,
    log: PathBuf,
}

impl Cluster {
    pub(crate) async fn new(name: &str, kubeconfig: &Path) -> Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig)?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Self {
            name: name.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            client: Client::try_from(config)?,
            dir: tempfile::tempdir()?,
            started: 0,
        })
    }

    /// An operator with short times, and what a test asks for besides.
    pub(crate) fn start(&mut self, flags: &[&str]) -> Result<Operator> {
        self.start_in(&[], flags)
    }

    /// The same, with variables of the environment; of those of AWS, with no others.
    pub(crate) fn start_in(&mut self, variables: &[(&str, &str)], flags: &[&str]) -> Result<Operator> {
        self.started += 1;
        let log = self.dir.path().join(format!("operator-{}.log", self.started));
        let file = File::create(&log)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_netloom-operator"));
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        let child = command
            .arg("--k8s-kubeconfig-path")
            .arg(&self.kubeconfig)
            .args(["--operator-api-serve-addr=127.0.0.1:0", "--operator-prometheus-serve-addr=127.0.0.1:0"])
            .args(["--leader-election-lease-duration=4s", "--leader-election-renew-deadline=3s"])
            .args(["--leader-election-retry-period=500ms", "--cluster-pool-ipv4-cidr=10.44.0.0/22"])
            .arg("--cluster-pool-release-delay=2s")
            .args(flags)
            .env_remove("RUST_LOG")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok(Operator { child, log })
    }

    pub(crate) fn api(&self, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        let (group, version, plural) = match kind {
            "Node" => ("", "v1", "nodes"),
            "Pod" => ("", "v1", "pods"),
            "Event" => ("", "v1", "events"),
            "Namespace" => ("", "v1", "namespaces"),
            "CiliumNode" => ("cilium.io", "v2", "ciliumnodes"),
            "CiliumIdentity" => ("cilium.io", "v2", "ciliumidentities"),
            "CiliumEndpoint" => ("cilium.io", "v2", "ciliumendpoints"),
            "CiliumEndpointSlice" => ("cilium.io", "v2alpha1", "ciliumendpointslices"),
            "CiliumNetworkPolicy" => ("cilium.io", "v2", "ciliumnetworkpolicies"),
            "ClusterNetworkPolicy" => ("policy.networking.k8s.io", "v1alpha2", "clusternetworkpolicies"),
            "CustomResourceDefinition" => ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
            other => panic!("{other} is not known here"),
        };
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// Makes an object; kind, namespace and name are read from it.
    pub(crate) async fn create(&self, object: Value) -> Result<DynamicObject> {
        let kind = object["kind"].as_str().context("kind")?.to_owned();
        let namespace = object["metadata"]["namespace"].as_str().map(ToOwned::to_owned);
        let object: DynamicObject = serde_json::from_value(object)?;
        let created = self.api(&kind, namespace.as_deref()).create(&PostParams::default(), &object).await;
        created.with_context(|| format!("creating {kind} {:?}", object.metadata.name))
    }

    pub(crate) async fn patch(
        &self,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        patch: Value,
    ) -> Result<DynamicObject> {
        let api = self.api(kind, namespace);
        Ok(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?)
    }

    pub(crate) async fn patch_status(
        &self,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        patch: Value,
    ) -> Result<()> {
        let api = self.api(kind, namespace);
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    pub(crate) async fn delete(&self, kind: &str, namespace: Option<&str>, name: &str) -> Result<()> {
        let params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.api(kind, namespace).delete(name, &params).await?;
        Ok(())
    }

    /// An object as JSON; null if there is none.
    pub(crate) async fn get(&self, kind: &str, namespace: Option<&str>, name: &str) -> Result<Value> {
        let object = self.api(kind, namespace).get_opt(name).await?;
        Ok(serde_json::to_value(object)?)
    }

    pub(crate) async fn list(&self, kind: &str) -> Result<Vec<Value>> {
        let list = self.api(kind, None).list(&ListParams::default()).await?;
        list.items.into_iter().map(|item| Ok(serde_json::to_value(item)?)).collect()
    }

    /// Looks at an object until it is as it should be.
    pub(crate) async fn until(
        &self,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        right: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let object = self.get(kind, namespace, name).await?;
            if right(&object) {
                return Ok(object);
            }
            if Instant::now() > end {
                bail!("{}: {kind} {name} never became right: {object:#}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Looks at all objects of a kind until they are as they should be.
    pub(crate) async fn until_all(&self, kind: &str, right: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        let end = Instant::now() + PATIENCE;
        loop {
            let objects = self.list(kind).await?;
            if right(&objects) {
                return Ok(objects);
            }
            if Instant::now() > end {
                bail!("{}: {kind} never became right: {objects:#?}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Who leads, once it is somebody else than `not`.
    pub(crate) async fn leader(&self, not: &str) -> Result<String> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), "kube-system");
        let end = Instant::now() + PATIENCE;
        loop {
            let lease = api.get_opt(LEASE).await?;
            let holder = lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default();
            if !holder.is_empty() && holder != not {
                return Ok(holder);
            }
            if Instant::now() > end {
                bail!("{}: nobody leads but {holder:?}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A Node and its CiliumNode, as an agent makes it.
    pub(crate) async fn node(&self, name: &str) -> Result<()> {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        let uid = self.create(node).await?.metadata.uid;
        let owner = json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid});
        self.create(json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumNode", "spec": {},
            "metadata": {"name": name, "ownerReferences": [owner]},
        }))
        .await?;
        Ok(())
    }

    /// The pod CIDRs of a node, once it has some.
    pub(crate) async fn pod_cidrs(&self, node: &str) -> Result<Vec<String>> {
        let object = self.until("CiliumNode", None, node, |object| cidrs(object) != [""; 0]).await?;
        Ok(cidrs(&object))
    }

    /// A pod that is bound to a node.
    pub(crate) async fn pod(&self, name: &str, labels: Value) -> Result<String> {
        let pod = self
            .create(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "default", "labels": labels},
                "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "none"}]},
            }))
            .await?;
        pod.metadata.uid.context("uid")
    }

    /// What an agent publishes of a pod, in one piece: one whose pod is gone may be collected at once.
    pub(crate) async fn endpoint(&self, name: &str, pod_uid: &str, identity: u32) -> Result<()> {
        self.create(json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumEndpoint",
            "metadata": {
                "name": name, "namespace": "default",
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod_uid}],
            },
            "status": {
                "id": 7,
                "identity": {"id": identity, "labels": ["k8s:app=x"]},
                "networking": {"addressing": [{"ipv4": "10.44.0.9"}], "node": "192.0.2.1"},
                "state": "ready",
            },
        }))
        .await?;
        Ok(())
    }

    pub(crate) async fn identity(&self, number: u32, app: &str) -> Result<()> {
        self.create(json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumIdentity",
            "metadata": {"name": number.to_string()},
            "security-labels": {"k8s:app": app},
        }))
        .await?;
        Ok(())
    }
}

pub(crate) fn cidrs(node: &Value) -> Vec<String> {
    let list = node["spec"]["ipam"]["podCIDRs"].as_array().cloned().unwrap_or_default();
    list.iter().filter_map(|cidr| cidr.as_str().map(ToOwned::to_owned)).collect()
}

impl Operator {
    pub(crate) fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id())?))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid()?, signal)?;
        Ok(())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether the lease's holder is this process.
    pub(crate) fn is(&self, holder: &str) -> bool {
        self.log().contains(holder)
    }

    /// Waits until it has said something.
    pub(crate) async fn said(&self, words: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains(words) {
            if Instant::now() > end {
                bail!("never said {words:?}: {}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Waits until it has ended by itself; tells whether all was well.
    pub(crate) async fn ended(&mut self) -> Result<bool> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            if Instant::now() > end {
                bail!("does not end: {}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
        // One that was stopped is killed all the same.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
