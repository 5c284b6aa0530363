//! Questions: who connects to whom, and how.

use std::fmt;

use serde_json::{Map, Value};

use super::trouble::Trouble;
use crate::port::Protocol;

/// One question, as it was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Who opens the connection: `ns/pod` or an address.
    pub from: String,
    /// Where to: `ns/pod`, an address or a DNS name.
    pub to: String,
    /// By which protocol, to which port.
    pub service: Wanted,
}

/// A protocol, with the port or message type that goes with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The protocol's number (IANA).
    pub proto: u8,
    /// The port, or the type of ICMP messages; none for protocols that have neither.
    pub port: WantedPort,
}

/// The port of a [`Wanted`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WantedPort {
    /// The protocol has none.
    None,
    /// A number; of ICMP, the message's type.
    Number(u16),
    /// The name of the target's container port, or of the service's port.
    Name(String),
}

/// Message types of an echo request, which stand where no type is given.
const ECHO: u16 = 8;
const ECHO_V6: u16 = 128;

impl Wanted {
    /// A port of a protocol.
    #[must_use]
    pub const fn port(protocol: Protocol, port: u16) -> Self {
        Self { proto: protocol.number(), port: WantedPort::Number(port) }
    }

    /// A port of a protocol by its number, where it has ports or types.
    #[must_use]
    pub fn number(proto: u8, port: u16) -> Self {
        let has_one = |protocol: Protocol| {
            protocol.has_ports() || matches!(protocol, Protocol::Icmp | Protocol::Icmpv6)
        };
        let port = match Protocol::from_number(proto) {
            Some(protocol) if has_one(protocol) => WantedPort::Number(port),
            _ => WantedPort::None,
        };
        Self { proto, port }
    }

    /// The protocol, if it has a name.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        Protocol::from_number(self.proto)
    }

    /// From the fields of a probe. Without a protocol it is TCP; without a type, an echo request.
    fn from_fields(
        protocol: Option<&Value>,
        port: Option<&Value>,
        kind: Option<&Value>,
    ) -> Result<Self, Trouble> {
        let proto = match protocol {
            None | Some(Value::Null) => Protocol::Tcp.number(),
            Some(Value::String(text)) => {
                protocol_number(text).ok_or_else(|| Trouble::Protocol { text: text.clone() })?
            }
            Some(Value::Number(number)) => number
                .as_u64()
                .and_then(|number| u8::try_from(number).ok())
                .ok_or_else(|| Trouble::Protocol { text: number.to_string() })?,
            Some(other) => return Err(Trouble::Protocol { text: other.to_string() }),
        };
        let port = port.filter(|value| !value.is_null());
        let kind = kind.filter(|value| !value.is_null());
        let field = |value: &Value, field| {
            port_of(value).ok_or_else(|| Trouble::Port { field, text: value.to_string() })
        };
        let port = match Protocol::from_number(proto) {
            Some(protocol) if protocol.has_ports() => match port {
                Some(value) => field(value, "port")?,
                None => return Err(Trouble::NoPort { protocol }),
            },
            Some(protocol @ (Protocol::Icmp | Protocol::Icmpv6)) => match kind {
                Some(value) => match field(value, "type")? {
                    WantedPort::Number(kind) if kind <= 255 => WantedPort::Number(kind),
                    _ => return Err(Trouble::Port { field: "type", text: value.to_string() }),
                },
                None => WantedPort::Number(if protocol == Protocol::Icmp { ECHO } else { ECHO_V6 }),
            },
            _ => WantedPort::None,
        };
        Ok(Self { proto, port })
    }

    /// Reads `80`, `http`, `53/UDP`, `http/TCP`, `8/ICMP`, `ICMP` or `GRE`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, Trouble> {
        let (port, protocol) = match text.split_once('/') {
            Some((port, protocol)) => (Some(port), Some(protocol)),
            // The name of a protocol without ports stands alone.
            None => match protocol_number(text).and_then(Protocol::from_number) {
                Some(protocol) if !protocol.has_ports() => (None, Some(text)),
                _ => (Some(text), None),
            },
        };
        let protocol = protocol.map(Value::from);
        let value = port.map(Value::from);
        let without_ports = matches!(
            protocol
                .as_ref()
                .and_then(Value::as_str)
                .and_then(protocol_number)
                .and_then(Protocol::from_number),
            Some(Protocol::Icmp | Protocol::Icmpv6)
        );
        if without_ports {
            return Self::from_fields(protocol.as_ref(), None, value.as_ref());
        }
        Self::from_fields(protocol.as_ref(), value.as_ref(), None)
    }
}

/// The number of a protocol by its name, in whatever case, or its number as text.
fn protocol_number(text: &str) -> Option<u8> {
    match Protocol::from_name(&text.to_ascii_uppercase()) {
        Some(protocol) => Some(protocol.number()),
        None => text.parse().ok(),
    }
}

fn port_of(value: &Value) -> Option<WantedPort> {
    match value {
        Value::Number(number) => Some(WantedPort::Number(u16::try_from(number.as_u64()?).ok()?)),
        Value::String(text) => match text.parse::<u64>() {
            Ok(number) => Some(WantedPort::Number(u16::try_from(number).ok()?)),
            Err(_) if text.is_empty() => None,
            Err(_) => Some(WantedPort::Name(text.clone())),
        },
        _ => None,
    }
}

impl Probe {
    /// Reads a probe: `{"from": …, "to": …, "port": …, "protocol": …, "type": …}`. Other keys are the asker's.
    ///
    /// # Errors
    /// When a field is missing or is not what it should be.
    pub fn read(fields: &Map<String, Value>) -> Result<Self, Trouble> {
        let text = |field| match fields.get(field) {
            Some(Value::String(text)) => Ok(text.trim().to_owned()),
            None => Err(Trouble::Missing { field }),
            Some(other) => Err(Trouble::Field { field, text: other.to_string() }),
        };
        Ok(Self {
            from: text("from")?,
            to: text("to")?,
            service: Wanted::from_fields(fields.get("protocol"), fields.get("port"), fields.get("type"))?,
        })
    }

    /// As JSON, in the form that [`Probe::read`] reads.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("from".into(), self.from.as_str().into());
        fields.insert("to".into(), self.to.as_str().into());
        self.service.write(&mut fields);
        fields
    }
}

impl Wanted {
    /// Writes `protocol`, and `port` or `type`.
    pub(crate) fn write(&self, fields: &mut Map<String, Value>) {
        let protocol = self.protocol();
        let name = protocol.map_or_else(|| self.proto.into(), |protocol| Value::from(protocol.as_str()));
        fields.insert("protocol".into(), name);
        let field = match protocol {
            Some(Protocol::Icmp | Protocol::Icmpv6) => "type",
            _ => "port",
        };
        match &self.port {
            WantedPort::None => None,
            WantedPort::Number(number) => fields.insert(field.into(), (*number).into()),
            WantedPort::Name(name) => fields.insert(field.into(), name.as_str().into()),
        };
    }
}

impl fmt::Display for Wanted {
    /// As `80/TCP`, `8/ICMP` or `GRE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.port {
            WantedPort::None => {}
            WantedPort::Number(number) => write!(f, "{number}/")?,
            WantedPort::Name(name) => write!(f, "{name}/")?,
        }
        match self.protocol() {
            Some(protocol) => write!(f, "{protocol}"),
            None => write!(f, "{}", self.proto),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_as_people_write_them() {
        for (text, expected) in [
            ("80", "80/TCP"),
            ("http", "http/TCP"),
            ("53/udp", "53/UDP"),
            ("dns/UDP", "dns/UDP"),
            ("8/ICMP", "8/ICMP"),
            ("icmp", "8/ICMP"),
            ("ICMPv6", "128/ICMPV6"),
            ("gre", "GRE"),
            ("80/132", "80/SCTP"),
        ] {
            assert_eq!(Wanted::parse(text).unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "70000", "80/QUIC", "300/ICMP", "-1/TCP "] {
            assert!(Wanted::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn probes_as_programs_write_them() {
        let read =
            |text: &str| Probe::read(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap());
        let probe = read(r#"{"from":"x/a","to":"10.0.0.1","port":"443","why":"asked"}"#).unwrap();
        assert_eq!(probe.service, Wanted::port(Protocol::Tcp, 443));
        let probe = read(r#"{"from":"x/a","to":"x/b","protocol":"ICMP","type":3}"#).unwrap();
        assert_eq!(probe.service.to_string(), "3/ICMP");
        assert_eq!(
            Value::from(probe.to_json()),
            serde_json::json!({"from":"x/a","to":"x/b","protocol":"ICMP","type":3})
        );
        let cases = [
            (r#"{"to":"x/b","port":80}"#, "\"from\" is missing"),
            (r#"{"from":"x/a","to":["x/b"],"port":80}"#, "\"to\" is [\"x/b\"], not a text"),
            (r#"{"from":"x/a","to":"x/b","protocol":"UDP"}"#, "\"port\" is missing: UDP has ports"),
            (r#"{"from":"x/a","to":"x/b","port":99999}"#, "\"port\" is 99999: not 0 to 65535, nor a name"),
            (r#"{"from":"x/a","to":"x/b","port":80,"protocol":"TLS"}"#, "\"TLS\" is not a protocol"),
        ];
        for (text, message) in cases {
            assert_eq!(read(text).unwrap_err().to_string(), message);
        }
    }
}
