//! A small request and its answer, one after the other, over one connection.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use super::window::{Gate, Window};
use super::{Measured, PATIENCE, Path, inside, join, nothing_arrived, ports};
use crate::network::cpu::Side;
use crate::network::report::Metric;
use crate::network::stats::percentile;

/// A request, and its answer, in bytes.
pub(crate) const MESSAGE: usize = 64;
/// Room for the times of a window, so that none is moved while they are taken.
const ROOM: usize = 1 << 20;

pub(super) fn send(path: Path<'_>, window: Window) -> io::Result<Measured> {
    let to = path.on(ports::EXCHANGE);
    let listener = inside(path.to, || TcpListener::bind(to))?;
    let client = inside(path.from, || TcpStream::connect_timeout(&to.into(), PATIENCE))?;
    let (server, _) = listener.accept()?;
    for socket in [&client, &server] {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
    }
    let (gate, exchanged) = (Gate::default(), AtomicU64::new(0));
    let (interval, mut times) = thread::scope(|scope| {
        let server = scope.spawn(|| answer(server));
        let client = scope.spawn(|| ask(client, &gate, &exchanged));
        let interval = gate.watch(window, || exchanged.load(Ordering::Relaxed));
        gate.close();
        let times = join(client)?;
        join(server)?;
        io::Result::Ok((interval?, times))
    })?;
    if times.is_empty() {
        return Err(nothing_arrived());
    }
    times.sort_unstable();
    let micros = |share| f64::from(percentile(&times, share)) / 1e3;
    Ok(vec![
        (Metric::ExchangeP50, micros(0.5)),
        (Metric::ExchangeP99, micros(0.99)),
        (Metric::ExchangeP999, micros(0.999)),
        (Metric::ExchangeRate, interval.rate()),
        (Metric::CpuPerExchange, interval.cpu.micros() / interval.count as f64),
    ])
}

/// Asks until the window is over; says how long each took, in nanoseconds.
fn ask(mut socket: TcpStream, gate: &Gate, exchanged: &AtomicU64) -> io::Result<Vec<u32>> {
    Side::Client.pin()?;
    let mut times = Vec::with_capacity(ROOM);
    let mut message = [0x5a; MESSAGE];
    while !gate.is_over() {
        let start = Instant::now();
        socket.write_all(&message)?;
        socket.read_exact(&mut message)?;
        let took = start.elapsed();
        exchanged.fetch_add(1, Ordering::Relaxed);
        if gate.is_open() {
            times.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
        }
    }
    Ok(times)
}

/// Answers until the other end has ended.
fn answer(mut socket: TcpStream) -> io::Result<()> {
    Side::Server.pin()?;
    let mut message = [0; MESSAGE];
    loop {
        match socket.read_exact(&mut message) {
            Ok(()) => socket.write_all(&message)?,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
