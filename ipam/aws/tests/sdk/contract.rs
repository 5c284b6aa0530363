//! The contract that all clients of EC2 keep.

use std::time::Duration;

use ec2_sdk::{Client, ConnectError};
use vpc::Cloud;
use vpc::contract::{self, Served, wire};

use crate::environment::{STATIC, inside, pass};

async fn connect(cloud: Cloud) -> Served<Client> {
    let client =
        async |at: &str| Client::with_timeout(Some(at), Duration::from_secs(20)).await.expect("a client");
    Served::start(cloud, client).await.expect("a server")
}

#[test]
fn the_client_keeps_the_contract() {
    let test = "contract::the_client_keeps_the_contract";
    let work = async || {
        let broken = contract::run(connect).await;
        assert!(broken.is_empty(), "{broken:#?}");
    };
    if !inside(test, work) {
        pass(test, &STATIC);
    }
}

#[test]
fn what_is_no_answer_of_ec2s() {
    let test = "contract::what_is_no_answer_of_ec2s";
    let work = async || {
        let broken = wire::run(async |endpoint: &str| {
            Client::with_timeout(Some(endpoint), Duration::from_secs(2)).await.expect("a client")
        })
        .await;
        assert!(broken.is_empty(), "{broken:#?}");
    };
    if !inside(test, work) {
        pass(test, &STATIC);
    }
}

#[test]
fn addresses_of_servers_are_checked() {
    let test = "contract::addresses_of_servers_are_checked";
    let work = async || {
        for wrong in ["127.0.0.1:80", "http://", "ftp://host", "ec2.eu-central-1.amazonaws.com", ""] {
            let error = Client::connect(Some(wrong)).await.expect_err(wrong);
            assert!(matches!(error, ConnectError::Endpoint { .. }), "{wrong}: {error}");
        }
        Client::connect(Some("https://vpce-1.ec2.eu-central-1.vpce.amazonaws.com"))
            .await
            .expect("an endpoint");
    };
    if !inside(test, work) {
        pass(test, &STATIC);
    }
}
