//! The port of this machine's loopback that leads to a lab's API.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

use crate::name::LabName;

/// The first port that labs take by themselves: below those that the kernel gives to whoever connects.
const FIRST: u16 = 20_000;
/// How many.
const COUNT: u16 = 10_000;

/// A free port: the wanted one, or one that this lab mostly gets again.
///
/// # Errors
/// When there is none.
pub(crate) fn free(name: &LabName, wanted: Option<u16>) -> Result<u16> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop);
    if let Some(port) = wanted {
        return is_free(port).map(|()| port).with_context(|| format!("port {port} of 127.0.0.1"));
    }
    let mut hasher = DefaultHasher::new();
    name.as_str().hash(&mut hasher);
    let start = (hasher.finish() % u64::from(COUNT)) as u16;
    (0..COUNT)
        .map(|step| FIRST + (start + step) % COUNT)
        .find(|port| is_free(*port).is_ok())
        .context("no port of 127.0.0.1 is free for the API")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_passed_over() {
        let name: LabName = "port".parse().unwrap();
        let first = free(&name, None).unwrap();
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert_ne!(free(&name, None).unwrap(), first);
        assert!(free(&name, Some(first)).is_err());
        drop(held);
    }
}
