//! Recovery, and the state to restore when it was wrong (draft §5.5.11, §5.6.4.4).

use super::{memory::Saved, model::State, state::Bbr3};
use crate::congestion::{CongestionEvent, SpuriousLoss};

impl Bbr3 {
    /// Packets were lost. A recovery begins unless they were sent before the last one began (RFC 9002
    /// §7.3.2).
    pub(super) fn begin_recovery(&mut self, event: &CongestionEvent<'_>) {
        if !self.undo.episode.covers(event.newest_lost_sent) {
            self.save_window();
            let saved = Saved {
                bw_shortterm: self.rates.shortterm,
                inflight_shortterm: self.volumes.shortterm,
                inflight_longterm: self.volumes.longterm,
                left: None,
            };
            self.undo.episode.begin(event.now, saved);
            self.undo.in_recovery = true;
        }
        self.undo.episode.on_lost(event.packets_lost);
    }

    /// A packet that was sent in recovery has arrived, so the losses are repaired and recovery ends.
    pub(super) fn end_recovery(&mut self, event: &CongestionEvent<'_>) {
        let covered = self.undo.episode.covers(event.newest_acked_sent);
        if self.undo.in_recovery && !covered && event.newest_acked_sent.is_some() {
            self.undo.in_recovery = false;
            self.restore_window();
        }
    }

    /// Nothing arrived for so long that the model is uncertain (RFC 9002 §7.6). The window starts at one
    /// packet more than is in flight, and grows again to where it was.
    pub(super) fn on_persistent_congestion(&mut self, event: &CongestionEvent<'_>) {
        self.undo.reductions += 1;
        self.save_window();
        self.undo.in_recovery = true;
        self.control.collapse(event.in_flight, self.mtu);
    }

    pub(super) fn save_window(&mut self) {
        let modulated = self.undo.in_recovery || self.state == State::ProbeRtt;
        self.control.save(modulated);
    }

    pub(super) fn restore_window(&mut self) {
        self.control.restore();
    }

    /// Packets that were declared lost have arrived. Once all losses of the last recovery have, it is undone.
    pub(super) fn on_late(&mut self, spurious: &SpuriousLoss) {
        let Some(saved) = self.undo.episode.on_spurious(spurious) else { return };
        self.undo.in_recovery = false;
        self.restore_window();
        self.loss.any = false;
        self.full_pipe.restart(0.0);
        self.rates.shortterm = self.rates.shortterm.max(saved.bw_shortterm);
        self.volumes.shortterm = self.volumes.shortterm.max(saved.inflight_shortterm);
        self.volumes.longterm = self.volumes.longterm.max(saved.inflight_longterm);
        match saved.left {
            Some(State::Startup) if self.state != State::Startup => {
                self.full_pipe.reached = false;
                if self.state != State::ProbeRtt {
                    self.enter_startup();
                }
            }
            Some(State::Up) if !matches!(self.state, State::Up | State::ProbeRtt) => self.start_refill(),
            _ => {}
        }
        self.bound_bw();
        // The next acknowledgment bounds the window again.
        self.set_pacing_rate(self.state.pacing_gain());
    }
}
