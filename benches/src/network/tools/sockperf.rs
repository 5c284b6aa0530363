//! Request and answer by sockperf, both ways, in microseconds.

use std::io;

use super::child::{Running, number_after, seconds, until_listening};
use crate::network::cpu::Side;
use crate::network::traffic::{MESSAGE, Path, Window, ports};

pub(super) fn measure(path: Path<'_>, window: Window) -> io::Result<f64> {
    let (port, address, time) = (ports::SOCKPERF.to_string(), path.address.to_string(), seconds(window.time));
    let size = MESSAGE.to_string();
    let server =
        Running::start(Side::Server, path.to, "sockperf", &["server", "--tcp", "-i", &address, "-p", &port])?;
    until_listening(path.to, ports::SOCKPERF)?;
    let arguments =
        ["ping-pong", "--tcp", "--full-rtt", "-i", &address, "-p", &port, "-m", &size, "-t", &time];
    let said = Running::start(Side::Client, path.from, "sockperf", &arguments)?.said(window.time);
    drop(server);
    number_after(&said?, "percentile 50.000 =")
}
