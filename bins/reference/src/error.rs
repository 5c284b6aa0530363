use std::path::PathBuf;

use kubernetes::install::InstallError;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The machine has no port left.
    #[error("no free port on 127.0.0.1")]
    Port(#[source] std::io::Error),
    /// A program cannot be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program ended, or was not ready in time.
    #[error("{} is not ready: {why}", program.display())]
    NotReady {
        /// The program.
        program: PathBuf,
        /// Why, with the end of its log.
        why: String,
    },
    /// What a program says of its version is none.
    #[error("{} tells no version: {said:?}", program.display())]
    Version {
        /// The program.
        program: PathBuf,
        /// What it said.
        said: String,
    },
    /// Keys or certificates cannot be made.
    #[error("cannot make keys")]
    Keys(#[from] rcgen::Error),
    /// The kubeconfig leads to no client.
    #[error("cannot use the kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What an old server lacks cannot be defined.
    #[error("cannot define what the server lacks")]
    Definitions(#[from] InstallError),
}
