//! A connection for each request by wrk, which asks our server.

use std::io;
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::child::{Running, number_after, seconds};
use crate::network::cpu::Side;
use crate::network::traffic::{Path, Responder, Window, ports};

pub(super) fn measure(path: Path<'_>, window: Window) -> io::Result<f64> {
    let to = SocketAddrV4::new(path.address, ports::TOOLS);
    let (url, time) = (format!("http://{to}/"), format!("{}s", seconds(window.time)));
    let (server, stop) = (Responder::bind(path.to, to)?, AtomicBool::new(false));
    let said = thread::scope(|scope| {
        let server = scope.spawn(|| server.run(&stop));
        let arguments = [
            "--threads",
            "1",
            "--connections",
            "1",
            "--duration",
            &time,
            "--header",
            "Connection: close",
            &url,
        ];
        let said =
            Running::start(Side::Client, path.from, "wrk", &arguments).and_then(|wrk| wrk.said(window.time));
        stop.store(true, Ordering::Relaxed);
        server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        said
    })?;
    number_after(&said, "Requests/sec:")
}
