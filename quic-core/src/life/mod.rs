//! The life of a connection: its phase, the close frame, the idle timer (RFC 9000 §10).
//!
//! Owns whether the connection may still send, and why it ended. Never knows streams, keys or the path.

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
    /// This end has closed: packets are answered with CONNECTION_CLOSE.
    Closing {
        reason: CloseReason,
        until: Timestamp,
    },
    /// The peer has closed: nothing is sent any more.
    Draining {
        until: Timestamp,
    },
    Closed,
}

/// The timeouts of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timeouts {
    /// Ends a connection after a silence of the peer this long; `None` means no timeout.
    pub(crate) idle: Option<Duration>,
    /// The interval of keep-alive PINGs.
    pub(crate) keep_alive: Option<Duration>,
    /// Ends a handshake that is not complete after this time, even if packets arrive.
    pub(crate) handshake: Option<Duration>,
    /// How long no data may follow other data before an end that is kept open asks whether the peer can still
    /// reach it. `None` means that it does not ask.
    pub(crate) quiet: Option<Duration>,
}

/// Phase, close frame and idle timer.
#[derive(Debug)]
pub(crate) struct Life {
    phase: Phase,
    error: Option<ConnectionError>,
    /// The negotiated timeout; `None` means none.
    idle_timeout: Option<Duration>,
    idle_deadline: Option<Timestamp>,
    /// When the handshake has to be complete; `None` once it is.
    handshake_deadline: Option<Timestamp>,
    /// Whether an ack-eliciting packet was sent since the last packet was received (RFC 9000 §10.1).
    sent_since_received: bool,
    /// The interval of keep-alive PINGs.
    keep_alive: Option<Duration>,
    /// Whether the layer above wants the connection to outlive the idle timeout.
    keep_open: bool,
    /// When the last packet was received, or the last ack-eliciting one sent; unset before the first packet
    /// is received.
    last_activity: Option<Timestamp>,
    /// As in [`Timeouts`].
    quiet: Option<Duration>,
    /// When data last came from the peer, unless this end has sent an ack-eliciting packet since, other than
    /// the PINGs that ask.
    heard_at: Option<Timestamp>,
    /// How often this end has asked since then, and whether the last of these PINGs is still to be sent.
    asked: u32,
    asking: bool,
    /// Whether the CONNECTION_CLOSE frame should be sent (again).
    close_due: bool,
    /// How many packets were received while closing, and after how many the next answer is sent (RFC 9000
    /// §10.2.1).
    received_while_closing: u32,
    next_answer_at: u32,
}

/// The shortest interval between keep-alive PINGs; more of them would be of no use.
const LEAST_KEEP_ALIVE: Duration = Duration::from_millis(10);

/// How often an end that only receives asks after the last data whether it is still reached.
const QUESTIONS: u32 = 3;

impl Life {
    /// A duration of zero means none, as RFC 9000 §18.2 defines it for the idle timeout.
    pub(crate) fn new(timeouts: &Timeouts, now: Timestamp) -> Self {
        let Timeouts { idle, keep_alive, handshake, quiet } = *timeouts;
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
            keep_open: false,
            last_activity: None,
            quiet,
            heard_at: None,
            asked: 0,
            asking: false,
            close_due: false,
            received_while_closing: 0,
            next_answer_at: 1,
        }
    }

    /// The lower of both ends' timeouts applies; zero means none (RFC 9000 §10.1).
    pub(crate) fn negotiate_idle_timeout(&mut self, peer: Duration) {
        let peer = Some(peer).filter(|timeout| !timeout.is_zero());
        self.idle_timeout = match (self.idle_timeout, peer) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }

    /// From now on only the idle timeout applies.
    pub(crate) fn on_handshake_complete(&mut self) {
        self.handshake_deadline = None;
    }

    /// A packet was processed. `three_pto` is the shortest idle timeout allowed (RFC 9000 §10.1).
    pub(crate) fn on_received(&mut self, now: Timestamp, three_pto: Duration) {
        self.sent_since_received = false;
        self.restart_idle(now, three_pto);
        self.last_activity = Some(now);
    }

    /// A packet with data, of streams or in datagrams, was processed.
    pub(crate) fn on_data(&mut self, now: Timestamp) {
        self.heard_at = Some(now);
        self.asked = 0;
    }

    /// Whether the next ack-eliciting packet restarts the idle timer: only then does [`Self::on_sent`] need to know the
    /// probe timeout.
    pub(crate) fn restarts_by_sending(&self) -> bool {
        !self.sent_since_received
    }

    /// An ack-eliciting packet was sent.
    pub(crate) fn on_sent(&mut self, now: Timestamp, three_pto: Duration) {
        if !self.sent_since_received {
            self.sent_since_received = true;
            self.restart_idle(now, three_pto);
        }
        self.last_activity = Some(now);
        if !std::mem::take(&mut self.asking) {
            self.heard_at = None;
        }
    }

    /// Sets whether the connection outlives its idle timeout when no packets are sent.
    pub(crate) fn set_keep_open(&mut self, keep_open: bool) {
        self.keep_open = keep_open;
    }

    /// When this end has to send something so that neither end times out: after the interval that the
    /// application chose. If something is waiting or [`Self::keep_open`] is set, half of the idle timeout is
    /// the default, so that one more packet fits in before the end.
    fn keep_alive_deadline(&self, waiting: bool) -> Option<Timestamp> {
        let half = self.idle_timeout.map(|timeout| timeout / 2);
        let wanted = self.keep_alive.or(half.filter(|_| waiting || self.keep_open))?;
        // An interval above half of the timeout would not keep the connection alive, and the peer has a say
        // in the timeout.
        let interval = half.map_or(wanted, |half| wanted.min(half)).max(LEAST_KEEP_ALIVE);
        self.last_activity.map(|last| last + interval)
    }

    /// When an end that only receives has to ask whether it is still reached. A NAT that forgets it cuts off a
    /// peer that sends, which cannot know where this end is until it hears from there (RFC 9000 §9.3).
    fn quiet_deadline(&self) -> Option<Timestamp> {
        let quiet = self.quiet.filter(|_| self.keep_open && self.asked < QUESTIONS)?;
        // After one, three and seven times this long. The first question is too early where data comes less often.
        self.heard_at.map(|heard| heard + quiet * ((2 << self.asked) - 1))
    }

    /// When a PING is due, for whichever reason.
    fn ping_deadline(&self, waiting: bool) -> Option<Timestamp> {
        self.keep_alive_deadline(waiting).into_iter().chain(self.quiet_deadline()).min()
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

    /// This end closes with a CONNECTION_CLOSE frame. Later reasons are ignored.
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

    /// The peer closed or lost its state: nothing is sent from now on (RFC 9000 §10.2.2).
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

    /// The connection ends at once, without a CONNECTION_CLOSE to the peer.
    pub(crate) fn abandon(&mut self, error: ConnectionError) {
        self.phase = Phase::Closed;
        self.error.get_or_insert(error);
    }

    /// A packet arrived while closing. The answers become exponentially less frequent (RFC 9000 §10.2.1).
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

    /// `waiting` is whether this end has something to send that the peer's flow control blocks, and has
    /// nothing in flight.
    pub(crate) fn deadline(&self, waiting: bool) -> Option<Timestamp> {
        match self.phase {
            Phase::Open => {
                let all = [self.idle_deadline, self.handshake_deadline, self.ping_deadline(waiting)];
                all.into_iter().flatten().min()
            }
            Phase::Closing { until, .. } | Phase::Draining { until } => Some(until),
            Phase::Closed => None,
        }
    }

    /// Ends an open connection whose idle timeout or handshake deadline has passed: silently, and with its
    /// state discarded (RFC 9000 §10.1).
    ///
    /// The caller also calls it before it accepts or sends a packet: a packet that comes after the timeout,
    /// but before the timer is handled, must not revive the connection.
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

    /// Handles timers, with `waiting` as in [`deadline`](Self::deadline). Returns whether a PING is
    /// due; other effects show in the phase.
    pub(crate) fn on_timeout(&mut self, now: Timestamp, waiting: bool) -> bool {
        self.expire(now);
        match self.phase {
            Phase::Open => {
                let due = self.ping_deadline(waiting).is_some_and(|at| at <= now);
                if due {
                    self.last_activity = Some(now);
                    self.asked += 1;
                    self.asking = true;
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
