//! The plugin under the CNI project's own library, as containerd and CRI-O use it.
//!
//! Debian has no `cnitool`, but it has the library that `cnitool` wraps: `apt install golang-go
//! golang-github-appc-cni-dev`. The test compiles a small client of it (`libcni.go`).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use api::{Reply, Request};
use serde_json::{Value, json};

use crate::support::{Netns, Runtime, added, agent};

/// Where Debian keeps the sources of Go libraries.
const GOPATH: &str = "/usr/share/gocode";

fn compile(into: &Path) -> Option<PathBuf> {
    let client = into.join("libcni");
    if !Path::new(GOPATH).join("src/github.com/containernetworking/cni/libcni").exists() {
        eprintln!("skipped: golang-github-appc-cni-dev is not installed");
        return None;
    }
    let go = Command::new("go")
        .args(["build", "-o"])
        .arg(&client)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cni/libcni.go"))
        .envs([("GOPATH", GOPATH), ("GO111MODULE", "off"), ("CGO_ENABLED", "0")])
        .env("GOCACHE", into.join("go-cache"))
        .output();
    match go {
        Err(error) => {
            eprintln!("skipped: go: {error}");
            None
        }
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            Some(client)
        }
    }
}

#[test]
fn the_reference_client_adds_checks_and_deletes() {
    let runtime = Runtime::new();
    let directory = runtime.directory.path();
    let (Some(client), Some(netns)) = (compile(directory), Netns::new()) else { return };
    let seen = agent(&runtime.socket(), |request| match request {
        Request::Add { .. } => Some(added()),
        _ => Some(Reply::Done),
    });
    let binary = Path::new(env!("CARGO_BIN_EXE_netloom-cni"));
    std::os::unix::fs::symlink(binary, directory.join("cilium-cni")).unwrap();

    for version in ["0.3.1", "0.4.0", "1.0.0"] {
        let list = json!({"cniVersion": version, "name": "test", "plugins": [runtime.config(version)]});
        std::fs::write(directory.join("10-test.conflist"), list.to_string()).unwrap();
        let call = |command: &str| call(&client, command, directory, &netns);

        call("version");
        let result: Value = serde_json::from_slice(&call("add").stdout).unwrap();
        assert_eq!(result["cniVersion"], version);
        assert_eq!(result["ips"][0]["address"], "10.244.1.5/32");
        let Request::Add { pod, .. } = seen.recv().unwrap().request else { panic!("no ADD") };
        assert_eq!(pod.unwrap().to_string(), "ns/p");
        if version != "0.3.1" {
            call("check");
            assert!(matches!(seen.recv().unwrap().request, Request::Check { .. }));
        }
        call("del");
        assert!(matches!(seen.recv().unwrap().request, Request::Del { .. }));
    }
}

fn call(client: &Path, command: &str, directory: &Path, netns: &Netns) -> Output {
    let mut process = Command::new(client);
    process.arg(command).arg(directory).arg(directory).arg("test").arg(netns.path());
    let output = process.output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    output
}
