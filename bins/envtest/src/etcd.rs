use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::{Process, free_ports};

/// A running etcd without durability.
pub(crate) struct Etcd {
    pub(crate) url: String,
    pub(crate) process: Process,
}

impl Etcd {
    pub(crate) async fn start(program: &Path, dir: &Path) -> Result<Self> {
        let [clients, peers] = free_ports()?;
        let (url, peer_url) = (format!("http://127.0.0.1:{clients}"), format!("http://127.0.0.1:{peers}"));
        let mut command = Command::new(program);
        command
            .arg("--data-dir")
            .arg(dir.join("etcd"))
            .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .arg(format!("--initial-cluster=default={peer_url}"))
            .arg("--unsafe-no-fsync");
        let mut process = Process::start(command, &dir.join("etcd.log"))?;
        let give_up = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", clients)).is_err() {
            process.check()?;
            if Instant::now() > give_up {
                bail!("etcd does not listen");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { url, process })
    }
}
