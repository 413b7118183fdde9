//! A datagram that waits.

use std::time::Duration;

use bytes::Bytes;

use crate::base::Timestamp;

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) data: Bytes,
    pub(super) at: Timestamp,
    /// How old it may become, if that is not up to the connection.
    pub(super) max_age: Option<Duration>,
    /// How long it had waited when it came here.
    pub(super) waited: Duration,
    /// What the budget was charged.
    pub(super) charged: usize,
}

impl Queued {
    /// `age` is the connection's limit.
    pub(super) fn is_older_than(&self, age: Option<Duration>, now: Timestamp) -> bool {
        self.max_age.or(age).is_some_and(|age| self.waited.saturating_add(now - self.at) > age)
    }
}
