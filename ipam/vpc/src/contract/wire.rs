//! What clients make of answers that are none: servers that fail, go away, or talk nonsense.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipam::ec2::{
    AttachmentStatus, CreateInterface, DescribeInterfaces, Ec2, Error, ErrorKind, InterfaceStatus, Reply,
    Request, Tags,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Broken;
use super::world::{Verdict, same};

/// A server that gives each connection the next of some answers, the last one again and again.
#[derive(Debug)]
pub struct Scripted {
    endpoint: String,
    given: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Serves answers, each with its head; the answer [`Scripted::NEVER`] does not come for a minute.
    ///
    /// # Errors
    ///
    /// If nobody can listen on the loopback interface.
    pub async fn start(answers: Vec<String>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let given = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&given);
        let task = tokio::spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let answer = answers.get(number).or(answers.last()).cloned().unwrap_or_default();
                // A request of these tests fits into one read, or is not looked at.
                let _request = stream.read(&mut [0; 65_536]).await;
                if answer == Self::NEVER {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                let _gone = stream.write_all(answer.as_bytes()).await;
            }
        });
        Ok(Self { endpoint, given, task })
    }

    /// An answer that does not come.
    pub const NEVER: &str = "never";

    /// Its `http://` address.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How many connections it has seen.
    #[must_use]
    pub fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }

    /// An answer over HTTP.
    #[must_use]
    pub fn http(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Plays all cases with clients of the caller's, which are to give up within seconds, and returns those that were not as
/// they should.
pub async fn run<E: Ec2>(connect: impl AsyncFn(&str) -> E) -> Vec<(&'static str, Broken)> {
    let mut broken = Vec::new();
    let mut note = |case, verdict: Verdict| broken.extend(verdict.err().map(|error| (case, error)));
    for (case, answer) in nonsense() {
        note(case, is_ambiguous(&connect, describe(), answer).await);
    }
    for (case, body) in [
        ("another page", "<html></html>"),
        ("no", "<DetachNetworkInterfaceResponse><return>false</return></DetachNetworkInterfaceResponse>"),
        ("an empty page", ""),
    ] {
        let detach = Request::Detach { attachment_id: "eni-attach-1".to_owned() };
        note(case, is_ambiguous(&connect, detach, Scripted::http("200 OK", body)).await);
    }
    note("nobody there", nobody_there(&connect).await);
    note("a code", errors_are_known_by_their_codes(&connect).await);
    note("other servers", other_servers_answers_are_read(&connect).await);
    note("interfaces without IPv4", interfaces_without_ipv4_are_listed(&connect).await);
    note("subnets without IPv4", subnets_without_ipv4_are_left_out(&connect).await);
    note("unknown states", states_that_nobody_knows_cost_no_list(&connect).await);
    note("odd instance types", an_odd_instance_type_costs_no_list(&connect).await);
    note("a name that does not resolve", causes_are_told(&connect).await);
    note("made without IPv4", what_is_made_has_an_address(&connect).await);
    broken
}

fn describe() -> Request {
    Request::DescribeInterfaces(DescribeInterfaces::default())
}

fn nonsense() -> Vec<(&'static str, String)> {
    let set = "<DescribeNetworkInterfacesResponse><networkInterfaceSet><item><networkInterfaceId>eni-1\
               </networkInterfaceId></item></networkInterfaceSet></DescribeNetworkInterfacesResponse>";
    let http = Scripted::http;
    vec![
        ("nothing", String::new()),
        ("never", Scripted::NEVER.to_owned()),
        ("half an answer", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n<Desc".to_owned()),
        ("half a document", http("200 OK", "<DescribeNetworkInterfacesResponse><networkInterfaceSet>")),
        ("another document", http("200 OK", "<html></html>")),
        ("a proxy's page", http("502 Bad Gateway", "<html>Bad Gateway</html>")),
        ("no document", http("503 Service Unavailable", "")),
        ("an interface without a subnet", http("200 OK", set)),
        ("bytes", http("200 OK", "\u{1}\u{2}")),
    ]
}

async fn ask<E: Ec2>(
    connect: &impl AsyncFn(&str) -> E,
    request: Request,
    answer: String,
) -> Result<(Result<Reply, Error>, usize), Broken> {
    let server = Scripted::start(vec![answer]).await.map_err(|error| Broken(error.to_string()))?;
    let answered = connect(server.endpoint()).await.call(request).await;
    Ok((answered, server.given()))
}

/// Where it can't be known whether a request was carried out, the error says so; and it is sent once.
async fn is_ambiguous<E: Ec2>(
    connect: &impl AsyncFn(&str) -> E,
    request: Request,
    answer: String,
) -> Verdict {
    let (answered, sent) = ask(connect, request, answer).await?;
    match answered {
        Err(error) if error.kind.is_ambiguous() => same("connections", sent, 1),
        other => Err(Broken(format!("{other:?}"))),
    }
}

async fn nobody_there<E: Ec2>(connect: &impl AsyncFn(&str) -> E) -> Verdict {
    let free = Scripted::start(Vec::new()).await.map_err(|error| Broken(error.to_string()))?;
    let endpoint = free.endpoint().to_owned();
    free.task.abort();
    while !free.task.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    match connect(&endpoint).await.call(describe()).await {
        Err(error) if error.kind == ErrorKind::Unanswered && error.message.contains("refused") => Ok(()),
        other => Err(Broken(format!("the cause is not told: {other:?}"))),
    }
}

async fn errors_are_known_by_their_codes<E: Ec2>(connect: &impl AsyncFn(&str) -> E) -> Verdict {
    let body = "<?xml version=\"1.0\"?><Response><Errors><Error><Code>RequestLimitExceeded</Code>\
                <Message>a &lt;b&gt;</Message></Error></Errors><RequestID>1</RequestID></Response>";
    let (answered, sent) = ask(connect, describe(), Scripted::http("503 Service Unavailable", body)).await?;
    let known = answered.map_err(|error| (error.kind, error.message)).err();
    same("the error", known, Some((ErrorKind::Throttled, "a <b>".to_owned())))?;
    same("connections", sent, 1)
}

/// What real answers have, and the emulator's don't: namespaces, unknown elements, attachments to services, states of a
/// moment.
async fn other_servers_answers_are_read<E: Ec2>(connect: &impl AsyncFn(&str) -> E) -> Verdict {
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
    let (answered, _) = ask(connect, describe(), Scripted::http("200 OK", body)).await?;
    let Ok(Reply::Interfaces { interfaces, next_token }) = answered else {
        return Err(Broken(format!("no interfaces: {answered:?}")));
    };
    let [one] = &interfaces[..] else { return Err(Broken(format!("{interfaces:?}"))) };
    same("status and attachment", (one.status, &one.attachment), (InterfaceStatus::Available, &None))?;
    same("addresses", &one.secondary_addresses[..], &[std::net::Ipv4Addr::new(10, 0, 0, 6)][..])?;
    same("the rest", (one.kind.as_str(), one.prefixes.len(), one.tags.len()), ("interface", 0, 0))?;
    same("token", next_token.as_deref(), Some("more"))
}

/// What EC2 tells of an interface; `more` is of this one.
fn eni(id: &str, more: &str) -> String {
    format!(
        "<networkInterfaceId>{id}</networkInterfaceId><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>\
         <availabilityZone>eu-central-1a</availabilityZone><status>in-use</status>\
         <macAddress>02:00:00:00:00:01</macAddress>{more}"
    )
}

/// One interface that is EFA-only, or lies in a subnet that is IPv6-only, does not keep a cluster from its lists. Where it
/// is attached it still counts.
async fn interfaces_without_ipv4_are_listed<E: Ec2>(connect: &impl AsyncFn(&str) -> E) -> Verdict {
    let attachment = "<attachment><attachmentId>eni-attach-1</attachmentId><instanceId>i-1</instanceId>\
        <deviceIndex>1</deviceIndex><status>attached</status></attachment>";
    let efa = eni("eni-1", &format!("<interfaceType>efa-only</interfaceType>{attachment}"));
    let six = "<privateIpAddressesSet/><ipv6AddressesSet><item><ipv6Address>2001:db8::5</ipv6Address></item>\
        </ipv6AddressesSet><interfaceType>interface</interfaceType>";
    let six = eni("eni-2", six);
    let four = "<privateIpAddress>10.0.0.5</privateIpAddress><privateIpAddressesSet><item>\
        <privateIpAddress>10.0.0.5</privateIpAddress></item></privateIpAddressesSet>";
    let four = eni("eni-3", four);
    let body = format!(
        "<DescribeNetworkInterfacesResponse><networkInterfaceSet><item>{efa}</item><item>{six}</item>\
         <item>{four}</item></networkInterfaceSet></DescribeNetworkInterfacesResponse>"
    );
    let (answered, _) = ask(connect, describe(), Scripted::http("200 OK", &body)).await?;
    let Ok(Reply::Interfaces { interfaces, .. }) = answered else {
        return Err(Broken(format!("no interfaces: {answered:?}")));
    };
    let listed: Vec<_> = interfaces.iter().map(|one| (one.id.as_str(), one.has_ipv4())).collect();
    same("interfaces", listed, vec![("eni-1", false), ("eni-2", false), ("eni-3", true)])?;
    let number = interfaces[0].attachment.as_ref().map(|to| to.device_index);
    same("the device of one without IPv4", number, Some(1))
}

async fn subnets_without_ipv4_are_left_out<E: Ec2>(connect: &impl AsyncFn(&str) -> E) -> Verdict {
    let subnet = |id: &str, cidr: &str| {
        format!(
            "<item><subnetId>{id}</subnetId><vpcId>vpc-1</vpcId><availabilityZone>eu-central-1a</availabilityZone>\
             {cidr}<availableIpAddressCount>0</availableIpAddressCount><ipv6Native>{}</ipv6Native></item>",
            cidr.is_empty()
        )
    };
    let body = format!(
        "<DescribeSubnetsResponse><subnetSet>{}{}</subnetSet></DescribeSubnetsResponse>",
        subnet("subnet-1", ""),
        subnet("subnet-2", "<cidrBlock>10.0.2.0/24</cidrBlock>"),
    );
    let request = Request::DescribeSubnets { vpc_id: "vpc-1".to_owned(), next_token: None };
    let (answered, _) = ask(connect, request, Scripted::http("200 OK", &body)).await?;
    let Ok(Reply::Subnets { subnets, .. }) = answered else {
        return Err(Broken(format!("no subnets: {answered:?}")));
    };
    same("subnets", subnets.into_iter().map(|one| one.id).collect::<Vec<_>>(), vec!["subnet-2".to_owned()])
}

/// EC2 may have a state tomorrow that it has not today: the interface is listed, and the others are.
async fn states_that_nobody_knows_cost_no_list<E: Ec2>(connect: &impl AsyncFn(&str) -> E) -> Verdict {
    let attached = |status: &str| {
        format!(
            "<attachment><attachmentId>eni-attach-1</attachmentId><instanceId>i-1</instanceId>\
             <deviceIndex>1</deviceIndex><status>{status}</status></attachment>"
        )
    };
    let odd = eni("eni-1", &attached("attached")).replace("in-use", "hovering");
    let oddly_attached = eni("eni-2", &attached("wobbling"));
    let usual = eni("eni-3", &attached("attached"));
    let body = format!(
        "<DescribeNetworkInterfacesResponse><networkInterfaceSet><item>{odd}</item>\
         <item>{oddly_attached}</item><item>{usual}</item></networkInterfaceSet>\
         </DescribeNetworkInterfacesResponse>"
    );
    let (answered, _) = ask(connect, describe(), Scripted::http("200 OK", &body)).await?;
    let Ok(Reply::Interfaces { interfaces, .. }) = answered else {
        return Err(Broken(format!("no interfaces: {answered:?}")));
    };
    let states: Vec<_> =
        interfaces.iter().map(|one| (one.status, one.attachment.as_ref().map(|to| to.status))).collect();
    let (in_use, attached) = (InterfaceStatus::InUse, AttachmentStatus::Attached);
    let expected = vec![
        (InterfaceStatus::Unknown, Some(attached)),
        (in_use, Some(AttachmentStatus::Unknown)),
        (in_use, Some(attached)),
    ];
    same("states", states, expected)?;
    let odd: Vec<bool> = interfaces.iter().map(ipam::ec2::Interface::is_in_unknown_state).collect();
    same("odd ones", odd, vec![true, true, false])
}

/// A type with a hypervisor that nobody knows has its limits; one that tells none is left out.
async fn an_odd_instance_type_costs_no_list<E: Ec2>(connect: &impl AsyncFn(&str) -> E) -> Verdict {
    let limits = "<vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo><networkInfo>\
        <maximumNetworkInterfaces>3</maximumNetworkInterfaces>\
        <ipv4AddressesPerInterface>10</ipv4AddressesPerInterface></networkInfo>";
    let body = format!(
        "<DescribeInstanceTypesResponse><instanceTypeSet>\
         <item><instanceType>x9.odd</instanceType></item>\
         <item><instanceType>x9.large</instanceType><hypervisor>helium</hypervisor>{limits}</item>\
         <item><instanceType>m5.large</instanceType><hypervisor>nitro</hypervisor>{limits}</item>\
         </instanceTypeSet></DescribeInstanceTypesResponse>"
    );
    let names = ["x9.odd", "x9.large", "m5.large"].map(str::to_owned).to_vec();
    let request = Request::DescribeInstanceTypes { names, next_token: None };
    let (answered, _) = ask(connect, request, Scripted::http("200 OK", &body)).await?;
    let Ok(Reply::InstanceTypes { types, .. }) = answered else {
        return Err(Broken(format!("no types: {answered:?}")));
    };
    let told: Vec<_> =
        types.iter().map(|one| (one.name.as_str(), one.interfaces, one.has_prefixes())).collect();
    same("types", told, vec![("x9.large", 3, false), ("m5.large", 3, true)])
}

/// A name that is none is told as that, and not as a connection that failed.
async fn causes_are_told<E: Ec2>(connect: &impl AsyncFn(&str) -> E) -> Verdict {
    // A label of a name has at most 63 characters: no server has to be asked.
    let endpoint = format!("http://{}.invalid", "x".repeat(64));
    match connect(&endpoint).await.call(describe()).await {
        Err(error) if error.kind == ErrorKind::Unanswered && error.message.contains("dns") => Ok(()),
        other => Err(Broken(format!("the cause is not told: {other:?}"))),
    }
}

/// What was asked for with IPv4 has it, or the answer is none; the error names what it lacks.
async fn what_is_made_has_an_address<E: Ec2>(connect: &impl AsyncFn(&str) -> E) -> Verdict {
    let body = format!(
        "<CreateNetworkInterfaceResponse><networkInterface>{}</networkInterface></CreateNetworkInterfaceResponse>",
        eni("eni-1", "")
    );
    let request = Request::CreateInterface(CreateInterface {
        subnet_id: "subnet-1".to_owned(),
        security_groups: Vec::new(),
        description: String::new(),
        addresses: None,
        tags: Tags::new(),
        client_token: "t".to_owned(),
    });
    match ask(connect, request, Scripted::http("200 OK", &body)).await?.0 {
        Err(error) if error.kind.is_ambiguous() && error.message.contains("privateIpAddress") => {
            same("the code", error.code.as_str(), "Unreadable")
        }
        other => Err(Broken(format!("{other:?}"))),
    }
}
