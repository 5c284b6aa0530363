//! A server under test, and what the cases need of it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use axum::http::Request;
use envtest::{Ability, Server, Version};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::Value;

/// A server under test.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) client: Client,
    /// Whether owners and namespaces are collected: with a real server, that is another program's work.
    pub(crate) collects: bool,
    server: Server,
}

impl Target {
    pub(crate) async fn new(name: &'static str, server: Server) -> Target {
        let client = server.client().await.expect("client");
        Target { name, client, collects: server.does(Ability::Collection), server }
    }

    /// Whether the server is of this version of Kubernetes at least.
    pub(crate) fn is_at_least(&self, major: u32, minor: u32) -> bool {
        self.server.version() >= Version { major, minor }
    }

    /// A namespace of its own for a case.
    pub(crate) async fn namespace(&self) -> String {
        let metadata = ObjectMeta { generate_name: Some("case-".into()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let api: Api<Namespace> = Api::all(self.client.clone());
        let made = api.create(&PostParams::default(), &namespace).await.expect("namespace");
        made.metadata.name.expect("name")
    }

    /// A request as it is written. Returns the status and the body.
    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        accept: &str,
        body: &str,
    ) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .header("accept", accept)
            .body(body.as_bytes().to_vec())
            .expect("request");
        match self.client.request_text(request).await {
            Ok(text) => (200, serde_json::from_str(&text).unwrap_or(Value::String(text))),
            Err(kube::Error::Api(status)) => (status.code, serde_json::to_value(&*status).expect("status")),
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// JSON in, JSON out.
    pub(crate) async fn json(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.raw(method, path, "application/json", "application/json", &body).await
    }

    /// Runs `kubectl` with something on its standard input. Returns whether it succeeded, and all that it printed.
    pub(crate) async fn kubectl(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (kubeconfig, input) = (self.server.kubeconfig().to_owned(), input.to_owned());
        tokio::task::spawn_blocking(move || kubectl(&kubeconfig, &arguments, &input)).await.expect("thread")
    }
}

/// A client for a kubeconfig.
pub(crate) async fn client(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).expect("kubeconfig");
    let config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("config");
    Client::try_from(config).expect("client")
}

fn kubectl(kubeconfig: &Path, arguments: &[String], input: &str) -> (bool, String) {
    use std::io::Write;
    use std::process::Stdio;
    let home = kubeconfig.parent().expect("directory");
    let mut child = Command::new("kubectl")
        .args(arguments)
        .args(["--request-timeout=20s"])
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl");
    // It may not read all of it.
    let _ = child.stdin.take().expect("stdin").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("kubectl");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Waits until something is so.
pub(crate) async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut check: F) {
    for _ in 0..200 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not so after ten seconds");
}
