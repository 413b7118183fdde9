//! The rate of requests that a peer opens and makes useless (RFC 9114 §10.5, "rapid reset").

use std::time::Duration;

use quic_core::base::Timestamp;

use crate::error::H3Violation;

/// Counts per second of injected time.
#[derive(Debug)]
pub(super) struct ResetMeter {
    since: Timestamp,
    count: u32,
    limit: u32,
}

impl ResetMeter {
    pub(super) fn new(limit: u32) -> Self {
        Self { since: Timestamp::ORIGIN, count: 0, limit }
    }

    pub(super) fn count(&mut self, now: Timestamp) -> Result<(), H3Violation> {
        if now.saturating_since(self.since) >= Duration::from_secs(1) {
            self.since = now;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        if self.count > self.limit { Err(H3Violation::RapidReset) } else { Ok(()) }
    }
}
