//! How the window comes down in a recovery period: in proportion to what arrives, as after any loss (RFC 9937), or as the slow start
//! wants that overshot.
//!
//! Owns the running descent. Must never know which controller it is for.

use super::{
    CongestionEvent,
    prr::Reduction,
    slow_start::{Landed, Landing},
};

/// The descent that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Descent {
    /// To a window that the controller knows.
    Proportional(Reduction),
    /// To one that is found on the way.
    Landing(Landing),
}

impl Descent {
    /// The period begins with this event, before anything of it was counted.
    pub(crate) fn new(event: &CongestionEvent<'_>, landing: Option<Landing>) -> Self {
        landing.map_or_else(|| Self::Proportional(Reduction::new(event)), Self::Landing)
    }

    pub(crate) fn on_sent(&mut self, bytes: u64) {
        if let Self::Proportional(reduction) = self {
            reduction.on_sent(bytes);
        }
    }

    /// Packets were declared lost, as told by `event`, or marked; the controller's window is to be `target`. Gives the window
    /// that it is to be instead.
    pub(crate) fn on_loss(&mut self, event: &CongestionEvent<'_>, target: u64, mtu: u16) -> Option<u64> {
        match self {
            Self::Proportional(reduction) => {
                reduction.on_loss(event, target, mtu);
                None
            }
            Self::Landing(landing) => {
                landing.on_lost(event.bytes_lost);
                Some(landing.window(mtu))
            }
        }
    }

    /// Packets arrived, as told by `event`; otherwise as [`Self::on_loss`].
    pub(crate) fn on_ack(&mut self, event: &CongestionEvent<'_>, target: u64, mtu: u16) -> Option<u64> {
        match self {
            Self::Proportional(reduction) => {
                reduction.on_ack(event, target, mtu);
                None
            }
            Self::Landing(landing) => {
                landing.on_acked(event.bytes_acked);
                Some(landing.window(mtu))
            }
        }
    }

    /// Bytes that may be in flight now.
    pub(crate) fn window(&self, mtu: u16) -> u64 {
        match self {
            Self::Proportional(reduction) => reduction.window(mtu),
            Self::Landing(landing) => landing.window(mtu),
        }
    }

    /// The period is over: where a landing ended.
    pub(crate) fn end(&self, mtu: u16) -> Option<Landed> {
        match self {
            Self::Proportional(_) => None,
            Self::Landing(landing) => Some(landing.end(mtu)),
        }
    }
}
