//! What cases are played in.

use std::fmt::Debug;

use ipam::{
    Timestamp,
    ec2::{
        Addresses, Assigned, CreateInterface, DescribeInterfaces, Ec2, Error, ErrorKind, Interface, Reply,
        Request, Subnet, Tags,
    },
};

use crate::{Cloud, Refusal, Settings, Spelling};

/// Why a case is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub(super) String);

/// How a case ends.
pub(super) type Verdict = Result<(), Broken>;

/// A VPC of 10.0.0.0/16 and 100.64.0.0/16 with three subnets in zone a, a group, an instance, and a client.
pub struct World<E> {
    /// The region.
    pub cloud: Cloud,
    /// Who is tested.
    pub client: E,
    /// The VPC.
    pub vpc: String,
    /// 10.0.1.0/24: 251 addresses, 14 blocks.
    pub subnet: String,
    /// 10.0.2.0/27: 27 addresses, no block.
    pub small: String,
    /// 100.64.0.0/20.
    pub pods: String,
    /// A security group.
    pub group: String,
    /// A running m5.large: 3 interfaces of 10 addresses.
    pub node: String,
    /// Its primary interface.
    pub eth0: String,
}

impl<E: Ec2> World<E> {
    pub(super) async fn build(connect: &impl AsyncFn(Cloud) -> E) -> Result<Self, Broken> {
        let settings = Settings { seed: 1, spelling: Spelling::Code, ..Settings::default() };
        let cloud = Cloud::standing_still(settings, Timestamp(1_800_000_000_000));
        let built = cloud.with(|region, _| {
            let net = |cidr: &str| cidr.parse().map_err(|_| Refusal::value(cidr));
            let vpc = region.add_vpc(net("10.0.0.0/16")?)?;
            region.add_cidr(&vpc, net("100.64.0.0/16")?)?;
            let subnet = region.add_subnet(&vpc, net("10.0.1.0/24")?, "a")?;
            let small = region.add_subnet(&vpc, net("10.0.2.0/27")?, "a")?;
            let pods = region.add_subnet(&vpc, net("100.64.0.0/20")?, "a")?;
            let group = region.add_security_group(&vpc, "nodes")?;
            let node = region.add_instance("m5.large", &subnet)?;
            region.advance(region.now());
            let eth0 = region.primary_interface(&node).map(|one| one.id.clone()).unwrap_or_default();
            Ok((vpc, subnet, small, pods, group, node, eth0))
        });
        let (vpc, subnet, small, pods, group, node, eth0) =
            built.map_err(|refusal: Refusal| Broken(refusal.to_string()))?;
        let client = connect(cloud.clone()).await;
        Ok(Self { cloud, client, vpc, subnet, small, pods, group, node, eth0 })
    }

    /// No invariant is broken.
    pub(super) fn is_sound(&self) -> Verdict {
        same("violations", self.cloud.with(|region, _| region.check()), Vec::new())
    }

    pub(super) async fn call(&self, request: Request) -> Result<Reply, Error> {
        self.client.call(request).await
    }

    pub(super) async fn done(&self, request: Request) -> Verdict {
        let what = format!("{request:?}");
        same(&what, self.call(request).await, Ok(Reply::Done))
    }

    /// The request is refused with this code, which means this.
    pub(super) async fn refused(&self, request: Request, kind: ErrorKind, code: &str) -> Verdict {
        let what = format!("{request:?}");
        match self.call(request).await {
            Err(error) => same(&what, (error.kind, error.code.as_str()), (kind, code)),
            Ok(reply) => Err(Broken(format!("{what} is answered with {reply:?}"))),
        }
    }

    pub(super) async fn assign(&self, interface_id: &str, addresses: Addresses) -> Result<Assigned, Broken> {
        match self.call(assign(interface_id, addresses)).await {
            Ok(Reply::Assigned(assigned)) => Ok(assigned),
            other => Err(Broken(format!("Assign is answered with {other:?}"))),
        }
    }

    pub(super) async fn create(&self, create: CreateInterface) -> Result<Interface, Broken> {
        match self.call(Request::CreateInterface(create)).await {
            Ok(Reply::Created(interface)) => Ok(*interface),
            other => Err(Broken(format!("Create is answered with {other:?}"))),
        }
    }

    /// Attaches an interface and waits until the instance sees it; returns the attachment's id.
    pub(super) async fn attach(&self, interface_id: &str, device_index: u32) -> Result<String, Broken> {
        match self.call(attach(interface_id, &self.node, device_index)).await {
            Ok(Reply::Attached { attachment_id }) => Ok(attachment_id),
            other => Err(Broken(format!("Attach is answered with {other:?}"))),
        }
    }

    pub(super) async fn list(&self, describe: DescribeInterfaces) -> Result<Vec<Interface>, Broken> {
        match self.call(Request::DescribeInterfaces(describe)).await {
            Ok(Reply::Interfaces { interfaces, .. }) => Ok(interfaces),
            other => Err(Broken(format!("Describe is answered with {other:?}"))),
        }
    }

    pub(super) async fn interface(&self, id: &str) -> Result<Interface, Broken> {
        let found = self.list(by_id(id)).await?;
        found.into_iter().next().ok_or_else(|| Broken(format!("{id} is not described")))
    }

    pub(super) async fn subnet(&self, id: &str) -> Result<Subnet, Broken> {
        let request = Request::DescribeSubnets { vpc_id: self.vpc.clone(), next_token: None };
        let Ok(Reply::Subnets { subnets, .. }) = self.call(request).await else {
            return Err(Broken("subnets are not described".to_owned()));
        };
        subnets.into_iter().find(|one| one.id == id).ok_or_else(|| Broken(format!("{id} is not described")))
    }

    /// A request to make an interface in a subnet.
    pub(super) fn new_in(&self, subnet: &str, token: &str, addresses: Option<Addresses>) -> CreateInterface {
        CreateInterface {
            subnet_id: subnet.to_owned(),
            security_groups: vec![self.group.clone()],
            description: "netloom <test> & more".to_owned(),
            addresses,
            tags: Tags::from([
                ("cluster".to_owned(), "blue".to_owned()),
                ("empty".to_owned(), String::new()),
            ]),
            client_token: token.to_owned(),
        }
    }
}

/// Something is as it should be.
#[expect(clippy::needless_pass_by_value, reason = "as assert_eq takes values")]
pub(super) fn same<T: Debug + PartialEq>(what: &str, is: T, should: T) -> Verdict {
    if is == should {
        return Ok(());
    }
    Err(Broken(format!("{what}: is {is:?}, should be {should:?}")))
}

/// Something holds.
pub(super) fn holds(what: &str, holds: bool) -> Verdict {
    if holds { Ok(()) } else { Err(Broken(what.to_owned())) }
}

pub(super) fn by_id(id: &str) -> DescribeInterfaces {
    DescribeInterfaces { ids: vec![id.to_owned()], ..DescribeInterfaces::default() }
}

pub(super) fn by_filter(name: &str, value: &str) -> DescribeInterfaces {
    let filters = vec![(name.to_owned(), vec![value.to_owned()])];
    DescribeInterfaces { filters, ..DescribeInterfaces::default() }
}

pub(super) fn assign(interface_id: &str, addresses: Addresses) -> Request {
    Request::Assign { interface_id: interface_id.to_owned(), addresses }
}

pub(super) fn attach(interface_id: &str, instance_id: &str, device_index: u32) -> Request {
    Request::Attach {
        interface_id: interface_id.to_owned(),
        instance_id: instance_id.to_owned(),
        device_index,
    }
}

pub(super) fn detach(attachment_id: &str) -> Request {
    Request::Detach { attachment_id: attachment_id.to_owned() }
}

pub(super) fn delete(interface_id: &str) -> Request {
    Request::DeleteInterface { interface_id: interface_id.to_owned() }
}

/// A prefix or an address that a case names.
pub(super) fn net<T: std::str::FromStr>(text: &str) -> Result<T, Broken> {
    text.parse().map_err(|_| Broken(format!("{text} is no network")))
}
