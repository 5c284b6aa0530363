//! Who leads: decisions without I/O.
//!
//! ```text
//!              ┌────────────── wait ◀─────────────┬──────────────────┐
//!              ▼                                  │ held by another  │
//!   ┌───▶ Read ──▶ absent ──▶ Create ──▶ written ─┼─▶ LEADS ── Replace every retry period
//!   │       └────▶ free, ours, or unchanged for   │      │ ▲
//!   │              its duration ──▶ Replace ──────┘      │ └── written: until when it was sent + renew deadline
//!   │                                  │ conflict, lost  │
//!   └──────────────────────────────────┴─────────────────┘ conflict, lost: read again; over when the deadline passes
//! ```

use std::time::Duration;

/// How long things take. The duration must be longer than the renew deadline, and that longer than the retry period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// How long others leave an unchanged lease alone.
    pub duration: Duration,
    /// How long who leads goes on without a renewal.
    pub renew_deadline: Duration,
    /// The pause between two tries.
    pub retry_period: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let (duration, renew_deadline, retry_period) = (15, 10, 2);
        Self {
            duration: Duration::from_secs(duration),
            renew_deadline: Duration::from_secs(renew_deadline),
            retry_period: Duration::from_secs(retry_period),
        }
    }
}

/// What a lease says, as far as decisions need it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Who holds it; empty when it was given back.
    pub holder: String,
    /// How long it is valid without a change.
    pub duration: Duration,
    /// How often it went from one holder to another.
    pub transitions: i32,
}

/// What is to be asked of the server. `V` is its resource version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request<V> {
    /// Read the lease.
    Read,
    /// Make it.
    Create(Record),
    /// Write it over this version, and no other.
    Replace(Record, V),
}

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer<V> {
    /// The lease as it is.
    Found(Record, V),
    /// There is none.
    Absent,
    /// It is written; this is its version.
    Written(V),
    /// It is another than the request took it for.
    Conflict,
    /// Whether it was written is not known.
    Unknown,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step<V> {
    /// Send this, now.
    Send(Request<V>),
    /// Ask again at that time.
    Wait(Duration),
}

/// Decides for one process. Times are since boot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Elector<V> {
    identity: String,
    timing: Timing,
    /// What was last read or written, and since when it has been known to be so.
    observed: Option<Observed<V>>,
    /// Until when this process leads.
    until: Option<Duration>,
    /// Whether `observed` is surely what the server has, unless somebody else wrote.
    fresh: bool,
    next: Duration,
    /// What was sent last, and when.
    sent: Option<(Request<V>, Duration)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Observed<V> {
    record: Record,
    version: V,
    since: Duration,
}

impl<V: Clone + PartialEq> Elector<V> {
    /// A process that holds nothing. The identity must be its own, and another after a restart.
    pub fn new(identity: String, timing: Timing) -> Self {
        Self { identity, timing, observed: None, until: None, fresh: false, next: Duration::ZERO, sent: None }
    }

    /// Whether this process leads at that time.
    pub fn leads(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Until when this process leads, if nothing more is heard.
    pub fn until(&self) -> Option<Duration> {
        self.until
    }

    /// Who holds the lease, as far as is known.
    pub fn holder(&self) -> Option<&str> {
        self.observed.as_ref().map(|observed| observed.record.holder.as_str())
    }

    /// What to do at that time.
    pub fn step(&mut self, now: Duration) -> Step<V> {
        if self.until.is_some_and(|until| now >= until) {
            self.until = None;
        }
        if now < self.next {
            return Step::Wait(self.next);
        }
        // Whoever leads knows the version: one request a renewal.
        let request = match &self.observed {
            Some(observed)
                if self.until.is_some() && self.fresh && observed.record.holder == self.identity =>
            {
                Request::Replace(self.claim(&observed.record), observed.version.clone())
            }
            _ => Request::Read,
        };
        self.send(request, now)
    }

    /// Takes in what the server said to what the last step sent.
    pub fn answer(&mut self, answer: Answer<V>, now: Duration) -> Step<V> {
        let Some((request, sent)) = self.sent.take() else { return Step::Wait(self.next) };
        match (request, answer) {
            (Request::Read, Answer::Found(record, version)) => self.found(record, version, now),
            (Request::Read, Answer::Absent) => {
                self.observed = None;
                self.until = None;
                let record =
                    Record { holder: self.identity.clone(), duration: self.timing.duration, transitions: 0 };
                self.send(Request::Create(record), now)
            }
            (Request::Create(record) | Request::Replace(record, _), Answer::Written(version)) => {
                self.until = (record.holder == self.identity).then(|| sent + self.timing.renew_deadline);
                self.observed = Some(Observed { record, version, since: now });
                self.fresh = true;
                self.wait(sent + self.timing.retry_period)
            }
            _ => {
                self.fresh = false;
                self.wait(now + self.timing.retry_period)
            }
        }
    }

    /// Gives the lease back: what to send, if it is ours. From now on this process does not lead.
    pub fn release(&mut self, now: Duration) -> Option<Request<V>> {
        let led = self.leads(now);
        self.until = None;
        let observed =
            self.observed.as_ref().filter(|seen| led && self.fresh && seen.record.holder == self.identity)?;
        let record = Record {
            holder: String::new(),
            duration: Duration::from_secs(1),
            transitions: observed.record.transitions,
        };
        let request = Request::Replace(record, observed.version.clone());
        self.sent = Some((request.clone(), now));
        Some(request)
    }

    fn found(&mut self, record: Record, version: V, now: Duration) -> Step<V> {
        let since = match &self.observed {
            Some(observed) if observed.version == version => observed.since,
            _ => now,
        };
        let ours = record.holder == self.identity;
        if !ours {
            self.until = None;
        }
        self.fresh = true;
        let expires = since + record.duration;
        let free = ours || record.holder.is_empty() || now >= expires;
        let step = if free {
            Step::Send(Request::Replace(self.claim(&record), version.clone()))
        } else {
            // To the moment: whoever waits a whole period more takes over that much later.
            Step::Wait(expires.min(now + self.timing.retry_period))
        };
        self.observed = Some(Observed { record, version, since });
        match step {
            Step::Send(request) => self.send(request, now),
            Step::Wait(until) => self.wait(until),
        }
    }

    fn claim(&self, record: &Record) -> Record {
        let moves = i32::from(record.holder != self.identity);
        Record {
            holder: self.identity.clone(),
            duration: self.timing.duration,
            transitions: record.transitions.saturating_add(moves),
        }
    }

    fn send(&mut self, request: Request<V>, now: Duration) -> Step<V> {
        self.sent = Some((request.clone(), now));
        Step::Send(request)
    }

    fn wait(&mut self, until: Duration) -> Step<V> {
        self.next = until;
        Step::Wait(until)
    }
}
