//! Servers are believed by the machine's root certificates, and by no others.

use std::fs;
use std::sync::Arc;

use ec2_sdk::Client;
use ipam::ec2::{Ec2 as _, ErrorKind};
use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use crate::credentials::{ec2_answers, no_vpcs, vpcs};
use crate::environment::{STATIC, block_on, inside, pass};
use crate::recorder::Recorder;

/// A server for `localhost`, and its certificate as a file has it.
fn server() -> (TlsAcceptor, String) {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a configuration");
    (TlsAcceptor::from(Arc::new(config)), cert.pem())
}

/// Runs a test's own process with the server's certificate for its only root, or with another's; tells how often the
/// server was asked.
fn asked(test: &str, is_known: bool) -> usize {
    block_on(async {
        let (acceptor, known) = server();
        let root = if is_known { known } else { server().1 };
        let ec2 = Recorder::start_tls(acceptor, no_vpcs).await;
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("ca.pem");
        fs::write(&file, root).expect("written");
        let endpoint = ec2.address().replace("127.0.0.1", "https://localhost");
        let file = file.to_str().expect("a name");
        pass(test, &[&STATIC[..], &[("SSL_CERT_FILE", file), ("AWS_ENDPOINT_URL_EC2", &endpoint)]].concat());
        ec2.requests().len()
    })
}

#[test]
fn a_known_server_is_believed() {
    let test = "tls::a_known_server_is_believed";
    if !inside(test, ec2_answers) {
        assert_eq!(asked(test, true), 2);
    }
}

#[test]
fn another_server_is_told_nothing() {
    let test = "tls::another_server_is_told_nothing";
    let work = async || {
        let client = Client::connect(None).await.expect("a client");
        let error = client.call(vpcs()).await.expect_err("nobody knows it");
        assert_eq!(error.kind, ErrorKind::Unanswered, "{error}");
        assert!(error.message.contains("certificate"), "the cause is told: {error}");
    };
    if !inside(test, work) {
        assert_eq!(asked(test, false), 0);
    }
}
