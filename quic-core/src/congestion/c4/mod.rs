//! C4 (draft-huitema-ccwg-c4-design-02 and -spec-02). It keeps a nominal rate, which deliveries raise and
//! only congestion lowers, and the longest round-trip time that the path has without our own queue.
//!
//! | state | rate | until |
//! |---|---|---|
//! | initial | twice the nominal rate | it did not grow for three round trips, or congestion |
//! | recovery | 15/16 of the nominal rate | a packet that was sent in this state arrives |
//! | cruising | the nominal rate | four round trips have passed, or congestion, which lowers the rate |
//! | pushing | 17/16 or 5/4 of the nominal rate | a round trip has passed, or congestion, which does not
//! count |
//!
//! Where we depart from the drafts: in the initial state, the initial window and the rate that sends it in
//! half a round trip are minima. In that state growth means at least a sixteenth more, and marks count like
//! losses, but only after twenty packets, because the first burst says nothing. The share of marks is
//! evaluated every sixteen packets. A push is by at least a datagram, and by 5/4 where nothing is marked, as
//! in the drafts' table of states. The window is at most twice the most that was ever in flight. Persistent
//! congestion restarts the controller (RFC 9002 §7.6).

mod signals;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{
    CongestionEvent, Controller, Estimate, FlightPeak, MAX_WINDOW, NewPath, Phase, SentPacket, Snapshot,
    initial_window, minimum_window,
};
use crate::base::{Ecn, Rate, Timestamp};
use signals::{Signal, Signals};

/// The longest jitter that counts.
const MAX_JITTER: Duration = Duration::from_millis(250);
/// How many round trips without growth end the initial state. With too long a delay it takes fewer.
const FLAT_ERAS: u32 = 3;
const FLAT_ERAS_DELAYED: u32 = 2;
/// How many packets must have arrived before a loss ends the initial state.
const LEAST_ARRIVED: u64 = 20;
/// How many round trips cruising lasts.
const CRUISE_ERAS: u32 = 4;
/// After this many successful pushes in a row, the path has much more capacity.
const RAPID: u32 = 3;
/// How long a train takes at the pacing rate.
const TRAIN: Duration = Duration::from_millis(4);
const MAX_TRAIN: u64 = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// `flat` counts round trips without growth.
    Initial { flat: u32 },
    /// `congested` tells whether congestion led here, or came meanwhile. What arrives then was sent too fast
    /// to measure the rate.
    Recovery { congested: bool },
    /// `eras` counts round trips.
    Cruising { eras: u32 },
    /// `alpha` is the factor on the rate.
    Pushing { alpha: f64 },
}

impl State {
    fn alpha(self) -> f64 {
        match self {
            Self::Initial { .. } => 2.0,
            Self::Recovery { .. } => 15.0 / 16.0,
            Self::Cruising { .. } => 1.0,
            Self::Pushing { alpha } => alpha,
        }
    }
}

/// One round trip.
#[derive(Clone, Copy, Debug)]
struct Era {
    began: Timestamp,
    /// The factor on the rate at which the packets were sent that arrive in this round trip.
    alpha: f64,
    /// The least and the greatest sample of the round trip.
    samples: Option<(Duration, Duration)>,
    /// The nominal rate when the round trip began.
    rate: Rate,
}

/// The C4 controller.
#[derive(Clone, Debug)]
pub struct C4 {
    mtu: u16,
    window: u64,
    untouched: bool,
    state: State,
    /// The nominal rate; zero before the first estimate.
    rate: Rate,
    /// The longest round-trip time without a queue (`nominal_max_rtt`), and a smoothed shortest one.
    longest: Option<Duration>,
    shortest: Duration,
    era: Era,
    signals: Signals,
    /// The push before the running recovery: its factor, and the rate before it.
    push: Option<(f64, Rate)>,
    /// How many pushes in a row were successful.
    found: u32,
    /// Whether the initial state was restarted once because of jitter.
    restarted: bool,
    /// The least window in the initial state.
    floor: u64,
    arrived: u64,
    /// The most that was ever in flight.
    peak: FlightPeak,
    app_limited: bool,
    reductions: u64,
}

impl C4 {
    /// A controller for `path`. If another controller had the path, this one continues with its window.
    #[must_use]
    pub fn new(path: &NewPath) -> Self {
        let window = initial_window(path.mtu);
        let era = Era { began: path.now, alpha: 2.0, samples: None, rate: Rate::ZERO };
        let mut new = Self {
            mtu: path.mtu,
            window,
            untouched: true,
            state: State::Initial { flat: 0 },
            rate: Rate::ZERO,
            longest: None,
            shortest: Duration::ZERO,
            era,
            signals: Signals::default(),
            push: None,
            found: 0,
            restarted: false,
            floor: window,
            arrived: 0,
            peak: FlightPeak::new(window),
            app_limited: true,
            reductions: 0,
        };
        if let Some(before) = &path.predecessor {
            new.window = before.window.clamp(minimum_window(path.mtu), MAX_WINDOW);
            new.untouched = false;
            new.peak.raise(new.window);
            if let Some(min_rtt) = before.min_rtt {
                new.take_over(new.window, min_rtt, before.rate, before.in_slow_start);
            }
        }
        new
    }

    /// Takes over a path in use: its rate, and the round-trip time that follows from its window.
    fn take_over(&mut self, window: u64, min_rtt: Duration, rate: Option<Rate>, in_slow_start: bool) {
        let rate = rate.unwrap_or_else(|| Rate::from_bytes_in(window, min_rtt));
        (self.rate, self.era.rate) = (rate, rate);
        self.shortest = min_rtt;
        self.longest = Some(min_rtt.max(rate.time_for(window).min(min_rtt + MAX_JITTER)));
        if !in_slow_start {
            self.state = State::Cruising { eras: 0 };
        }
    }

    /// Raises the rate to what was delivered.
    fn measure(&mut self, event: &CongestionEvent<'_>) {
        let Some(sample) = &event.rate else { return };
        let interval = sample.interval.max(event.rtt_sample.unwrap_or_default());
        let congested = matches!(self.state, State::Recovery { congested: true });
        if sample.rate.is_some() && !congested {
            self.rate = self.rate.max(Rate::from_bytes_in(sample.delivered, interval));
        }
    }

    fn look(&mut self, event: &CongestionEvent<'_>) {
        let Some(sample) = event.rtt_sample else { return };
        if self.longest.is_none() {
            (self.longest, self.shortest) = (Some(sample), sample);
        }
        let (least, most) = self.era.samples.unwrap_or((sample, sample));
        self.era.samples = Some((least.min(sample), most.max(sample)));
    }

    /// Learns from the samples of a round trip whose packets left no faster than the nominal rate.
    fn learn(&mut self) {
        let (Some((least, most)), Some(longest)) = (self.era.samples, self.longest) else { return };
        self.shortest = if least < self.shortest { least } else { (self.shortest * 7 + least) / 8 };
        let most = most.min(self.shortest + MAX_JITTER);
        self.longest = Some(if most > longest { most } else { (longest * 7 + most) / 8 });
    }

    fn enter(&mut self, now: Timestamp, state: State) {
        self.era = Era { began: now, alpha: self.state.alpha(), samples: None, rate: self.rate };
        self.state = state;
    }

    /// A round trip is over.
    fn on_era(&mut self, now: Timestamp) {
        let initial = matches!(self.state, State::Initial { .. });
        if self.era.alpha <= 1.0 && !initial {
            self.learn();
        }
        let next = match self.state {
            State::Initial { flat } => {
                let flat = if self.rate > self.era.rate.scaled(17, 16) {
                    0
                } else {
                    flat + u32::from(!self.app_limited)
                };
                match flat >= FLAT_ERAS {
                    true => State::Recovery { congested: false },
                    false => State::Initial { flat },
                }
            }
            State::Recovery { congested } => self.recovered(congested),
            State::Cruising { eras } if eras + 1 >= CRUISE_ERAS && !self.app_limited => self.begin_push(),
            State::Cruising { eras } => State::Cruising { eras: eras.saturating_add(1) },
            State::Pushing { .. } => State::Recovery { congested: false },
        };
        self.enter(now, next);
    }

    fn begin_push(&mut self) -> State {
        let marked = self.signals.marked(self.rate);
        let more = if self.found == 0 { 0.0 } else { 3.0 / 16.0 * (1.0 - marked) };
        let alpha = 17.0 / 16.0 + more;
        self.push = Some((alpha, self.rate));
        State::Pushing { alpha }
    }

    /// The recovery is over. Returns the next state, which depends on the result of the push before it.
    fn recovered(&mut self, congested: bool) -> State {
        self.signals.on_answered();
        if let Some((alpha, before)) = self.push.take() {
            // A small push needs any growth, and a larger one a quarter of what was tried.
            let wanted = if alpha <= 17.0 / 16.0 { 1.0 } else { 1.0 + (alpha - 1.0) / 4.0 };
            let rate = self.rate.bytes_per_second() as f64;
            let found = !congested && rate > before.bytes_per_second() as f64 * wanted;
            self.found = if found { self.found + 1 } else { 0 };
        }
        let jitter = self.longest.is_some_and(|longest| self.shortest < longest * 2 / 5);
        if self.found >= RAPID || (jitter && !self.restarted) {
            self.restarted |= jitter;
            self.found = 0;
            return State::Initial { flat: 0 };
        }
        State::Cruising { eras: 0 }
    }

    fn on_signal(&mut self, now: Timestamp, signal: Signal) {
        match self.state {
            State::Initial { flat } => {
                let counts = match signal {
                    Signal::Delay(_) => flat >= FLAT_ERAS_DELAYED,
                    Signal::Loss(_) | Signal::Marks(_) => self.arrived > LEAST_ARRIVED * u64::from(self.mtu),
                };
                if !counts {
                    return;
                }
            }
            State::Recovery { .. } => {
                self.state = State::Recovery { congested: true };
                return;
            }
            State::Cruising { .. } => {
                self.rate = self.rate.scaled(((1.0 - signal.share()) * 1_024.0) as u32, 1_024);
            }
            State::Pushing { .. } => {}
        }
        self.reductions += 1;
        self.enter(now, State::Recovery { congested: true });
    }

    fn on_persistent(&mut self, now: Timestamp) {
        (self.rate, self.longest, self.push, self.found) = (Rate::ZERO, None, None, 0);
        self.floor = minimum_window(self.mtu);
        self.reductions += 1;
        self.enter(now, State::Initial { flat: 0 });
        self.era.rate = Rate::ZERO;
    }

    /// Sets the window: nominal rate times nominal round-trip time, times the state's factor.
    fn resize(&mut self) {
        let Some(longest) = self.longest.filter(|_| self.rate > Rate::ZERO) else {
            self.window = self.floor;
            return;
        };
        let floor = match self.state {
            State::Initial { .. } => self.floor,
            _ => minimum_window(self.mtu),
        };
        let nominal = self.rate.bytes_in(longest);
        let mut model = nominal as f64 * self.state.alpha();
        if let State::Pushing { .. } = self.state {
            model = model.max(nominal as f64 + f64::from(self.mtu));
        }
        let most = self.peak.slow_start_limit().max(self.peak.avoidance_limit(self.mtu));
        self.window = (model as u64).min(most).max(floor).min(MAX_WINDOW);
    }
}

impl Controller for C4 {
    fn on_sent(&mut self, _now: Timestamp, packet: &SentPacket) {
        self.peak.on_sent(packet);
    }

    fn on_congestion_event(&mut self, event: &CongestionEvent<'_>) {
        self.untouched = false;
        self.app_limited = event.limited_by.is_application();
        self.arrived = self.arrived.saturating_add(event.bytes_acked);
        if event.persistent {
            self.on_persistent(event.now);
            return self.resize();
        }
        self.look(event);
        self.measure(event);
        if let Some(signal) = self.signals.on_event(event, self.rate, self.longest, self.mtu) {
            self.on_signal(event.now, signal);
        }
        if event.newest_acked_sent.is_some_and(|sent| sent >= self.era.began) {
            self.on_era(event.now);
        }
        if event.bytes_acked > 0 {
            self.resize();
        }
    }

    fn on_app_limited(&mut self, _now: Timestamp) {
        self.app_limited = true;
    }

    fn on_mtu_changed(&mut self, mtu: u16) {
        self.mtu = mtu;
        self.floor = self.floor.max(minimum_window(mtu));
        if self.untouched {
            self.floor = initial_window(mtu);
            self.peak.raise(self.floor);
            self.window = self.floor;
        }
        self.window = self.window.max(minimum_window(mtu));
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self) -> Option<Rate> {
        let longest = self.longest.filter(|_| self.rate > Rate::ZERO)?;
        let least = match self.state {
            // The rate that the initial window needs.
            State::Initial { .. } => {
                Rate::from_bytes_in(self.floor, self.shortest.max(Duration::from_micros(10)))
            }
            // The rate for a push by a datagram, where that is more than the factor.
            State::Pushing { .. } => Rate::from_bytes_in(self.window, longest),
            _ => Rate::from_bytes_per_second(1),
        };
        Some(self.rate.scaled((self.state.alpha() * 64.0) as u32, 64).max(least))
    }

    fn send_quantum(&self) -> Option<u64> {
        let least = minimum_window(self.mtu);
        Some(self.pacing_rate()?.bytes_in(TRAIN).clamp(least, MAX_TRAIN.max(least)))
    }

    fn ecn(&self) -> Ecn {
        Ecn::Ect1
    }

    fn estimate(&self) -> Estimate {
        let known = self.rate > Rate::ZERO;
        Estimate { rate: known.then_some(self.rate), at_capacity: known && !self.app_limited }
    }

    fn snapshot(&self) -> Snapshot {
        let phase = match self.state {
            State::Initial { .. } => Phase::SlowStart,
            State::Recovery { .. } => Phase::Recovery,
            State::Cruising { .. } | State::Pushing { .. } => Phase::CongestionAvoidance,
        };
        Snapshot { reductions: self.reductions, ..Snapshot::new("c4", self.window, phase) }
    }
}
