//! How the lab's cloud is, for a person.

use std::fmt::Write as _;

use super::control::{Client, CloudStatus};
use crate::console::Colours;
use crate::paths::Paths;
use crate::process::PidFile;
use crate::state::State;

/// How many violations and failures are shown.
const SHOWN: usize = 5;

/// Asks the cloud of a lab that has one; says why it does not answer.
pub(crate) fn ask(state: &State, paths: &Paths) -> (Option<CloudStatus>, Option<String>) {
    if state.cloud.is_none() {
        return (None, None);
    }
    match Client::new(&paths.cloud_socket()).status() {
        Ok(status) => (Some(status), None),
        Err(error) => match PidFile::holder(&paths.cloud_pid()) {
            Ok(Some(_)) => (None, Some(format!("{error:#}"))),
            _ => {
                let log = paths.cloud_log();
                (None, Some(format!("EC2 has ended, and the lab with it: see {}", log.display())))
            }
        },
    }
}

/// Writes how it is. Writing to a String cannot fail, here and below.
pub(crate) fn write(out: &mut String, cloud: Option<&CloudStatus>, problem: Option<&str>, colours: Colours) {
    if let Some(problem) = problem {
        let _ = writeln!(out, "  {}", colours.bad(problem));
    }
    let Some(cloud) = cloud else { return };
    let calls: u64 = cloud.calls.values().sum();
    let violations = match cloud.violations.len() {
        0 => colours.good("no violations"),
        number => colours.bad(&format!("{number} violations")),
    };
    let _ = writeln!(
        out,
        "  EC2 at {}, {}: {calls} calls, {} throttled, {violations}",
        cloud.endpoint,
        cloud.vpc,
        cloud.throttled()
    );
    for violation in cloud.violations.iter().chain(&cloud.unplugged).take(SHOWN) {
        let _ = writeln!(out, "    {}", colours.bad(violation));
    }
    let dropped = [
        (cloud.dropped.foreign_source, "from an address that the interface does not have"),
        (cloud.dropped.no_public_address, "to the world, not from an instance's first address"),
        (cloud.dropped.not_assigned, "to an address that no interface has"),
    ];
    for (number, what) in dropped.iter().filter(|(number, _)| *number > 0) {
        let packets = if *number == 1 { "packet" } else { "packets" };
        let _ = writeln!(out, "    dropped {number} {packets} {what}");
    }
    if !cloud.unattached.is_empty() {
        let _ = writeln!(out, "    attached to nothing: {}", cloud.unattached.join(", "));
    }
}

/// Writes the interfaces of a node.
pub(crate) fn write_interfaces(out: &mut String, cloud: &CloudStatus, node: &str) {
    let of_node = cloud.instances.iter().filter(|instance| instance.node == node);
    for interface in of_node.flat_map(|instance| &instance.interfaces) {
        let subnet = cloud.subnets.iter().find(|subnet| subnet.id == interface.subnet);
        let mut line = format!(
            "{} {} {} in {}",
            interface.link.as_deref().unwrap_or("(no link yet)"),
            interface.id,
            interface.address,
            subnet.map_or(interface.subnet.as_str(), |subnet| subnet.name.as_str())
        );
        let mut more: Vec<String> = interface.prefixes.iter().map(ToString::to_string).collect();
        more.extend(interface.addresses.iter().map(ToString::to_string));
        if !more.is_empty() {
            let _ = write!(line, ": {}", more.join(" "));
        }
        let _ = writeln!(out, "           {line}");
    }
}
