//! What the loss-based controllers share: the recovery period, and the state from before it.

use super::{CongestionEvent, Estimate, SpuriousLoss};
use crate::base::{Rate, Timestamp};

/// The congestion episode that last reduced the window, with the state `S` from before the reduction.
///
/// An episode starts when a packet is lost or marked that was sent after the previous episode started (RFC
/// 9002 §7.3.2). If every packet that was lost in it turns out to have arrived, the reduction was wrong and
/// the state can be restored (RFC 9438 §4.9.2).
#[derive(Clone, Debug)]
pub(crate) struct Episode<S> {
    start: Option<Timestamp>,
    undo: Option<S>,
    /// The state before the first of the latest reductions, if marks alone caused all of these.
    unmarked: Option<S>,
    lost: u32,
    spurious: u32,
    reductions: u64,
    undone: u64,
}

impl<S> Episode<S> {
    pub(crate) fn new() -> Self {
        Self { start: None, undo: None, unmarked: None, lost: 0, spurious: 0, reductions: 0, undone: 0 }
    }

    /// Whether a packet sent at `sent` belongs to the current recovery period.
    pub(crate) fn covers(&self, sent: Option<Timestamp>) -> bool {
        matches!((self.start, sent), (Some(start), Some(sent)) if sent <= start)
    }

    /// Starts an episode because of losses; `undo` is the state to restore if they were wrong.
    pub(crate) fn begin(&mut self, now: Timestamp, undo: S) {
        *self =
            Self { start: Some(now), undo: Some(undo), reductions: self.reductions + 1, ..Self::kept(self) };
    }

    /// Starts an episode because of marks, which no late acknowledgment undoes.
    pub(crate) fn begin_marked(&mut self, now: Timestamp, before: S) {
        let unmarked = self.unmarked.take().unwrap_or(before);
        *self = Self {
            start: Some(now),
            unmarked: Some(unmarked),
            reductions: self.reductions + 1,
            ..Self::kept(self)
        };
    }

    /// Makes the running episode final, because a mark cannot be a mistake of loss detection.
    pub(crate) fn forbid_undo(&mut self) {
        self.undo = None;
    }

    /// Marks turned out to mean nothing. Returns the state to restore, if marks alone led away from it.
    pub(crate) fn on_marks_void(&mut self) -> Option<S> {
        let state = self.unmarked.take()?;
        self.undone += 1;
        self.clear();
        Some(state)
    }

    /// The state that would be restored.
    pub(crate) fn saved_mut(&mut self) -> Option<&mut S> {
        self.undo.as_mut()
    }

    /// Ends the recovery period at once (persistent congestion, RFC 9002 §7.6.2).
    pub(crate) fn clear(&mut self) {
        *self = Self::kept(self);
    }

    fn kept(old: &Self) -> Self {
        Self { reductions: old.reductions, undone: old.undone, ..Self::new() }
    }

    /// Counts losses of the running episode.
    pub(crate) fn on_lost(&mut self, packets: u32) {
        self.lost = self.lost.saturating_add(packets);
    }

    /// Counts late acknowledgments. Returns the state to restore once all losses of the episode were wrong.
    pub(crate) fn on_spurious(&mut self, spurious: &SpuriousLoss) -> Option<S> {
        let start = self.start?;
        if spurious.oldest_lost_at < start {
            return None;
        }
        self.spurious = self.spurious.saturating_add(spurious.packets);
        if self.spurious < self.lost {
            return None;
        }
        let state = self.undo.take()?;
        self.undone += 1;
        self.clear();
        Some(state)
    }

    pub(crate) fn reductions(&self) -> u64 {
        self.reductions
    }

    pub(crate) fn undone(&self) -> u64 {
        self.undone
    }
}

/// What a window-based controller knows about the path's capacity.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    smoothed: Option<std::time::Duration>,
    app_limited: bool,
}

impl Meter {
    pub(crate) fn on_event(&mut self, event: &CongestionEvent<'_>) {
        self.smoothed = event.rtt.first_sample().map(|_| event.rtt.smoothed());
        self.app_limited = event.limited_by.is_application();
    }

    pub(crate) fn on_app_limited(&mut self) {
        self.app_limited = true;
    }

    /// The smoothed round-trip time; `None` before the first sample.
    pub(crate) fn smoothed(&self) -> Option<std::time::Duration> {
        self.smoothed
    }

    pub(crate) fn estimate(&self, window: u64) -> Estimate {
        Estimate {
            rate: self.smoothed.map(|rtt| Rate::from_bytes_in(window, rtt)),
            at_capacity: self.smoothed.is_some() && !self.app_limited,
        }
    }
}
