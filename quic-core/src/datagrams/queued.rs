//! A datagram that waits to be read or sent.

use std::time::Duration;

use bytes::Bytes;

use crate::base::Timestamp;

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) data: Bytes,
    pub(super) at: Timestamp,
    /// The datagram's own maximum age, if it has one; otherwise the connection's holds.
    pub(super) max_age: Option<Duration>,
    /// How long it had waited before it was queued here.
    pub(super) waited: Duration,
    /// The bytes that the budget was charged.
    pub(super) charged: usize,
}

impl Queued {
    /// Whether the datagram is too old. `age` is the connection's limit.
    pub(super) fn is_older_than(&self, age: Option<Duration>, now: Timestamp) -> bool {
        self.max_age.or(age).is_some_and(|age| self.waited.saturating_add(now - self.at) > age)
    }
}
