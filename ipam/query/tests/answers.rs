//! What the clients make of answers that are none: servers that fail, go away, or talk nonsense.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ec2_query::{Client, imds};
use ipam::ec2::{Ec2 as _, Error, ErrorKind, InterfaceStatus, Reply, Request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A server that gives each connection the next of these answers, the last one again and again; and how many it gave.
async fn server(answers: Vec<String>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let given = Arc::new(AtomicUsize::new(0));
    let counter = given.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let number = counter.fetch_add(1, Ordering::SeqCst);
            let answer = answers[number.min(answers.len() - 1)].clone();
            // A request of these tests fits into one read.
            let _request = stream.read(&mut [0; 65_536]).await;
            if answer == "never" {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    (endpoint, given)
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn describe() -> Request {
    Request::DescribeInterfaces(ipam::ec2::DescribeInterfaces::default())
}

async fn ask(answer: String) -> (Result<Reply, Error>, usize) {
    let (endpoint, given) = server(vec![answer]).await;
    let client = Client::with_timeout(&endpoint, Duration::from_millis(800)).unwrap();
    let result = client.call(describe()).await;
    (result, given.load(Ordering::SeqCst))
}

/// Where it can't be known whether a request was carried out, the error says so; and it is sent once.
#[tokio::test]
async fn what_cannot_be_read_is_ambiguous() {
    let set = "<R><networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId></item></networkInterfaceSet></R>";
    for (what, answer) in [
        ("nothing", String::new()),
        ("never", "never".to_owned()),
        ("half an answer", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n<Desc".to_owned()),
        ("half a document", http("200 OK", "<DescribeNetworkInterfacesResponse><networkInterfaceSet>")),
        ("another document", http("200 OK", "<html></html>")),
        ("a proxy's page", http("502 Bad Gateway", "<html>Bad Gateway</html>")),
        ("no document", http("503 Service Unavailable", "")),
        ("an interface without addresses", http("200 OK", set)),
        ("bytes", http("200 OK", "\u{1}\u{2}")),
    ] {
        let (result, sent) = ask(answer).await;
        let error = result.expect_err(what);
        assert!(error.kind.is_ambiguous(), "{what}: {error}");
        assert_eq!(sent, 1, "{what}");
    }
}

#[tokio::test]
async fn nobody_there_is_ambiguous_too() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = Client::new(&format!("http://{free}")).unwrap();
    let error = client.call(describe()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unanswered, "{error}");
    assert!(error.message.contains("refused"), "the cause is told: {error}");
}

#[tokio::test]
async fn errors_are_known_by_their_codes() {
    let body = "<?xml version=\"1.0\"?><Response><Errors><Error><Code>RequestLimitExceeded</Code>\
                <Message>a &lt;b&gt;</Message></Error></Errors><RequestID>1</RequestID></Response>";
    let error = ask(http("503 Service Unavailable", body)).await.0.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Throttled, "a <b>"));
}

/// What real answers have, and the emulator's don't: namespaces, unknown elements, attachments to services, states of a moment.
#[tokio::test]
async fn other_servers_answers_are_read() {
    let body = "<DescribeNetworkInterfacesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
        <requestId>1</requestId><networkInterfaceSet><item>\
        <networkInterfaceId>eni-1</networkInterfaceId><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>\
        <availabilityZone>eu-central-1a</availabilityZone><description/><status>pending</status>\
        <macAddress>02:00:00:00:00:01</macAddress><privateIpAddress>10.0.0.5</privateIpAddress>\
        <association><publicIp>198.51.100.1</publicIp></association>\
        <attachment><attachmentId>ela-attach-1</attachmentId><instanceOwnerId>amazon-aws</instanceOwnerId>\
        <deviceIndex>1</deviceIndex><status>attached</status></attachment>\
        <privateIpAddressesSet><item><privateIpAddress>10.0.0.5</privateIpAddress><primary>true</primary></item>\
        <item><privateIpAddress>10.0.0.6</privateIpAddress><primary>false</primary></item></privateIpAddressesSet>\
        </item></networkInterfaceSet><nextToken>more</nextToken></DescribeNetworkInterfacesResponse>";
    let Ok(Reply::Interfaces { interfaces, next_token }) = ask(http("200 OK", body)).await.0 else {
        panic!("no interfaces");
    };
    let one = &interfaces[0];
    assert_eq!((one.status, &one.attachment), (InterfaceStatus::Available, &None));
    assert_eq!(one.secondary_addresses, ["10.0.0.6".parse::<std::net::Ipv4Addr>().unwrap()]);
    assert_eq!((one.kind.as_str(), one.prefixes.len(), one.tags.len()), ("interface", 0, 0));
    assert_eq!(next_token.as_deref(), Some("more"));
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
    let failed = http("500 Internal Server Error", "");
    let answers = vec![failed.clone(), http("200 OK", "token"), String::new(), http("200 OK", "i-1")];
    let (endpoint, given) = server(answers).await;
    let client = imds::Client::with_patience(&endpoint, Duration::from_secs(5), 3).unwrap();
    assert_eq!(client.get("instance-id").await.unwrap().as_deref(), Some("i-1"));
    assert_eq!(given.load(Ordering::SeqCst), 4);

    let (endpoint, given) = server(vec![failed]).await;
    let client = imds::Client::with_patience(&endpoint, Duration::from_secs(5), 3).unwrap();
    let error = client.get("instance-id").await.unwrap_err();
    assert!(matches!(error, imds::Error::Status { .. }), "{error}");
    assert_eq!(given.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn what_the_metadata_service_says_is_checked() {
    let answers = vec![http("200 OK", "token"), http("200 OK", "eni-1"), http("200 OK", "first")];
    let (endpoint, _) = server(answers).await;
    let client = imds::Client::with_patience(&endpoint, Duration::from_secs(5), 1).unwrap();
    let error = client.interface("02:00:00:00:00:01").await.unwrap_err();
    assert!(matches!(error, imds::Error::Value { ref value, .. } if value == "first"), "{error}");
    // A service that takes no token at all is not asked for ever.
    let answers = vec![http("200 OK", "token"), http("401 Unauthorized", "")];
    let (endpoint, _) = server(answers).await;
    let client = imds::Client::with_patience(&endpoint, Duration::from_secs(5), 2).unwrap();
    let error = client.get("instance-id").await.unwrap_err();
    assert!(matches!(error, imds::Error::Status { .. }), "{error}");
}
