//! What losses and marks say about the path (draft §5.5.10): how much in flight was too much for a probe, and what the path bears
//! until the next one.
//!
//! A mark counts as the loss of a packet: the draft leaves the answer to ECN open but for that it must be taken for congestion.

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
/// Standard deviations beyond which a probe has lost too much: the next one tells whether that was so.
const LIKELY: f64 = 2.0;
/// Standard deviations beyond which losses are taken for congestion where the answer lasts.
pub(super) const CERTAIN: f64 = 3.0;
/// What losses within the threshold leave of the rate that was measured.
const TOLERANT: f64 = 0.99;
/// No answer is stronger than this in one round.
const BETA: f64 = 0.7;
/// A queue takes no more of the rate until the next probe: it may be a longer way, for which the window is too small.
const YIELDED: f64 = 0.6;

impl Bbr3 {
    /// The first losses of a round trip, and each packet as it was when it was sent.
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
        // The path has counted what was lost before the packet was sent, also before this controller was there.
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

    /// Marks have no time of sending: they are judged with the acknowledgment that brought them. True if the state changed.
    pub(super) fn on_probe_marks(&mut self, sample: &Sample) -> bool {
        if self.loss.marked == 0 || !self.cycle.is_probe_sample {
            return false;
        }
        let before = self.state;
        self.on_too_high(sample.now, sample.tx_in_flight, sample.is_app_limited);
        self.state != before
    }

    /// Whether more than the threshold of what was in flight was lost or marked.
    pub(super) fn is_too_high(&self, lost: u64, in_flight: u64) -> bool {
        // Beside a queue losses are no chance.
        let deviations = if self.has_queue() { 0.0 } else { LIKELY };
        exceeds(lost.saturating_add(self.loss.marked), in_flight, self.mtu, deviations)
    }

    /// A probe went too far; told once of each.
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

    /// At the end of a round trip: answers what was lost in it. Gives what that was, if it was something.
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

    /// Comes down to what is delivered, and by no more than [`BETA`]. Losses that the path may have for ever lower the rate a
    /// little, and not the volume: else each round would take its share of what the round before has left.
    fn lower_shortterm(&mut self, sample: &Sample, marked: u64) {
        self.undo.reductions += 1;
        let max = self.rates.max.get();
        let (rate, volume) = (self.rates.shortterm.min(max), self.volumes.shortterm.min(self.control.window));
        // What the sender held back itself is not the path's doing.
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

    /// A queue that stands while nothing is probed is shared with others, and what leaves faster than it arrives only makes it
    /// longer. Comes down to what is delivered, by no more than [`BETA`].
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

    /// The marks that told of congestion were none.
    pub(super) fn forget_congestion(&mut self) {
        self.reset_shortterm();
        self.volumes.longterm = UNBOUNDED;
        self.cycle.too_high = false;
        (self.loss.any, self.loss.marked) = (false, 0);
        self.bound_bw();
    }
}

/// How much was in flight when the losses reached the threshold, of which a packet of `size` bytes is the last: it may have
/// been in the middle of it.
fn inflight_at_loss(in_flight: u64, lost: u64, size: u64) -> u64 {
    let before = in_flight.saturating_sub(size) as f64;
    let lost_before = lost.saturating_sub(size) as f64;
    let prefix = (LOSS_THRESHOLD * before - lost_before) / (1.0 - LOSS_THRESHOLD);
    (before + prefix.max(0.0)) as u64
}

/// Whether so much of what was in flight was lost that it is more than the threshold, and by so many standard deviations not by
/// chance: of a hundred packets two are the threshold, and three are no rarity where two in a hundred are lost. Twice the
/// threshold is never chance.
pub(super) fn exceeds(lost: u64, in_flight: u64, mtu: u16, deviations: f64) -> bool {
    let mean = in_flight as f64 * LOSS_THRESHOLD;
    let chance = deviations * (mean * f64::from(mtu)).sqrt();
    lost as f64 > mean + chance.min(mean)
}
