//! Plans beside all plans there are, in small situations.

use std::collections::{BTreeMap, BTreeSet};

use ipam::{
    Timestamp,
    ec2::{Addresses, Attachment, AttachmentStatus, Interface, InterfaceStatus, Subnet},
    eni::{Config, History, Limits, NodeSettings, Reason, Situation, Step, is_usable, plan},
};
use proptest::prelude::*;

/// A node: limits, what its interfaces have, and what it wants.
#[derive(Clone, Debug)]
struct Case {
    limits: Limits,
    first: u32,
    /// For each attached interface: its subnet, its prefixes and its single addresses.
    attached: Vec<(usize, u32, u32)>,
    /// The same of those attached to nothing.
    unattached: Vec<(usize, u32, u32)>,
    /// Free addresses of each subnet.
    free: Vec<u32>,
    wanted: u32,
}

fn case(plenty: bool) -> impl Strategy<Value = Case> {
    let free =
        if plenty { Just(vec![9999, 9999]).boxed() } else { prop::collection::vec(0..80u32, 2).boxed() };
    let unattached = prop::collection::vec((0..2usize, 0..3u32, Just(0)), 0..if plenty { 1 } else { 2 });
    (1..5u32, 1..6u32, any::<bool>(), 0..3u32, free, unattached, 0..150u32).prop_flat_map(
        |(interfaces, slots, prefixes, first, free, unattached, wanted)| {
            let attached = prop::collection::vec((0..2usize, 0..=slots, 0..=slots), 1..=interfaces as usize);
            attached.prop_map(move |attached| {
                let attached =
                    attached.into_iter().map(|(s, p, a)| (s, p, a.min(slots - p.min(slots)))).collect();
                let limits = Limits { interfaces, slots, prefixes };
                let (free, unattached) = (free.clone(), unattached.clone());
                Case { limits, first, attached, unattached, free, wanted }
            })
        },
    )
}

fn interface(id: String, (subnet, prefixes, singles): (usize, u32, u32), number: Option<u32>) -> Interface {
    Interface {
        description: String::new(),
        subnet_id: format!("subnet-{subnet}"),
        vpc_id: "vpc".to_owned(),
        availability_zone: "zone".to_owned(),
        mac: String::new(),
        primary_address: [10, 0, 0, 1].into(),
        secondary_addresses: (0..singles).map(|n| [10, 0, 1, n as u8].into()).collect(),
        prefixes: (0..prefixes).map(|n| format!("10.1.{n}.0/28").parse().unwrap()).collect(),
        security_groups: Vec::new(),
        tags: BTreeMap::new(),
        status: InterfaceStatus::InUse,
        attachment: number.map(|device_index| Attachment {
            id: String::new(),
            instance_id: "i".to_owned(),
            device_index,
            network_card: 0,
            delete_on_termination: true,
            status: AttachmentStatus::Attached,
            attached_at: None,
        }),
        requester_managed: false,
        kind: "interface".to_owned(),
        id,
    }
}

struct World {
    attached: Vec<Interface>,
    unattached: Vec<Interface>,
    settings: NodeSettings,
    config: Config,
    subnets: BTreeMap<String, Subnet>,
}

impl Case {
    fn world(&self) -> World {
        let attached = (0..).zip(&self.attached).map(|(n, of)| interface(format!("eni-{n}"), *of, Some(n)));
        let unattached = (0..).zip(&self.unattached).map(|(n, of)| interface(format!("new-{n}"), *of, None));
        let subnet = |(number, free): (usize, &u32)| {
            let id = format!("subnet-{number}");
            let subnet = Subnet {
                id: id.clone(),
                vpc_id: "vpc".to_owned(),
                availability_zone: "zone".to_owned(),
                cidr: format!("10.{number}.0.0/16").parse().unwrap(),
                available_addresses: *free,
                tags: BTreeMap::new(),
            };
            (id, subnet)
        };
        World {
            attached: attached.collect(),
            unattached: unattached.collect(),
            settings: NodeSettings {
                first_interface_index: self.first,
                availability_zone: "zone".to_owned(),
                ..NodeSettings::default()
            },
            config: Config { vpc_id: "vpc".to_owned(), ..Config::default() },
            subnets: self.free.iter().enumerate().map(subnet).collect(),
        }
    }

    fn plan(&self, world: &World) -> ipam::eni::Plan {
        plan(&Situation {
            limits: self.limits,
            settings: &world.settings,
            config: &world.config,
            attached: &world.attached,
            unattached: &world.unattached,
            avoided: &BTreeSet::new(),
            subnets: &world.subnets,
            history: &History::default(),
            wanted: self.wanted,
            now: Timestamp(0),
        })
    }
}

/// The fewest new interfaces and then the fewest calls that give `units`, where subnets have plenty: all choices of
/// attached interfaces with all numbers of new ones. Nothing if it cannot be done.
fn cheapest(rooms: &[u32], slots: u32, numbers: u32, units: u32) -> Option<(u32, u32)> {
    (0..=numbers)
        .flat_map(|new| (0u32..1 << rooms.len()).map(move |chosen| (new, chosen)))
        .filter(|(new, chosen)| {
            let of = rooms.iter().enumerate().filter(|(index, _)| chosen & 1 << index != 0);
            of.map(|(_, room)| room).sum::<u32>() + new * slots >= units
        })
        .map(|(new, chosen)| (new, 3 * new + chosen.count_ones()))
        .min()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_plan_is_cheaper(case in case(true)) {
        let world = case.world();
        let plan = case.plan(&world);
        let usable = world.attached.iter().filter(|of| is_usable(of, &world.settings));
        let rooms: Vec<u32> = usable.map(|of| (case.limits.slots + 1).saturating_sub(of.slots())).collect();
        let used = world.attached.len() as u32;
        let numbers = (case.first.max(1)..case.limits.interfaces).filter(|number| *number >= used).count() as u32;
        let unit = if case.limits.prefixes { 16 } else { 1 };
        let units = case.wanted.div_ceil(unit);
        let new = plan.steps.iter().filter(|step| matches!(step, Step::Create { .. })).count() as u32;
        let calls: u32 = plan.steps.iter().map(Step::calls).sum();
        match cheapest(&rooms, case.limits.slots, numbers, units) {
            Some(cheapest) => {
                prop_assert_eq!((new, calls), cheapest, "{:?}", plan);
                prop_assert_eq!(plan.short, 0);
            }
            None => prop_assert!(plan.short > 0 && !plan.reasons.is_empty(), "{:?}", plan),
        }
    }

    /// P11, and no more than a subnet says that it has; and what can be given is given.
    #[test]
    fn no_limit_is_exceeded(case in case(false)) {
        let world = case.world();
        let plan = case.plan(&world);
        let mut slots: BTreeMap<String, u32> = BTreeMap::new();
        let mut subnet_of: BTreeMap<String, String> = BTreeMap::new();
        for of in world.attached.iter().chain(&world.unattached) {
            slots.insert(of.id.clone(), of.slots() - 1);
            subnet_of.insert(of.id.clone(), of.subnet_id.clone());
        }
        let mut numbers: BTreeSet<u32> = (0..world.attached.len() as u32).collect();
        let mut spent: BTreeMap<String, u32> = BTreeMap::new();
        let mut given = 0;
        let mut there: BTreeSet<String> = world.attached.iter().map(|of| of.id.clone()).collect();
        for (index, step) in plan.steps.iter().enumerate() {
            let (id, device_index, addresses, subnet) = match step {
                Step::Attach { interface_id, device_index } => {
                    let of = world.unattached.iter().find(|of| of.id == *interface_id).unwrap();
                    prop_assert!(there.insert(interface_id.clone()));
                    given += 16 * of.prefixes.len() as u32 + of.secondary_addresses.len() as u32;
                    (interface_id.clone(), Some(*device_index), None, of.subnet_id.clone())
                }
                Step::Assign { interface_id, addresses } => {
                    prop_assert!(there.contains(interface_id));
                    (interface_id.clone(), None, Some(addresses), subnet_of[interface_id].clone())
                }
                Step::Create { subnet_id, addresses, device_index } => {
                    let id = format!("planned-{index}");
                    *spent.entry(subnet_id.clone()).or_default() += 1;
                    (id, Some(*device_index), Some(addresses), subnet_id.clone())
                }
            };
            if let Some(number) = device_index {
                prop_assert!(numbers.insert(number) && number >= case.first.max(1), "number {}", number);
                prop_assert!(number < case.limits.interfaces);
            }
            if let Some(addresses) = addresses {
                *slots.entry(id.clone()).or_default() += addresses.slots();
                let unit = if matches!(addresses, Addresses::PrefixCount(_)) { 16 } else { 1 };
                prop_assert!(addresses.slots() > 0 && (unit == 1 || case.limits.prefixes));
                *spent.entry(subnet).or_default() += unit * addresses.slots();
                given += unit * addresses.slots();
            }
            prop_assert!(slots[&id] <= case.limits.slots, "{} has {} slots", id, slots[&id]);
        }
        prop_assert!(numbers.len() as u32 <= case.limits.interfaces.max(world.attached.len() as u32));
        for (subnet, spent) in spent {
            prop_assert!(spent <= world.subnets[&subnet].available_addresses, "{}: {}", subnet, spent);
        }
        prop_assert_eq!(plan.short, case.wanted.saturating_sub(given), "{:?}", plan);
        prop_assert_eq!(plan.short > 0, !plan.reasons.is_empty(), "{:?}", plan);
    }
}

fn small() -> Case {
    let limits = Limits { interfaces: 3, slots: 9, prefixes: true };
    Case {
        limits,
        first: 0,
        attached: vec![(0, 0, 0)],
        unattached: vec![],
        free: vec![999, 999],
        wanted: 100,
    }
}

fn says(reasons: &[Reason]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[test]
fn prefixes_come_with_the_interface() {
    // cilium #44154: the addresses of a new interface were counted singly, and the rest took calls of its own.
    let plan = Case { first: 1, ..small() }.plan(&Case { first: 1, ..small() }.world());
    let [Step::Create { addresses, device_index: 1, .. }] = &plan.steps[..] else { panic!("{plan:?}") };
    assert_eq!(*addresses, Addresses::PrefixCount(7));
}

#[test]
fn what_was_made_is_attached_before_more_is_made() {
    let case = Case { first: 1, unattached: vec![(1, 7, 0)], ..small() };
    let plan = case.plan(&case.world());
    assert_eq!(plan.steps, [Step::Attach { interface_id: "new-0".to_owned(), device_index: 1 }]);
    // cilium #9730: one with more than the type allows cannot be attached.
    let case = Case { unattached: vec![(1, 10, 0)], wanted: 1, ..case };
    let plan = case.plan(&case.world());
    assert!(matches!(&plan.steps[..], [Step::Create { .. }]), "{plan:?}");
}

#[test]
fn siblings_before_single_addresses() {
    // cilium #46644: where the subnet had no prefix, its single addresses were taken, and no other subnet was tried.
    let mut lots = fastrand::Rng::with_seed(1);
    let case = small();
    let world = case.world();
    let mut history = History::default();
    history.refused("subnet-0", (ipam::eni::Kind::Prefix, 1), Timestamp(0), Timestamp(0), &mut lots);
    let mut situation = Situation {
        limits: case.limits,
        settings: &world.settings,
        config: &world.config,
        attached: &world.attached,
        unattached: &[],
        avoided: &BTreeSet::new(),
        subnets: &world.subnets,
        history: &history,
        wanted: 20,
        now: Timestamp(1),
    };
    let [Step::Create { subnet_id, .. }] = &plan(&situation).steps[..] else { panic!() };
    assert_eq!(subnet_id, "subnet-1");
    // Where no subnet has one, single addresses are taken, and later prefixes are tried again.
    let mut both = history.clone();
    both.refused("subnet-1", (ipam::eni::Kind::Prefix, 1), Timestamp(0), Timestamp(0), &mut lots);
    situation.history = &both;
    let first = plan(&situation);
    let of = |step: &Step| match step {
        Step::Assign { addresses, .. } | Step::Create { addresses, .. } => addresses.clone(),
        Step::Attach { .. } => panic!(),
    };
    assert!(first.steps.iter().all(|step| matches!(of(step), Addresses::Count(_))), "{first:?}");
    situation.now = Timestamp(700_000);
    assert!(matches!(of(&plan(&situation).steps[0]), Addresses::PrefixCount(1)));
}

#[test]
fn half_as_many_are_asked_for_after_a_refusal() {
    // cilium #48193: the same number was asked for again and again.
    let mut lots = fastrand::Rng::with_seed(1);
    let mut history = History::default();
    let kind = ipam::eni::Kind::Prefix;
    for (asked, then) in [(9, 4), (4, 2), (2, 1)] {
        history.refused("s", (kind, asked), Timestamp(0), Timestamp(0), &mut lots);
        assert_eq!(history.most("s", kind, Timestamp(0)), then);
    }
    history.refused("s", (kind, 1), Timestamp(0), Timestamp(0), &mut lots);
    assert_eq!(history.most("s", kind, Timestamp(0)), 0);
    assert_eq!(history.most("s", kind, Timestamp(60_000)), 1);
    history.gave("s", kind, 1);
    assert_eq!(history.most("s", kind, Timestamp(60_000)), 2);
}

#[test]
fn reasons_name_their_subjects() {
    let gone = Case { attached: vec![], ..small() };
    // cilium #9533: interfaces were made for an instance that was gone.
    let plan = gone.plan(&gone.world());
    assert!(plan.steps.is_empty());
    assert_eq!(
        says(&plan.reasons),
        "EC2 shows no primary interface of the instance: it is gone, or not there yet"
    );

    let full = Case { attached: vec![(0, 9, 0), (0, 9, 0), (1, 9, 0)], ..small() };
    let mut world = full.world();
    world.settings.instance_type = "m5.large".to_owned();
    let plan = full.plan(&world);
    // cilium #8830: no interface beyond the type's number is made.
    assert!(plan.steps.is_empty());
    assert!(says(&plan.reasons).starts_with("m5.large has 3 interfaces"), "{}", says(&plan.reasons));

    let mut world = small().world();
    world.settings.first_interface_index = 1;
    world.settings.subnet_ids = vec!["subnet-9".to_owned()];
    let plan = small().plan(&world);
    assert_eq!(says(&plan.reasons), "no subnet of zone \"zone\" is what the settings allow: ids subnet-9");
}

#[test]
fn what_is_excluded_is_left_alone() {
    let mut world = small().world();
    world.attached[0].tags.insert("owner".to_owned(), "somebody".to_owned());
    world.settings.exclude_interface_tags = world.attached[0].tags.clone();
    let plan = small().plan(&world);
    assert!(matches!(&plan.steps[..], [Step::Create { device_index: 1, .. }]), "{plan:?}");
    world.settings.disable_prefix_delegation = true;
    let plan = small().plan(&world);
    let count = |step: &Step| matches!(step, Step::Create { addresses: Addresses::Count(9), .. });
    assert!(plan.steps.iter().all(count) && plan.steps.len() == 2, "{plan:?}");
    assert_eq!(plan.short, 100 - 18);
}

/// An EFA-only interface, and one of an IPv6-only subnet: pods get nothing from them, and nobody else their numbers.
#[test]
fn an_interface_without_ipv4_takes_its_number_and_gives_nothing() {
    let case = Case { attached: vec![(0, 0, 0), (0, 0, 0)], ..small() };
    let mut world = case.world();
    world.attached[1].primary_address = Interface::NO_ADDRESS;
    assert!(!is_usable(&world.attached[1], &world.settings));
    let plan = Case { wanted: 300, ..case }.plan(&world);
    let numbers: Vec<u32> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Create { device_index, .. } | Step::Attach { device_index, .. } => Some(*device_index),
            Step::Assign { interface_id, .. } => {
                assert_eq!(interface_id, "eni-0");
                None
            }
        })
        .collect();
    assert_eq!(numbers, [2]);
    assert_eq!(plan.short, 300 - 2 * 9 * 16, "{plan:?}");
}
