//! Slow start as it always was: a byte more for each byte that arrives, until something is lost or marked (RFC 9002 §7.3.1).

use super::{Quarters, SlowStart, Step};
use crate::congestion::CongestionEvent;

/// It has nothing to remember.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classic;

impl SlowStart for Classic {
    fn on_ack(&mut self, _event: &CongestionEvent<'_>, _window: u64, _mtu: u16) -> Step {
        Step::Grow(Quarters::DOUBLE)
    }
}
