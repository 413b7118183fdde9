//! What losses and marks say about the path (draft §5.5.10): how much in flight was too much for a probe, and
//! how much the path carries until the next one.
//!
//! A mark counts as the loss of a packet. The draft leaves the reaction to ECN open, but a mark must count as
//! congestion.

use super::{
    memory::LossyRound,
    model::{Sample, State, UNBOUNDED},
    state::Bbr3,
};
use crate::{
    base::Timestamp,
    congestion::{CongestionEvent, LostPacket},
};

/// The share of what was in flight that may be lost within a round trip.
pub(super) const LOSS_THRESHOLD: f64 = 0.02;
/// The standard deviations beyond which a probe counts as having lost too much. The next probe corrects a
/// mistake.
const LIKELY: f64 = 2.0;
/// The standard deviations beyond which losses count as congestion where the reaction lasts.
pub(super) const CERTAIN: f64 = 3.0;
/// The share of the measured rate that remains after losses within the threshold.
const TOLERANT: f64 = 0.99;
/// The least share that one round's reaction leaves.
const BETA: f64 = 0.7;
/// The least share of the rate that a queue leaves until the next probe. The queue may in fact be a longer
/// route, for which the window is too small.
const YIELDED: f64 = 0.6;

impl Bbr3 {
    /// Handles losses: begins a recovery, and checks each packet against the state when it was sent.
    pub(super) fn on_losses(&mut self, event: &CongestionEvent<'_>) {
        self.begin_recovery(event);
        self.note_loss();
        for packet in event.lost {
            self.on_lost_packet(event.now, packet);
        }
    }

    pub(super) fn on_marks(&mut self, count: u64) {
        self.undo.forbid();
        self.note_loss();
        self.loss.marked = self.loss.marked.saturating_add(count.saturating_mul(self.mtu.into()));
    }

    fn note_loss(&mut self) {
        if !self.loss.any {
            self.loss.end = self.rounds.delivered;
        }
        self.loss.any = true;
        self.loss.events += 1;
    }

    fn on_lost_packet(&mut self, now: Timestamp, packet: &LostPacket) {
        // The path has counted what was lost before the packet was sent, even before this controller was
        // there.
        self.loss.lost = self.loss.lost.max(packet.rate.lost).saturating_add(packet.bytes);
        if !self.cycle.is_probe_sample {
            return;
        }
        let (lost, in_flight) = (self.loss.lost - packet.rate.lost, u64::from(packet.rate.in_flight));
        if self.is_too_high(lost, in_flight) {
            let safe = inflight_at_loss(in_flight, lost, packet.bytes);
            self.on_too_high(now, safe, packet.rate.is_app_limited);
        }
    }

    /// Checks marks of a probe. Marks have no send time, so they are judged with the acknowledgment that
    /// brought them. Returns whether the state changed.
    pub(super) fn on_probe_marks(&mut self, sample: &Sample) -> bool {
        if self.loss.marked == 0 || !self.cycle.is_probe_sample {
            return false;
        }
        let before = self.state;
        self.on_too_high(sample.now, sample.tx_in_flight, sample.is_app_limited);
        self.state != before
    }

    /// Whether more than the threshold of the bytes in flight was lost or marked.
    pub(super) fn is_too_high(&self, lost: u64, in_flight: u64) -> bool {
        // With a standing queue, losses are not due to chance.
        let deviations = if self.has_queue() { 0.0 } else { LIKELY };
        exceeds(lost.saturating_add(self.loss.marked), in_flight, self.mtu, deviations)
    }

    /// Reacts once to each probe that went too far.
    fn on_too_high(&mut self, now: Timestamp, in_flight: u64, is_app_limited: bool) {
        self.undo.reductions += 1;
        self.cycle.too_high = true;
        self.cycle.is_probe_sample = false;
        if !is_app_limited {
            let least = (self.target_inflight() as f64 * BETA) as u64;
            self.volumes.longterm = in_flight.max(least);
        }
        if self.state == State::Up {
            self.undo.left(State::Up);
            self.start_down(now);
        }
    }

    pub(super) fn update_latest_delivery(&mut self, sample: &Sample) {
        self.rates.latest = self.rates.latest.max(sample.rate);
        self.volumes.latest = self.volumes.latest.max(sample.delivered);
        self.loss.started = sample.prior_delivered >= self.loss.end;
        if self.loss.started {
            self.loss.end = sample.prior_delivered.saturating_add(sample.delivered);
        }
    }

    pub(super) fn advance_latest_delivery(&mut self, sample: &Sample) {
        if self.loss.started {
            self.rates.latest = sample.rate;
            self.volumes.latest = sample.delivered;
        }
    }

    /// At the end of a round trip, reacts to what was lost in it. Returns its losses, if there were any.
    pub(super) fn update_congestion(&mut self, sample: &Sample) -> Option<LossyRound> {
        if !self.loss.started {
            return None;
        }
        let round = LossyRound { events: self.loss.events, marked: self.loss.marked };
        let lossy = std::mem::take(&mut self.loss.any);
        if lossy && !self.state.accelerates() {
            self.lower_shortterm(sample, round.marked);
        } else if !lossy {
            self.yield_to_queue(sample);
        }
        (self.loss.events, self.loss.marked) = (0, 0);
        lossy.then_some(round)
    }

    /// Lowers the model to what is delivered, but by no more than [`BETA`]. Losses at a level that the path
    /// may have permanently lower the rate a little, and not the volume. Otherwise each round would take its
    /// share of what the round before has left.
    fn lower_shortterm(&mut self, sample: &Sample, marked: u64) {
        self.undo.reductions += 1;
        let max = self.rates.max.get();
        let (rate, volume) = (self.rates.shortterm.min(max), self.volumes.shortterm.min(self.control.window));
        // What the sender held back itself says nothing about the path.
        let gain = self.control.sent_gain();
        let (mut least_rate, mut least_volume) =
            ((self.rates.latest / gain).max(rate * BETA), (self.volumes.latest as f64 / gain) as u64);
        least_volume = least_volume.max((volume as f64 * BETA) as u64);
        if !exceeds(sample.lost.saturating_add(marked), sample.tx_in_flight, self.mtu, CERTAIN) {
            least_rate = least_rate.max(max * TOLERANT);
            let wanted = self.inflight(max, State::Cruise.window_gain());
            least_volume = least_volume.max(wanted.saturating_add(self.aggregation.extra_acked));
        }
        self.rates.shortterm = least_rate.min(rate);
        self.volumes.shortterm = least_volume.min(volume);
    }

    /// Yields to a queue that stands while nothing is probed. Such a queue is shared with others, and sending
    /// faster than packets arrive only makes it longer. Lowers the model to what is delivered, but by no more
    /// than [`BETA`].
    fn yield_to_queue(&mut self, sample: &Sample) {
        let probes = !self.state.is_probe_bw() || self.state.accelerates();
        if probes || sample.is_app_limited || !self.has_queue() {
            return;
        }
        let latest = self.rates.latest / self.control.sent_gain();
        if latest < self.rates.bw {
            let least = (self.rates.bw * BETA).max(self.rates.max.get() * YIELDED);
            self.rates.shortterm = latest.max(least).min(self.rates.shortterm);
        }
    }

    pub(super) fn reset_congestion_signals(&mut self) {
        self.loss.any = false;
        self.loss.events = 0;
        self.loss.marked = 0;
        self.rates.latest = 0.0;
        self.volumes.latest = 0;
    }

    pub(super) fn reset_shortterm(&mut self) {
        self.rates.shortterm = f64::INFINITY;
        self.volumes.shortterm = UNBOUNDED;
    }

    /// The marks that signalled congestion turned out to be void.
    pub(super) fn forget_congestion(&mut self) {
        self.reset_shortterm();
        self.volumes.longterm = UNBOUNDED;
        self.cycle.too_high = false;
        (self.loss.any, self.loss.marked) = (false, 0);
        self.bound_bw();
    }
}

/// How much was in flight when the losses reached the threshold. A packet of `size` bytes is the last loss;
/// the threshold may have been crossed in the middle of it.
fn inflight_at_loss(in_flight: u64, lost: u64, size: u64) -> u64 {
    let before = in_flight.saturating_sub(size) as f64;
    let lost_before = lost.saturating_sub(size) as f64;
    let prefix = (LOSS_THRESHOLD * before - lost_before) / (1.0 - LOSS_THRESHOLD);
    (before + prefix.max(0.0)) as u64
}

/// Whether the lost share of the bytes in flight is above the threshold, and by `deviations` standard
/// deviations more than chance explains. Of a hundred packets, two are the threshold, and three are not rare
/// where two in a hundred are lost. Twice the threshold is never chance.
pub(super) fn exceeds(lost: u64, in_flight: u64, mtu: u16, deviations: f64) -> bool {
    let mean = in_flight as f64 * LOSS_THRESHOLD;
    let chance = deviations * (mean * f64::from(mtu)).sqrt();
    lost as f64 > mean + chance.min(mean)
}
