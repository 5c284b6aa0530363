//! A small agent at the other end of the socket, and the plugin as a runtime starts it.

use std::io::{IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use api::{Envelope, ErrorCode, ErrorReply, InterfaceReply, PROTOCOL_VERSION, Reply, Request};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::stat::fstat;
use serde_json::{Value, json};

/// A request that the agent was sent, and the inode of the descriptor beside it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) request: Request,
    pub(crate) inode: Option<u64>,
}

/// Listens on `socket` and answers every request with what `answer` says; `None` hangs up.
pub(crate) fn agent(
    socket: &Path,
    answer: impl Fn(&Request) -> Option<Reply> + Send + 'static,
) -> Receiver<Seen> {
    agent_of_version(socket, PROTOCOL_VERSION, answer)
}

pub(crate) fn agent_of_version(
    socket: &Path,
    version: u32,
    answer: impl Fn(&Request) -> Option<Reply> + Send + 'static,
) -> Receiver<Seen> {
    let listener = UnixListener::bind(socket).unwrap();
    let (sender, seen) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some((request, descriptor)) = receive(&mut stream) else { continue };
            let reply = answer(&request);
            let inode = descriptor.map(|fd| fstat(fd.as_fd()).unwrap().st_ino);
            if sender.send(Seen { request, inode }).is_err() {
                return;
            }
            if let Some(reply) = reply {
                let bytes = api::encode(&Envelope { version, body: reply }).unwrap();
                let _ = stream.write_all(&bytes);
            }
        }
    });
    seen
}

fn receive(stream: &mut UnixStream) -> Option<(Request, Option<OwnedFd>)> {
    let mut head = [0; 4];
    let mut space = nix::cmsg_space!([i32; 4]);
    let (got, descriptor) = {
        let mut parts = [IoSliceMut::new(&mut head)];
        let message =
            recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
                .unwrap();
        let mut descriptors = Vec::new();
        for control in message.cmsgs().unwrap() {
            if let ControlMessageOwned::ScmRights(fds) = control {
                descriptors.extend(fds.into_iter().map(own));
            }
        }
        assert!(descriptors.len() <= 1, "one descriptor at most");
        (message.bytes, descriptors.pop())
    };
    if got == 0 {
        return None;
    }
    stream.read_exact(&mut head[got..]).unwrap();
    let mut body = vec![0; api::decode_length(head).unwrap()];
    stream.read_exact(&mut body).unwrap();
    let envelope: Envelope<Request> = serde_json::from_slice(&body).unwrap();
    assert_eq!(envelope.version, PROTOCOL_VERSION);
    Some((envelope.body, descriptor))
}

#[expect(unsafe_code, reason = "a received descriptor comes as a number")]
fn own(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, and nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// What an agent answers that has connected a pod.
pub(crate) fn added() -> Reply {
    Reply::Added(InterfaceReply {
        mac: "02:00:00:00:00:02".into(),
        host_ifname: "nl12345678".into(),
        host_mac: "02:6e:6c:00:00:01".into(),
        addresses: vec!["10.244.1.5/32".parse().unwrap(), "fd00:10:244:1::5/128".parse().unwrap()],
        gateways: vec!["169.254.1.1".parse().unwrap(), "fe80::1".parse().unwrap()],
        mtu: 1500,
    })
}

/// What an agent answers that refuses.
pub(crate) fn refused(code: ErrorCode) -> Reply {
    Reply::Error(ErrorReply { code, message: format!("refused: {code:?}") })
}

/// A directory with a socket, a queue and a log, and the plugin to call.
pub(crate) struct Runtime {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) netns: PathBuf,
}

/// What a call printed and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) elapsed: Duration,
}

impl Outcome {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn code(&self) -> u64 {
        assert!(!self.success, "{self:?}");
        self.json()["code"].as_u64().unwrap()
    }
}

impl Runtime {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), netns: "/proc/self/ns/net".into() }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("agent.sock")
    }

    pub(crate) fn queue(&self) -> api::DelQueue {
        api::DelQueue::new(self.directory.path().join("queue"))
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn config(&self, version: &str) -> Value {
        json!({
            "cniVersion": version, "name": "test", "type": "cilium-cni", "mtu": 1400,
            "socket": self.socket(), "queue-dir": self.directory.path().join("queue"),
            "log-file": self.directory.path().join("log"), "enable-debug": true,
        })
    }

    pub(crate) fn call(&self, command: &str, config: &Value) -> Outcome {
        self.call_with(command, config, &[])
    }

    pub(crate) fn call_with(&self, command: &str, config: &Value, variables: &[(&str, &str)]) -> Outcome {
        let start = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_netloom-cni"))
            .env_clear()
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", "c1")
            .env("CNI_IFNAME", "eth0")
            .env("CNI_NETNS", &self.netns)
            .env("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p")
            .env("CNI_PATH", "/opt/cni/bin")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(config.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Outcome {
            success: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            elapsed: start.elapsed(),
        }
    }
}

/// A network namespace of its own: that of a process which ends when this is dropped.
pub(crate) struct Netns {
    holder: std::process::Child,
}

impl Netns {
    /// None where namespaces cannot be made here.
    pub(crate) fn new() -> Option<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut ready = [0; 6];
        let said = holder.stdout.as_mut().map(|out| out.read_exact(&mut ready));
        let netns = Self { holder };
        if matches!(said, Some(Ok(()))) {
            Some(netns)
        } else {
            eprintln!("skipped: no network namespace can be made here");
            None
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.id()).into()
    }

    pub(crate) fn inode(&self) -> u64 {
        std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(self.path()).unwrap())
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
