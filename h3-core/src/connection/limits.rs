//! Rate limits for two kinds of peer behaviour: requests that it opens and abandons ("rapid reset"), and
//! frames and capsules that have no effect (RFC 9114 §10.5).

use std::time::Duration;

use quic_core::base::Timestamp;

use crate::error::H3Violation;

/// Counts abandoned requests per second of injected time.
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

/// The cost of one frame without effect. A millisecond earns as much, and so does a KiB of useful data.
const COST: u64 = 1024;
/// The cost of a small instruction: bursts of two million and 128,000 a second are accepted.
const SMALL_COST: u64 = 8;
/// The highest balance.
const CAPACITY: u64 = 16_384 * COST;

/// A credit balance for frames and capsules without effect. It accepts bursts of 16,384 and 1000 a second
/// without end, as QUIC does for its frames. Useful data earns more.
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
    /// Earns credit for `bytes` of useful data, sent or received.
    pub fn earn(&mut self, bytes: u64) {
        self.balance = self.balance.saturating_add(bytes).min(CAPACITY);
    }

    /// Spends credit on `things` frames or capsules without effect.
    ///
    /// # Errors
    /// The peer has sent too many; the connection must end.
    pub fn count(&mut self, things: u64, now: Timestamp) -> Result<(), H3Violation> {
        self.spend(things.saturating_mul(COST), now)
    }

    /// Spends credit on `things` small instructions. A peer may send one for each stream that it abandons,
    /// and handling one costs nothing here.
    pub(super) fn count_small(&mut self, things: u64, now: Timestamp) -> Result<(), H3Violation> {
        self.spend(things.saturating_mul(SMALL_COST), now)
    }

    fn spend(&mut self, cost: u64, now: Timestamp) -> Result<(), H3Violation> {
        if self.balance < cost {
            // The elapsed time is credited only when the balance runs out.
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
        assert_eq!(
            full.count(16_385, start),
            Err(H3Violation::Flood),
            "the balance never exceeds the capacity"
        );
    }
}
