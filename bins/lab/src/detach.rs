//! A process of its own: no terminal, no descriptor of whoever started it.
#![expect(unsafe_code, reason = "descriptors that this process never opened can only be closed by number")]

use std::io;

/// The first descriptor after standard input, output and error.
const FIRST: libc::c_uint = 3;

/// Leaves the caller's session and closes all that it left open, so that its pipes see their end. To be
/// called first in `main`, while this process has opened nothing itself.
///
/// # Errors
/// When the kernel refuses.
pub fn detach() -> io::Result<()> {
    // SAFETY: closes descriptors only; nothing in this process owns one from 3 on yet (the caller's promise).
    if unsafe { libc::close_range(FIRST, libc::c_uint::MAX, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    nix::unistd::setsid()?;
    Ok(())
}
