//! DNS names, and the addresses that they stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Deserialize;

/// A map from DNS names to addresses: JSON or YAML, such as `api.example.com: [192.0.2.7]`. One address may stand
/// alone instead of in a list. Case and a dot at the end do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    by_name: BTreeMap<String, BTreeSet<IpAddr>>,
    by_address: BTreeMap<IpAddr, BTreeSet<String>>,
}

/// A text that is no map from names to addresses.
#[derive(Debug, thiserror::Error)]
pub enum InvalidNames {
    /// It is something else.
    #[error("names: not a map from DNS names to lists of addresses")]
    Shape {
        /// What the parser met.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// What stands for an address is none.
    #[error("names: {name}: {text:?} is not an IP address")]
    Address {
        /// The name.
        name: String,
        /// What stands for the address.
        text: String,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Names {
    /// Reads a map, in YAML or JSON.
    ///
    /// # Errors
    /// When it is no such map.
    pub fn parse(text: &str) -> Result<Self, InvalidNames> {
        let map: BTreeMap<String, OneOrMany> = serde_saphyr::from_str(text)
            .map_err(|source| InvalidNames::Shape { source: Box::new(source) })?;
        let mut names = Self::default();
        for (name, addresses) in map {
            let texts = match addresses {
                OneOrMany::One(text) => vec![text],
                OneOrMany::Many(texts) => texts,
            };
            for text in texts {
                let Ok(addr) = text.trim().parse() else { return Err(InvalidNames::Address { name, text }) };
                names.insert(&name, addr);
            }
        }
        Ok(names)
    }

    /// Adds an address of a name.
    pub fn insert(&mut self, name: &str, addr: IpAddr) {
        let name = normal(name);
        self.by_address.entry(addr).or_default().insert(name.clone());
        self.by_name.entry(name).or_default().insert(addr);
    }

    /// The addresses of a name; none where it is not known.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Option<&BTreeSet<IpAddr>> {
        self.by_name.get(&normal(name))
    }

    /// The addresses, each with its names.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, &BTreeSet<String>)> {
        self.by_address.iter().map(|(addr, names)| (*addr, names))
    }
}

fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_yaml_and_json() {
        let yaml = Names::parse("API.example.com.: 192.0.2.7\nwww.example.com: [192.0.2.7, '2001:db8::7']\n")
            .unwrap();
        let json = Names::parse(
            r#"{"api.example.com":["192.0.2.7"],"www.example.com":["192.0.2.7","2001:db8::7"]}"#,
        );
        assert_eq!(yaml, json.unwrap());
        assert_eq!(yaml.addresses("api.example.com").unwrap().len(), 1);
        let (_, names) = yaml.iter().next().unwrap();
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn says_what_is_wrong() {
        let error = Names::parse("a.example.com: [nowhere]").unwrap_err();
        assert_eq!(error.to_string(), "names: a.example.com: \"nowhere\" is not an IP address");
        assert!(matches!(Names::parse("[1, 2]"), Err(InvalidNames::Shape { .. })));
    }
}
