//! A VPC in which everything dies and goes wrong all the time, except for the VPC's own books.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lab::cloud::control::Request;

use crate::eni::{cloud, pod, status};
use crate::support::Lab;

/// How long it goes on, in seconds, where `NETLOOM_ENI_CRASH_SECONDS` says nothing.
const SECONDS: u64 = 20;
/// How often each request of EC2's goes wrong in each of seven ways.
const TROUBLE: f64 = 0.06;
/// The most pods at a time.
const PODS: u64 = 80;
/// How many there are from the beginning, most of them on the first node: an interface of a `t3.small` has room for
/// three prefixes, so a second one is needed soon.
const FIRST: u64 = 36;
/// How long everything may take to be well again: a dead operator's lease has to end, and pods are tried again
/// every five seconds.
const RECOVERY: Duration = Duration::from_secs(60);

/// Numbers that follow from a seed (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }
}

#[test]
fn crashes_at_any_moment_lose_and_double_no_address() {
    let arguments = [
        ["--mode", "eni"],
        ["--instance-type", "t3.small"],
        ["--operators", "2"],
        ["--config", "leader-election-lease-duration=3s"],
        ["--config", "leader-election-renew-deadline=2s"],
        ["--config", "leader-election-retry-period=500ms"],
        ["--config", "excess-ip-release-delay=2"],
    ];
    let Some(lab) = Lab::up_with("vpc-crash", arguments.as_flattened(), "") else { return };
    let seconds = std::env::var("NETLOOM_ENI_CRASH_SECONDS").ok().and_then(|text| text.parse().ok());
    let long = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let seed = RandomState::new().hash_one(0) | 1;
    eprintln!("seed {seed}, {long:?}");
    let mut chance = Chance(seed);
    cloud(&lab).tell(&Request::Trouble(TROUBLE)).unwrap();

    let (start, mut deaths, mut came) = (Instant::now(), BTreeMap::new(), 0);
    let mut pods: BTreeSet<(u64, u64)> = BTreeSet::new();
    // Three of four are the first node's.
    let node = |chance: &mut Chance| 1 + u64::from(chance.below(4) == 0);
    while start.elapsed() < long {
        match chance.below(10) {
            0..4 => {
                let number = if came == 0 { FIRST } else { chance.below(6) + 1 };
                let new: Vec<_> = (came..came + number).map(|name| (name, node(&mut chance))).collect();
                came += number;
                if pods.len() as u64 <= PODS {
                    let text: String = new.iter().map(|(name, node)| named(*name, *node)).collect();
                    lab.announce(&text);
                    pods.extend(new);
                }
            }
            4..6 => {
                let number = chance.below(8) as usize;
                let gone: Vec<_> =
                    pods.iter().copied().filter(|_| chance.below(3) == 0).take(number).collect();
                for (name, node) in gone {
                    lab.run("delete", &["pod", &format!("p{name}"), "--no-wait"]);
                    pods.remove(&(name, node));
                }
            }
            6..9 => {
                let victim = ["node1", "node2", "operator1", "operator2"][chance.below(4) as usize];
                if kill(&lab, victim) {
                    *deaths.entry(victim).or_insert(0) += 1;
                }
            }
            _ => std::thread::sleep(Duration::from_millis(chance.below(400))),
        }
        is_sound(&lab, seed);
    }

    // Nothing goes wrong any more: everything comes right by itself.
    cloud(&lab).tell(&Request::Trouble(0.0)).unwrap();
    let end = Instant::now();
    loop {
        let running = is_sound(&lab, seed);
        let missing: Vec<_> =
            pods.iter().filter(|(name, _)| !running.contains_key(&format!("p{name}"))).collect();
        if missing.is_empty() && running.len() == pods.len() {
            break;
        }
        assert!(
            end.elapsed() < RECOVERY,
            "seed {seed}: {missing:?} do not run\n{:#}",
            lab.json("status", &[])
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    let now = status(&lab);
    eprintln!(
        "{deaths:?}, {came} pods came, {} are left, {:?} refused, {} unanswered of {:?}, well again after {:?}",
        pods.len(),
        now.refused,
        now.unanswered,
        now.calls,
        end.elapsed()
    );
    assert!(now.dropped.foreign_source == 0, "seed {seed}: {now:?}");
    let prefixes =
        now.instances.iter().flat_map(|instance| &instance.interfaces).map(|one| one.prefixes.len());
    assert!(prefixes.sum::<usize>() > 0 && deaths.len() > 1 && came > 10, "seed {seed}: {deaths:?} {came}");
}

fn named(name: u64, node: u64) -> String {
    pod(&format!("p{name}"), &format!("node{node}"))
}

/// Kills an agent or an operator, if it lives.
fn kill(lab: &Lab, victim: &str) -> bool {
    let files = lab.files(victim).agent_pid();
    let file = if victim.starts_with("node") { files } else { lab.log(victim).with_extension("pid") };
    let Some(pid) = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u32>().ok())
    else {
        return false;
    };
    // The number may be another's by now.
    let is_ours = |told: String| told.contains(&format!("/{}/", lab.name));
    if !std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(is_ours) {
        return false;
    }
    std::process::Command::new("kill")
        .args(["-s", "KILL", &pid.to_string()])
        .status()
        .is_ok_and(|done| done.success())
}

/// Whether EC2's books are right, and every address is one pod's; says who runs.
fn is_sound(lab: &Lab, seed: u64) -> BTreeMap<String, IpAddr> {
    let now = status(lab);
    assert!(now.violations.is_empty(), "seed {seed}: {:#?}", now.violations);
    assert!(now.unplugged.is_empty(), "seed {seed}: {:#?}", now.unplugged);
    let all = lab.json("status", &[]);
    let mut running = BTreeMap::new();
    let mut owners: BTreeMap<IpAddr, String> = BTreeMap::new();
    for pod in all["pods"].as_array().unwrap().iter().filter(|pod| pod["phase"] == "Running") {
        let name = pod["name"].as_str().unwrap().to_owned();
        let address: IpAddr = pod["addresses"][0].as_str().unwrap().parse().unwrap();
        if let Some(other) = owners.insert(address, name.clone()) {
            panic!("seed {seed}: {name} and {other} both have {address}");
        }
        running.insert(name, address);
    }
    running
}
