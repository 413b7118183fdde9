//! Round trips counted by packets (draft §5.5.1): a round ends when a packet is acknowledged that was sent
//! after its start.

use super::model::Sample;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounds {
    /// The total of bytes delivered.
    pub(super) delivered: u64,
    /// The round ends with a packet that was sent when this much was delivered.
    end: u64,
    /// How many rounds have ended.
    pub(super) count: u64,
    /// Whether this acknowledgment ended a round, and so began the next one.
    pub(super) started: bool,
}

impl Rounds {
    pub(super) fn on_ack(&mut self, sample: &Sample) {
        self.delivered = sample.prior_delivered.saturating_add(sample.delivered);
        self.started = sample.prior_delivered >= self.end;
        if self.started {
            self.begin();
            self.count += 1;
        }
    }

    /// Begins a round now, whatever is left of the running one.
    pub(super) fn begin(&mut self) {
        self.end = self.delivered;
    }
}
