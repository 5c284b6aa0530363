//! What is set on an interface.

use std::fmt;

use rtnetlink::packet_route::link::LinkAttribute;
use serde::{Deserialize, Serialize};

use crate::{
    link::{self, Link},
    mac::IfIndex,
    net::Request,
};

/// What can be set on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSettings {
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
}

impl fmt::Display for LinkSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mtu {} {}", self.mtu, if self.up { "up" } else { "down" })
    }
}

impl LinkSettings {
    pub(crate) fn set(self, index: IfIndex) -> Request {
        let mut message = link::with(LinkAttribute::Mtu(self.mtu));
        link::set_up_flag(&mut message, self.up);
        let mut request = link::change("set link", index, message);
        request.subject = format!("{index} {self}");
        request
    }
}

impl Link {
    /// What is set on it.
    #[must_use]
    pub fn settings(&self) -> LinkSettings {
        LinkSettings { mtu: self.mtu, up: self.up }
    }
}
