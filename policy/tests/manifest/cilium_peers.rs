//! The peers of Cilium's rules.

use crate::{accepts_rules, refuses_rules};

#[test]
fn accepted() {
    accepts_rules(
        "ingress",
        &[
            "{fromEndpoints: [{}]}",
            "{fromEndpoints: [], fromCIDR: [], fromRequires: []}",
            "{fromEndpoints: [], fromEntities: [world]}",
            "{fromEntities: [all, world, world-ipv4, world-ipv6, cluster, cluster-mesh, host, init, ingress, unmanaged]}",
            "{fromEntities: [remote-node, health, none, kube-apiserver]}",
            "{fromCIDR: [10.0.0.0/8, 10.1.2.3/8, 192.0.2.1/32, \"::/0\", \"fd00::1/128\"]}",
            "{fromCIDRSet: [{cidr: 0.0.0.0/0}, {cidr: 192.0.2.3/32}, {cidr: \"2001:0db8:85a3:0000:0000:8a2e:0370:7334/128\"}]}",
            "{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.0.0.0/8, 10.9.9.9/16]}]}",
            "{fromCIDRSet: [{cidrGroupRef: a.b-c}, {cidrGroupSelector: {matchLabels: {a: b}}, except: [10.0.0.0/8]}]}",
            "{fromNodes: [{matchLabels: {zone: a}}]}",
            "{fromGroups: [{aws: {securityGroupsIds: [sg-1]}}]}",
        ],
    );
    accepts_rules(
        "egress",
        &[
            "{toFQDNs: [{matchName: www.Example.com.}, {matchPattern: \"*\"}, {matchPattern: \"**.a_b.com\"}]}",
            "{toFQDNs: [{matchPattern: \"a*.b\"}], toPorts: [{ports: [{port: \"443\"}]}]}",
            "{toServices: [{}, {k8sService: {serviceName: a, namespace: b}}, {k8sService: {}}]}",
            "{toServices: [{k8sServiceSelector: {selector: {}}}], toPorts: [{ports: [{port: \"80\"}]}]}",
            "{toGroups: [{aws: {labels: {a: b}, securityGroupsNames: [x], region: eu}}], toPorts: []}",
            "{toRequires: []}",
        ],
    );
    accepts_rules(
        "egressDeny",
        &[
            "{toServices: [{k8sServiceSelector: {selector: {}}}], toPorts: [{ports: [{port: \"80\"}]}]}",
            "{toCIDRSet: [{cidrGroupRef: a}]}",
            "{toNodes: [{}]}",
        ],
    );
}

#[test]
fn refused() {
    refuses_rules(
        "ingress",
        &[
            (
                "{fromEntities: [world], fromCIDR: [10.0.0.0/8]}",
                "39: fromCIDR: fromCIDR cannot be combined with fromEntities in one rule (put it into a rule of its own)",
            ),
            (
                "{fromEndpoints: [{}], fromNodes: [{}]}",
                "38: fromNodes: fromNodes cannot be combined with fromEndpoints in one rule (put it into a rule of its own)",
            ),
            (
                "{fromRequires: [{}]}",
                "20: fromRequires: fromRequires has no effect any more (name all labels in one selector of the endpoints)",
            ),
            (
                "{fromEntities: [wrld, World]}",
                "21: fromEntities[0]: \"wrld\" is not an entity (did you mean \"world\"?)
                 27: fromEntities[1]: \"World\" is not an entity (did you mean \"world\"?)",
            ),
            (
                "{fromEntities: [moon]}",
                "21: fromEntities[0]: \"moon\" is not an entity (all, world, world-ipv4, world-ipv6, cluster, cluster-mesh, host, init, ingress, unmanaged, remote-node, health, none, kube-apiserver)",
            ),
            (
                "{fromCIDR: [10.0.0.0/33, 10.0.0.1, a]}",
                "17: fromCIDR[0]: \"10.0.0.0/33\" is not a CIDR (such as 10.0.0.0/8 or fd00::/8)
                 30: fromCIDR[1]: \"10.0.0.1\" is not a CIDR (such as 10.0.0.0/8 or fd00::/8)
                 40: fromCIDR[2]: \"a\" is not a CIDR (such as 10.0.0.0/8 or fd00::/8)",
            ),
            (
                "{fromCIDRSet: [{}, {except: []}, {cidr: 10.0.0.0/8, cidrGroupRef: a}, {cidrGroupRef: a, cidrGroupSelector: {}}]}",
                "20: fromCIDRSet[0]: names nothing (one of cidr, cidrGroupRef, cidrGroupSelector)
                 24: fromCIDRSet[1]: names nothing (one of cidr, cidrGroupRef, cidrGroupSelector)
                 71: fromCIDRSet[2].cidrGroupRef: cidrGroupRef stands beside cidr (one of cidr, cidrGroupRef, cidrGroupSelector)
                 112: fromCIDRSet[3].cidrGroupSelector: cidrGroupSelector stands beside cidrGroupRef (one of cidr, cidrGroupRef, cidrGroupSelector)",
            ),
            (
                "{fromCIDRSet: [{cidrGroupRef: A}, {cidr: 10.0.0.0}, {cidr: 10.0.0.0/254.0.0.255}]}",
                "35: fromCIDRSet[0].cidrGroupRef: \"A\" is not the name of a CiliumCIDRGroup (lower-case letters, digits, '-' and '.')
                 46: fromCIDRSet[1].cidr: \"10.0.0.0\" is not a CIDR (such as 10.0.0.0/8 or fd00::/8)
                 64: fromCIDRSet[2].cidr: \"10.0.0.0/254.0.0.255\" is not a CIDR (such as 10.0.0.0/8 or fd00::/8)",
            ),
            (
                "{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.0.0.0/7, 11.0.0.0/8, \"::/0\"]}]}",
                "48: fromCIDRSet[0].except[0]: 10.0.0.0/7 does not lie inside 10.0.0.0/8 (except takes parts of cidr away)
                 60: fromCIDRSet[0].except[1]: 11.0.0.0/8 does not lie inside 10.0.0.0/8 (except takes parts of cidr away)
                 72: fromCIDRSet[0].except[2]: ::/0 does not lie inside 10.0.0.0/8 (except takes parts of cidr away)",
            ),
            ("{fromGroups: [{gcp: {}}]}", "20: fromGroups[0]: unknown field \"gcp\" (known fields: aws)"),
            (
                "{toEndpoints: []}",
                "6: : unknown field \"toEndpoints\" (known fields: fromEndpoints, fromEntities, fromCIDR, fromCIDRSet, fromNodes, fromGroups, fromRequires, toPorts, icmps, authentication)",
            ),
        ],
    );
    refuses_rules(
        "egress",
        &[
            (
                "{toFQDNs: [{}, {matchName: a.b, matchPattern: \"*.b\"}]}",
                "16: toFQDNs[0]: names nothing (one of matchName, matchPattern)
                 51: toFQDNs[1].matchPattern: matchPattern stands beside matchName (one of matchName, matchPattern)",
            ),
            (
                "{toFQDNs: [{matchName: \"*.b\"}, {matchName: a..b}, {matchPattern: \"a b\"}, {matchPattern: .a}]}",
                "28: toFQDNs[0].matchName: \"*.b\" is not a DNS name (matchPattern has stars)
                 48: toFQDNs[1].matchName: \"a..b\" is not a DNS name (such as www.example.com)
                 70: toFQDNs[2].matchPattern: \"a b\" is not a pattern of DNS names (such as *.example.com)
                 93: toFQDNs[3].matchPattern: \".a\" is not a pattern of DNS names (such as *.example.com)",
            ),
            (
                "{toFQDNs: [{matchName: a.b}], toCIDR: [10.0.0.0/8]}",
                "15: toFQDNs: toFQDNs cannot be combined with toCIDR in one rule (put it into a rule of its own)",
            ),
            (
                "{toServices: [{k8sServiceSelector: {namespace: a}}]}",
                "40: toServices[0].k8sServiceSelector: \"selector\" is missing (selector: {} selects every service)",
            ),
        ],
    );
    refuses_rules(
        "egressDeny",
        &[(
            "{toFQDNs: []}",
            "6: : unknown field \"toFQDNs\" (known fields: toEndpoints, toEntities, toCIDR, toCIDRSet, toNodes, toGroups, toServices, toRequires, toPorts, icmps)",
        )],
    );
}
