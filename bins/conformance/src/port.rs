//! Ports in short: `[NAME:]PORT[/PROTOCOL]`.

use serde::Deserialize;
use serde_json::{Value, json};

/// A port that a pod listens on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Port {
    /// Its name.
    pub name: Option<String>,
    /// Its number.
    pub number: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

impl TryFrom<String> for Port {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refused = || format!("{text:?} is no port: [NAME:]PORT[/PROTOCOL], such as \"web:80/TCP\"");
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (Some(name.to_owned()), rest),
            None => (None, text.as_str()),
        };
        let (number, protocol) = rest.split_once('/').unwrap_or((rest, "TCP"));
        let number = number.parse().ok().filter(|number| *number != 0).ok_or_else(refused)?;
        if !matches!(protocol, "TCP" | "UDP" | "SCTP") || name.as_deref() == Some("") {
            return Err(refused());
        }
        Ok(Self { name, number, protocol: protocol.to_owned() })
    }
}

impl Port {
    /// As a container's port in a manifest.
    #[must_use]
    pub fn manifest(&self) -> Value {
        let mut value = json!({"containerPort": self.number, "protocol": self.protocol});
        if let Some(name) = &self.name {
            value["name"] = name.as_str().into();
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_short() {
        let port = |text: &str| Port::try_from(text.to_owned());
        assert_eq!(port("80").unwrap(), Port { name: None, number: 80, protocol: "TCP".into() });
        let named = Port { name: Some("dns".into()), number: 53, protocol: "UDP".into() };
        assert_eq!(port("dns:53/UDP").unwrap(), named);
        assert_eq!(named.manifest(), json!({"name": "dns", "containerPort": 53, "protocol": "UDP"}));
        for bad in ["", "0", "web", "80/tcp", ":80", "65536"] {
            assert!(port(bad).is_err(), "{bad}");
        }
    }
}
