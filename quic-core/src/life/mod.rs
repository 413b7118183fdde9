//! The life of a connection: its phase, the close frame, the idle timer (RFC 9000 §10).
//!
//! Owns whether the connection may still send and why it ended. Must never know streams, keys or the path.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::{
    base::Timestamp,
    error::{CloseReason, ConnectionError},
};

/// The phases of RFC 9000 §10.2.
#[derive(Debug)]
enum Phase {
    Open,
    /// This end closed: packets are answered with CONNECTION_CLOSE.
    Closing {
        reason: CloseReason,
        until: Timestamp,
    },
    /// The peer closed: nothing is sent any more.
    Draining {
        until: Timestamp,
    },
    Closed,
}

/// What time may do to a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timeouts {
    /// Ends a connection from whose peer nothing is heard; `None` is no timeout.
    pub(crate) idle: Option<Duration>,
    /// Interval of keep-alive PINGs.
    pub(crate) keep_alive: Option<Duration>,
    /// Ends a handshake that is not complete, whatever is heard.
    pub(crate) handshake: Option<Duration>,
}

/// Phase, close frame and idle timer.
#[derive(Debug)]
pub(crate) struct Life {
    phase: Phase,
    error: Option<ConnectionError>,
    /// What was negotiated; `None` is no timeout.
    idle_timeout: Option<Duration>,
    idle_deadline: Option<Timestamp>,
    /// When the handshake has to be complete, as long as it is not.
    handshake_deadline: Option<Timestamp>,
    /// Whether an ack-eliciting packet was sent since the last packet was received (RFC 9000 §10.1).
    sent_since_received: bool,
    /// Interval of keep-alive PINGs.
    keep_alive: Option<Duration>,
    /// The layer above wants the connection to outlive the idle timeout.
    held: bool,
    /// When a packet was received or an ack-eliciting one sent, after the first was received.
    last_activity: Option<Timestamp>,
    /// Whether the CONNECTION_CLOSE frame should be sent (again).
    close_due: bool,
    /// Packets received while closing, and after how many the next answer goes out (RFC 9000 §10.2.1).
    received_while_closing: u32,
    next_answer_at: u32,
}

/// Keep-alive PINGs are at least this far apart: more of them keep nothing more alive.
const LEAST_KEEP_ALIVE: Duration = Duration::from_millis(10);

impl Life {
    /// A duration of zero is none: so has RFC 9000 §18.2 it for the idle timeout.
    pub(crate) fn new(timeouts: &Timeouts, now: Timestamp) -> Self {
        let Timeouts { idle, keep_alive, handshake } = *timeouts;
        let [idle, keep_alive, handshake] =
            [idle, keep_alive, handshake].map(|some| some.filter(|duration| !duration.is_zero()));
        Self {
            phase: Phase::Open,
            error: None,
            idle_timeout: idle,
            idle_deadline: idle.map(|timeout| now + timeout),
            handshake_deadline: handshake.map(|timeout| now + timeout),
            sent_since_received: false,
            keep_alive,
            held: false,
            last_activity: None,
            close_due: false,
            received_while_closing: 0,
            next_answer_at: 1,
        }
    }

    /// The lower of both ends' timeouts holds; zero means none (RFC 9000 §10.1).
    pub(crate) fn negotiate_idle_timeout(&mut self, peer: Duration) {
        let peer = Some(peer).filter(|timeout| !timeout.is_zero());
        self.idle_timeout = match (self.idle_timeout, peer) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }

    /// From now on the idle timeout alone counts.
    pub(crate) fn on_handshake_complete(&mut self) {
        self.handshake_deadline = None;
    }

    /// A packet was processed; `three_pto` is the least that the idle timeout may be (RFC 9000 §10.1).
    pub(crate) fn on_received(&mut self, now: Timestamp, three_pto: Duration) {
        self.sent_since_received = false;
        self.restart_idle(now, three_pto);
        self.last_activity = Some(now);
    }

    /// An ack-eliciting packet was sent.
    pub(crate) fn on_sent(&mut self, now: Timestamp, three_pto: Duration) {
        if !self.sent_since_received {
            self.sent_since_received = true;
            self.restart_idle(now, three_pto);
        }
        self.last_activity = Some(now);
    }

    /// Whether the connection is to outlive its idle timeout, although no packets are sent.
    pub(crate) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// When the peer has to hear something so that neither end times out: after the interval that the application chose,
    /// and after half of the idle timeout where somebody waits, so that one more packet fits in before the end.
    fn keep_alive_deadline(&self, waiting: bool) -> Option<Timestamp> {
        let half = self.idle_timeout.map(|timeout| timeout / 2);
        let wanted = self.keep_alive.or(half.filter(|_| waiting || self.held))?;
        // One that was chosen too long would keep nothing alive: the peer has a say in the timeout.
        let interval = half.map_or(wanted, |half| wanted.min(half)).max(LEAST_KEEP_ALIVE);
        self.last_activity.map(|last| last + interval)
    }

    fn restart_idle(&mut self, now: Timestamp, three_pto: Duration) {
        self.idle_deadline = self.idle_timeout.map(|timeout| now + timeout.max(three_pto));
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing { .. })
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Why the connection ended, once it did.
    pub(crate) fn error(&self) -> Option<&ConnectionError> {
        self.error.as_ref()
    }

    /// This end closes with a CONNECTION_CLOSE frame. Only the first reason counts.
    pub(crate) fn close(
        &mut self,
        reason: CloseReason,
        error: ConnectionError,
        now: Timestamp,
        three_pto: Duration,
    ) {
        if self.is_open() {
            self.phase = Phase::Closing { reason, until: now + three_pto };
            self.error = Some(error);
            self.close_due = true;
        }
    }

    /// The peer closed, or lost its state: nothing is sent from now on (RFC 9000 §10.2.2).
    pub(crate) fn drain(&mut self, error: ConnectionError, now: Timestamp, three_pto: Duration) {
        if matches!(self.phase, Phase::Open | Phase::Closing { .. }) {
            let until = match self.phase {
                Phase::Closing { until, .. } => until,
                _ => now + three_pto,
            };
            self.phase = Phase::Draining { until };
            self.error.get_or_insert(error);
            self.close_due = false;
        }
    }

    /// The connection is gone at once, without a word to the peer.
    pub(crate) fn abandon(&mut self, error: ConnectionError) {
        self.phase = Phase::Closed;
        self.error.get_or_insert(error);
    }

    /// A packet arrived while closing: every now and then it is answered, exponentially less often (RFC 9000 §10.2.1).
    pub(crate) fn on_received_while_closing(&mut self) {
        if self.is_closing() {
            self.received_while_closing += 1;
            if self.received_while_closing >= self.next_answer_at {
                self.next_answer_at = self.next_answer_at.saturating_mul(2);
                self.received_while_closing = 0;
                self.close_due = true;
            }
        }
    }

    /// The close frame, if it should be sent now.
    pub(crate) fn close_due(&self) -> Option<&CloseReason> {
        match &self.phase {
            Phase::Closing { reason, .. } if self.close_due => Some(reason),
            _ => None,
        }
    }

    pub(crate) fn on_close_sent(&mut self) {
        self.close_due = false;
    }

    /// `waiting`: this end has something to send, which the peer's flow control holds back, and nothing under way.
    pub(crate) fn deadline(&self, waiting: bool) -> Option<Timestamp> {
        match self.phase {
            Phase::Open => {
                let all = [self.idle_deadline, self.handshake_deadline, self.keep_alive_deadline(waiting)];
                all.into_iter().flatten().min()
            }
            Phase::Closing { until, .. } | Phase::Draining { until } => Some(until),
            Phase::Closed => None,
        }
    }

    /// Ends an open connection whose idle timeout, or time for the handshake, has passed: closed silently, its state
    /// discarded (RFC 9000 §10.1).
    /// Also to be asked before a packet is taken or sent: one that comes after the timeout, before the timer was
    /// looked at, does not bring the connection back to life.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let passed = |deadline: Option<Timestamp>| deadline.is_some_and(|at| at <= now);
        let cause = if passed(self.idle_deadline) {
            Some(ConnectionError::IdleTimeout)
        } else {
            passed(self.handshake_deadline).then_some(ConnectionError::HandshakeTimeout)
        };
        if let Some(cause) = cause.filter(|_| self.is_open()) {
            self.abandon(cause);
        }
    }

    /// Says whether something that keeps the connection alive is due, with `waiting` as in [`deadline`](Self::deadline);
    /// the rest shows in the phase.
    pub(crate) fn on_timeout(&mut self, now: Timestamp, waiting: bool) -> bool {
        self.expire(now);
        match self.phase {
            Phase::Open => {
                let due = self.keep_alive_deadline(waiting).is_some_and(|at| at <= now);
                if due {
                    self.last_activity = Some(now);
                }
                due
            }
            Phase::Closing { until, .. } | Phase::Draining { until } if until <= now => {
                self.phase = Phase::Closed;
                false
            }
            _ => false,
        }
    }
}
