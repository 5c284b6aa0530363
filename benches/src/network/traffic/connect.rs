//! A connection for each request: HTTP without keep-alive, so that other programs can ask the same server.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use netcore::Netns;

use super::window::{Gate, Window};
use super::{Measured, PATIENCE, Path, inside, join, nothing_arrived, ports};
use crate::network::cpu::Side;
use crate::network::report::Metric;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
/// How often the server looks whether it is wanted.
const GLANCE: Duration = Duration::from_millis(20);

/// A server that answers each connection once, and ends it.
#[derive(Debug)]
pub(crate) struct Responder {
    listener: TcpListener,
}

impl Responder {
    /// Listens.
    pub(crate) fn bind(netns: &Netns, to: SocketAddrV4) -> io::Result<Self> {
        Ok(Self { listener: inside(netns, || TcpListener::bind(to))? })
    }

    /// Answers until it is told to stop.
    pub(crate) fn run(&self, stop: &AtomicBool) -> io::Result<()> {
        Side::Server.pin()?;
        // An accept without a limit would wait for ever for a client that has gone.
        self.listener.set_nonblocking(true)?;
        let mut request = [0; 1024];
        while !stop.load(Ordering::Relaxed) {
            match self.listener.accept() {
                Ok((socket, _)) => {
                    socket.set_nonblocking(false)?;
                    socket.set_read_timeout(Some(PATIENCE))?;
                    // A client that gives up in the middle is the client's matter: it counts what it got.
                    let _given_up = answer(socket, &mut request);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        use std::os::fd::AsFd;

        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let mut sockets = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(GLANCE).unwrap_or(PollTimeout::ZERO);
        match poll(&mut sockets, limit) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn answer(mut socket: TcpStream, request: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while !request[..filled].ends_with(b"\r\n\r\n") {
        let Some(room) = request.get_mut(filled..).filter(|room| !room.is_empty()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        match socket.read(room)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => filled += bytes,
        }
    }
    socket.write_all(ANSWER)
}

pub(super) fn send(path: Path<'_>, window: Window) -> io::Result<Measured> {
    let to = path.on(ports::CONNECT);
    let server = Responder::bind(path.to, to)?;
    let (gate, done, stop) = (Gate::default(), AtomicU64::new(0), AtomicBool::new(false));
    let interval = thread::scope(|scope| {
        let server = scope.spawn(|| server.run(&stop));
        let client = scope.spawn(|| inside(path.from, || ask(to, &gate, &done)));
        let interval = gate.watch(window, || done.load(Ordering::Relaxed));
        gate.close();
        let asked = join(client);
        stop.store(true, Ordering::Relaxed);
        join(server)?;
        asked?;
        interval
    })?;
    if interval.count == 0 {
        return Err(nothing_arrived());
    }
    Ok(vec![
        (Metric::ConnectRate, interval.rate()),
        (Metric::CpuPerConnection, interval.cpu.micros() / interval.count as f64),
    ])
}

/// Connects, asks, reads to the end, again and again.
fn ask(to: SocketAddrV4, gate: &Gate, done: &AtomicU64) -> io::Result<()> {
    Side::Client.pin()?;
    let mut read = Vec::with_capacity(ANSWER.len());
    while !gate.is_over() {
        let mut socket = TcpStream::connect_timeout(&to.into(), PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(REQUEST)?;
        read.clear();
        socket.read_to_end(&mut read)?;
        if read != ANSWER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is not the server's"));
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
