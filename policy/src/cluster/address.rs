//! Addresses that stand for many.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

/// The lowest address of `within` that lies in none of `taken`; none where they cover all of it. It stands for all
/// such addresses where `taken` holds whatever tells them apart.
#[must_use]
pub fn free_address(within: IpNetwork, taken: &[IpNetwork]) -> Option<IpAddr> {
    let number = |addr: IpAddr| match addr {
        IpAddr::V4(addr) => u128::from(u32::from(addr)),
        IpAddr::V6(addr) => u128::from(addr),
    };
    let mut covered: Vec<(u128, u128)> = taken
        .iter()
        .filter(|cidr| cidr.is_ipv4() == within.is_ipv4())
        .map(|cidr| (number(cidr.network()), number(cidr.broadcast())))
        .collect();
    covered.sort_unstable();
    let (mut next, last) = (number(within.network()), number(within.broadcast()));
    for (from, to) in covered {
        if from > next {
            break;
        }
        if to >= next {
            next = to.checked_add(1)?;
        }
    }
    if next > last {
        return None;
    }
    Some(match within {
        IpNetwork::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(next).ok()?)),
        IpNetwork::V6(_) => IpAddr::V6(Ipv6Addr::from(next)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_left() {
        let cases: [(&str, &[&str], Option<&str>); 6] = [
            ("10.0.0.0/8", &[], Some("10.0.0.0")),
            ("10.0.0.0/8", &["10.0.0.0/16", "10.1.0.0/16"], Some("10.2.0.0")),
            ("10.0.0.0/8", &["10.0.0.0/9", "10.128.0.0/9"], None),
            ("0.0.0.0/0", &["0.0.0.0/1", "128.0.0.0/1"], None),
            ("10.0.0.0/30", &["10.0.0.0/32", "10.0.0.2/32", "fd00::/8"], Some("10.0.0.1")),
            ("fd00::/8", &["fd00::/64"], Some("fd00:0:0:1::")),
        ];
        for (within, taken, expected) in cases {
            let taken: Vec<IpNetwork> = taken.iter().map(|cidr| cidr.parse().unwrap()).collect();
            let found = free_address(within.parse().unwrap(), &taken);
            assert_eq!(found.map(|addr| addr.to_string()).as_deref(), expected, "{within} {taken:?}");
        }
    }
}
