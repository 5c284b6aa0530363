//! What a step expects, packet by packet.

use policy::Verdict;
use serde::Serialize;

use crate::error::Mistake;
use crate::objects::{Objects, pod_name};
use crate::place::{End, Kind, Place};
use crate::suite::{Family, Matrix, Places, PortName, Step, Transport};

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who opens it.
    pub from: End,
    /// Whom with.
    pub to: End,
    /// Over which family.
    pub family: Family,
    /// By what.
    pub transport: Transport,
    /// The destination port; the type of an ICMP message.
    pub port: u16,
}

impl Packet {
    /// The protocol's number (IANA).
    #[must_use]
    pub const fn proto(&self) -> u8 {
        match (self.transport, self.family) {
            (Transport::Tcp, _) => abi::proto::TCP,
            (Transport::Udp, _) => abi::proto::UDP,
            (Transport::Sctp, _) => abi::proto::SCTP,
            (Transport::Icmp, Family::V4) => abi::proto::ICMP,
            (Transport::Icmp, Family::V6) => abi::proto::ICMPV6,
        }
    }

    /// Whether it goes to where it comes from.
    #[must_use]
    pub fn is_to_itself(&self) -> bool {
        self.from.address == self.to.address
    }
}

/// A packet, and what is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The packet.
    pub packet: Packet,
    /// What is to become of it.
    pub verdict: Verdict,
}

/// A line of a case, before it is known who has which address.
struct Line<'a> {
    from: String,
    to: String,
    port: Option<&'a PortName>,
    transport: Transport,
    icmp_type: Option<u8>,
    verdict: Verdict,
}

/// All that a step expects.
///
/// # Errors
/// When that makes no sense in this cluster.
pub fn expectations(
    step: &Step,
    objects: &Objects,
    families: &[Family],
) -> Result<Vec<Expectation>, Mistake> {
    let mut lines: Vec<Line<'_>> = step
        .probes
        .iter()
        .map(|probe| Line {
            from: probe.from.clone(),
            to: probe.to.clone(),
            port: probe.port.as_ref(),
            transport: probe.protocol,
            icmp_type: probe.icmp_type,
            verdict: probe.expect,
        })
        .collect();
    for matrix in &step.matrix {
        lines.extend(pairs(matrix, objects)?);
    }
    let mut all = Vec::new();
    for line in &lines {
        let (from, to) = (Place::parse(&line.from)?, Place::parse(&line.to)?);
        for family in families.iter().copied().filter(|family| from.has(*family) && to.has(*family)) {
            let ends =
                (from.end(&line.from, &to, objects, family)?, to.end(&line.to, &from, objects, family)?);
            all.push(line.expectation(ends, family, objects)?);
        }
    }
    if all.is_empty() { Err(Mistake::NoExpectation) } else { Ok(all) }
}

impl Line<'_> {
    fn expectation(
        &self,
        (from, to): (End, End),
        family: Family,
        objects: &Objects,
    ) -> Result<Expectation, Mistake> {
        if !matches!(from.kind, Kind::Pod(_)) && !matches!(to.kind, Kind::Pod(_)) {
            return Err(Mistake::NoPod { from: from.name, to: to.name });
        }
        let port = match (self.transport, self.icmp_type, self.port) {
            (Transport::Icmp, kind, None) => {
                u16::from(kind.unwrap_or(if family == Family::V4 { 8 } else { 128 }))
            }
            (Transport::Icmp, ..) => return Err(self.wants("has no ports")),
            (_, Some(_), _) => return Err(self.wants("has no types")),
            (_, None, None | Some(PortName::Number(0))) => return Err(self.wants("needs a port, 1 to 65535")),
            (_, None, Some(PortName::Number(port))) => *port,
            (_, None, Some(PortName::Name(name))) => self.named(name, &to, objects)?,
        };
        let packet = Packet { from, to, family, transport: self.transport, port };
        Ok(Expectation { packet, verdict: self.verdict })
    }

    fn wants(&self, wants: &'static str) -> Mistake {
        Mistake::Port { protocol: self.transport.to_string(), wants }
    }

    fn named(&self, name: &str, to: &End, objects: &Objects) -> Result<u16, Mistake> {
        let protocol = self.transport.to_string();
        let ports = match &to.kind {
            Kind::Pod(pod) => objects.pod(pod).map(|pod| pod.ports.as_slice()).unwrap_or_default(),
            _ => &[],
        };
        ports
            .iter()
            .find(|port| port.name.as_deref() == Some(name) && port.protocol.as_str() == protocol)
            .map(|port| port.port)
            .ok_or_else(|| Mistake::NoSuchPort { to: to.name.clone(), port: name.to_owned(), protocol })
    }
}

/// The pairs of a matrix.
fn pairs<'a>(matrix: &'a Matrix, objects: &Objects) -> Result<Vec<Line<'a>>, Mistake> {
    let everyone = |places: &Places| -> Result<Vec<String>, Mistake> {
        let patterns = match places {
            Places::All => &["*".to_owned()][..],
            said => said.patterns(),
        };
        let mut names: Vec<String> = Vec::new();
        for pattern in patterns {
            let before = names.len();
            if pattern.contains('*') {
                names.extend(objects.pods().map(pod_name).filter(|name| fits(pattern, name)));
                if names.len() == before {
                    return Err(Mistake::Nobody(format!("pod {pattern}")));
                }
            } else {
                names.push(pattern.clone());
            }
        }
        Ok(names)
    };
    let (from, to) = (everyone(&matrix.from)?, everyone(&matrix.to)?);
    for exception in &matrix.except {
        for (places, names) in [(&exception.from, &from), (&exception.to, &to)] {
            for pattern in places.patterns() {
                if !names.iter().any(|name| fits(pattern, name)) {
                    return Err(Mistake::FitsNobody(pattern.clone()));
                }
            }
        }
    }
    let is_about = |places: &Places, name: &str| match places {
        Places::All => true,
        said => said.patterns().iter().any(|pattern| fits(pattern, name)),
    };
    let one = [(matrix.port.as_ref(), matrix.protocol, matrix.icmp_type)];
    let several: Vec<_> = matrix.ports.iter().map(|at| (at.port.as_ref(), at.protocol, None)).collect();
    if !several.is_empty() && (matrix.port.is_some() || matrix.icmp_type.is_some()) {
        return Err(Mistake::TwoPorts);
    }
    let targets = if several.is_empty() { &one[..] } else { &several };
    let mut lines = Vec::new();
    for from in &from {
        for to in to.iter().filter(|to| *to != from) {
            let last = matrix.except.iter().rfind(|one| is_about(&one.from, from) && is_about(&one.to, to));
            let verdict = last.map_or(matrix.default, |exception| exception.expect);
            lines.extend(targets.iter().map(|(port, transport, icmp_type)| Line {
                from: from.clone(),
                to: to.clone(),
                port: *port,
                transport: *transport,
                icmp_type: *icmp_type,
                verdict,
            }));
        }
    }
    Ok(lines)
}

/// Whether a pattern fits a name: `*` stands for a whole namespace or name.
fn fits(pattern: &str, name: &str) -> bool {
    if pattern == name {
        return true;
    }
    match (pattern, pattern.split_once('/'), name.split_once('/')) {
        // Nodes are written alike and are no pods.
        (_, _, Some(("node", _)) | None) => false,
        ("*", _, Some(_)) => true,
        (_, Some((namespace, pod)), Some(of)) => {
            (namespace == "*" || namespace == of.0) && (pod == "*" || pod == of.1)
        }
        _ => false,
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Got {
    /// It passed.
    Allow,
    /// A proxy would decide.
    Redirect,
    /// Policy dropped it.
    Deny,
    /// Something else happened.
    Other,
}

impl From<Verdict> for Got {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allow => Self::Allow,
            Verdict::Redirect => Self::Redirect,
            Verdict::Deny => Self::Deny,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Cluster;

    fn expected(step: &str) -> Result<Vec<String>, Mistake> {
        let text = r#"{"pods": {"x/a": {"ports": ["web:80", "web:81/UDP"]}, "x/b": {"ports": ["web:8080"]}, "y/a": {}}}"#;
        let cluster: Cluster = serde_json::from_str(text).unwrap();
        let mut objects = Objects::of_cluster(&cluster, std::path::Path::new(".")).unwrap();
        objects.place_pods().unwrap();
        let step: Step = serde_json::from_str(step).unwrap();
        let all = expectations(&step, &objects, &[Family::V4])?;
        Ok(all
            .iter()
            .map(|Expectation { packet, verdict }| {
                format!(
                    "{} {} {}/{} {verdict}",
                    packet.from.name, packet.to.name, packet.port, packet.transport
                )
            })
            .collect())
    }

    #[test]
    fn a_matrix_has_every_pair_and_the_last_exception_holds() {
        let all = expected(
            r#"{"matrix": [{"from": ["*", "world"], "to": "x/*", "port": "web", "default": "ALLOW", "except": [
                {"from": "x/*", "expect": "DENY"}, {"from": ["*/a", "world"], "to": "x/b", "expect": "REDIRECT"}]}]}"#,
        );
        let wanted = [
            "x/a x/b 8080/TCP REDIRECT",
            "x/b x/a 80/TCP DENY",
            "y/a x/a 80/TCP ALLOW",
            "y/a x/b 8080/TCP REDIRECT",
            "world x/a 80/TCP ALLOW",
            "world x/b 8080/TCP REDIRECT",
        ];
        assert_eq!(all.unwrap(), wanted);
    }

    #[test]
    fn a_matrix_of_several_ports() {
        let step = r#"{"matrix": [{"from": "y/a", "to": "x/a", "ports": ["web", "81/UDP", "ICMP"], "default": "DENY"}]}"#;
        let wanted = ["y/a x/a 80/TCP DENY", "y/a x/a 81/UDP DENY", "y/a x/a 8/ICMP DENY"];
        assert_eq!(expected(step).unwrap(), wanted);
    }

    #[test]
    fn probes_by_name_and_type() {
        let all = expected(
            r#"{"probes": [{"from": "host", "to": "x/a", "port": "web", "protocol": "UDP", "expect": "ALLOW"},
                {"from": "x/a", "to": "192.0.2.1", "protocol": "ICMP", "type": 3, "expect": "DENY"},
                {"from": "x/a", "to": "2001:db8::1", "port": 80, "expect": "DENY"}]}"#,
        );
        assert_eq!(all.unwrap(), ["host x/a 81/UDP ALLOW", "x/a 192.0.2.1 3/ICMP DENY"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (step, why) in [
            (r#"{}"#, "nothing is expected"),
            (
                r#"{"probes": [{"from": "x/q", "to": "x/a", "port": 1, "expect": "DENY"}]}"#,
                "there is no pod x/q",
            ),
            (
                r#"{"probes": [{"from": "x/a", "to": "x/b", "expect": "DENY"}]}"#,
                "TCP needs a port, 1 to 65535",
            ),
            (
                r#"{"probes": [{"from": "x/a", "to": "y/a", "port": "web", "expect": "DENY"}]}"#,
                "y/a has no port \"web\" of TCP",
            ),
            (
                r#"{"probes": [{"from": "world", "to": "node/node1", "port": 1, "expect": "DENY"}]}"#,
                "neither world nor node/node1 is a pod",
            ),
            (r#"{"matrix": [{"to": "z/*", "port": 80, "default": "ALLOW"}]}"#, "there is no pod z/*"),
            (
                r#"{"matrix": [{"to": "x/*", "port": 80, "default": "ALLOW", "except": [{"to": "y/a", "expect": "DENY"}]}]}"#,
                "\"y/a\" fits nobody of the matrix",
            ),
            (
                r#"{"probes": [{"from": "x/a", "to": "x/b", "protocol": "ICMP", "port": 8, "expect": "DENY"}]}"#,
                "ICMP has no ports",
            ),
        ] {
            assert_eq!(expected(step).unwrap_err().to_string(), why);
        }
    }
}
