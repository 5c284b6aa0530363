use std::io::Result;
use std::net::{Ipv4Addr, TcpListener};

/// Ports of 127.0.0.1 that were free a moment ago.
pub(crate) fn free<const N: usize>() -> Result<[u16; N]> {
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        // Held until all are chosen, so that none is chosen twice.
        listeners.push(listener);
    }
    Ok(ports)
}
