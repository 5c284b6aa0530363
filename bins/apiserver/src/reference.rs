//! A real kube-apiserver with its etcd, started for tests and labs.

mod https;

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a server may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(90);
/// From this version on, the server knows `networking.k8s.io/v1` and `discovery.k8s.io/v1` as we use them.
const COMPLETE: (u32, u32) = (1, 22);
/// The token of the administrator.
const TOKEN: &str = "admin-token";

/// Why a real server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// A file can't be written or read.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program can't be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program ended, or was not ready in time.
    #[error("{program} is not ready: {why}")]
    NotReady {
        /// `etcd` or `kube-apiserver`.
        program: &'static str,
        /// Why, with the end of its log.
        why: String,
    },
    /// Its version can't be read.
    #[error("{} tells no version: {text:?}", program.display())]
    Version {
        /// The program.
        program: PathBuf,
        /// What it said.
        text: String,
    },
    /// Keys or certificates can't be made.
    #[error("cannot make keys: {0}")]
    Keys(#[from] rcgen::Error),
    /// The server refused something.
    #[error("the server refused {what}: {why}")]
    Refused {
        /// What was asked of it.
        what: String,
        /// Its answer.
        why: String,
    },
}

/// A real server that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Reference {
    /// Where it is.
    pub url: String,
    /// The bearer token of somebody who may do everything.
    pub token: String,
    /// The certificate that clients are to trust (PEM).
    pub certificate: PathBuf,
    /// A kubeconfig with both.
    pub kubeconfig: PathBuf,
    /// Its version.
    pub version: (u32, u32),
    // Ended in this order.
    _server: Process,
    _etcd: Process,
}

/// A program that ends when this is dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The real binaries on this machine: in the directory that `KUBEBUILDER_ASSETS` names, or in `PATH`.
pub fn find() -> Option<(PathBuf, PathBuf)> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = assets.into_iter().chain(std::env::split_paths(&path)).collect();
    let find = |name: &str| places.iter().map(|place| place.join(name)).find(|file| file.is_file());
    Some((find("kube-apiserver")?, find("etcd")?))
}

impl Reference {
    /// Starts etcd and kube-apiserver on free ports of 127.0.0.1, with their files in a directory. Blocks until the
    /// server is ready.
    pub fn start(kube_apiserver: &Path, etcd: &Path, dir: &Path) -> Result<Reference, ReferenceError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port(dir)?));
        Reference::start_on(kube_apiserver, etcd, dir, address)
    }

    /// The same, with the server on a given address and port.
    pub fn start_on(
        kube_apiserver: &Path,
        etcd: &Path,
        dir: &Path,
        address: SocketAddr,
    ) -> Result<Reference, ReferenceError> {
        std::fs::create_dir_all(dir)
            .map_err(|source| ReferenceError::File { path: dir.to_owned(), source })?;
        let version = version(kube_apiserver)?;
        let (client, peer) = (free_port(dir)?, free_port(dir)?);
        let etcd = start_etcd(etcd, dir, client, peer)?;
        let keys = Keys::write(dir, address.ip())?;
        let server = start_server(kube_apiserver, dir, address, client, version, &keys)?;
        let url = format!("https://{address}");
        let kubeconfig = dir.join("kubeconfig");
        write(&kubeconfig, &kubeconfig_text(&url, &keys.certificate))?;
        let mut reference = Reference {
            url,
            token: TOKEN.to_owned(),
            certificate: keys.certificate,
            kubeconfig,
            version,
            _server: server,
            _etcd: etcd,
        };
        reference.wait(address, &keys.pem)?;
        if version < COMPLETE {
            for definition in stand_ins() {
                let what = format!("definition {}", definition["metadata"]["name"]);
                let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
                match https::request(address, &keys.pem, TOKEN, "POST", path, &definition.to_string()) {
                    // It may be there from an earlier life.
                    Ok((200..=299 | 409, _)) => {}
                    Ok((_, why)) => return Err(ReferenceError::Refused { what, why }),
                    Err(error) => return Err(ReferenceError::Refused { what, why: error.to_string() }),
                }
            }
        }
        Ok(reference)
    }

    fn wait(&mut self, address: SocketAddr, pem: &str) -> Result<(), ReferenceError> {
        self._server.wait(|| {
            let answer = https::request(address, pem, TOKEN, "GET", "/readyz", "");
            let ready = matches!(answer, Ok((200, _)));
            // Without it nothing can be created in it.
            ready
                && matches!(
                    https::request(address, pem, TOKEN, "GET", "/api/v1/namespaces/default", ""),
                    Ok((200, _))
                )
        })
    }
}

impl Process {
    fn start(
        name: &'static str,
        program: &Path,
        dir: &Path,
        arguments: &[String],
    ) -> Result<Process, ReferenceError> {
        let log = dir.join(format!("{name}.log"));
        let file = |source| ReferenceError::File { path: log.clone(), source };
        let output = File::create(&log).map_err(file)?;
        let errors = output.try_clone().map_err(file)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| ReferenceError::Start { program: program.to_owned(), source })?;
        Ok(Process { child, name, log })
    }

    fn wait(&mut self, mut ready: impl FnMut() -> bool) -> Result<(), ReferenceError> {
        let until = Instant::now() + PATIENCE;
        while !ready() {
            let ended = self.child.try_wait().ok().flatten();
            if let Some(status) = ended {
                return Err(self.not_ready(&format!("it ended with {status}")));
            }
            if Instant::now() > until {
                return Err(self.not_ready("it takes too long"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn not_ready(&self, why: &str) -> ReferenceError {
        let mut log = String::new();
        let read = File::open(&self.log).and_then(|mut file| file.read_to_string(&mut log));
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        let end = if read.is_ok() { lines.join("\n") } else { "its log cannot be read".to_owned() };
        ReferenceError::NotReady { program: self.name, why: format!("{why}: {end}") }
    }
}

/// A port of 127.0.0.1 that nobody has at this moment.
fn free_port(dir: &Path) -> Result<u16, ReferenceError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|source| ReferenceError::File { path: dir.to_owned(), source })
}

fn write(path: &Path, text: &str) -> Result<(), ReferenceError> {
    std::fs::write(path, text).map_err(|source| ReferenceError::File { path: path.to_owned(), source })
}

/// `Kubernetes v1.20.2` is 1.20.
fn version(program: &Path) -> Result<(u32, u32), ReferenceError> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|source| ReferenceError::Start { program: program.to_owned(), source })?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    parse_version(&text).ok_or_else(|| ReferenceError::Version { program: program.to_owned(), text })
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (_, numbers) = text.split_once('v')?;
    let mut numbers = numbers.split(['.', '-', '+']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn start_etcd(program: &Path, dir: &Path, client: u16, peer: u16) -> Result<Process, ReferenceError> {
    let (client_url, peer_url) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let arguments = [
        format!("--data-dir={}", dir.join("etcd").display()),
        format!("--listen-client-urls={client_url}"),
        format!("--advertise-client-urls={client_url}"),
        format!("--listen-peer-urls={peer_url}"),
        format!("--initial-advertise-peer-urls={peer_url}"),
        format!("--initial-cluster=default={peer_url}"),
        "--unsafe-no-fsync".to_owned(),
    ];
    let mut etcd = Process::start("etcd", program, dir, &arguments)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, client));
    etcd.wait(|| matches!(https::plain(address, "/health"), Ok((200, _))))?;
    Ok(etcd)
}

/// Keys and certificates of a server.
struct Keys {
    certificate: PathBuf,
    pem: String,
    key: PathBuf,
    accounts: PathBuf,
    accounts_public: PathBuf,
    tokens: PathBuf,
}

impl Keys {
    fn write(dir: &Path, address: IpAddr) -> Result<Keys, ReferenceError> {
        let names = vec![
            address.to_string(),
            "127.0.0.1".into(),
            "localhost".into(),
            "kubernetes.default.svc".into(),
        ];
        let own = rcgen::generate_simple_self_signed(names)?;
        let accounts = rcgen::KeyPair::generate()?;
        let keys = Keys {
            certificate: dir.join("server.crt"),
            pem: own.cert.pem(),
            key: dir.join("server.key"),
            accounts: dir.join("accounts.key"),
            accounts_public: dir.join("accounts.pub"),
            tokens: dir.join("tokens.csv"),
        };
        write(&keys.certificate, &keys.pem)?;
        write(&keys.key, &own.signing_key.serialize_pem())?;
        write(&keys.accounts, &accounts.serialize_pem())?;
        write(&keys.accounts_public, &accounts.public_key_pem())?;
        write(&keys.tokens, &format!("{TOKEN},admin,admin,\"system:masters\"\n"))?;
        Ok(keys)
    }
}

fn start_server(
    program: &Path,
    dir: &Path,
    address: SocketAddr,
    etcd: u16,
    version: (u32, u32),
    keys: &Keys,
) -> Result<Process, ReferenceError> {
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        format!("--bind-address={}", address.ip()),
        format!("--advertise-address={}", address.ip()),
        format!("--secure-port={}", address.port()),
        format!("--cert-dir={}", dir.join("certs").display()),
        format!("--tls-cert-file={}", keys.certificate.display()),
        format!("--tls-private-key-file={}", keys.key.display()),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        format!("--token-auth-file={}", keys.tokens.display()),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", keys.accounts_public.display()),
        format!("--service-account-signing-key-file={}", keys.accounts.display()),
        "--allow-privileged=true".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
    ];
    if version < COMPLETE {
        // Definitions stand in for the groups that are off (see `stand_ins`).
        arguments.push("--disable-admission-plugins=ServiceAccount,DefaultIngressClass".to_owned());
        arguments.push(
            "--runtime-config=discovery.k8s.io/v1beta1=false,networking.k8s.io/v1=false,networking.k8s.io/v1beta1=false,extensions/v1beta1=false"
                .to_owned(),
        );
    } else {
        arguments.push("--disable-admission-plugins=ServiceAccount".to_owned());
    }
    Process::start("kube-apiserver", program, dir, &arguments)
}

/// Older servers drop `endPort` of policies and have no EndpointSlice v1: these definitions keep both as they come.
fn stand_ins() -> Vec<Value> {
    let kinds = [
        ("discovery.k8s.io", "endpointslices", "endpointslice", "EndpointSlice", None),
        ("networking.k8s.io", "networkpolicies", "networkpolicy", "NetworkPolicy", Some("netpol")),
    ];
    let definition = |(group, plural, singular, kind, short): (&str, &str, &str, &str, Option<&str>)| {
        let short: Vec<&str> = short.into_iter().collect();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.{group}"),
                // Asked of whoever defines kinds in Kubernetes' own groups.
                "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
            },
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"plural": plural, "singular": singular, "kind": kind, "shortNames": short},
                "versions": [{
                    "name": "v1",
                    "served": true,
                    "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                }],
            },
        })
    };
    kinds.into_iter().map(definition).collect()
}

fn kubeconfig_text(url: &str, certificate: &Path) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: reference\n  cluster:\n    server: {url}\n    certificate-authority: {}\nusers:\n- name: admin\n  user:\n    token: {TOKEN}\ncontexts:\n- name: reference\n  context:\n    cluster: reference\n    user: admin\ncurrent-context: reference\n",
        certificate.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("Kubernetes v1.20.2"), Some((1, 20)));
        assert_eq!(parse_version("Kubernetes v1.36.0-alpha.1+x"), Some((1, 36)));
        assert_eq!(parse_version("no idea"), None);
    }
}
