//! Whatever is asked for, and whatever goes wrong, the region stays sound; and the same seed gives the same
//! history.

use std::time::Duration;

use ipam::{
    Timestamp,
    ec2::{Interface, Tags},
};
use proptest::{prelude::*, strategy::ValueTree as _};
use vpc::{
    Answer, Call, Chance, CreateInterface, Event, Failure, Fault, Lags, Listing, Modify, Operation, Outcome,
    Query, Region, ReservationKind, RunInstances, Settings, Wanted,
};

/// A step: numbers choose among what there is, so that most requests name something.
#[derive(Clone, Debug)]
enum Step {
    Create { subnet: usize, wanted: Choice, token: u8 },
    Assign { interface: usize, wanted: Choice, reassign: bool },
    Unassign { interface: usize, address: usize, prefix: usize },
    Attach { interface: usize, instance: usize, index: u32 },
    Detach { interface: usize },
    Delete { interface: usize },
    Keep { interface: usize, delete: bool },
    Run { subnet: usize, kind: usize },
    Terminate { instance: usize },
    Reserve { subnet: usize, block: u8, kind: bool },
    Tag { interface: usize },
    Describe,
    Pass { milliseconds: u64 },
}

/// What addresses are asked for.
#[derive(Clone, Debug)]
enum Choice {
    Nothing,
    Count(u32),
    PrefixCount(u32),
    Named {
        subnet: usize,
        offset: u8,
    },
    /// A secondary address that somebody has.
    Had(usize),
    NamedPrefix {
        subnet: usize,
        offset: u8,
    },
}

const TYPES: [&str; 4] = ["m5.large", "t3.micro", "m4.large", "m5.metal"];

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Nothing),
        (0..12_u32).prop_map(Choice::Count),
        (0..5_u32).prop_map(Choice::PrefixCount),
        (0..3_usize, any::<u8>()).prop_map(|(subnet, offset)| Choice::Named { subnet, offset }),
        any::<usize>().prop_map(Choice::Had),
        (0..3_usize, any::<u8>()).prop_map(|(subnet, offset)| Choice::NamedPrefix { subnet, offset }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let one = || 0..8_usize;
    prop_oneof![
        4 => (0..3_usize, choice(), 0..20_u8)
            .prop_map(|(subnet, wanted, token)| Step::Create { subnet, wanted, token }),
        5 => (one(), choice(), any::<bool>())
            .prop_map(|(interface, wanted, reassign)| Step::Assign { interface, wanted, reassign }),
        4 => (one(), one(), one())
            .prop_map(|(interface, address, prefix)| Step::Unassign { interface, address, prefix }),
        4 => (one(), one(), 0..4_u32)
            .prop_map(|(interface, instance, index)| Step::Attach { interface, instance, index }),
        2 => one().prop_map(|interface| Step::Detach { interface }),
        2 => one().prop_map(|interface| Step::Delete { interface }),
        1 => (one(), any::<bool>()).prop_map(|(interface, delete)| Step::Keep { interface, delete }),
        1 => (0..3_usize, 0..4_usize).prop_map(|(subnet, kind)| Step::Run { subnet, kind }),
        1 => one().prop_map(|instance| Step::Terminate { instance }),
        1 => (0..3_usize, any::<u8>(), any::<bool>())
            .prop_map(|(subnet, block, kind)| Step::Reserve { subnet, block, kind }),
        1 => one().prop_map(|interface| Step::Tag { interface }),
        1 => Just(Step::Describe),
        3 => (0..5_000_u64).prop_map(|milliseconds| Step::Pass { milliseconds }),
    ]
}

/// A region, what was made in it, and what time it is.
struct Play {
    region: Region,
    subnets: Vec<(String, ipnetwork::Ipv4Network)>,
    instances: Vec<String>,
    now: Timestamp,
}

impl Play {
    fn new(settings: Settings) -> Self {
        let mut region = Region::new(settings);
        let vpc = region.add_vpc("10.0.0.0/16".parse().unwrap()).unwrap();
        // Small, so that they are often full.
        let cidrs = ["10.0.0.0/25", "10.0.1.0/26", "10.0.2.0/28"];
        let subnets = cidrs.map(|cidr| {
            let cidr = cidr.parse().unwrap();
            (region.add_subnet(&vpc, cidr, if cidr.prefix() == 26 { "b" } else { "a" }).unwrap(), cidr)
        });
        let instances = vec![region.add_instance("m5.large", &subnets[0].0).unwrap()];
        Self { region, subnets: subnets.to_vec(), instances, now: Timestamp(1_000) }
    }

    fn interface(&self, number: usize) -> Option<Interface> {
        let all: Vec<_> = self.region.interfaces().collect();
        (!all.is_empty()).then(|| all[number % all.len()].clone())
    }

    /// An interface for which something holds, if there is one; now and then any.
    fn one_that(&self, number: usize, holds: impl Fn(&Interface) -> bool) -> Option<Interface> {
        let all: Vec<_> = self.region.interfaces().filter(|one| holds(one)).collect();
        if all.is_empty() || number == 7 {
            self.interface(number)
        } else {
            Some(all[number % all.len()].clone())
        }
    }

    fn wanted(&self, choice: &Choice) -> Wanted {
        let named = |subnet: &usize, offset: &u8| {
            let cidr = self.subnets[*subnet].1;
            cidr.nth(u32::from(*offset) % cidr.size()).unwrap()
        };
        match choice {
            Choice::Nothing => Wanted::default(),
            Choice::Count(count) => Wanted { count: Some(*count), ..Wanted::default() },
            Choice::PrefixCount(count) => Wanted { prefix_count: Some(*count), ..Wanted::default() },
            Choice::Named { subnet, offset } => {
                Wanted { exact: vec![named(subnet, offset)], ..Wanted::default() }
            }
            Choice::Had(number) => {
                let all: Vec<_> =
                    self.region.interfaces().flat_map(|one| one.secondary_addresses.clone()).collect();
                let one = number.checked_rem(all.len()).map(|number| all[number]);
                Wanted { exact: one.into_iter().collect(), ..Wanted::default() }
            }
            Choice::NamedPrefix { subnet, offset } => {
                let prefix = ipnetwork::Ipv4Network::new(named(subnet, offset), 28).unwrap();
                let prefix = ipnetwork::Ipv4Network::new(prefix.network(), 28).unwrap();
                Wanted { prefixes: vec![prefix], ..Wanted::default() }
            }
        }
    }

    fn call(&self, step: &Step) -> Option<Call> {
        let id = |number: &usize| self.interface(*number).map(|one| one.id);
        let instance = |number: &usize| self.instances[number % self.instances.len()].clone();
        Some(match step {
            Step::Create { subnet, wanted, token } => Call::CreateInterface(CreateInterface {
                subnet_id: self.subnets[*subnet].0.clone(),
                wanted: self.wanted(wanted),
                client_token: (*token < 10).then(|| token.to_string()),
                ..CreateInterface::default()
            }),
            Step::Assign { interface, wanted, reassign } => Call::Assign {
                interface_id: id(interface)?,
                wanted: self.wanted(wanted),
                reassign: *reassign,
            },
            Step::Unassign { interface, address, prefix } => {
                let one = self.interface(*interface)?;
                let of = |number: &usize, length: usize| number.checked_rem(length);
                let address = of(address, one.secondary_addresses.len()).map(|n| one.secondary_addresses[n]);
                let prefix = of(prefix, one.prefixes.len()).map(|n| one.prefixes[n]);
                Call::Unassign {
                    interface_id: one.id,
                    addresses: address.into_iter().collect(),
                    prefixes: prefix.into_iter().collect(),
                }
            }
            Step::Attach { interface, instance: number, index } => Call::Attach {
                interface_id: self.one_that(*interface, |one| one.attachment.is_none())?.id,
                instance_id: instance(number),
                device_index: *index,
                network_card: 0,
            },
            Step::Detach { interface } => {
                let secondary =
                    |one: &Interface| one.attachment.as_ref().is_some_and(|one| one.device_index > 0);
                Call::Detach { attachment_id: self.one_that(*interface, secondary)?.attachment?.id }
            }
            Step::Delete { interface } => Call::DeleteInterface { interface_id: id(interface)? },
            Step::Keep { interface, delete } => {
                let one = self.interface(*interface)?;
                Call::ModifyInterface(Modify {
                    interface_id: one.id,
                    delete_on_termination: Some((one.attachment?.id, *delete)),
                    ..Modify::default()
                })
            }
            Step::Run { subnet, kind } => Call::RunInstances(RunInstances {
                instance_type: TYPES[*kind].to_owned(),
                subnet_id: self.subnets[*subnet].0.clone(),
                count: 1,
                ..RunInstances::default()
            }),
            Step::Terminate { instance: number } => Call::TerminateInstances { ids: vec![instance(number)] },
            Step::Reserve { subnet, block, kind } => {
                let (subnet_id, cidr) = self.subnets[*subnet].clone();
                let inside = cidr.nth(u32::from(*block) % cidr.size()).unwrap();
                let block = ipnetwork::Ipv4Network::new(inside, 28).unwrap().network();
                Call::CreateReservation {
                    subnet_id,
                    cidr: ipnetwork::Ipv4Network::new(block, 28).unwrap(),
                    kind: if *kind { ReservationKind::Prefix } else { ReservationKind::Explicit },
                    description: String::new(),
                }
            }
            Step::Tag { interface } => Call::CreateTags {
                resources: vec![id(interface)?],
                tags: Tags::from([("key".to_owned(), "value".to_owned())]),
            },
            Step::Describe => Call::Describe(Listing::Interfaces, Query::default()),
            Step::Pass { .. } => return None,
        })
    }

    fn take(&mut self, step: &Step) -> Option<Result<Answer, Failure>> {
        if let Step::Pass { milliseconds } = step {
            self.now.0 += milliseconds;
            self.region.advance(self.now);
            return None;
        }
        let call = self.call(step)?;
        let result = self.region.invoke(self.now, &call, false);
        if let Ok(Answer::Running(views)) = &result {
            self.instances.extend(views.iter().map(|view| view.id.clone()));
        }
        // Most that ended are named no more.
        if let (Ok(_), Call::TerminateInstances { ids }) = (&result, &call)
            && self.instances.len() > 1
            && !matches!(step, Step::Terminate { instance: 7 })
        {
            self.instances.retain(|id| !ids.contains(id));
        }
        Some(result)
    }
}

fn slow() -> Lags {
    Lags {
        describe: Duration::from_millis(700),
        new_ids: Duration::from_millis(300),
        metadata: Duration::from_secs(2),
        attach: Duration::from_secs(1),
        detach: Duration::from_millis(1_500),
        boot: Duration::from_millis(900),
        terminate: Duration::from_secs(2),
        associate: Duration::from_millis(100),
    }
}

fn troubled(region: &mut Region) {
    for fault in [
        Fault::LostRequest,
        Fault::LostReply,
        Fault::Late(Duration::from_secs(3)),
        Fault::Twice(Duration::from_secs(1)),
        Fault::InternalError { carried_out: true },
        Fault::Throttled,
        Fault::Stale(Duration::from_secs(10)),
    ] {
        region.faults().by_chance(Chance { operation: None, probability: 0.05, fault });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// No sequence of requests breaks an invariant, with delays and without.
    #[test]
    fn nothing_breaks_the_region(
        seed in any::<u64>(),
        late in any::<bool>(),
        faults in any::<bool>(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let lags = if late { slow() } else { Lags::default() };
        let mut play = Play::new(Settings { seed, lags, ..Settings::default() });
        if faults {
            troubled(&mut play.region);
        }
        for (number, step) in steps.iter().enumerate() {
            play.take(step);
            prop_assert_eq!(play.region.check(), vec![], "after step {}, {:?}", number, step);
        }
        // In the end everything has happened that was due.
        play.now.0 += 60_000;
        play.region.advance(play.now);
        prop_assert_eq!(play.region.next_due(), None);
        prop_assert_eq!(play.region.check(), vec![]);
    }

    /// A request that is refused changes nothing.
    #[test]
    fn what_is_refused_changes_nothing(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..80)) {
        let mut play = Play::new(Settings { seed, ..Settings::default() });
        for step in &steps {
            play.region.advance(play.now);
            play.region.drain_events();
            let before: Vec<Interface> = play.region.interfaces().cloned().collect();
            if let Some(Err(refusal)) = play.take(step) {
                let after: Vec<Interface> = play.region.interfaces().cloned().collect();
                prop_assert_eq!(before, after, "{:?}: {}", step, refusal);
                prop_assert_eq!(play.region.drain_events(), vec![], "{:?}: {}", step, refusal);
            }
        }
    }

    /// The same seed and the same requests give the same answers and events, faults by chance included.
    #[test]
    fn the_same_seed_gives_the_same_history(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..60)) {
        let play = || {
            let mut play = Play::new(Settings { seed, lags: slow(), throttled: true, ..Settings::default() });
            troubled(&mut play.region);
            let answers: Vec<_> = steps.iter().map(|step| play.take(step)).collect();
            let events: Vec<Event> = play.region.drain_events();
            (answers, events, play.region.counters().clone())
        };
        prop_assert_eq!(play(), play());
    }
}

#[test]
fn another_seed_gives_another_history() {
    let ids = |seed| {
        let play = Play::new(Settings { seed, ..Settings::default() });
        play.region.interfaces().map(|one| one.id.clone()).collect::<Vec<_>>()
    };
    assert_ne!(ids(1), ids(2));
    assert_eq!(ids(1), ids(1));
}

/// Events alone are enough to know who has what: who plugs the region needs nothing else.
#[test]
fn events_tell_who_has_what() {
    use std::collections::{BTreeMap, BTreeSet};
    use vpc::Change;

    let mut play = Play::new(Settings { seed: 5, lags: slow(), ..Settings::default() });
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = prop::collection::vec(step(), 2_000).new_tree(&mut runner).unwrap().current();
    let mut has: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut attached: BTreeMap<String, String> = BTreeMap::new();
    let all = |one: &Interface| {
        let single = std::iter::once(&one.primary_address).chain(&one.secondary_addresses);
        single.map(ToString::to_string).chain(one.prefixes.iter().map(ToString::to_string)).collect()
    };
    let mut told = 0;
    for step in &steps {
        play.take(step);
        for event in play.region.drain_events() {
            told += 1;
            match event.change {
                Change::Created(one) => assert_eq!(has.insert(one.id.clone(), all(&one)), None),
                Change::Deleted(one) => assert_eq!(has.remove(&one.id), Some(all(&one))),
                Change::Assigned { interface_id, addresses, prefixes } => {
                    let set = has.get_mut(&interface_id).unwrap();
                    set.extend(addresses.iter().map(ToString::to_string));
                    set.extend(prefixes.iter().map(ToString::to_string));
                }
                Change::Unassigned { interface_id, addresses, prefixes } => {
                    let set = has.get_mut(&interface_id).unwrap();
                    for gone in addresses.iter().map(ToString::to_string) {
                        assert!(set.remove(&gone), "{gone}");
                    }
                    for gone in prefixes.iter().map(ToString::to_string) {
                        assert!(set.remove(&gone), "{gone}");
                    }
                }
                Change::Attached(one) => {
                    let instance = one.attachment.unwrap().instance_id;
                    assert_eq!(attached.insert(one.id, instance), None);
                }
                Change::Detached { instance_id, interface } => {
                    // One that was never seen attached may be detached.
                    if let Some(was) = attached.remove(&interface.id) {
                        assert_eq!(was, instance_id);
                    }
                }
                Change::Started { .. }
                | Change::Terminated { .. }
                | Change::SourceCheck { .. }
                | Change::Associated { .. } => {}
            }
        }
        let truth: BTreeMap<_, _> = play.region.interfaces().map(|one| (one.id.clone(), all(one))).collect();
        assert_eq!(has, truth);
    }
    assert!(told > 100, "{told}");
    // Steps that are all refused would show nothing.
    for operation in [
        Operation::AssignPrivateIpAddresses,
        Operation::AttachNetworkInterface,
        Operation::CreateNetworkInterface,
        Operation::DeleteNetworkInterface,
        Operation::DetachNetworkInterface,
        Operation::ModifyNetworkInterfaceAttribute,
        Operation::RunInstances,
        Operation::UnassignPrivateIpAddresses,
    ] {
        let done = play.region.counters().ended(operation, &Outcome::Done);
        assert!(done > 2, "{operation} was carried out {done} times only");
    }
}
