//! The whole agent, in a network namespace with an API server and without anything else.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use api::{Attachment, Client as Socket, ClientError, ErrorCode, PodRef, Reply, Request, Status};
use kube::Client;
use netcore::{Address, Net, Netns, VethEnd};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::support::{client, create, delete, eventually, get, namespace, node, pod, policy};

/// Where the node is.
pub(crate) const ADDRESS: &str = "192.0.2.1";

/// An agent of a node, and what it has on disk.
pub(crate) struct Node {
    directory: tempfile::TempDir,
    server: String,
    flags: Vec<String>,
    process: Option<Child>,
}

impl Node {
    pub(crate) fn new(server: String) -> Self {
        let flags = ["--ipam", "kubernetes"].map(str::to_owned).into();
        Self { directory: tempfile::tempdir().unwrap(), server, flags, process: None }
    }

    /// With these flags in place of the usual ones.
    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.flags = flags.iter().copied().map(str::to_owned).collect();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn start(&mut self) {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_netloom-agent"));
        command.args(["--node", "n1", "--k8s-api-server", &self.server]).args(&self.flags);
        for (flag, name) in [
            ("--state-dir", "state"),
            ("--bpffs", "bpf"),
            ("--socket", "agent.sock"),
            ("--cni-queue", "queue"),
            ("--write-cni-conf-when-ready", "net.d/05-cilium.conflist"),
        ] {
            command.arg(flag).arg(self.path(name));
        }
        command.arg("--cni-exclusive").stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
    }

    /// Tells it to end, and waits for that.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert!(process.wait().unwrap().success(), "{}", self.log());
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn ask(&self, request: &Request, netns: Option<&Netns>) -> Option<Reply> {
        let mut socket = Socket::connect(&self.path("agent.sock"), Duration::from_secs(20)).ok()?;
        match socket.call(request, netns.map(AsFd::as_fd)) {
            Err(ClientError::Refused(error)) => Some(Reply::Error(error)),
            reply => reply.ok(),
        }
    }

    pub(crate) fn status(&self) -> Option<Status> {
        match self.ask(&Request::Status, None)? {
            Reply::Status(status) => Some(*status),
            _ => None,
        }
    }

    pub(crate) async fn ready(&self) -> Status {
        eventually("the agent is ready", || async { self.status().filter(|status| status.ready) }).await
    }

    pub(crate) fn add(&self, netns: &Netns) -> Reply {
        let request = Request::Add {
            attachment: attachment(),
            pod: Some(PodRef { namespace: "shop".into(), name: "web".into() }),
            netns: String::new(),
            mtu: None,
        };
        self.ask(&request, Some(netns)).unwrap_or_else(|| panic!("no answer: {}", self.log()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = umount2(&self.path("bpf"), MntFlags::MNT_DETACH);
    }
}

fn attachment() -> Attachment {
    Attachment { container_id: "c1".into(), ifname: "eth0".into() }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs a test in a network namespace of its own that has an uplink.
pub(crate) fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    let netns = match Netns::anonymous() {
        Ok(netns) if nix::unistd::Uid::effective().is_root() => netns,
        _ => return eprintln!("skipped: an agent needs root and network namespaces"),
    };
    netns
        .run_in(|| {
            // Its threads are of this namespace too. What the test waits for without sleeping, they go on with.
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let net = Net::current().unwrap();
                net.set_up(net.link("lo").await.unwrap().index).await.unwrap();
                net.create_veth(&VethEnd::named("eth0").up(), &VethEnd::named("wire").up(), 1500)
                    .await
                    .unwrap();
                let uplink = net.link("eth0").await.unwrap().index;
                let address = format!("{ADDRESS}/24").parse().unwrap();
                net.add_address(&Address::new(uplink, address)).await.unwrap();
                test().await;
            });
        })
        .unwrap();
}

pub(crate) async fn furnish(client: &Client) {
    kubernetes::install::install(client, &crds::definitions()).await.unwrap();
    create(client, node("n1", ADDRESS)).await;
    create(client, namespace("shop")).await;
    create(client, pod("web", "n1")).await;
}

#[test]
fn a_pod_lives_through_restarts_of_agent_and_api() {
    in_namespace(lifetime);
}

async fn lifetime() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    let server = apiserver::Server::builder().journal(&journal).start().await.unwrap();
    let (url, address) = (server.url(), server.addresses()[0]);
    let client = client(&url).await;
    let mut node = Node::new(url);
    fs::create_dir(node.path("net.d")).unwrap();
    fs::write(node.path("net.d/10-other.conflist"), "{}").unwrap();

    // Started before the API has anything that it needs.
    node.start();
    eventually("the agent answers", || async { node.status() }).await;
    assert_eq!(
        names(&node.path("net.d")),
        ["10-other.conflist"],
        "nothing is promised before it can be kept"
    );
    furnish(&client).await;
    node.ready().await;
    eventually("the configuration is written", || async {
        (names(&node.path("net.d")) == ["05-cilium.conflist", "10-other.conflist.cilium_bak"]).then_some(())
    })
    .await;

    let pod_netns = Netns::anonymous().unwrap();
    let reply = node.add(&pod_netns);
    let Reply::Added(added) = reply else { panic!("{reply:?}\n{}", node.log()) };
    assert_eq!(added.addresses.len(), 1);
    let endpoint = eventually("the endpoint", || get(&client, "CiliumEndpoint", Some("shop"), "web")).await;
    let number = endpoint["status"]["identity"]["id"].as_u64().unwrap();
    assert!(number >= 256, "ADD waits for the number: {endpoint}");
    assert_eq!(endpoint["status"]["networking"]["node"], ADDRESS);

    create(&client, policy("p")).await;
    eventually("the policy is enforced", || async {
        node.status()?.endpoints.first()?.ingress_enforced.then_some(())
    })
    .await;
    eventually("the endpoint says so", || async {
        let endpoint = get(&client, "CiliumEndpoint", Some("shop"), "web").await?;
        (endpoint["status"]["policy"]["ingress"]["enforcing"] == json!(true)).then_some(())
    })
    .await;

    assert_eq!(http("127.0.0.1:9879", "/readyz").await.0, 200);
    let (code, metrics) = http("127.0.0.1:9962", "/metrics").await;
    assert_eq!(code, 200);
    for line in [
        "cilium_endpoint_state{endpoint_state=\"ready\"} 1",
        "cilium_policy 1",
        "cilium_ip_addresses{family=\"ipv4\"} 1",
        "cilium_kubernetes_events_total{scope=\"Pod\",action=\"set\"}",
        "cilium_k8s_client_api_calls_total{method=\"GET\",return_code=\"200\"}",
        "cilium_nodes_all_num 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }

    // The API goes away, then the agent is started again.
    server.stop().await;
    assert!(node.status().unwrap().ready, "without the API it goes on");
    node.stop();
    node.start();
    eventually("the agent answers", || async { node.status() }).await;
    let refused = node.add(&Netns::anonymous().unwrap());
    assert!(matches!(&refused, Reply::Error(error) if error.code == ErrorCode::NotReady), "{refused:?}");
    let status = node.status().unwrap();
    assert!(status.endpoints[0].ingress_enforced, "the datapath goes on: {status:?}");
    let net = Net::current().unwrap();
    assert!(net.link_names().await.unwrap().values().any(|name| *name == added.host_ifname));

    // The API is back.
    let server = apiserver::Server::builder().journal(&journal).listen(address).start().await.unwrap();
    let status = node.ready().await;
    assert_eq!(u64::from(status.endpoints[0].identity), number, "it is who it was");
    assert!(matches!(node.add(&pod_netns), Reply::Added(again) if again == added));

    let gone = node.ask(&Request::Del { attachment: attachment() }, None);
    assert!(matches!(gone, Some(Reply::Done)), "{gone:?}");
    eventually("the endpoint is gone", || async {
        get(&client, "CiliumEndpoint", Some("shop"), "web").await.is_none().then_some(())
    })
    .await;
    delete(&client, &pod("web", "n1")).await;
    node.stop();
    assert_eq!(names(&node.path("net.d")).len(), 2, "the configuration stays");
    server.stop().await;
}

/// The answer to a GET: its code, and what it says.
async fn http(address: &str, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    (code.unwrap_or_default(), answer)
}
