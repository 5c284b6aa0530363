//! Ports and types of ICMP of Cilium's rules.

use crate::{Kind, accepts_rules, refuses_rules, with_rule};
use netloom_policy::{PortMatch, Ports, Protocol};

#[test]
fn accepted() {
    for list in ["ingress", "egressDeny"] {
        accepts_rules(
            list,
            &[
                "{toPorts: []}",
                "{toPorts: [{}]}",
                "{toPorts: [{ports: []}]}",
                "{toPorts: [{ports: [{port: \"0\"}, {port: \"65535\", protocol: ANY}, {port: HTTP-80, protocol: TCP}]}]}",
                "{toPorts: [{ports: [{port: \"80\", endPort: 90}, {port: \"80\", endPort: 0}, {port: \"0\", endPort: 7}]}]}",
                // Ignored: a range cannot end before it begins, nor begin with a name.
                "{toPorts: [{ports: [{port: \"80\", endPort: 79}, {port: http, endPort: 90}]}]}",
                "{toPorts: [{ports: [{protocol: GRE}, {port: \"0\", protocol: ESP}, {port: \"\", protocol: AH}]}]}",
                "{toPorts: [{ports: [{protocol: VRRP}, {protocol: IGMP}, {protocol: IPIP}, {protocol: IPV6}]}]}",
                "{toPorts: [{ports: [{port: \"4000\", protocol: SCTP}]}]}",
                "{icmps: []}",
                "{icmps: [{}]}",
                "{icmps: [{fields: [{type: 0}, {type: 255}, {type: \"8\"}, {type: Echo}, {type: ExtendedEchoReply}]}]}",
                "{icmps: [{fields: [{type: EchoRequest, family: IPv6}, {type: PacketTooBig, family: IPv6}]}]}",
                "{icmps: [{fields: [{type: 8, family: IPv4}]}], toPorts: []}",
            ],
        );
    }
}

#[test]
fn refused() {
    refuses_rules(
        "ingress",
        &[
            (
                "{toPorts: [{ports: [{port: 80}, {port: \"99999\"}, {port: \"+80\"}, {port: \"010\"}, {port: \"\"}, {}]}]}",
                "32: toPorts[0].ports[0].port: must be a string, not a number (quote it: \"80\")
                 44: toPorts[0].ports[1].port: \"99999\" is not a port (\"0\" to \"65535\", or the name of a container port)
                 61: toPorts[0].ports[2].port: \"+80\" is not a port (\"0\" to \"65535\", or the name of a container port)
                 76: toPorts[0].ports[3].port: \"010\" is not a port (\"0\" to \"65535\", or the name of a container port)
                 84: toPorts[0].ports[4]: \"port\" is missing (a number or a name in quotes; \"0\" stands for all ports)
                 96: toPorts[0].ports[5]: \"port\" is missing (a number or a name in quotes; \"0\" stands for all ports)",
            ),
            (
                "{toPorts: [{ports: [{port: \"80\", endPort: 70000}, {port: \"80\", endPort: -1}]}]}",
                "47: toPorts[0].ports[0].endPort: 70000 is not a port (ports are 0 to 65535)
                 77: toPorts[0].ports[1].endPort: -1 is not a port (ports are 0 to 65535)",
            ),
            (
                "{toPorts: [{ports: [{port: \"80\", protocol: tcp}, {port: \"8\", protocol: ICMP}, {port: \"80\", protocol: FOO}]}]}",
                "48: toPorts[0].ports[0].protocol: \"tcp\" is not a protocol (did you mean \"TCP\"?)
                 76: toPorts[0].ports[1].protocol: ICMP has no ports (icmps selects types of ICMP)
                 106: toPorts[0].ports[2].protocol: \"FOO\" is not a protocol (TCP, UDP, SCTP, VRRP, IGMP, GRE, IPIP, IPV6, ESP, AH or ANY)",
            ),
            (
                "{toPorts: [{ports: [{port: \"1\", protocol: VRRP}]}]}",
                "32: toPorts[0].ports[0].port: VRRP has no ports (port: \"0\", or no port)",
            ),
            (
                "{icmps: [{fields: [{type: 256}, {type: \"300\"}, {type: -1}, {type: Pong}, {}, {type: true}]}]}",
                "31: icmps[0].fields[0].type: 256 is not a type of ICMP (types are 0 to 255)
                 44: icmps[0].fields[1].type: \"300\" is not a type of ICMP (types are 0 to 255)
                 59: icmps[0].fields[2].type: -1 is not a type of ICMP (types are 0 to 255)
                 71: icmps[0].fields[3].type: \"Pong\" is not a type of ICMP (EchoReply, DestinationUnreachable, Redirect, Echo, EchoRequest, RouterAdvertisement, RouterSelection, TimeExceeded, ParameterProblem, Timestamp, TimestampReply, Photuris, ExtendedEchoRequest, ExtendedEchoReply)
                 78: icmps[0].fields[4]: \"type\" is missing (0 to 255, or a name such as EchoRequest)
                 89: icmps[0].fields[5].type: must be a number or a name, not a boolean",
            ),
            (
                "{icmps: [{fields: [{type: 0, family: hoge}, {type: 0, family: ipv6}]}]}",
                "42: icmps[0].fields[0].family: \"hoge\" is not a family (IPv4, IPv6)
                 67: icmps[0].fields[1].family: \"ipv6\" is not a family (did you mean \"IPv6\"?)",
            ),
            (
                "{toPorts: [{ports: [{port: \"80\", protocol: TCP}]}], icmps: [{fields: [{type: 8}]}]}",
                "64: icmps: icmps stands beside toPorts (put it into a rule of its own)",
            ),
        ],
    );
}

#[test]
fn forty_are_enough() {
    let ports: Vec<_> = (0..41).map(|port| format!("{{port: \"{port}\", protocol: TCP}}")).collect();
    let types: Vec<_> = (0..41).map(|number| format!("{{type: {number}}}")).collect();
    for list in ["ingress", "ingressDeny", "egress", "egressDeny"] {
        let rule = |ports: &[String]| format!("{{toPorts: [{{ports: [{}]}}]}}", ports.join(", "));
        accepts_rules(list, &[&rule(&ports[..40])]);
        refuses_rules(list, &[(&rule(&ports), "24: toPorts[0].ports: has 41 items (at most 40)")]);
        let rule = |types: &[String]| format!("{{icmps: [{{fields: [{}]}}]}}", types.join(", "));
        accepts_rules(list, &[&rule(&types[..40])]);
        refuses_rules(list, &[(&rule(&types), "23: icmps[0].fields: has 41 items (at most 40)")]);
    }
}

#[test]
fn what_ports_mean() {
    let ports = |text: &str| {
        let rule = format!("{{toPorts: [{{ports: [{text}]}}]}}");
        let mut spec = Kind::Cilium.spec(&with_rule("ingress", &rule));
        spec.rules.remove(0).ports
    };
    let cases = [
        ("{port: \"0\"}", Protocol::WITH_PORTS.to_vec(), PortMatch::All),
        ("{port: \"0\", protocol: ANY}", Protocol::WITH_PORTS.to_vec(), PortMatch::All),
        ("{port: \"0\", protocol: TCP}", vec![Protocol::Tcp], PortMatch::All),
        ("{port: \"80\"}", Protocol::WITH_PORTS.to_vec(), PortMatch::Range(80, 80)),
        ("{port: \"80\", endPort: 90, protocol: UDP}", vec![Protocol::Udp], PortMatch::Range(80, 90)),
        ("{port: \"80\", endPort: 9, protocol: UDP}", vec![Protocol::Udp], PortMatch::Range(80, 80)),
        ("{port: \"0\", endPort: 9, protocol: UDP}", vec![Protocol::Udp], PortMatch::Range(0, 9)),
        ("{port: \"0\", endPort: 65535, protocol: UDP}", vec![Protocol::Udp], PortMatch::All),
        ("{port: HTTP, endPort: 9}", Protocol::WITH_PORTS.to_vec(), PortMatch::Named("http".into())),
        ("{protocol: ESP}", vec![Protocol::Esp], PortMatch::All),
    ];
    for (text, protocols, port) in cases {
        let Ports::OneOf(found) = ports(text) else { panic!("{text}") };
        assert_eq!(found[0].protocols.iter().copied().collect::<Vec<_>>(), protocols, "{text}");
        assert_eq!((found.len(), &found[0].port), (1, &port), "{text}");
    }
    // An item that names no port selects nothing, and neither do types of ICMP that are not there.
    for rule in ["{toPorts: [{}]}", "{icmps: [{}]}", "{fromEntities: [all], toPorts: [{ports: []}]}"] {
        let spec = Kind::Cilium.spec(&with_rule("ingress", rule));
        assert!(spec.deny_ingress && spec.rules.is_empty(), "{rule}");
    }
    let spec = Kind::Cilium.spec(&with_rule(
        "ingress",
        "{icmps: [{fields: [{type: Redirect}]}, {fields: [{type: EchoReply, family: IPv6}]}]}",
    ));
    let Ports::OneOf(types) = &spec.rules[0].ports else { panic!() };
    let types: Vec<_> = types.iter().map(|t| (t.protocols.first().copied(), t.port.clone())).collect();
    assert_eq!(
        types,
        [
            (Some(Protocol::Icmp), PortMatch::Range(5, 5)),
            (Some(Protocol::Icmpv6), PortMatch::Range(129, 129))
        ]
    );
}
