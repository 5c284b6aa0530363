//! What goes wrong.

/// What goes wrong, each once in so many times; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A request is carried out, at once or up to 50 s later, and no answer comes.
    pub lost_reply: u32,
    /// A request is never carried out, and no answer comes.
    pub lost_request: u32,
    /// A request to unassign is carried out a second time, up to 50 s later.
    pub repeated: u32,
    /// EC2 has too much to do.
    pub throttled: u32,
    /// EC2 shows what was up to 4 s ago.
    pub stale: u32,
    /// EC2 refuses to attach an interface, and does not say why.
    pub refused_attach: u32,
    /// A request waits for its turn, by up to 25 s.
    pub late_turn: u32,
    /// The agent crashes, in a tick.
    pub agent_crash: u32,
    /// The leader goes away, in a tick, and another leads when its time is over.
    pub operator_crash: u32,
    /// That one does not wait until then: for up to 15 s two lead.
    pub overlap: u32,
    /// A new leader is shown an object as it was long ago.
    pub old_news: u32,
    /// A leader's clock is ahead by up to so many seconds.
    pub skew: u64,
    /// A watch event comes late, by up to 3 s.
    pub late_watch: u32,
    /// The API server takes up to 2 s.
    pub slow_api: u32,
    /// A read of an object fails.
    pub failed_read: u32,
    /// A write of an object fails, or says so.
    pub failed_write: u32,
    /// An object is deleted and made anew, in a tick.
    pub made_anew: u32,
    /// An instance is replaced by another of the name, in a tick.
    pub replaced: u32,
}

impl Faults {
    pub const EVERYTHING: Self = Self {
        lost_reply: 15,
        lost_request: 30,
        repeated: 3,
        throttled: 20,
        stale: 3,
        refused_attach: 4,
        late_turn: 30,
        agent_crash: 400,
        operator_crash: 300,
        overlap: 2,
        old_news: 3,
        skew: 30,
        late_watch: 5,
        slow_api: 3,
        failed_read: 10,
        failed_write: 10,
        made_anew: 600,
        replaced: 1500,
    };
}
