//! Throughput by iperf3: what its server received.

use std::io;

use serde_json::Value;

use super::child::{Running, seconds, until_listening};
use crate::network::cpu::Side;
use crate::network::traffic::{Path, Window, ports};

pub(super) fn measure(path: Path<'_>, window: Window) -> io::Result<f64> {
    let (port, address, time) = (ports::TOOLS.to_string(), path.address.to_string(), seconds(window.time));
    let server =
        Running::start(Side::Server, path.to, "iperf3", &["--server", "--one-off", "--port", &port])?;
    until_listening(path.to, ports::TOOLS)?;
    let arguments = ["--client", &address, "--port", &port, "--time", &time, "--json"];
    let said = Running::start(Side::Client, path.from, "iperf3", &arguments)?.said(window.time);
    drop(server);
    let document: Value = serde_json::from_str(&said?)?;
    let rate = document["end"]["sum_received"]["bits_per_second"].as_f64();
    let rate =
        rate.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it did not say what was received"))?;
    Ok(rate / 1e9)
}
