//! The ring buffer of events.
#![expect(unsafe_code, reason = "reads a plain struct from bytes that the kernel wrote")]

use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use abi::{Event, maps};
use aya::maps::{Map, MapData, RingBuf};

use crate::error::Error;

/// The reader of events. Its descriptor becomes readable when there are some.
pub struct Events(RingBuf<MapData>);

impl Events {
    pub(crate) fn open(map: Map) -> Result<Self, Error> {
        Ok(Self(map.try_into().map_err(Error::map("opening", maps::EVENTS))?))
    }

    /// The next event, if there is one. An entry of another size is passed over: it is of another version.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let item = self.0.next()?;
            if item.len() == size_of::<Event>() {
                // SAFETY: the length was checked, any bytes are an `Event`, and the read needs no alignment.
                return Some(unsafe { item.as_ptr().cast::<Event>().read_unaligned() });
            }
        }
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring buffer owns the descriptor and lives as long as `self`.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}
