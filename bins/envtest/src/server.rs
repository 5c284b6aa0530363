use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use anyhow::{Context as _, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use reference::{Programs, Version};
use tempfile::TempDir;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::ability::{Ability, Kind};

/// The variable that names more servers.
const MORE: &str = "NETLOOM_TEST_KUBECONFIG";

/// An API server, and how to reach it. One that was started here ends with this value.
pub struct Server {
    name: String,
    kubeconfig: PathBuf,
    version: Version,
    // Dropped in this order: the server before its directory.
    runs: Runs,
    dir: TempDir,
}

enum Runs {
    Embedded {
        _server: apiserver::Server,
    },
    Reference {
        _server: reference::Server,
    },
    /// Nobody else's as long as this is held.
    Elsewhere {
        _turn: Arc<OwnedMutexGuard<()>>,
    },
}

/// Servers that others have started are there once: a test has them, and the others of its process wait.
static TURN: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);

/// The servers that a test can run against here: the embedded one, the real one, and those that the environment names.
/// Where there is no real one, says so on standard error, with the name of the test.
///
/// # Errors
///
/// When a server does not start or does not answer.
pub async fn servers(test: &str) -> Result<Vec<Server>> {
    let mut servers = vec![Server::embedded().await?];
    servers.extend(Server::reference(test).await?);
    servers.extend(Server::named().await?);
    Ok(servers)
}

impl Server {
    /// The embedded server, in this process.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub async fn embedded() -> Result<Self> {
        let dir = directory()?;
        let server = apiserver::Server::builder().start().await?;
        let kubeconfig = dir.path().join("kubeconfig");
        fs::write(&kubeconfig, server.kubeconfig()).with_context(|| kubeconfig.display().to_string())?;
        Self::new("the embedded server", kubeconfig, Runs::Embedded { _server: server }, dir).await
    }

    /// The real server, with RBAC. None where this machine has no such programs, which is said on standard error.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub async fn reference(test: &str) -> Result<Option<Self>> {
        let Some(programs) = Programs::find() else {
            eprintln!("skipped: no kube-apiserver and etcd in KUBEBUILDER_ASSETS or PATH ({test})");
            return Ok(None);
        };
        let dir = directory()?;
        let server = reference::Server::start(&programs, dir.path()).await?;
        let kubeconfig = server.kubeconfig().to_owned();
        let server =
            Self::new("kube-apiserver", kubeconfig, Runs::Reference { _server: server }, dir).await?;
        Ok(Some(server))
    }

    /// Those that the environment names. Waits until no other test of this process has them.
    ///
    /// # Errors
    ///
    /// When one of them does not answer.
    pub async fn named() -> Result<Vec<Self>> {
        let mut servers = Vec::new();
        let Some(paths) = env::var_os(MORE).filter(|paths| !paths.is_empty()) else { return Ok(servers) };
        let turn = Arc::new(Arc::clone(&TURN).lock_owned().await);
        for kubeconfig in env::split_paths(&paths) {
            let (name, runs) =
                (kubeconfig.display().to_string(), Runs::Elsewhere { _turn: Arc::clone(&turn) });
            servers.push(Self::new(&name, kubeconfig, runs, directory()?).await?);
        }
        Ok(servers)
    }

    async fn new(name: &str, kubeconfig: PathBuf, runs: Runs, dir: TempDir) -> Result<Self> {
        let client = Client::try_from(config(&kubeconfig).await?)?;
        let said = client.apiserver_version().await.with_context(|| format!("{name} tells no version"))?;
        let version = Version::read(&said.git_version)
            .with_context(|| format!("{name}: {:?} is no version", said.git_version))?;
        Ok(Self { name: name.to_owned(), kubeconfig, version, runs, dir })
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

    /// The version of Kubernetes whose behaviour it has.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether it does this.
    #[must_use]
    pub fn does(&self, ability: Ability) -> bool {
        let kind = match self.runs {
            Runs::Embedded { .. } => Kind::Embedded,
            Runs::Reference { .. } => Kind::Reference,
            Runs::Elsewhere { .. } => Kind::Named,
        };
        ability.is_of(kind, self.version)
    }

    /// Whether it does not do this, and so these cases are left out: says so on standard error.
    #[must_use]
    pub fn lacks(&self, ability: Ability, cases: &str) -> bool {
        let lacks = !self.does(ability);
        if lacks {
            eprintln!("skipped: {} ({}) has not got {ability}: {cases}", self.name, self.version);
        }
        lacks
    }

    /// Whether it was started here, and is nobody else's.
    #[must_use]
    pub fn is_own(&self) -> bool {
        !matches!(self.runs, Runs::Elsewhere { .. })
    }

    /// How clients reach it.
    ///
    /// # Errors
    ///
    /// When the kubeconfig cannot be read.
    pub async fn config(&self) -> Result<Config> {
        config(&self.kubeconfig).await
    }

    /// A client that may do everything.
    ///
    /// # Errors
    ///
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config().await?)?)
    }

    /// The output of kubectl, which must succeed; none where there is no kubectl, which is said on standard error.
    ///
    /// # Errors
    ///
    /// When kubectl fails.
    pub async fn kubectl(&self, args: &[&str]) -> Result<Option<String>> {
        let Some(program) = reference::find("kubectl") else {
            eprintln!("skipped: kubectl is not in PATH");
            return Ok(None);
        };
        let mut command = Command::new(program);
        // It keeps what it found out about servers in its user's home.
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.dir.path()).args(args);
        let said = || format!("{}: kubectl {}", self.name, args.join(" "));
        // The embedded server runs on this very runtime.
        let output = tokio::task::spawn_blocking(move || command.output()).await?.with_context(said)?;
        if !output.status.success() {
            bail!("{}: {}", said(), String::from_utf8_lossy(&output.stderr));
        }
        Ok(Some(String::from_utf8(output.stdout).with_context(said)?))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.version)
    }
}

fn directory() -> Result<TempDir> {
    tempfile::Builder::new().prefix("netloom-envtest-").tempdir().context("a directory for a test's server")
}

async fn config(kubeconfig: &Path) -> Result<Config> {
    let named = || kubeconfig.display().to_string();
    let file = Kubeconfig::read_from(kubeconfig).with_context(named)?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.with_context(named)
}
