//! The original slow start: the window grows by a byte for each byte that arrives, until a packet is lost or
//! marked (RFC 9002 §7.3.1).

use super::{Quarters, SlowStart, Step};
use crate::congestion::CongestionEvent;

/// The classic slow start, which has no state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classic;

impl SlowStart for Classic {
    fn on_ack(&mut self, _event: &CongestionEvent<'_>, _window: u64, _mtu: u16) -> Step {
        Step::Grow(Quarters::DOUBLE)
    }
}
