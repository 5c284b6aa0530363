//! As many bytes as go through.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::window::{Gate, Window};
use super::{Measured, PATIENCE, Path, inside, join, nothing_arrived, ports};
use crate::network::cpu::Side;
use crate::network::report::Metric;

/// What is written and read at a time, in bytes: as iperf3 does.
const BLOCK: usize = 128 * 1024;

pub(super) fn send(path: Path<'_>, streams: u32, window: Window) -> io::Result<Measured> {
    let to = path.on(ports::STREAM);
    let listener = inside(path.to, || TcpListener::bind(to))?;
    let (gate, received) = (Gate::default(), AtomicU64::new(0));
    let interval = thread::scope(|scope| {
        let mut threads = Vec::new();
        let begun = (0..streams).try_for_each(|_| {
            let client = inside(path.from, || TcpStream::connect_timeout(&to.into(), PATIENCE))?;
            let (server, _) = listener.accept()?;
            for socket in [&client, &server] {
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
            }
            threads.push(scope.spawn(|| read(server, &received)));
            threads.push(scope.spawn(|| write(client, &gate)));
            Ok(())
        });
        let interval = begun.and_then(|()| gate.watch(window, || received.load(Ordering::Relaxed)));
        gate.close();
        threads.into_iter().try_for_each(join)?;
        interval
    })?;
    if interval.count == 0 {
        return Err(nothing_arrived());
    }
    Ok(vec![
        (Metric::StreamGbit, interval.rate() * 8.0 / 1e9),
        (Metric::CpuPerGigabyte, interval.cpu.seconds() / (interval.count as f64 / 1e9)),
    ])
}

fn write(mut socket: TcpStream, gate: &Gate) -> io::Result<()> {
    Side::Client.pin()?;
    let block = vec![0x5a; BLOCK];
    while !gate.is_over() {
        socket.write_all(&block)?;
    }
    Ok(())
}

/// Reads until the other end has ended.
fn read(mut socket: TcpStream, received: &AtomicU64) -> io::Result<()> {
    Side::Server.pin()?;
    let mut block = vec![0; BLOCK];
    loop {
        match socket.read(&mut block)? {
            0 => return Ok(()),
            bytes => received.fetch_add(bytes as u64, Ordering::Relaxed),
        };
    }
}
