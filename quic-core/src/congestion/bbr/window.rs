//! How much may be in flight and how fast it leaves, derived from the model and the state (draft §5.6).

use super::{
    control::quantum,
    model::{State, UNBOUNDED},
    state::Bbr3,
};
use crate::congestion::MAX_WINDOW;

/// One percent below the path's rate on average, so that queues shrink.
const MARGIN: f64 = 0.99;
/// The least datagrams in flight: two, and two more whose acknowledgments are on their way.
const LEAST_DATAGRAMS: u64 = 4;

impl Bbr3 {
    pub(super) fn least_window(&self) -> u64 {
        LEAST_DATAGRAMS * u64::from(self.mtu)
    }

    /// The path's rate times its round-trip time; the initial window as long as nothing is known.
    pub(super) fn bdp(&self) -> u64 {
        self.bdp_multiple(self.rates.bw, 1.0)
    }

    pub(super) fn bdp_multiple(&self, bw: f64, gain: f64) -> u64 {
        self.min_rtt.seconds().map_or(self.control.initial, |seconds| (gain * bw * seconds) as u64)
    }

    /// The volume with the extra that offloading and the least window need.
    pub(super) fn quantized(&self, volume: u64) -> u64 {
        let volume = volume.max(self.control.quantum).max(self.least_window());
        if self.state == State::Up { volume.saturating_add(2 * u64::from(self.mtu)) } else { volume }
    }

    pub(super) fn inflight(&self, bw: f64, gain: f64) -> u64 {
        self.quantized(self.bdp_multiple(bw, gain))
    }

    /// Updates rate, quantum and window after an event that acknowledged `newly_acked` bytes.
    pub(super) fn update_control(&mut self, newly_acked: u64) {
        self.set_pacing_rate(self.state.pacing_gain());
        self.control.quantum = quantum(self.control.rate, self.mtu);
        if newly_acked > 0 {
            self.grow_window(newly_acked);
        }
        self.bound_window();
    }

    /// Sets the pacing rate. Until the path was full once, the rate only rises: samples of an application
    /// that sends little do not lower it.
    pub(super) fn set_pacing_rate(&mut self, gain: f64) {
        self.control.gains[0] = self.control.gains[0].min(gain);
        let rate = gain * self.rates.bw * MARGIN;
        if rate > 0.0 && (self.full_pipe.reached || rate > self.control.rate) {
            self.control.rate = rate;
        }
    }

    /// Grows towards what the model wants in flight, by no more than was acknowledged.
    pub(super) fn grow_window(&mut self, newly_acked: u64) {
        let gain = self.state.window_gain();
        let wanted = self.bdp_multiple(self.rates.bw, gain).saturating_add(self.aggregation.extra_acked);
        let most = self.quantized(wanted);
        let grown = self.control.window.saturating_add(newly_acked);
        if self.full_pipe.reached {
            self.control.window = grown.min(most);
        } else if self.control.window < most || self.rounds.delivered < self.control.initial {
            self.control.window = grown;
        }
        self.control.window = self.control.window.clamp(self.least_window(), MAX_WINDOW);
    }

    pub(super) fn bound_window(&mut self) {
        if self.state == State::ProbeRtt {
            self.control.window = self.control.window.min(self.probe_rtt_window());
        }
        let longterm = match self.state {
            State::Cruise | State::ProbeRtt => self.inflight_with_headroom(),
            State::Down | State::Refill | State::Up => self.volumes.longterm,
            State::Startup | State::Drain => UNBOUNDED,
        };
        let most = longterm.min(self.volumes.shortterm).max(self.least_window());
        self.control.window = self.control.window.min(most);
    }
}
