//! Addresses that are known only when a case runs: `${ip x/a}` and `${cidr x/a 8}` in any text of an object.

use std::net::IpAddr;

use serde_json::Value;

use crate::error::Mistake;
use crate::objects::{Objects, of_family};
use crate::suite::Family;

/// Puts addresses in the place of placeholders.
///
/// # Errors
/// When one means nothing, or nobody has the address yet.
pub(crate) fn resolve(value: &mut Value, objects: &Objects) -> Result<(), Mistake> {
    match value {
        Value::String(text) => {
            if text.contains("${") {
                *text = replace(text, objects)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| resolve(item, objects)),
        Value::Object(fields) => fields.values_mut().try_for_each(|field| resolve(field, objects)),
        _ => Ok(()),
    }
}

fn replace(text: &str, objects: &Objects) -> Result<String, Mistake> {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, after) = after.split_once('}').ok_or_else(|| Mistake::Placeholder(text.to_owned()))?;
        done.push_str(before);
        done.push_str(&address(inside, objects)?);
        rest = after;
    }
    done.push_str(rest);
    Ok(done)
}

fn address(inside: &str, objects: &Objects) -> Result<String, Mistake> {
    let refused = || Mistake::Placeholder(format!("${{{inside}}}"));
    let words: Vec<&str> = inside.split_whitespace().collect();
    let (what, who, bits) = match words[..] {
        [what @ ("ip" | "ip6"), who] => (what, who, None),
        [what @ ("cidr" | "cidr6"), who, bits] => {
            (what, who, Some(bits.parse::<u8>().map_err(|_| refused())?))
        }
        _ => return Err(refused()),
    };
    let family = if what.ends_with('6') { Family::V6 } else { Family::V4 };
    let addresses = match who.split_once('/') {
        Some(("node", node)) => objects.node_addresses(node).to_vec(),
        _ => objects.pod(who).map(|pod| pod.ips.clone()).unwrap_or_default(),
    };
    let address =
        of_family(&addresses, family).ok_or_else(|| Mistake::PlaceholderNotYet(format!("${{{inside}}}")))?;
    match bits {
        None => Ok(address.to_string()),
        Some(bits) => network(address, bits).ok_or_else(refused),
    }
}

/// The network of so many bits that an address is in.
fn network(address: IpAddr, bits: u8) -> Option<String> {
    match address {
        IpAddr::V4(v4) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            Some(format!("{}/{bits}", std::net::Ipv4Addr::from(v4.to_bits() & mask)))
        }
        IpAddr::V6(v6) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            Some(format!("{}/{bits}", std::net::Ipv6Addr::from(v6.to_bits() & mask)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Cluster;

    fn objects() -> Objects {
        let cluster: Cluster = serde_json::from_str(r#"{"pods": {"x/a": {}, "x/b": {}}}"#).unwrap();
        let mut objects = Objects::of_cluster(&cluster, std::path::Path::new(".")).unwrap();
        objects.place_pods().unwrap();
        objects
    }

    #[test]
    fn addresses_and_networks() {
        let objects = objects();
        for (text, becomes) in [
            ("${ip x/a}", "10.244.1.1"),
            ("${ip x/b}/32 and ${ip node/node2}", "10.244.2.1/32 and 172.30.0.12"),
            ("${cidr x/b 8}", "10.0.0.0/8"),
            ("${cidr x/a 0}", "0.0.0.0/0"),
            ("${cidr6 x/a 64}", "fd00:10:244:1::/64"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(replace(text, &objects).unwrap(), becomes);
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let objects = objects();
        for text in ["${ip}", "${ip x/a", "${cidr x/a}", "${cidr x/a 33}", "${name x/a}"] {
            assert!(matches!(replace(text, &objects), Err(Mistake::Placeholder(_))), "{text}");
        }
        assert!(matches!(replace("${ip x/c}", &objects), Err(Mistake::PlaceholderNotYet(_))));
    }
}
