//! Packets on their way through the datapath's decisions.

use abi::{Addr, AddressRecord, Endpoint, EndpointId, Identity, IfIndex, PolicySlot};
use ebpf_core::host::{Bytes, HostTables};
use ebpf_core::{Action, Scratch, from_netdev, from_pod, to_endpoint, to_pod};

/// Two pods of this node, by their links, and a link to another node.
const PODS: [IfIndex; 2] = [IfIndex(7), IfIndex(8)];
const UPLINK: IfIndex = IfIndex(2);

const fn v4(link: IfIndex) -> [u8; 4] {
    [10, 0, 0, link.0 as u8]
}

const fn v6(link: IfIndex) -> [u8; 16] {
    let mut addr = [0; 16];
    addr[0] = 0xfd;
    addr[15] = link.0 as u8;
    addr
}

/// Gives a frame to each program. Whatever it is: what leaves a pod has the pod's own source, and
/// what is put into a pod is for that pod.
pub fn packet(input: &[u8]) {
    let tables = tables();
    let frame = Bytes(input);
    let [pod, _] = PODS;

    let mut scratch = Scratch::default();
    match from_pod(&tables, &frame, pod, 1, &mut scratch) {
        Action::ToEndpoint => {
            is_from(input, pod);
            deliver(input, to_endpoint(&tables, &frame, 2, &mut scratch));
        }
        Action::Forward(_) => is_from(input, pod),
        // Of IPv6 the stack gets a link's own housekeeping too, which has other sources.
        Action::Pass if is_v4(input) => is_from(input, pod),
        _ => {}
    }
    let mut scratch = Scratch::default();
    if from_netdev(&tables, &frame, &mut scratch) == Action::ToEndpoint {
        deliver(input, to_endpoint(&tables, &frame, 3, &mut scratch));
    }
    let mut scratch = Scratch::default();
    if to_pod(&tables, &frame, pod, &mut scratch) == Action::ToEndpoint {
        deliver(input, to_endpoint(&tables, &frame, 4, &mut scratch));
    }
}

fn deliver(input: &[u8], action: Action) {
    if let Action::Deliver(link) = action {
        let to = if is_v4(input) { input[30..34] == v4(link) } else { input[38..54] == v6(link) };
        assert!(to, "delivered to {link:?}, which it is not for: {input:02x?}");
    }
}

fn is_from(input: &[u8], link: IfIndex) {
    let from = if is_v4(input) { input[26..30] == v4(link) } else { input[22..38] == v6(link) };
    assert!(from, "left {link:?} with another's source: {input:02x?}");
}

fn is_v4(input: &[u8]) -> bool {
    input.get(12..14) == Some(&[0x08, 0x00])
}

/// Pods that may send and receive anything, so that as much as possible is reached.
fn tables() -> HostTables {
    let mut tables = HostTables::default();
    for link in PODS {
        let endpoint = Endpoint {
            v4: Addr::v4(v4(link)),
            v6: Addr::from_octets(v6(link)),
            identity: Identity(300 + link.0),
            ingress: PolicySlot::ALLOW_ALL,
            egress: PolicySlot::ALLOW_ALL,
            ifindex: link,
            id: EndpointId(link.0 as u16),
            ..Endpoint::default()
        };
        for is_v4 in [true, false] {
            let record =
                AddressRecord { peer: endpoint.peer(is_v4), local: link, ..AddressRecord::default() };
            tables.addresses.insert(if is_v4 { endpoint.v4 } else { endpoint.v6 }, record);
        }
        tables.endpoints.insert(link, endpoint);
    }
    // A pod of another node.
    tables
        .addresses
        .insert(Addr::v4([10, 0, 1, 1]), AddressRecord { forward: UPLINK, ..AddressRecord::default() });
    tables
}
