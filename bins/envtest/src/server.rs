use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use tempfile::TempDir;

use crate::binaries::find;
use crate::etcd::Etcd;
use crate::process::{Process, free_ports};

/// The variable that names more servers.
const MORE: &str = "NETLOOM_TEST_KUBECONFIG";
/// Who is not allowed anything is not this one.
const TOKEN: &str = "administrator";

/// An API server, and how to reach it.
pub struct Server {
    name: String,
    kubeconfig: PathBuf,
    // Dropped in this order: the server before what it stores in, and both before their directory.
    process: Option<Process>,
    etcd: Option<Etcd>,
    dir: Option<TempDir>,
}

/// The servers that this machine has: one that is started and stopped here, and those that the environment names.
/// Where it has none, says so on standard error, with the name of the test.
///
/// # Errors
///
/// When a server does not start, or is not ready in a minute.
pub async fn servers(test: &str) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    if let Some(server) = Server::start().await? {
        servers.push(server);
    }
    for kubeconfig in env::var_os(MORE).iter().flat_map(env::split_paths) {
        let name = kubeconfig.display().to_string();
        servers.push(Server { name, kubeconfig, process: None, etcd: None, dir: None });
    }
    if servers.is_empty() {
        eprintln!("skipped: no kube-apiserver and etcd in KUBEBUILDER_ASSETS or PATH ({test})");
    }
    Ok(servers)
}

impl Server {
    /// Starts etcd and kube-apiserver with RBAC; none where there are no such programs.
    ///
    /// # Errors
    ///
    /// When they do not start, or are not ready in a minute.
    pub async fn start() -> Result<Option<Self>> {
        let (Some(etcd), Some(program)) = (find("etcd"), find("kube-apiserver")) else { return Ok(None) };
        let dir = tempfile::Builder::new().prefix("netloom-envtest-").tempdir()?;
        let etcd = Etcd::start(&etcd, dir.path()).await?;
        let [port] = free_ports()?;
        let process = start_apiserver(&program, dir.path(), &etcd.url, port)?;
        let kubeconfig = dir.path().join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_text(port))?;
        let mut server = Self {
            name: "kube-apiserver".to_owned(),
            kubeconfig,
            process: Some(process),
            etcd: Some(etcd),
            dir: Some(dir),
        };
        server.ready().await?;
        Ok(Some(server))
    }

    async fn ready(&mut self) -> Result<()> {
        let client = self.client().await?;
        let give_up = Instant::now() + Duration::from_secs(60);
        loop {
            let error = match client.request_text(http::Request::get("/readyz").body(Vec::new())?).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if let Some(process) = &mut self.process {
                process.check()?;
            }
            if Instant::now() > give_up {
                bail!("{} is not ready: {error}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What to call it in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of a kubeconfig, for kubectl; its user may do everything.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// How clients reach it.
    ///
    /// # Errors
    ///
    /// When the kubeconfig cannot be read.
    pub async fn config(&self) -> Result<Config> {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig)?;
        Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }

    /// A client that may do everything.
    ///
    /// # Errors
    ///
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config().await?)?)
    }

    /// Whether it is this process's own kube-apiserver, with authentication, authorization and admission.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.process.is_some()
    }

    /// The process ids of kube-apiserver and etcd, where they are this process's own.
    #[must_use]
    pub fn processes(&self) -> Option<[u32; 2]> {
        Some([self.process.as_ref()?.id(), self.etcd.as_ref()?.process.id()])
    }

    /// Minor version, as 33 for 1.33.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub async fn minor_version(&self) -> Result<u32> {
        let version = self.client().await?.apiserver_version().await?;
        let digits: String = version.minor.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().with_context(|| format!("minor version {:?}", version.minor))
    }

    /// The output of kubectl, which must succeed; none where there is no kubectl.
    ///
    /// # Errors
    ///
    /// When kubectl fails.
    pub fn kubectl(&self, args: &[&str]) -> Result<Option<String>> {
        let Some(program) = find("kubectl") else { return Ok(None) };
        let output = Command::new(program).env("KUBECONFIG", &self.kubeconfig).args(args).output()?;
        if !output.status.success() {
            bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(Some(String::from_utf8(output.stdout)?))
    }

    /// A directory that goes with the server.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_ref().map(TempDir::path)
    }
}

fn start_apiserver(program: &Path, dir: &Path, etcd: &str, port: u16) -> Result<Process> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let (private, public) = (dir.join("sa.key"), dir.join("sa.pub"));
    fs::write(&private, key.serialize_pem())?;
    fs::write(&public, key.public_key_pem())?;
    let tokens = dir.join("tokens.csv");
    fs::write(&tokens, format!("{TOKEN},administrator,administrator,\"system:masters\"\n"))?;
    let mut command = Command::new(program);
    command
        .arg(format!("--etcd-servers={etcd}"))
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
        .arg(format!("--secure-port={port}"))
        .arg(format!("--cert-dir={}", dir.join("certificates").display()))
        .arg("--service-cluster-ip-range=10.96.0.0/16")
        .arg(format!("--token-auth-file={}", tokens.display()))
        .args(["--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount"])
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(format!("--service-account-key-file={}", public.display()))
        .arg(format!("--service-account-signing-key-file={}", private.display()))
        .args(["--endpoint-reconciler-type=none", "--allow-privileged=true"]);
    Process::start(command, &dir.join("kube-apiserver.log"))
}

fn kubeconfig_text(port: u16) -> String {
    // The server made its certificate itself a moment ago, for loopback.
    format!(
        r#"apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "https://127.0.0.1:{port}", insecure-skip-tls-verify: true}}}}]
users: [{{name: administrator, user: {{token: {TOKEN}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: administrator}}}}]
current-context: test
"#
    )
}
