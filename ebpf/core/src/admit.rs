//! Conntrack and policy together: may this packet pass this endpoint?

use abi::{
    Config, CtFlags, CtKey, Direction, DropReason, Endpoint, EventKind, Peer, PolicyFlags, PolicyRecord,
    proto,
};

use crate::conntrack;
use crate::packet::Packet;
use crate::parse::{HeaderFlags, Headers};
use crate::policy::judge;
use crate::scratch::Report;
use crate::tables::{CtTable, Tables};

/// One endpoint's view of a packet.
pub(crate) struct Gate<'a, T: Tables> {
    /// The node's tables.
    pub tables: &'a T,
    /// The node's settings.
    pub config: &'a Config,
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// Whether the packet goes to or from it.
    pub direction: Direction,
    /// The other end.
    pub peer: Peer,
    /// Whether policy has no say: the endpoint's own node always reaches it.
    pub exempt: bool,
    /// The time in ticks.
    pub now: u32,
}

/// A connection that is remembered, and where.
struct Known<C> {
    shared: C,
    table: CtTable,
}

impl<T: Tables> Gate<'_, T> {
    /// Lets the packet pass, or says why not. What is to be reported goes to `report`.
    ///
    /// # Errors
    /// The reason to drop it.
    #[inline(always)]
    pub(crate) fn admit<P: Packet>(
        &self,
        packet: &P,
        headers: &Headers,
        report: &mut Report,
    ) -> Result<(), DropReason> {
        report.endpoint = self.endpoint.id;
        report.direction = self.direction as u8;
        report.peer = self.peer;
        report.own = self.endpoint.peer(headers.is_v4());

        // An ICMP error belongs to the connection of the packet that it quotes; any other is judged like a
        // message of its own, and opens nothing.
        let is_error = headers.flags.has(HeaderFlags::ICMP_ERROR);
        let key = if is_error {
            headers
                .parse_quoted(packet)
                .and_then(|quoted| conntrack::quoted_key(&quoted, headers, self.endpoint, self.direction))
        } else {
            Some(conntrack::key(headers, self.endpoint, self.direction))
        };
        let found = match &key {
            Some(key) => self.find(key, report),
            None => None,
        };
        if is_error {
            return match found {
                Some(_) => Ok(()),
                None => self.judge(self.policy()?, headers, report),
            };
        }
        let Some(key) = key else { return Err(DropReason::Malformed) };

        // A request to open what is closed, or to open it the other way, is a connection of its own.
        let known = found.filter(|known| {
            let entry = known.shared.get();
            let original = conntrack::is_original(&entry, self.direction);
            !(conntrack::is_open_request(headers) && (!original || conntrack::is_closed(entry.flags)))
        });
        match known {
            Some(known) => self.pass_known(headers, &key, &known, report),
            None => self.pass_new(headers, &key, report),
        }
    }

    /// The valid connection with this key.
    #[inline(always)]
    fn find(&self, key: &CtKey, report: &mut Report) -> Option<Known<T::Connection<'_>>> {
        if let Some(shared) = self.tables.connection(CtTable::Established, key) {
            report.remembered = 1;
            if conntrack::is_live(&shared.get(), self.now) {
                return Some(Known { shared, table: CtTable::Established });
            }
        }
        match self.tables.connection(CtTable::Unconfirmed, key) {
            Some(shared) if conntrack::is_live(&shared.get(), self.now) => {
                Some(Known { shared, table: CtTable::Unconfirmed })
            }
            _ => None,
        }
    }

    /// A packet of a connection that is remembered.
    #[inline(always)]
    fn pass_known(
        &self,
        headers: &Headers,
        key: &CtKey,
        known: &Known<T::Connection<'_>>,
        report: &mut Report,
    ) -> Result<(), DropReason> {
        let before = known.shared.get();
        let original = conntrack::is_original(&before, self.direction);
        let mut entry = before;
        if original {
            let policy = self.policy()?;
            // Replies are covered by the judgement of what they answer; the opener is judged again when the
            // policy or the peer is another one.
            if T::JUDGES_EVERY_PACKET
                || policy.generation != entry.generation
                || self.peer != entry.judged_peer()
            {
                // What is denied now stays remembered: what the other end still sends answers it, and must not
                // open the same connection the other way.
                self.judge(policy, headers, report)?;
                if T::JUDGES_EVERY_PACKET {
                    // What is judged all the time is no news.
                    report.kind = 0;
                }
                entry.generation = policy.generation;
                entry.identity = self.peer.identity;
                entry.cidrs = self.peer.cidrs;
            }
        }
        let entry = conntrack::advance(&entry, headers, original, self.config, self.now);
        if matches!(known.table, CtTable::Unconfirmed) && entry.flags.has(CtFlags::CONFIRMED) {
            if !self.tables.insert_connection(CtTable::Established, key, &entry) {
                return Err(DropReason::ConntrackFull);
            }
            self.tables.remove_connection(CtTable::Unconfirmed, key);
        } else if entry != before {
            // Written only when something changed, so that a busy connection's line stays shared.
            known.shared.set(entry);
        }
        report.answers = u16::from(!original);
        Ok(())
    }

    /// A packet of no connection that is remembered.
    #[inline(always)]
    fn pass_new(&self, headers: &Headers, key: &CtKey, report: &mut Report) -> Result<(), DropReason> {
        let policy = self.policy()?;
        self.judge(policy, headers, report)?;
        // A reset opens nothing.
        if headers.proto == proto::TCP && headers.tcp_flags & proto::TCP_RST != 0 {
            return Ok(());
        }
        let entry = conntrack::open(self.direction, self.peer, policy.generation, self.config, self.now);
        // What is there is closed or expired; it must not be found before the new one.
        if report.remembered != 0 {
            self.tables.remove_connection(CtTable::Established, key);
        }
        if self.tables.insert_connection(CtTable::Unconfirmed, key, &entry) {
            Ok(())
        } else {
            Err(DropReason::ConntrackFull)
        }
    }

    /// The policy in force in this direction.
    #[inline(always)]
    fn policy(&self) -> Result<&PolicyRecord, DropReason> {
        let slot = match self.direction {
            Direction::Ingress => self.endpoint.ingress,
            Direction::Egress => self.endpoint.egress,
        };
        match self.tables.policy(slot) {
            // An empty slot is no policy.
            Some(policy) if policy.generation.0 != 0 => Ok(policy),
            _ => Err(DropReason::NoPolicy),
        }
    }

    /// Asks the policy, and notes its answer.
    #[inline(always)]
    fn judge(&self, policy: &PolicyRecord, headers: &Headers, report: &mut Report) -> Result<(), DropReason> {
        if self.exempt {
            report.note(EventKind::Allowed);
            return Ok(());
        }
        let judgement = judge(self.tables, policy, self.peer, headers.proto, headers.policy_port());
        report.generation = judgement.generation;
        report.peer_class = judgement.peer_class;
        report.port_class = judgement.port_class;
        match judgement.denied() {
            None => {
                report.note(EventKind::Allowed);
                Ok(())
            }
            Some(_) if policy.flags.has(PolicyFlags::AUDIT) => {
                report.note(EventKind::Audited);
                Ok(())
            }
            Some(reason) => Err(reason),
        }
    }
}
