//! Consecutive losses that amount to persistent congestion (RFC 9002 §7.6).

use std::time::Duration;

use crate::base::Timestamp;

/// A run of losses with nothing acknowledged between them.
#[derive(Debug, Default)]
pub(super) struct LossRun {
    /// The first packet of the run and its send time (RFC 9002 §7.6.1).
    start: Option<(u64, Timestamp)>,
    last_lost: u64,
}

impl LossRun {
    /// The highest packet number lost.
    pub(super) fn last_lost(&self) -> u64 {
        self.last_lost
    }

    pub(super) fn end(&mut self) {
        self.start = None;
    }

    /// The packet `pn` was acknowledged when it was not outstanding. Returns whether it was sent before the
    /// last lost one.
    pub(super) fn on_acked(&mut self, pn: u64) -> bool {
        let before = pn <= self.last_lost;
        if before && self.start.is_some_and(|(first, _)| first <= pn) {
            self.start = None;
        }
        before
    }

    /// The packet `pn` is lost. `interrupted` is whether a packet since the previous loss was acknowledged.
    /// `sent` is the send time, if the packet counts. Returns whether this is persistent congestion: two
    /// packets were lost that were sent further apart than `period`, after the first round-trip sample, and
    /// nothing between them was acknowledged.
    pub(super) fn on_lost(
        &mut self,
        pn: u64,
        interrupted: bool,
        sent: Option<Timestamp>,
        period: Duration,
    ) -> bool {
        if interrupted {
            self.start = None;
        }
        self.last_lost = pn;
        let Some(sent) = sent else { return false };
        let (_, start) = *self.start.get_or_insert((pn, sent));
        let persistent = sent.saturating_since(start) > period;
        if persistent {
            self.start = None;
        }
        persistent
    }
}
