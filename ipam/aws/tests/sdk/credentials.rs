//! Where credentials come from: what gives them is asked as it has to be, and EC2 is asked with them.

use std::fs;
use std::time::Duration;

use ec2_sdk::{Client, ConnectError};
use ipam::ec2::{Ec2 as _, ErrorKind, Reply, Request};
use vpc::http::{Asking, Server};
use vpc::{Cloud, Settings};

use crate::environment::{STATIC, block_on, inside, pass};
use crate::recorder::{Recorder, header};

const SESSION: &str = "ASIAFROMELSEWHERE";
const REGION: (&str, &str) = ("AWS_REGION", "eu-west-1");
const NO_METADATA: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");

fn vpcs() -> Request {
    Request::DescribeVpcs { ids: Vec::new() }
}

/// What all of these tests do in their own processes: EC2 is where the environment says, and answers.
async fn ec2_answers() {
    let client = Client::connect(None).await.expect("a client");
    for _ in 0..2 {
        assert_eq!(client.call(vpcs()).await, Ok(Reply::Vpcs(Vec::new())));
    }
}

async fn ec2() -> Recorder {
    Recorder::start(|_| ("200 OK", "<DescribeVpcsResponse><vpcSet/></DescribeVpcsResponse>".to_owned())).await
}

/// EC2 was asked twice, both times by the session, in the region.
fn is_signed(ec2: &Recorder, key: &str, region: &str, token: Option<&str>) {
    let requests = ec2.requests();
    assert_eq!(requests.len(), 2, "{requests:#?}");
    for request in &requests {
        let signature = header(request, "authorization").unwrap_or_default();
        assert!(signature.starts_with(&format!("AWS4-HMAC-SHA256 Credential={key}/")), "{request}");
        assert!(signature.contains(&format!("/{region}/ec2/aws4_request")), "{request}");
        assert_eq!(header(request, "x-amz-security-token"), token, "{request}");
        assert!(request.contains("Action=DescribeVpcs&Version=2016-11-15"), "{request}");
    }
}

/// What STS answers.
fn session(_: &str) -> (&'static str, String) {
    let body = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{SESSION}</AccessKeyId>\
         <SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken>\
         <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>\
         <AssumedRoleUser><AssumedRoleId>AROA:operator</AssumedRoleId>\
         <Arn>arn:aws:sts::123456789012:assumed-role/netloom/operator</Arn></AssumedRoleUser>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    );
    ("200 OK", body)
}

#[test]
fn a_service_account_has_a_role() {
    let test = "credentials::a_service_account_has_a_role";
    if inside(test, ec2_answers) {
        return;
    }
    block_on(async {
        let (ec2, sts) = (ec2().await, Recorder::start(session).await);
        let directory = tempfile::tempdir().expect("a directory");
        let token = directory.path().join("token");
        fs::write(&token, "eyJ.web.identity").expect("written");
        pass(
            test,
            &[
                REGION,
                NO_METADATA,
                ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/netloom"),
                ("AWS_ROLE_SESSION_NAME", "operator"),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().expect("a name")),
                ("AWS_ENDPOINT_URL_STS", &sts.endpoint()),
                ("AWS_ENDPOINT_URL_EC2", &ec2.endpoint()),
                // What speaks plain HTTP is asked without it.
                ("HTTP_PROXY", "http://127.0.0.1:9"),
                ("HTTPS_PROXY", "http://127.0.0.1:9"),
            ],
        );
        let [asked] = &sts.requests()[..] else { panic!("once: {:#?}", sts.requests()) };
        for part in [
            "Action=AssumeRoleWithWebIdentity",
            "WebIdentityToken=eyJ.web.identity",
            "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fnetloom",
            "RoleSessionName=operator",
        ] {
            assert!(asked.contains(part), "{part}: {asked}");
        }
        is_signed(&ec2, SESSION, "eu-west-1", Some("session"));
    });
}

#[test]
fn a_pod_has_an_identity() {
    let test = "credentials::a_pod_has_an_identity";
    if inside(test, ec2_answers) {
        return;
    }
    block_on(async {
        let agent = Recorder::start(|_| {
            let body = format!(
                "{{\"AccessKeyId\":\"{SESSION}\",\"SecretAccessKey\":\"secret\",\"Token\":\"session\",\
                 \"AccountId\":\"123456789012\",\"Expiration\":\"2999-01-01T00:00:00Z\"}}"
            );
            ("200 OK", body)
        });
        let (ec2, agent) = (ec2().await, agent.await);
        let directory = tempfile::tempdir().expect("a directory");
        let token = directory.path().join("eks-pod-identity-token");
        fs::write(&token, "eyJ.pod.identity").expect("written");
        pass(
            test,
            &[
                REGION,
                NO_METADATA,
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/v1/credentials", agent.endpoint())),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().expect("a name")),
                ("AWS_ENDPOINT_URL_EC2", &ec2.endpoint()),
                ("HTTP_PROXY", "http://127.0.0.1:9"),
            ],
        );
        let [asked] = &agent.requests()[..] else { panic!("once: {:#?}", agent.requests()) };
        assert!(asked.starts_with("GET /v1/credentials HTTP/1.1"), "{asked}");
        assert_eq!(header(asked, "authorization"), Some("eyJ.pod.identity"), "{asked}");
        is_signed(&ec2, SESSION, "eu-west-1", Some("session"));
    });
}

/// The metadata service gives the region too.
#[test]
fn an_instance_has_a_role() {
    let test = "credentials::an_instance_has_a_role";
    if inside(test, ec2_answers) {
        return;
    }
    block_on(async {
        let cloud = Cloud::new(Settings::default());
        let node = cloud.with(|region, _| {
            let vpc = region.add_vpc("10.0.0.0/16".parse().expect("a CIDR")).expect("a VPC");
            let subnet =
                region.add_subnet(&vpc, "10.0.1.0/24".parse().expect("a CIDR"), "a").expect("a subnet");
            region.add_instance("m5.large", &subnet).expect("an instance")
        });
        cloud.pass(Duration::ZERO);
        let any = "127.0.0.1:0".parse().expect("an address");
        let metadata = Server::metadata(cloud, any, Asking::Instance(node)).await.expect("a server");
        let ec2 = ec2().await;
        pass(
            test,
            &[
                ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{}", metadata.address())),
                ("AWS_ENDPOINT_URL_EC2", &ec2.endpoint()),
                ("HTTP_PROXY", "http://127.0.0.1:9"),
            ],
        );
        is_signed(&ec2, "ASIANETLOOMVPC000000", "eu-central-1", Some("none"));
    });
}

#[test]
fn the_environment_has_keys() {
    let test = "credentials::the_environment_has_keys";
    if inside(test, ec2_answers) {
        return;
    }
    block_on(async {
        let ec2 = ec2().await;
        pass(test, &[&STATIC[..], &[("AWS_ENDPOINT_URL_EC2", &ec2.endpoint())]].concat());
        is_signed(&ec2, "AKIASTATIC", "eu-central-1", None);
    });
}

/// Nothing is sent without credentials, so that nothing is ambiguous about it; and the reason is told.
#[test]
fn nobody_has_credentials() {
    let test = "credentials::nobody_has_credentials";
    let work = async || {
        let client = Client::connect(None).await.expect("a client");
        let error = client.call(vpcs()).await.expect_err("nothing to sign with");
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Denied, "NoCredentials"), "{error}");
    };
    if inside(test, work) {
        return;
    }
    block_on(async {
        let ec2 = ec2().await;
        let endpoint = ec2.endpoint();
        pass(test, &[REGION, NO_METADATA, ("AWS_ENDPOINT_URL_EC2", &endpoint)]);
        // A role that may not be taken on.
        let sts = Recorder::start(|_| {
            let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                        <Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error>\
                        </ErrorResponse>";
            ("403 Forbidden", body.to_owned())
        });
        let sts = sts.await;
        let directory = tempfile::tempdir().expect("a directory");
        let token = directory.path().join("token");
        fs::write(&token, "eyJ.web.identity").expect("written");
        pass(
            test,
            &[
                REGION,
                NO_METADATA,
                ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/netloom"),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().expect("a name")),
                ("AWS_ENDPOINT_URL_STS", &sts.endpoint()),
                ("AWS_ENDPOINT_URL_EC2", &endpoint),
            ],
        );
        assert!(!sts.requests().is_empty(), "it was asked");
        assert!(ec2.requests().is_empty(), "{:#?}", ec2.requests());
    });
}

#[test]
fn nobody_knows_the_region() {
    let test = "credentials::nobody_knows_the_region";
    let work = async || {
        let error = Client::connect(None).await.expect_err("no region");
        assert!(matches!(error, ConnectError::Region), "{error}");
    };
    if !inside(test, work) {
        pass(test, &[NO_METADATA]);
    }
}

/// Amazon's own endpoint is that of the region, and is reached by TLS, through a proxy if there is one.
#[test]
fn a_proxy_is_asked_for_the_regions_endpoint() {
    let test = "credentials::a_proxy_is_asked_for_the_regions_endpoint";
    let work = async || {
        let client = Client::connect(None).await.expect("a client");
        let error = client.call(vpcs()).await.expect_err("the proxy refuses");
        assert_eq!(error.kind, ErrorKind::Unanswered, "{error}");
    };
    if inside(test, work) {
        return;
    }
    block_on(async {
        let proxy = Recorder::start(|_| ("403 Forbidden", String::new())).await;
        pass(test, &[&STATIC[..], &[("HTTPS_PROXY", &proxy.endpoint())]].concat());
        let [asked] = &proxy.requests()[..] else { panic!("once: {:#?}", proxy.requests()) };
        assert!(asked.starts_with("CONNECT ec2.eu-central-1.amazonaws.com:443 HTTP/1.1"), "{asked}");
    });
}
