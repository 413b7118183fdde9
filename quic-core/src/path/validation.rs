//! Path validation: whether datagrams reach the peer on a path, and it answers (RFC 9000 §8.2).

use std::time::Duration;

use crate::base::Timestamp;

/// How many challenges of one validation can be answered. There are hardly more before it is given up.
const MAX_CHALLENGES: usize = 16;
/// How many challenges are sent when none was answered in time: as with a probe timeout, one of them may be
/// lost.
const AGAIN: u8 = 2;

/// What a PATH_RESPONSE proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The peer receives at its address. Whether the path carries 1200 bytes is still open (RFC 9000 §8.2.3).
    Address,
    /// The path carries QUIC.
    Path,
}

/// A validation in progress: challenges, each with its own data, until one is answered or time is up.
#[derive(Debug)]
pub(super) struct Validation {
    /// The data of each challenge, and whether its datagram had 1200 bytes.
    sent: Vec<([u8; 8], bool)>,
    /// How many challenges to send now.
    due: u8,
    /// When more challenges are due, once those have left.
    again: Option<Timestamp>,
    period: Duration,
    until: Timestamp,
}

impl Validation {
    /// Sends challenges after `period`, then after twice that time, and so on, until `patience` is over (RFC
    /// 9000 §8.2.4).
    pub(super) fn new(now: Timestamp, period: Duration, patience: Duration) -> Self {
        Self { sent: Vec::new(), due: 1, again: None, period, until: now + patience }
    }

    /// Whether a challenge is to be sent.
    pub(super) fn wants(&self) -> bool {
        self.due > 0
    }

    /// A challenge was sent. `full` is whether its datagram had 1200 bytes.
    pub(super) fn on_sent(&mut self, now: Timestamp, data: [u8; 8], full: bool) {
        if self.sent.len() == MAX_CHALLENGES {
            self.sent.remove(0);
        }
        self.sent.push((data, full));
        self.due = self.due.saturating_sub(1);
        if self.due == 0 {
            self.again = Some(now + self.period);
            self.period = self.period.saturating_mul(2);
        }
    }

    /// A PATH_RESPONSE with this data arrived. Returns `None` if it answers none of these challenges.
    pub(super) fn on_response(&self, data: [u8; 8]) -> Option<Proof> {
        let (_, full) = self.sent.iter().find(|(sent, _)| *sent == data)?;
        Some(if *full { Proof::Path } else { Proof::Address })
    }

    /// Checks the timer. Returns false when time is up.
    pub(super) fn on_timeout(&mut self, now: Timestamp) -> bool {
        if self.again.is_some_and(|at| at <= now) {
            self.again = None;
            self.due = AGAIN;
        }
        self.until > now
    }

    pub(super) fn deadline(&self) -> Timestamp {
        self.again.map_or(self.until, |at| at.min(self.until))
    }
}
