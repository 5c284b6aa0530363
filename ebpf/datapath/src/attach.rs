//! Attaching programs to links: tcx where the kernel has it (6.6), else a clsact filter.
//!
//! A tcx link is pinned and its program replaced in place; a clsact filter stays by itself and is replaced
//! under its handle. Either way no packet passes unjudged while an agent takes over from another.

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact};
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use aya::util::KernelVersion;

use crate::error::Error;
use crate::pins::Pins;

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// BPF links, Linux 6.6 and later.
    Tcx,
    /// Filters of a clsact queueing discipline.
    Clsact,
}

impl AttachMode {
    /// What this kernel has.
    #[must_use]
    pub fn of_this_kernel() -> Self {
        if KernelVersion::current().is_ok_and(|kernel| kernel >= KernelVersion::new(6, 6, 0)) {
            Self::Tcx
        } else {
            Self::Clsact
        }
    }

    /// Its name: `tcx` or `clsact`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// Which way packets pass a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Into the stack.
    Ingress,
    /// Out of the stack.
    Egress,
}

impl Hook {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    const fn attach_type(self) -> TcAttachType {
        match self {
            Self::Ingress => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }
}

/// The clsact filter's place: one of ours a hook.
const PRIORITY: u16 = 1;
const HANDLE: TcHandle = TcHandle::new(0, 1);

/// Attaches a program to a link, in place of the one that an earlier call attached.
pub(crate) fn attach(
    program: &mut SchedClassifier,
    name: &'static str,
    link: &str,
    hook: Hook,
    mode: AttachMode,
    pins: Option<&Pins>,
) -> Result<(), Error> {
    match mode {
        AttachMode::Tcx => attach_tcx(program, name, link, hook, pins),
        AttachMode::Clsact => attach_clsact(program, name, link, hook),
    }
}

fn attach_tcx(
    program: &mut SchedClassifier,
    name: &'static str,
    link: &str,
    hook: Hook,
    pins: Option<&Pins>,
) -> Result<(), Error> {
    let pin = pins.map(|pins| pins.link(link, hook.name()));
    if let Some(pin) = &pin
        && let Ok(old) = PinnedLink::from_pin(pin)
    {
        // A pin outlives its device; the link is then defunct and cannot be updated.
        let updated = SchedClassifierLink::try_from(FdLink::from(old))
            .map_err(Error::attach(name, link))
            .and_then(|old| program.attach_to_link(old).map_err(Error::attach(name, link)));
        if let Ok(id) = updated {
            // The pin holds the link; our descriptor of it may go.
            drop(program.take_link(id).map_err(Error::attach(name, link))?);
            return Ok(());
        }
        Pins::remove(pin)?;
    }
    let id = program
        .attach_with_options(link, hook.attach_type(), TcAttachOptions::TcxOrder(LinkOrder::default()))
        .map_err(Error::attach(name, link))?;
    let Some(pin) = pin else { return Ok(()) };
    let attached = program.take_link(id).map_err(Error::attach(name, link))?;
    let fd: FdLink = attached.try_into().map_err(|error: LinkError| Error::attach(name, link)(error))?;
    fd.pin(&pin).map_err(|source| Error::Pin { path: pin.clone(), source: Box::new(source) })?;
    Ok(())
}

fn attach_clsact(
    program: &mut SchedClassifier,
    name: &'static str,
    link: &str,
    hook: Hook,
) -> Result<(), Error> {
    // There already is no error; anything else shows when the filter is added.
    let _ = qdisc_add_clsact(link);
    let attach_type = hook.attach_type();
    let place = || NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
    let added = program.attach_with_options(link, attach_type, TcAttachOptions::Netlink(place()));
    let id = match added {
        Ok(id) => id,
        // The place is taken by the filter of an earlier agent: put ours there.
        Err(_) => {
            let old = SchedClassifierLink::attached(link, attach_type, PRIORITY, HANDLE, None)
                .map_err(Error::attach(name, link))?;
            program.attach_to_link(old).map_err(Error::attach(name, link))?
        }
    };
    // Dropping it would remove the filter, which must outlive this process. It goes with its device.
    std::mem::forget(program.take_link(id).map_err(Error::attach(name, link))?);
    Ok(())
}

/// Forgets what is attached to a link that is gone or about to go.
pub(crate) fn forget(link: &str, pins: &Pins) -> Result<(), Error> {
    for hook in [Hook::Ingress, Hook::Egress] {
        Pins::remove(&pins.link(link, hook.name()))?;
    }
    Ok(())
}
