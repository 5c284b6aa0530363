//! The metadata service, and its client.

use std::{net::Ipv4Addr, time::Duration};

use ec2_query::imds::{Client, Error};
use ipam::{
    Timestamp,
    ec2::{Addresses, Ec2 as _, Reply, Request},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};
use vpc::{
    Cloud, Settings,
    http::{Asking, Server},
};

struct Fixture {
    cloud: Cloud,
    node: String,
    server: Server,
    client: Client,
}

async fn fixture(asking: impl FnOnce(&str) -> Asking) -> Fixture {
    let cloud = Cloud::standing_still(Settings::default(), Timestamp(1_800_000_000_000));
    let node = cloud.with(|region, _| {
        let vpc = region.add_vpc("10.0.0.0/16".parse().unwrap()).unwrap();
        region.add_cidr(&vpc, "100.64.0.0/16".parse().unwrap()).unwrap();
        let subnet = region.add_subnet(&vpc, "10.0.1.0/24".parse().unwrap(), "b").unwrap();
        region.add_instance("m5.large", &subnet).unwrap()
    });
    cloud.pass(Duration::ZERO);
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::metadata(cloud.clone(), any, asking(&node)).await.unwrap();
    let endpoint = format!("http://{}", server.address());
    let client = Client::with_patience(&endpoint, Duration::from_secs(10), 2).unwrap();
    Fixture { cloud, node, server, client }
}

#[tokio::test]
async fn an_instance_learns_what_it_is() {
    let fixture = fixture(|node| Asking::Instance(node.to_owned())).await;
    let eth0 = fixture.cloud.with(|region, _| region.primary_interface(&fixture.node).unwrap().clone());
    let is = fixture.client.instance().await.unwrap();
    assert_eq!(is.id, fixture.node);
    assert_eq!((is.instance_type.as_str(), is.mac), ("m5.large", eth0.mac.clone()));
    assert_eq!((is.availability_zone.as_str(), is.region.as_str()), ("eu-central-1b", "eu-central-1"));
    assert_eq!(fixture.client.macs().await.unwrap(), std::slice::from_ref(&eth0.mac));

    let request = Request::Assign { interface_id: eth0.id.clone(), addresses: Addresses::PrefixCount(2) };
    let Ok(Reply::Assigned(assigned)) = fixture.cloud.call(request).await else { panic!("not assigned") };
    let interface = fixture.client.interface(&eth0.mac).await.unwrap().unwrap();
    assert_eq!((interface.id, interface.subnet_id, interface.vpc_id), (eth0.id, eth0.subnet_id, eth0.vpc_id));
    assert_eq!((interface.device_index, interface.network_card), (0, 0));
    assert_eq!((interface.addresses, interface.prefixes), (vec![eth0.primary_address], assigned.prefixes));
    assert_eq!(interface.security_groups, eth0.security_groups);
    assert_eq!(interface.subnet_cidr, "10.0.1.0/24".parse().unwrap());
    let cidrs: Vec<String> = interface.vpc_cidrs.iter().map(ToString::to_string).collect();
    assert_eq!(cidrs, ["10.0.0.0/16", "100.64.0.0/16"]);
    assert_eq!(fixture.client.interface("02:00:00:00:00:01").await.unwrap(), None);
    assert_eq!(fixture.client.get("public-ipv4").await.unwrap(), None);
}

#[tokio::test]
async fn a_token_that_ended_is_renewed() {
    let fixture = fixture(|node| Asking::Instance(node.to_owned())).await;
    fixture.client.instance().await.unwrap();
    fixture.cloud.pass(Duration::from_secs(21_601));
    assert_eq!(fixture.client.instance().await.unwrap().id, fixture.node);
}

/// Each instance hears of itself, on one listener for all: their addresses are those of the loopback interface here.
#[tokio::test]
async fn who_asks_is_known_by_the_address() {
    let cloud = Cloud::standing_still(Settings::default(), Timestamp(1_800_000_000_000));
    let nodes = cloud.with(|region, _| {
        let vpc = region.add_vpc("127.7.0.0/16".parse().unwrap()).unwrap();
        let subnet = region.add_subnet(&vpc, "127.7.1.0/24".parse().unwrap(), "a").unwrap();
        let id = |region: &mut vpc::Region| region.add_instance("m5.large", &subnet).unwrap();
        [id(region), id(region)]
    });
    let server =
        Server::metadata(cloud.clone(), "127.0.0.1:0".parse().unwrap(), Asking::ByAddress).await.unwrap();
    for node in nodes {
        let address = cloud.with(|region, _| region.primary_interface(&node).unwrap().primary_address);
        let put = "PUT /latest/api/token HTTP/1.1\r\nx-aws-ec2-metadata-token-ttl-seconds: 60";
        let (given, token) = exchange_from(address, &server, put).await.unwrap();
        assert_eq!(given, 200);
        let read = format!("GET /latest/meta-data/instance-id HTTP/1.1\r\nx-aws-ec2-metadata-token: {token}");
        assert_eq!(exchange_from(address, &server, &read).await, Some((200, node)));
        let other = Ipv4Addr::new(127, 7, 1, 1);
        assert_eq!(exchange_from(other, &server, &read).await, None, "nobody's address");
    }
    // Nor does a client hear anything that is nobody's instance.
    let client =
        Client::with_patience(&format!("http://{}", server.address()), Duration::from_secs(10), 1).unwrap();
    let error = client.instance().await.unwrap_err();
    assert!(matches!(error, Error::Unanswered { .. }), "{error}");
}

/// The status and the text of an answer to a request as it goes over the wire.
async fn exchange(server: &Server, request: &str) -> (u16, String) {
    exchange_from(Ipv4Addr::LOCALHOST, server, request).await.unwrap()
}

/// The same from an address; nothing where no answer comes.
async fn exchange_from(from: Ipv4Addr, server: &Server, request: &str) -> Option<(u16, String)> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(server.address()).await.unwrap();
    stream.write_all(format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A connection that is closed without an answer may be reset.
    let _length = stream.read_to_string(&mut answer).await;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

async fn status(server: &Server, request: &str) -> u16 {
    exchange(server, request).await.0
}

#[tokio::test]
async fn version_2_alone_is_spoken() {
    let fixture = fixture(|node| Asking::Instance(node.to_owned())).await;
    let server = &fixture.server;
    let lifetime = "x-aws-ec2-metadata-token-ttl-seconds";
    let token = format!("PUT /latest/api/token HTTP/1.1\r\n{lifetime}: ");
    let (given, text) = exchange(server, &format!("{token}60")).await;
    let read = format!("GET /latest/meta-data/instance-id HTTP/1.1\r\nx-aws-ec2-metadata-token: {text}");
    assert_eq!((given, exchange(server, &read).await), (200, (200, fixture.node.clone())));
    fixture.cloud.pass(Duration::from_secs(60));
    assert_eq!(status(server, &read).await, 401, "its time is over");
    assert_eq!(status(server, &format!("{token}0")).await, 400);
    assert_eq!(status(server, &format!("{token}21601")).await, 400);
    assert_eq!(status(server, "PUT /latest/api/token HTTP/1.1").await, 400);
    assert_eq!(status(server, &format!("{token}60\r\nX-Forwarded-For: 10.0.0.1")).await, 403);
    assert_eq!(status(server, "GET /latest/meta-data/instance-id HTTP/1.1").await, 401);
    let wrong = "GET /latest/meta-data/instance-id HTTP/1.1\r\nx-aws-ec2-metadata-token: x";
    assert_eq!(status(server, wrong).await, 401);
    assert_eq!(status(server, "DELETE /latest/meta-data/ HTTP/1.1").await, 405);
}
