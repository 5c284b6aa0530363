//! kube-apiserver and etcd: what they are told.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::certificates::Files;
use crate::paths::Paths;
use crate::plan;

/// etcd's address in the fabric's namespace, which nobody else uses.
const ETCD: &str = "http://127.0.0.1:2379";
/// The address that etcd's members would use among themselves.
const ETCD_PEERS: &str = "http://127.0.0.1:2380";
/// The first minor version that serves `discovery.k8s.io/v1`.
const SLICES: u32 = 21;

/// The arguments of etcd. It forgets what a crash of the machine would lose: nothing of a lab survives that.
pub(super) fn etcd(paths: &Paths) -> Vec<String> {
    vec![
        format!("--data-dir={}", paths.api().join("etcd").display()),
        format!("--listen-client-urls={ETCD}"),
        format!("--advertise-client-urls={ETCD}"),
        format!("--listen-peer-urls={ETCD_PEERS}"),
        format!("--initial-advertise-peer-urls={ETCD_PEERS}"),
        format!("--initial-cluster=default={ETCD_PEERS}"),
        "--unsafe-no-fsync".to_owned(),
    ]
}

/// The arguments of kube-apiserver.
pub(super) fn kube_apiserver(program: &Path, files: &Files, ipv4_only: bool) -> Result<Vec<String>> {
    let any = if ipv4_only { "0.0.0.0" } else { "::" };
    let mut arguments = vec![
        format!("--etcd-servers={ETCD}"),
        format!("--bind-address={any}"),
        format!("--advertise-address={}", plan::api()[0].ip()),
        format!("--secure-port={}", plan::API_PORT),
        format!("--tls-cert-file={}", files.certificate().display()),
        format!("--tls-private-key-file={}", files.key().display()),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        format!("--token-auth-file={}", files.tokens().display()),
        "--authorization-mode=RBAC".to_owned(),
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", files.accounts_public_key().display()),
        format!("--service-account-signing-key-file={}", files.accounts_key().display()),
        // The lab says itself where the API is.
        "--endpoint-reconciler-type=none".to_owned(),
        "--allow-privileged=true".to_owned(),
    ];
    if minor_version(program)? < SLICES {
        // What these lack is served as custom resources.
        let without = "discovery.k8s.io/v1beta1=false,networking.k8s.io/v1=false,networking.k8s.io/v1beta1=false,\
                       extensions/v1beta1=false";
        arguments.push(format!("--runtime-config={without}"));
        arguments.push("--disable-admission-plugins=ServiceAccount,DefaultIngressClass".to_owned());
    }
    Ok(arguments)
}

/// Whether this kube-apiserver is so old that slices and policies have to be served as custom resources.
pub(super) fn is_old(program: &Path) -> Result<bool> {
    Ok(minor_version(program)? < SLICES)
}

fn minor_version(program: &Path) -> Result<u32> {
    let failed = || format!("cannot ask {} for its version", program.display());
    let output = Command::new(program).arg("--version").output().with_context(failed)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    minor(&said).with_context(|| format!("{}: {said:?} is no version", program.display()))
}

/// The 33 of `Kubernetes v1.33.0`.
fn minor(said: &str) -> Option<u32> {
    said.trim().rsplit_once('v')?.1.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions() {
        assert_eq!(super::minor("Kubernetes v1.33.0\n"), Some(33));
        assert_eq!(super::minor("Kubernetes v1.20.2-alpha+dirty"), Some(20));
        assert_eq!(super::minor("none"), None);
    }
}
