//! Rates beyond which a peer is not served: requests that it opens and makes useless (RFC 9114 §10.5, "rapid reset"), and
//! frames and capsules that bring nothing.

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

/// What one thing without news costs; a millisecond, and a KiB of use, earn as much.
const COST: u64 = 1024;
/// What a small one costs: bursts of two million and 128,000 a second are accepted.
const SMALL_COST: u64 = 8;
/// The most that can be saved up.
const CAPACITY: u64 = 16_384 * COST;

/// A balance of what brings nothing: bursts of 16,384 frames or capsules and 1000 a second for ever are accepted, as QUIC
/// accepts its own. What the connection is used for earns more.
#[derive(Debug)]
pub struct IdleMeter {
    balance: u64,
    since: Timestamp,
}

impl Default for IdleMeter {
    fn default() -> Self {
        Self { balance: CAPACITY, since: Timestamp::ORIGIN }
    }
}

impl IdleMeter {
    /// So many bytes were of use, sent or received.
    pub fn earn(&mut self, bytes: u64) {
        self.balance = self.balance.saturating_add(bytes).min(CAPACITY);
    }

    /// So many frames or capsules came that bring nothing.
    ///
    /// # Errors
    /// The peer has sent too many, and the connection is to end.
    pub fn count(&mut self, things: u64, now: Timestamp) -> Result<(), H3Violation> {
        self.spend(things.saturating_mul(COST), now)
    }

    /// So many things came that a peer may say for each stream that it gives up, needed or not, and that cost nothing here.
    pub(super) fn count_small(&mut self, things: u64, now: Timestamp) -> Result<(), H3Violation> {
        self.spend(things.saturating_mul(SMALL_COST), now)
    }

    fn spend(&mut self, cost: u64, now: Timestamp) -> Result<(), H3Violation> {
        if self.balance < cost {
            // Time is looked at only when the balance is spent.
            let earned = now.saturating_since(self.since).as_micros().saturating_mul(u128::from(COST)) / 1000;
            self.earn(u64::try_from(earned).unwrap_or(u64::MAX));
            self.since = now;
        }
        self.balance = self.balance.checked_sub(cost).ok_or(H3Violation::Flood)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_a_rate_are_accepted_and_one_more_is_not() {
        let mut meter = IdleMeter::default();
        let start = Timestamp::ORIGIN + Duration::from_secs(5);
        for _ in 0..16_384 {
            assert_eq!(meter.count(1, Timestamp::ORIGIN), Ok(()));
        }
        assert_eq!(meter.count(1, Timestamp::ORIGIN), Err(H3Violation::Flood));
        meter.earn(1024);
        assert_eq!(meter.count(1, Timestamp::ORIGIN), Ok(()));
        for n in 0..1_000_000 {
            assert_eq!(meter.count(1, start + Duration::from_millis(n)), Ok(()), "{n}");
        }
        let mut full = IdleMeter::default();
        assert_eq!(full.count(16_385, start), Err(H3Violation::Flood), "no more is ever saved up");
    }
}
