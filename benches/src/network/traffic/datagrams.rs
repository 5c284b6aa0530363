//! As many datagrams as go through, of a flow that was answered once.
//!
//! Without an answer connection tracking would take each datagram for the first of its flow, and rules would judge them all:
//! a flow in use, as QUIC's or that of a name server's client, has its answers. The first datagram is answered, while
//! nothing counts yet.

use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::window::{Gate, Window};
use super::{Measured, Path, inside, join, nothing_arrived, ports};
use crate::network::cpu::Side;
use crate::network::report::Metric;

/// How often the server looks whether it is wanted.
const GLANCE: Duration = Duration::from_millis(20);
/// The largest payload that is sent, in bytes.
const MOST: usize = 9000;

pub(super) fn send(path: Path<'_>, bytes: u32, window: Window) -> io::Result<Measured> {
    let to = path.on(ports::DATAGRAMS);
    let server = inside(path.to, || UdpSocket::bind(to))?;
    let client = inside(path.from, || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(to)?;
        Ok(socket)
    })?;
    server.set_read_timeout(Some(GLANCE))?;
    let (gate, sent, received) = (Gate::default(), AtomicU64::new(0), AtomicU64::new(0));
    let (interval, offered) = thread::scope(|scope| {
        let server = scope.spawn(|| receive(&server, &gate, &received));
        let client = scope.spawn(|| offer(&client, bytes as usize, &gate, &sent));
        let interval = gate.watch(window, || received.load(Ordering::Relaxed));
        gate.close();
        join(client)?;
        join(server)?;
        io::Result::Ok((interval?, sent.load(Ordering::Relaxed)))
    })?;
    if interval.count == 0 {
        return Err(nothing_arrived());
    }
    Ok(vec![
        (Metric::DatagramRate, interval.rate()),
        (Metric::DatagramOffered, offered as f64 / interval.time.as_secs_f64()),
        (Metric::CpuPerPacket, interval.cpu.micros() / interval.count as f64),
    ])
}

/// Sends until the window is over; counts what the kernel took while the window was open.
fn offer(socket: &UdpSocket, bytes: usize, gate: &Gate, sent: &AtomicU64) -> io::Result<()> {
    Side::Client.pin()?;
    let payload = vec![0x5a; bytes];
    while !gate.is_over() {
        match socket.send(&payload) {
            Ok(_) if gate.is_open() => {
                sent.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) => {}
            // The server's end of the last window may still be said to be closed.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn receive(socket: &UdpSocket, gate: &Gate, received: &AtomicU64) -> io::Result<()> {
    Side::Server.pin()?;
    let mut payload = [0; MOST];
    let mut answered = false;
    while !gate.is_over() {
        match socket.recv_from(&mut payload) {
            Ok((_, from)) => {
                received.fetch_add(1, Ordering::Relaxed);
                if !answered {
                    socket.send_to(&payload[..1], from)?;
                    answered = true;
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
