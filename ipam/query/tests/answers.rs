//! What the clients make of answers that are none: servers that fail, go away, or talk nonsense.

use std::time::Duration;

use ec2_query::{Client, imds};
use vpc::contract::wire::{self, Scripted};

#[tokio::test]
async fn what_is_no_answer_of_ec2s() {
    let broken = wire::run(async |endpoint: &str| {
        Client::with_timeout(endpoint, Duration::from_millis(800)).expect("a client")
    })
    .await;
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn addresses_of_servers_are_checked() {
    for wrong in
        ["https://ec2.amazonaws.com", "127.0.0.1:80", "http://", "http://host/path", "http://host/?q", ""]
    {
        assert!(Client::new(wrong).is_err(), "{wrong}");
    }
    assert!(Client::new("http://[::1]:8080/").is_ok());
}

/// The metadata service is asked again, EC2 is not: reading twice does no harm.
#[tokio::test]
async fn the_metadata_service_is_asked_again() {
    let failed = Scripted::http("500 Internal Server Error", "");
    let answers = vec![
        failed.clone(),
        Scripted::http("200 OK", "token"),
        String::new(),
        Scripted::http("200 OK", "i-1"),
    ];
    let server = Scripted::start(answers).await.unwrap();
    let client = imds::Client::with_patience(server.endpoint(), Duration::from_secs(5), 3).unwrap();
    assert_eq!(client.get("instance-id").await.unwrap().as_deref(), Some("i-1"));
    assert_eq!(server.given(), 4);

    let server = Scripted::start(vec![failed]).await.unwrap();
    let client = imds::Client::with_patience(server.endpoint(), Duration::from_secs(5), 3).unwrap();
    let error = client.get("instance-id").await.unwrap_err();
    assert!(matches!(error, imds::Error::Status { .. }), "{error}");
    assert_eq!(server.given(), 3);
}

#[tokio::test]
async fn what_the_metadata_service_says_is_checked() {
    let answers = vec![
        Scripted::http("200 OK", "token"),
        Scripted::http("200 OK", "eni-1"),
        Scripted::http("200 OK", "first"),
    ];
    let server = Scripted::start(answers).await.unwrap();
    let client = imds::Client::with_patience(server.endpoint(), Duration::from_secs(5), 1).unwrap();
    let error = client.interface("02:00:00:00:00:01").await.unwrap_err();
    assert!(matches!(error, imds::Error::Value { ref value, .. } if value == "first"), "{error}");
    // A service that takes no token at all is not asked for ever.
    let answers = vec![Scripted::http("200 OK", "token"), Scripted::http("401 Unauthorized", "")];
    let server = Scripted::start(answers).await.unwrap();
    let client = imds::Client::with_patience(server.endpoint(), Duration::from_secs(5), 2).unwrap();
    let error = client.get("instance-id").await.unwrap_err();
    assert!(matches!(error, imds::Error::Status { .. }), "{error}");
}
