//! What rules say of one packet, and what follows when they say different things.

use abi::{Cell, CellAction};
use serde::{Deserialize, Serialize};

use crate::l7::Proxy;
use crate::rule::{Action, Authentication, Tier};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// It passes.
    Allow,
    /// A proxy decides.
    Redirect,
    /// It is dropped.
    Deny,
}

impl Verdict {
    /// The verdict in upper case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Redirect => "REDIRECT",
            Self::Deny => "DENY",
        }
    }

    /// The verdict of a cell of compiled tables.
    #[must_use]
    pub fn of_cell(cell: Cell) -> Self {
        if cell.auth == Authentication::TestAlwaysFail as u8 {
            return Self::Deny;
        }
        match cell.action {
            action if action == CellAction::Allow as u8 => Self::Allow,
            action if action == CellAction::Redirect as u8 => Self::Redirect,
            _ => Self::Deny,
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one rule says of the packets that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Opinion {
    pub(crate) tier: Tier,
    /// Its place among the rules of the administrators' tiers: the smallest decides.
    pub(crate) rank: u32,
    pub(crate) action: Action,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) auth: Option<Authentication>,
    /// The number of what it wants reported, from 1.
    pub(crate) log: Option<u32>,
}

/// What several rules say, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Opinions {
    admin: First,
    normal: Normal,
    baseline: First,
}

/// The first rule of a tier in which the first one decides, with what it says.
type First = Option<(u32, Action, Option<u32>)>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Normal {
    denied: bool,
    allowed: bool,
    proxy: Option<Proxy>,
    auth: Option<Authentication>,
    /// The first logs that rules want reported with the verdict: denials, and what is allowed.
    denied_log: Option<u32>,
    allowed_log: Option<u32>,
}

fn first(a: First, b: First) -> First {
    match (a, b) {
        (Some(x), Some(y)) => Some(if y.0 < x.0 { y } else { x }),
        (a, b) => a.or(b),
    }
}

fn least(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    match (a, b) {
        (Some(x), Some(y)) => Some(x.min(y)),
        (a, b) => a.or(b),
    }
}

impl From<Opinion> for Opinions {
    fn from(one: Opinion) -> Self {
        let Opinion { tier, rank, action, proxy, auth, log } = one;
        let decides = Some((rank, action, log));
        match tier {
            Tier::Admin(_) => Self { admin: decides, ..Self::default() },
            Tier::Baseline(_) => Self { baseline: decides, ..Self::default() },
            Tier::Normal if action == Action::Deny => Self {
                normal: Normal { denied: true, denied_log: log, ..Normal::default() },
                ..Self::default()
            },
            Tier::Normal => Self {
                normal: Normal { allowed: true, proxy, auth, allowed_log: log, ..Normal::default() },
                ..Self::default()
            },
        }
    }
}

impl Opinions {
    /// Takes more opinions into account. The order does not matter.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.admin = first(self.admin, other.admin);
        self.baseline = first(self.baseline, other.baseline);
        let (a, b) = (&mut self.normal, &other.normal);
        a.denied |= b.denied;
        a.allowed |= b.allowed;
        a.proxy = a.proxy.max(b.proxy);
        a.auth = a.auth.max(b.auth);
        a.denied_log = least(a.denied_log, b.denied_log);
        a.allowed_log = least(a.allowed_log, b.allowed_log);
    }

    /// What follows. `closed`: whether what no rule of [`Tier::Normal`] allows is denied there. `number` gives
    /// proxies their numbers, from 1.
    pub(crate) fn cell(&self, closed: bool, number: impl FnOnce(Proxy) -> u16) -> Cell {
        let decided = |action: Action, log: Option<u32>| {
            let action = if action == Action::Deny { CellAction::Deny } else { CellAction::Allow };
            Cell { action: action as u8, cookie: log.unwrap_or_default(), ..Cell::default() }
        };
        if let Some((_, action @ (Action::Allow | Action::Deny), log)) = self.admin {
            return decided(action, log);
        }
        let Normal { denied, allowed, proxy, auth, denied_log, allowed_log } = self.normal;
        if denied {
            return decided(Action::Deny, denied_log);
        }
        if allowed {
            let mut cell = decided(Action::Allow, allowed_log);
            cell.auth = auth.unwrap_or(Authentication::Disabled) as u8;
            if let Some(proxy) = proxy {
                cell.action = CellAction::Redirect as u8;
                cell.proxy_port = number(proxy);
            }
            return cell;
        }
        if closed {
            return Cell { action: CellAction::NoRule as u8, ..Cell::default() };
        }
        match self.baseline {
            Some((_, Action::Deny, log)) => decided(Action::Deny, log),
            Some((_, Action::Allow, log)) => decided(Action::Allow, log),
            _ => decided(Action::Allow, None),
        }
    }

    /// Which opinions decide: those of which this says yes.
    pub(crate) fn is_decisive(&self, closed: bool, one: &Opinion) -> bool {
        let is_first =
            |first: First| first.is_some_and(|(rank, action, _)| action != Action::Pass && rank == one.rank);
        let admin_decides = matches!(self.admin, Some((_, Action::Allow | Action::Deny, _)));
        match one.tier {
            Tier::Admin(_) => is_first(self.admin),
            _ if admin_decides => false,
            Tier::Normal if self.normal.denied => one.action == Action::Deny,
            Tier::Normal => true,
            Tier::Baseline(_) => {
                !self.normal.denied && !self.normal.allowed && !closed && is_first(self.baseline)
            }
        }
    }
}
