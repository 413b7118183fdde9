//! `BBRv3` (draft-ietf-ccwg-bbr-06), for throughput: a model of the path instead of a window that follows losses.
//!
//! The model is two rates and two volumes. Over the last two probing cycles, `max_bw` is the most that the
//! path delivered, and `inflight_longterm` is how much in flight it carried then. Since congestion was seen
//! in this cycle, `bw_shortterm` and `inflight_shortterm` are what it has delivered. A state machine of seven
//! states feeds the model with experiments. It sends faster for a while, then slower, then as fast as was
//! measured, and drains the path every five seconds to measure its round-trip time.
//!
//! `model` and `memory` are values, `filters` and `rounds` measure, and `state` owns them all. Above it, one
//! file implements each mechanism. `queue` looks for queues. `startup`, `drain`, `probe_bw` and `probe_rtt`
//! are the states. `bounds` reacts to losses and marks, and `undo` reverts that. `idle` restarts after idle
//! time, and `takeover` follows another controller. `aggregation` handles bunched acknowledgments. `window`
//! derives window, rate and quantum (`control`). This file has the order of the steps.
//!
//! `docs/congestion.md` tells what we chose where the draft leaves a choice, where we depart from it, and
//! why.

mod aggregation;
mod bounds;
mod control;
mod drain;
mod filters;
mod idle;
mod memory;
mod model;
mod probe_bw;
mod probe_rtt;
mod queue;
mod rounds;
mod startup;
mod state;
mod takeover;
#[cfg(test)]
mod tests;
mod undo;
mod window;

pub use self::state::Bbr3;
use self::{
    control::Control,
    filters::CycleMax,
    memory::{Aggregation, Cycle, FullPipe, LossRound, MinRtt, ProbeRtt, Queue, Undo},
    model::{Rates, Sample, State, Volumes},
    rounds::Rounds,
};
use super::{CongestionEvent, Controller, Estimate, NewPath, Phase, SentPacket, Snapshot, SpuriousLoss};
use crate::base::{Rate, Timestamp};

impl Bbr3 {
    /// A controller for a new path, or for a path that another controller leaves. Its seed decides when the
    /// path is probed.
    #[must_use]
    pub fn new(path: &NewPath) -> Self {
        let mut new = Self {
            mtu: path.mtu,
            state: State::Startup,
            rounds: Rounds::default(),
            rates: Rates { max: CycleMax::default(), shortterm: f64::INFINITY, latest: 0.0, bw: 0.0 },
            volumes: Volumes::default(),
            loss: LossRound::default(),
            full_pipe: FullPipe::default(),
            drain_start_round: 0,
            cycle: Cycle::new(path.now, path.seed),
            min_rtt: MinRtt::new(path.now),
            queue: Queue::default(),
            probe_rtt: ProbeRtt::default(),
            aggregation: Aggregation::new(path.now),
            control: Control::new(path.mtu),
            undo: Undo::new(),
            idle_restart: false,
            app_limited: true,
        };
        if let Some(before) = &path.predecessor {
            new.take_over(before);
        }
        new
    }

    fn sample(&self, event: &CongestionEvent<'_>) -> Option<Sample> {
        let rate = event.rate?;
        Some(Sample {
            now: event.now,
            newly_acked: event.bytes_acked,
            rate: rate.rate.map_or(0.0, |rate| rate.bytes_per_second() as f64),
            delivered: rate.delivered,
            prior_delivered: rate.prior_delivered,
            lost: rate.lost,
            tx_in_flight: rate.in_flight,
            is_app_limited: rate.is_app_limited || self.probe_rtt.held_back(rate.prior_delivered),
            rtt: event.rtt_sample,
            prior_in_flight: event.prior_in_flight,
            in_flight: event.in_flight,
        })
    }

    /// Updates model and state after an acknowledgment, in the draft's order (draft §5.2.3).
    fn update_model(&mut self, sample: &Sample) {
        self.update_latest_delivery(sample);
        self.update_rounds(sample);
        self.update_queue(sample);
        self.update_max_bw(sample);
        let lossy_round = self.update_congestion(sample);
        self.update_aggregation(sample);
        self.full_pipe.on_ack(sample, self.rounds.started);
        self.check_startup_done(sample, lossy_round);
        self.check_drain_done(sample);
        self.update_cycle(sample);
        let expired = self.min_rtt.on_ack(sample);
        self.check_probe_rtt(sample, expired);
        self.advance_latest_delivery(sample);
        self.bound_bw();
    }

    fn update_max_bw(&mut self, sample: &Sample) {
        if sample.rate > 0.0 && (sample.rate >= self.rates.max.get() || !sample.is_app_limited) {
            self.rates.max.update(sample.rate);
        }
    }

    fn update_rounds(&mut self, sample: &Sample) {
        self.rounds.on_ack(sample);
        if self.rounds.started {
            self.cycle.rounds_since_probe += 1;
            self.control.on_round();
        }
    }
}

impl Controller for Bbr3 {
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket) {
        if packet.in_flight == 0 && packet.limited_by.is_application() {
            self.restart_from_idle(now);
        }
        self.control.on_sent(packet, self.mtu);
    }

    fn on_congestion_event(&mut self, event: &CongestionEvent<'_>) {
        self.app_limited = event.limited_by.is_application();
        if event.bytes_lost > 0 {
            self.on_losses(event);
        }
        if event.ce_delta > 0 {
            self.on_marks(event.ce_delta);
        }
        if event.persistent {
            self.on_persistent_congestion(event);
        }
        if event.bytes_acked > 0 {
            self.control.on_rtt(event.rtt, self.mtu);
            if let Some(sample) = self.sample(event) {
                self.update_model(&sample);
            }
            self.end_recovery(event);
        }
        self.update_control(event.bytes_acked);
    }

    fn on_marks_void(&mut self, _now: Timestamp) {
        self.forget_congestion();
    }

    fn on_spurious_loss(&mut self, _now: Timestamp, spurious: &SpuriousLoss) {
        self.on_late(spurious);
    }

    fn on_app_limited(&mut self, _now: Timestamp) {
        self.app_limited = true;
    }

    fn on_mtu_changed(&mut self, mtu: u16) {
        self.mtu = mtu;
        self.control.on_mtu_changed(mtu, self.rounds.delivered == 0);
    }

    fn window(&self) -> u64 {
        self.control.window
    }

    fn pacing_rate(&self) -> Option<Rate> {
        Some(self.control.pacing_rate())
    }

    fn send_quantum(&self) -> Option<u64> {
        Some(self.control.quantum)
    }

    fn estimate(&self) -> Estimate {
        let known = self.rates.bw > 0.0;
        Estimate {
            rate: known.then(|| Rate::from_bytes_per_second(self.rates.bw as u64)),
            at_capacity: known && !self.app_limited,
        }
    }

    fn snapshot(&self) -> Snapshot {
        let phase = match self.state {
            State::Startup => Phase::SlowStart,
            State::Drain => Phase::Drain,
            State::ProbeRtt => Phase::ProbeRtt,
            State::Down | State::Cruise | State::Refill | State::Up => Phase::CongestionAvoidance,
        };
        Snapshot {
            reductions: self.undo.reductions,
            undone: self.undo.undone(),
            ..Snapshot::new("bbr3", self.control.window, phase)
        }
    }
}
