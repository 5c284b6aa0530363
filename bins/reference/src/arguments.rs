use std::net::IpAddr;
use std::path::Path;

use crate::{Files, Version, definitions};

/// The range of services' addresses.
const SERVICES: &str = "10.96.0.0/16";

/// An etcd of one member on loopback. What it stores does not survive a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Etcd {
    /// The port for clients.
    pub clients: u16,
    /// The port that members would use among themselves.
    pub peers: u16,
}

impl Etcd {
    /// Where clients find it.
    #[must_use]
    pub fn url(self) -> String {
        format!("http://127.0.0.1:{}", self.clients)
    }

    /// What etcd is told, with its data in this directory.
    #[must_use]
    pub fn arguments(self, data: &Path) -> Vec<String> {
        let (clients, peers) = (self.url(), format!("http://127.0.0.1:{}", self.peers));
        vec![
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={clients}"),
            format!("--advertise-client-urls={clients}"),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster=default={peers}"),
            "--unsafe-no-fsync".to_owned(),
        ]
    }
}

/// A kube-apiserver with RBAC, and without a ServiceAccount for each pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiServer {
    /// Where it listens; an unspecified address means all.
    pub bind: IpAddr,
    /// The address that others are told.
    pub advertise: IpAddr,
    /// Its port.
    pub port: u16,
    /// Where it stores.
    pub etcd: Etcd,
}

impl ApiServer {
    /// What a kube-apiserver of this version is told.
    #[must_use]
    pub fn arguments(self, version: Version, files: &Files) -> Vec<String> {
        let mut arguments = vec![
            format!("--etcd-servers={}", self.etcd.url()),
            format!("--bind-address={}", self.bind),
            format!("--advertise-address={}", self.advertise),
            format!("--secure-port={}", self.port),
            format!("--tls-cert-file={}", files.certificate().display()),
            format!("--tls-private-key-file={}", files.key().display()),
            format!("--service-cluster-ip-range={SERVICES}"),
            format!("--token-auth-file={}", files.tokens().display()),
            "--authorization-mode=RBAC".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", files.accounts_public_key().display()),
            format!("--service-account-signing-key-file={}", files.accounts_key().display()),
            // Whoever starts it says himself where the API is.
            "--endpoint-reconciler-type=none".to_owned(),
            "--allow-privileged=true".to_owned(),
        ];
        let mut without = vec!["ServiceAccount"];
        if definitions::is_needed(version) {
            // It asks for kinds of a group that is off.
            without.push("DefaultIngressClass");
            let off: Vec<_> = definitions::REPLACED.iter().map(|group| format!("{group}=false")).collect();
            arguments.push(format!("--runtime-config={}", off.join(",")));
        }
        arguments.push(format!("--disable-admission-plugins={}", without.join(",")));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_told_what_to_leave_out() {
        let address = "127.0.0.1".parse().unwrap();
        let etcd = Etcd { clients: 1, peers: 2 };
        let server = ApiServer { bind: address, advertise: address, port: 3, etcd };
        let files = Files::of("/tmp".into());
        let says = |minor, part: &str| {
            server.arguments(Version::of_minor(minor), &files).iter().any(|argument| argument.contains(part))
        };
        for part in ["DefaultIngressClass", "--runtime-config=", "networking.k8s.io/v1=false"] {
            assert!(says(20, part) && says(21, part) && !says(22, part), "{part}");
        }
        assert!(says(20, "--etcd-servers=http://127.0.0.1:1") && says(33, "=ServiceAccount"));
    }
}
