//! What follows from the model (draft §5.6): the pacing rate, the send quantum and the congestion window.

use super::model::State;
use crate::{
    base::Rate,
    congestion::{Rtt, SentPacket, initial_window, minimum_window},
};

/// The assumed round-trip time before the first sample, in seconds: the initial window is delivered in it.
const NOMINAL_RTT: f64 = 0.001;
/// How long a quantum takes at the pacing rate, in seconds.
const QUANTUM: f64 = 0.001;
const MAX_QUANTUM: u64 = 64 * 1024;
#[derive(Clone, Copy, Debug)]
pub(super) struct Control {
    pub(super) window: u64,
    /// The last window that neither recovery nor `ProbeRTT` had reduced.
    prior: u64,
    /// Bytes per second.
    pub(super) rate: f64,
    pub(super) quantum: u64,
    pub(super) initial: u64,
    has_rtt: bool,
    /// Whether the window was used up in this round trip, and in the last one.
    limited: [bool; 2],
    /// The least gain in this round trip and in the last one.
    pub(super) gains: [f64; 2],
}

impl Control {
    pub(super) fn new(mtu: u16) -> Self {
        let initial = initial_window(mtu);
        let rate = State::Startup.pacing_gain() * initial as f64 / NOMINAL_RTT;
        Self {
            window: initial,
            prior: 0,
            rate,
            quantum: quantum(rate, mtu),
            initial,
            has_rtt: false,
            limited: [false; 2],
            gains: [1.0; 2],
        }
    }

    /// The pacing rate, but at least a datagram a second, so that a path whose estimate was low is tried
    /// again.
    pub(super) fn pacing_rate(&self) -> Rate {
        Rate::from_bytes_per_second((self.rate as u64).max(self.initial / 10))
    }

    pub(super) fn on_sent(&mut self, packet: &SentPacket, mtu: u16) {
        let in_flight = packet.in_flight.saturating_add(packet.bytes);
        self.limited[0] |= in_flight.saturating_add(mtu.into()) > self.window;
    }

    pub(super) fn on_round(&mut self) {
        self.limited = [false, self.limited[0]];
        self.gains = [1.0, self.gains[0]];
    }

    /// The gain at which the packets were sent that arrive now, at most 1.
    pub(super) fn sent_gain(&self) -> f64 {
        self.gains[0].min(self.gains[1])
    }

    /// Whether the window was used up at any time in the last round trip.
    pub(super) fn is_limited(&self) -> bool {
        self.limited[0] || self.limited[1]
    }

    /// Sets the initial rate with the first sample: the initial window in that round-trip time (draft
    /// §5.6.2).
    pub(super) fn on_rtt(&mut self, rtt: &Rtt, mtu: u16) {
        if self.has_rtt || rtt.first_sample().is_none() {
            return;
        }
        let seconds = rtt.smoothed().as_secs_f64().max(1e-6);
        self.start_at(State::Startup.pacing_gain() * self.initial as f64 / seconds, mtu);
    }

    /// Starts at a rate that is known before the first sample.
    pub(super) fn start_at(&mut self, rate: f64, mtu: u16) {
        self.has_rtt = true;
        self.rate = rate;
        self.quantum = quantum(rate, mtu);
    }

    pub(super) fn on_mtu_changed(&mut self, mtu: u16, untouched: bool) {
        self.initial = initial_window(mtu);
        let least = if untouched { self.initial } else { self.window };
        self.window = least.max(minimum_window(mtu));
        self.quantum = quantum(self.rate, mtu);
    }

    pub(super) fn save(&mut self, modulated: bool) {
        self.prior = if modulated { self.prior.max(self.window) } else { self.window };
    }

    pub(super) fn restore(&mut self) {
        self.window = self.window.max(self.prior);
    }

    /// Reduces the window to one packet more than is in flight.
    pub(super) fn collapse(&mut self, in_flight: u64, mtu: u16) {
        let least = in_flight.saturating_add(mtu.into()).max(minimum_window(mtu));
        self.window = self.window.min(least);
    }
}

pub(super) fn quantum(rate: f64, mtu: u16) -> u64 {
    let least = 2 * u64::from(mtu);
    ((rate * QUANTUM) as u64).clamp(least, MAX_QUANTUM.max(least))
}
