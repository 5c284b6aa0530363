//! The CIDRs in use.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use abi::CidrSet;
use arbitrary::{Arbitrary, Unstructured};
use ipnetwork::IpNetwork;
use policy::CidrRegistry;

#[derive(Debug, Arbitrary)]
enum Step {
    Acquire(Address, u8),
    Release(Address, u8),
    /// Releases one of those in use.
    ReleaseKnown(u8),
    /// What is stored and loaded again, with the same users.
    Store,
    Look(Address),
}

/// Few bits differ, so that CIDRs nest.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Address {
    V4(u8, u8),
    V6(u8, u8),
    Any(IpAddr),
}

impl Address {
    fn addr(self) -> IpAddr {
        match self {
            Self::V4(high, low) => Ipv4Addr::new(10, high, 0, low).into(),
            Self::V6(high, low) => {
                Ipv6Addr::new(0xfd00, u16::from(high) << 8, 0, 0, 0, 0, 0, u16::from(low)).into()
            }
            Self::Any(addr) => addr,
        }
    }

    fn cidr(self, length: u8) -> IpNetwork {
        let addr = self.addr();
        IpNetwork::new(addr, length % if addr.is_ipv4() { 33 } else { 129 })
            .expect("a prefix length in range")
    }
}

/// The bits of an address, at the top of 128, and its family.
fn bits(addr: IpAddr) -> (bool, u128) {
    match addr {
        IpAddr::V4(addr) => (false, u128::from(addr.to_bits()) << 96),
        IpAddr::V6(addr) => (true, addr.to_bits()),
    }
}

/// What a CIDR is without host bits: family, bits, length.
type Plain = (bool, u128, u8);

fn plain(cidr: IpNetwork) -> Plain {
    let (family, bits) = bits(cidr.ip());
    let mask = u128::MAX.checked_shl(128 - u32::from(cidr.prefix())).unwrap_or(0);
    (family, bits & mask, cidr.prefix())
}

fn covers(cidr: Plain, addr: IpAddr) -> bool {
    let (family, of_addr) = bits(addr);
    let mask = u128::MAX.checked_shl(128 - u32::from(cidr.2)).unwrap_or(0);
    family == cidr.0 && of_addr & mask == cidr.1
}

/// Reads the input as steps on a registry. After each, every address that was met has the CIDRs over it that it has in
/// a plain list of those in use; addresses share a number exactly where they share these; and a number stays what it
/// was while its longest CIDR is in use.
pub fn cidr(input: &[u8]) {
    let Ok(steps) = Vec::<Step>::arbitrary(&mut Unstructured::new(input)) else { return };
    let mut registry = CidrRegistry::new();
    let mut users: BTreeMap<Plain, (IpNetwork, usize)> = BTreeMap::new();
    let mut addrs: Vec<IpAddr> = vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let mut numbers: BTreeMap<CidrSet, Plain> = BTreeMap::new();
    for step in steps.into_iter().take(64) {
        match step {
            Step::Acquire(address, length) => {
                let cidr = address.cidr(length);
                addrs.extend([cidr.ip(), cidr.network(), cidr.broadcast()]);
                let (_, count) = users.entry(plain(cidr)).or_insert((cidr, 0));
                *count += 1;
                assert_eq!(registry.acquire(cidr), *count == 1, "{cidr}");
            }
            Step::Release(address, length) => release(&mut registry, &mut users, address.cidr(length)),
            Step::ReleaseKnown(number) => {
                let known =
                    users.values().nth(usize::from(number) % users.len().max(1)).map(|(cidr, _)| *cidr);
                if let Some(cidr) = known {
                    release(&mut registry, &mut users, cidr);
                }
            }
            Step::Store => {
                let stored = serde_json::to_string(&registry).expect("it can be stored");
                let mut again: CidrRegistry = serde_json::from_str(&stored).expect("it can be loaded");
                for (cidr, count) in users.values() {
                    assert!((0..*count).all(|_| !again.acquire(*cidr)), "{cidr} was not in {stored}");
                }
                assert!(!again.forget_unused(), "{stored}");
                assert_eq!(again, registry);
                registry = again;
            }
            Step::Look(address) => addrs.push(address.addr()),
        }
        check(&registry, &users, &addrs, &mut numbers);
    }
}

fn release(registry: &mut CidrRegistry, users: &mut BTreeMap<Plain, (IpNetwork, usize)>, cidr: IpNetwork) {
    let key = plain(cidr);
    let Some((_, count)) = users.get_mut(&key) else {
        assert!(!registry.release(cidr), "{cidr} was not in use");
        return;
    };
    *count -= 1;
    let gone = *count == 0;
    if gone {
        users.remove(&key);
    }
    assert_eq!(registry.release(cidr), gone, "{cidr}");
}

fn check(
    registry: &CidrRegistry,
    users: &BTreeMap<Plain, (IpNetwork, usize)>,
    addrs: &[IpAddr],
    numbers: &mut BTreeMap<CidrSet, Plain>,
) {
    let mut sets: BTreeMap<CidrSet, Vec<Plain>> = BTreeMap::new();
    let entries = registry.entries();
    for addr in addrs {
        let set = registry.set_of(*addr);
        let over: Vec<Plain> = users.keys().filter(|cidr| covers(**cidr, *addr)).copied().collect();
        for (key, (cidr, _)) in users {
            assert_eq!(registry.covers(*cidr, set), over.contains(key), "{cidr} {addr}");
        }
        let longest = over.iter().max_by_key(|cidr| cidr.2).copied();
        assert_eq!(registry.longest(set).map(plain), longest, "{addr}");
        assert_eq!(set == CidrSet::EMPTY, longest.is_none(), "{addr}");
        if let Some(longest) = longest {
            // Never another CIDR's number, not even that of one that is gone.
            assert_eq!(*numbers.entry(set).or_insert(longest), longest, "{addr}");
        }
        assert_eq!(*sets.entry(set).or_insert_with(|| over.clone()), over, "{addr}");
        // The longest entry over the address says the same.
        let entry =
            entries.iter().filter(|(cidr, _)| cidr.contains(*addr)).max_by_key(|(cidr, _)| cidr.prefix());
        assert_eq!(entry.map(|(_, peer)| peer.cidrs), Some(set), "{addr}");
    }
    let distinct: std::collections::BTreeSet<&Vec<Plain>> = sets.values().collect();
    assert_eq!(distinct.len(), sets.len(), "one number for each set");
}
