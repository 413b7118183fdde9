//! The endpoints' clocks.

use netsim::SECOND;
use quic_core::base::Timestamp;

/// The virtual time zero on the endpoints' clocks: late enough that a clock may be set back by hours.
pub(crate) const EPOCH: u64 = 100_000 * SECOND;

/// A virtual time on the clock of an endpoint without skew.
#[must_use]
pub fn time(now: u64) -> Timestamp {
    Timestamp::from_nanos(now + EPOCH)
}
