//! One suite against two servers: ours, and a real kube-apiserver with etcd where there is one.
//!
//! `KUBEBUILDER_ASSETS` (or `PATH`) leads to the real one. `NETLOOM_TEST_KUBECONFIG` names more servers that the suite
//! is to run against (paths with `:` between).

#![expect(clippy::needless_pass_by_value, reason = "JSON is written where it is passed")]

mod cases;
mod ours;
mod target;

use std::panic::AssertUnwindSafe;

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
    let server = apiserver::Server::builder().start().await.expect("server");
    let target = Target::new("ours", &server.kubeconfig(), (1, 33), true).await;
    run(&target).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real() {
    let Some((kube_apiserver, etcd)) = apiserver::reference::find() else {
        eprintln!("skipped: no kube-apiserver and etcd in KUBEBUILDER_ASSETS or PATH");
        return;
    };
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().to_owned();
    let start = move || apiserver::reference::Reference::start(&kube_apiserver, &etcd, &path);
    let reference = tokio::task::spawn_blocking(start).await.expect("thread").expect("reference");
    let kubeconfig = std::fs::read_to_string(&reference.kubeconfig).expect("kubeconfig");
    run(&Target::new("real", &kubeconfig, reference.version, false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn named() {
    let paths = std::env::var_os("NETLOOM_TEST_KUBECONFIG").unwrap_or_default();
    for path in std::env::split_paths(&paths).filter(|path| path.is_file()) {
        let kubeconfig = std::fs::read_to_string(path).expect("kubeconfig");
        run(&Target::new("named", &kubeconfig, (1, 33), false).await).await;
    }
}
