//! The timers of a connection.

use super::Connection;
use crate::{base::Timestamp, ids::Space};

impl Connection {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called; `None` if never.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.deadline().map(|at| self.clock.show(at))
    }

    /// The earliest deadline of all timers, in the connection's own time.
    fn deadline(&self) -> Option<Timestamp> {
        if !self.life.is_open() {
            return self.life.deadline(false);
        }
        let conditions = self.conditions();
        let acks = Space::ALL
            .into_iter()
            // An acknowledgment that may not be sent needs no timer: the datagram that brings credit sends
            // it.
            .filter(|space| self.keyring.has(space.level()) && !conditions.amplification_limited)
            .filter_map(|space| self.acks.get(space)?.deadline());
        let recovery = self.recovery.deadline(&self.paths.active.rtt, &conditions).map(|(at, _)| at);
        [
            self.life.deadline(self.is_waiting()),
            recovery,
            self.recovery.tidy_deadline(),
            self.keyring.deadline(),
            self.outgoing.pacing_release,
            self.paths.deadline(),
        ]
        .into_iter()
        .flatten()
        .chain(acks)
        .min()
    }

    /// Whether the peer's flow control blocks all data and no packet is in flight (RFC 9000 §4.1). A reader
    /// that pauses must not end the connection of the writer that waits for it.
    fn is_waiting(&self) -> bool {
        self.streams.is_blocked(&self.schedule) && !self.recovery.has_ack_eliciting_in_flight(Space::Data)
    }

    /// Called before a datagram is accepted or sent: the idle timeout may have passed unnoticed.
    pub(super) fn expire(&mut self, now: Timestamp) {
        if self.life.is_open() {
            self.life.expire(now);
            self.note_end(now);
        }
    }

    /// Handles the timers at the time that [`poll_timeout`](Self::poll_timeout) returned. A call that comes
    /// too early does no harm.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.clock.read(now);
        if self.life.on_timeout(now, self.is_waiting()) && !self.streams.repeat_blocked(&self.schedule) {
            self.control.send_ping();
        }
        if !self.life.is_open() {
            return self.note_end(now);
        }
        let recovery = self.recovery.deadline(&self.paths.active.rtt, &self.conditions());
        if let Some((_, kind)) = recovery.filter(|(at, _)| *at <= now) {
            self.trace_expiry(now, kind);
            self.on_recovery_timeout(now);
        }
        self.recovery.tidy(now);
        self.keyring.on_timeout(now);
        self.paths.active.on_timeout(now);
        self.expire_paths(now);
        self.trace_changes(now);
    }
}
