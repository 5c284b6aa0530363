//! One suite against two servers: ours, and a real kube-apiserver with etcd where there is one.
//!
//! `KUBEBUILDER_ASSETS` (or `PATH`) leads to the real one. `NETLOOM_TEST_KUBECONFIG` names more servers that the suite
//! is to run against (paths with `:` between).

#![expect(clippy::needless_pass_by_value, reason = "JSON is written where it is passed")]

mod cases;
mod ours;
mod target;

use std::panic::AssertUnwindSafe;

use envtest::Server;
use futures_util::FutureExt;

use crate::target::Target;

/// Runs all cases, and tells of all that failed.
async fn run(target: &Target) {
    let mut failed = Vec::new();
    for (name, case) in cases::all() {
        eprintln!("{}: {name}", target.name);
        if AssertUnwindSafe(case(target)).catch_unwind().await.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{}: {failed:?} failed", target.name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours() {
    run(&Target::new("ours", Server::embedded().await.expect("server")).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real() {
    if let Some(server) = Server::reference("servers").await.expect("server") {
        run(&Target::new("real", server).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn named() {
    for server in Server::named().await.expect("servers") {
        run(&Target::new("named", server).await).await;
    }
}
