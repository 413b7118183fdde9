//! How the window decreases in a recovery period: in proportion to what arrives, as after any loss (RFC
//! 9937), or in the way that a slow start prescribes after it has overshot.
//!
//! Owns the running descent. It must never know which controller it works for.

use super::{
    CongestionEvent,
    prr::Reduction,
    slow_start::{Landed, Landing},
};

/// The descent in progress.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Descent {
    /// The window decreases to a size that the controller knows.
    Proportional(Reduction),
    /// The window decreases to a size that is found on the way.
    Landing(Landing),
}

impl Descent {
    /// Starts with the event that begins the period, before anything of it was counted.
    pub(crate) fn new(event: &CongestionEvent<'_>, landing: Option<Landing>) -> Self {
        landing.map_or_else(|| Self::Proportional(Reduction::new(event)), Self::Landing)
    }

    pub(crate) fn on_sent(&mut self, bytes: u64) {
        if let Self::Proportional(reduction) = self {
            reduction.on_sent(bytes);
        }
    }

    /// Packets were declared lost, as told by `event`, or marked. The controller's window is to become
    /// `target`. Returns another window if it is to become that instead.
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

    /// Packets arrived, as told by `event`. Otherwise like [`Self::on_loss`].
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

    /// How many bytes may be in flight now.
    pub(crate) fn window(&self, mtu: u16) -> u64 {
        match self {
            Self::Proportional(reduction) => reduction.window(mtu),
            Self::Landing(landing) => landing.window(mtu),
        }
    }

    /// The period is over. Returns where a landing ended.
    pub(crate) fn end(&self, mtu: u16) -> Option<Landed> {
        match self {
            Self::Proportional(_) => None,
            Self::Landing(landing) => Some(landing.end(mtu)),
        }
    }
}
