//! The controller for low latency: it sends what the path carries, and keeps the queue at a few milliseconds.
//!
//! | state | when | effect |
//! |---|---|---|
//! | startup (`startup.rs`) | the path is new, or was lost | the window doubles until the rate stops growing
//! |
//! | steering (`steer.rs`) | mostly | the standing queue is kept at its target (`path_state.rs`), and drained
//! from time to time (`refresh.rs`) |
//! | competing (`compete.rs`) | others keep a queue, whatever we do | the path is shared with them by CUBIC's
//! curve |
//!
//! The main signal is delay, filtered by `delay.rs`. It counts only as far as it is a queue, which the
//! reaction of the rate to the window shows (`elastic.rs`). Losses count where they are more than chance
//! (`loss.rs`). Marks count as in low-latency queues, unless they come from a classic queue (`marks.rs`). The
//! estimate of the path survives times in which the application sends little (`rate.rs`), and the window
//! never falls below what its bursts need (`burst.rs`).
//!
//! Each file is a mechanism with numbers in and numbers out, and this one calls them in turn. Nothing here
//! reads a clock, and random values follow from the path's seed (`dice.rs`).

mod burst;
mod compete;
mod delay;
mod elastic;
mod loss;
mod marks;
mod path_state;
mod rate;
mod refresh;
mod round;
mod startup;
mod steer;
#[cfg(test)]
mod tests;
mod train;

use std::time::Duration;

use super::dice::Dice;
use super::{
    CongestionEvent, Controller, Estimate, FlightPeak, MAX_WINDOW, NewPath, Phase, SentPacket, Snapshot,
    SpuriousLoss, initial_window, minimum_window,
};
use crate::base::{Ecn, Rate, Timestamp};
use burst::Bursts;
use compete::{Competition, Crowd, Others};
use delay::Delays;
use elastic::Elasticity;
use loss::Losses;
use marks::Marks;
use path_state::{PathState, WindowUse};
use rate::NominalRate;
use refresh::{Drain, Refresh};
use round::Rounds;
use startup::{Startup, Step};
use steer::{Permit, Steering};

const NAME: &str = "low-latency";
/// The least window in datagrams that delay leaves: fewer are acknowledged one by one, and late.
const LEAST_DATAGRAMS: f64 = 4.0;
/// The share of the window that must be in flight for the window to count as used.
const USED: f64 = 0.7;
/// How long a train takes at the pacing rate.
const TRAIN: Duration = Duration::from_micros(500);
const MAX_TRAIN: u64 = 64 * 1024;
/// The shortest round-trip time, because zero would give an unbounded rate.
const MIN_RTT: Duration = Duration::from_micros(10);

/// The states of the controller.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one per path, and never moved in the data path")]
enum Mode {
    Startup(Startup),
    Steering(Steering),
    Competing(Competition),
}

/// The controller for low latency, named `low-latency`.
#[derive(Clone, Debug)]
pub struct LowLatency {
    mtu: u16,
    window: f64,
    mode: Mode,
    rounds: Rounds,
    delays: Delays,
    rate: NominalRate,
    losses: Losses,
    marks: Marks,
    bursts: Bursts,
    refresh: Refresh,
    crowd: Crowd,
    elasticity: Elasticity,
    dice: Dice,
    /// The most of the window that was used since it was last reduced.
    peak: FlightPeak,
    /// The most in flight in this round trip and the previous one.
    flight: [u64; 2],
    smoothed: Duration,
    /// When the window last changed. Round-trip times of packets sent earlier do not show its effect.
    changed: Timestamp,
    /// The window before the last reaction to losses.
    undo: Option<f64>,
    /// Whether nothing has changed the window yet, so that a new MTU gives a new initial window.
    untouched: bool,
    app_limited: bool,
    reductions: u64,
    undone: u64,
}

impl LowLatency {
    /// A controller for `path`. If another controller had the path, this one continues with its window.
    #[must_use]
    pub fn new(path: &NewPath) -> Self {
        let mut new = Self::for_new_path(path);
        if let Some(before) = &path.predecessor {
            let window = before.window.clamp(minimum_window(path.mtu), MAX_WINDOW);
            new.window = window as f64;
            new.peak.raise(window);
            new.untouched = false;
            if let Some(min_rtt) = before.min_rtt {
                new.delays.set_base(path.now, min_rtt);
            }
            if !before.in_slow_start {
                // The previous controller may have left a queue, which is not path delay.
                new.mode = Mode::Steering(Steering::new());
                new.refresh = Refresh::due(path.now);
            }
        }
        new
    }

    fn for_new_path(path: &NewPath) -> Self {
        let mut dice = Dice::new(path.seed);
        let NewPath { now, mtu, .. } = *path;
        Self {
            mtu,
            window: initial_window(mtu) as f64,
            mode: Mode::Startup(Startup::default()),
            rounds: Rounds::default(),
            delays: Delays::new(now),
            rate: NominalRate::new(now),
            losses: Losses::new(now, &mut dice),
            marks: Marks::new(),
            bursts: Bursts::new(now),
            refresh: Refresh::due(now + refresh::PERIOD),
            crowd: Crowd::new(now),
            elasticity: Elasticity::new(now),
            dice,
            peak: FlightPeak::new(initial_window(mtu)),
            flight: [0; 2],
            smoothed: Duration::ZERO,
            changed: now,
            undo: None,
            untouched: true,
            app_limited: true,
            reductions: 0,
            undone: 0,
        }
    }

    fn least(&self) -> f64 {
        minimum_window(self.mtu) as f64
    }

    fn path_state(&self, now: Timestamp) -> PathState {
        let is_used = self.flight[0].max(self.flight[1]) as f64 >= USED * self.window;
        let used = WindowUse {
            window: self.window,
            is_used,
            marked: self.marks.are_recent(),
            mtu: self.mtu,
            path_rtt: self.elasticity.path_rtt(),
        };
        PathState::new(now, used, &self.delays, &self.rate, self.smoothed)
    }

    /// Sets the window, but no further than what is used of it permits.
    fn set_window(&mut self, window: f64) {
        let before = self.window();
        let limit = self.peak.slow_start_limit().max(self.peak.avoidance_limit(self.mtu)) as f64;
        let window = if window > self.window { window.min(limit).max(self.window) } else { window };
        self.window = window.clamp(self.least(), MAX_WINDOW as f64);
        if self.window() < before {
            self.peak.on_reduced();
        }
    }

    /// The least window that delay leaves: a few datagrams, and two of the application's bursts, as far as
    /// the path holds them. On a crowded radio channel it is what the path's rate carries while delays jump,
    /// because a smaller window would not make them shorter, and would starve the flow.
    fn keep(&self, path: &PathState) -> f64 {
        let rate = self.rate.get();
        let bursts = (2 * self.bursts.bytes(path.now)).min(2 * rate.bytes_in(path.base));
        let jumps = path.jumps.map_or(0, |jumps| rate.bytes_in(path.base + jumps));
        (bursts.max(jumps) as f64).max(LEAST_DATAGRAMS * path.mtu).min(self.window)
    }

    /// Begins to steer from a window of `window` bytes.
    fn steer_from(&mut self, now: Timestamp, window: f64) {
        self.mode = Mode::Steering(Steering::new());
        self.changed = now;
        self.set_window(window.min(self.window));
    }

    /// Updates the filters with an event before any decision. Returns whether a round trip is over.
    fn observe(&mut self, event: &CongestionEvent<'_>) -> bool {
        self.smoothed = event.rtt.smoothed();
        self.app_limited = event.limited_by.is_application();
        self.untouched &= event.bytes_acked == 0 && event.bytes_lost == 0;
        // If only one packet is acknowledged and nothing follows it, the acknowledgment may have waited at
        // the peer. Its delay says nothing about the path.
        let may_have_waited = self.app_limited && event.bytes_acked <= u64::from(self.mtu);
        if let Some(sample) = event.rtt_sample
            && !(may_have_waited && self.delays.base().is_some())
        {
            let hold = matches!(self.mode, Mode::Competing(_));
            self.delays.on_sample(event.now, sample, self.smoothed, hold);
        }
        let Some(sample) = &event.rate else { return false };
        self.rate.on_sample(sample);
        self.rounds.on_sample(sample)
    }

    /// A round trip is over. Returns whether others keep a queue.
    fn on_round(&mut self, event: &CongestionEvent<'_>) -> bool {
        self.rate.on_round(event.now, self.smoothed);
        self.losses.on_round();
        self.marks.on_round();
        self.flight = [0, self.flight[0]];
        let least = self.delays.on_round(event.rate.is_none_or(|rate| rate.is_app_limited));
        let path = self.path_state(event.now);
        // Path delay is not a queue.
        let longer = path.base - path.shortest;
        let crowded = self.crowd.on_round(&path, least.map(|least| least.saturating_sub(longer)));
        self.test_rate(event, &path);
        if let Mode::Steering(steering) = &mut self.mode {
            steering.on_round(&path, self.rounds.count(), self.marks.are_recent());
        }
        crowded
    }

    /// Lets the window grow where the rate follows it, because the delay there is not our own queue.
    fn test_rate(&mut self, event: &CongestionEvent<'_>, path: &PathState) {
        let is_used = path.is_used && !self.app_limited && !self.refresh.is_running();
        let window = match (&self.mode, &event.rate, self.delays.latest()) {
            (Mode::Steering(_), Some(sample), Some(least)) if is_used && !sample.is_app_limited => {
                self.elasticity.on_round(path, sample, least)
            }
            _ => self.elasticity.on_unused(),
        };
        if let Some(window) = window {
            self.set_window(window);
            self.changed = event.now;
        }
    }

    /// Handles losses and marks, the signals beside delay that call for a smaller window. Returns whether
    /// there was a reaction.
    fn yield_to(&mut self, event: &CongestionEvent<'_>) -> bool {
        if event.persistent {
            self.on_reduced(event.now);
            self.rate.forget();
            self.elasticity.forget(event.now);
            self.mode = Mode::Startup(Startup::default());
            self.set_window(0.0);
            return true;
        }
        let path = self.path_state(event.now);
        let marked = self.marks.on_event(event, path.queue);
        let window = if let Some(left) = self.losses.on_event(event, self.mtu) {
            self.undo = Some(self.window);
            self.on_reduced(event.now);
            self.window * left
        } else if let Some(left) = marked {
            self.window * left
        } else {
            return false;
        };
        self.reductions += 1;
        self.elasticity.on_reduced(event.now);
        self.refresh.on_reduced();
        match &mut self.mode {
            Mode::Steering(steering) => {
                steering.on_reduced(self.rounds.count());
                self.set_window(window);
            }
            _ => self.steer_from(event.now, window),
        }
        true
    }

    fn on_reduced(&mut self, now: Timestamp) {
        self.losses.on_answered(now, &mut self.dice);
        self.bursts.forget();
    }

    fn start_up(&mut self, event: &CongestionEvent<'_>, round: bool) {
        let path = self.path_state(event.now);
        let Mode::Startup(startup) = &mut self.mode else { return };
        match startup.on_ack(event, &path, self.rate.get(), round) {
            Step::Grow(bytes) => self.set_window(self.window + bytes),
            Step::Hold(window) => self.set_window(window.max(self.keep(&path)).min(self.window)),
            Step::Leave(window) => self.steer_from(event.now, window.max(self.keep(&path))),
        }
    }

    fn steer(&mut self, event: &CongestionEvent<'_>, crowded: bool) {
        if self.elasticity.is_trying() && !crowded {
            return;
        }
        let path = self.path_state(event.now);
        match self.refresh.on_ack(&path, event.newest_acked_sent, &mut self.dice) {
            Drain::Begin(window) => return self.set_window(window.max(self.keep(&path))),
            Drain::Wait => return,
            Drain::End(window) => {
                self.changed = event.now;
                self.elasticity.on_drained(self.delays.latest().unwrap_or_default());
                self.set_window(window);
                if let Mode::Steering(steering) = &mut self.mode {
                    steering.on_drained();
                }
            }
            Drain::No => {}
        }
        if crowded {
            let path = self.path_state(event.now);
            let fair = self.crowd.fair_window(&path);
            self.elasticity.forget(event.now);
            let competition = Competition::new(&path, self.mtu, fair, self.peak, &mut self.dice);
            self.mode = Mode::Competing(competition);
            return;
        }
        let permit = Permit {
            grow: path.is_used && !self.app_limited,
            shrink: event.newest_acked_sent.is_some_and(|sent| sent > self.changed),
            marked: self.marks.are_recent(),
        };
        let path = self.path_state(event.now);
        let Mode::Steering(steering) = &mut self.mode else { return };
        let window = steering.on_ack(&path, event.bytes_acked, permit);
        self.set_window(if window < self.window { window.max(self.keep(&path)) } else { window });
    }

    fn compete(&mut self, event: &CongestionEvent<'_>) {
        let path = self.path_state(event.now);
        let Mode::Competing(competition) = &mut self.mode else { return };
        let others = competition.on_event(event, &path, &mut self.dice);
        self.follow_cubic();
        if others == Others::Stay {
            return;
        }
        if let Others::Longer(base) = others {
            self.delays.set_base(event.now, base);
        }
        self.crowd.on_left(&path);
        let base = self.delays.base().unwrap_or(self.smoothed);
        let carried = self.rate.get().bytes_in(base + path.limit) as f64;
        self.steer_from(event.now, carried.max(self.keep(&path)));
    }

    /// Takes over CUBIC's window.
    fn follow_cubic(&mut self) {
        let Mode::Competing(competition) = &self.mode else { return };
        let (before, window) = (self.window(), competition.cubic().window());
        self.window = window as f64;
        if window < before {
            self.peak.on_reduced();
        }
    }

    /// The pacing rate. In startup it is twice the window per round trip, and otherwise little more than
    /// once. A burst then leaves within half of the time between two frames, and the window bounds the queue
    /// that it makes.
    fn pace(&self) -> Rate {
        let path = self.path_state(self.changed);
        let rate = Rate::from_bytes_in(self.window(), path.standing.max(MIN_RTT));
        let rate = match &self.mode {
            Mode::Startup(_) => rate.scaled(2, 1),
            Mode::Steering(_) if self.marks.are_recent() => rate.scaled(17, 16),
            Mode::Steering(_) | Mode::Competing(_) => rate.scaled(5, 4),
        };
        rate.max(Rate::from_bytes_per_second(1))
    }
}

impl Controller for LowLatency {
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket) {
        self.peak.on_sent(packet);
        self.flight[0] = self.flight[0].max(packet.in_flight.saturating_add(packet.bytes));
        self.bursts.on_sent(now, packet);
        if let Mode::Competing(competition) = &mut self.mode {
            competition.cubic_mut().on_sent(now, packet);
        }
    }

    fn on_congestion_event(&mut self, event: &CongestionEvent<'_>) {
        let round = self.observe(event);
        let crowded = round && self.on_round(event);
        if let Mode::Competing(_) = self.mode {
            return self.compete(event);
        }
        if self.yield_to(event) || event.bytes_acked == 0 {
            return;
        }
        match self.mode {
            Mode::Startup(_) => self.start_up(event, round),
            Mode::Steering(_) => self.steer(event, crowded),
            Mode::Competing(_) => {}
        }
    }

    fn on_marks_void(&mut self, now: Timestamp) {
        self.marks = Marks::new();
        self.elasticity.forget(now);
        if let Mode::Competing(competition) = &mut self.mode {
            competition.cubic_mut().on_marks_void(now);
            return self.follow_cubic();
        }
        self.mode = Mode::Startup(Startup::default());
    }

    fn on_spurious_loss(&mut self, now: Timestamp, spurious: &SpuriousLoss) {
        let void = self.losses.on_spurious(spurious);
        if let Mode::Competing(competition) = &mut self.mode {
            competition.cubic_mut().on_spurious_loss(now, spurious);
            return self.follow_cubic();
        }
        if let Some(window) = self.undo.take_if(|_| void)
            && window > self.window
        {
            self.undone += 1;
            self.peak.raise(window as u64);
            self.set_window(window);
        }
    }

    fn on_app_limited(&mut self, now: Timestamp) {
        self.app_limited = true;
        self.bursts.on_app_limited();
        if let Mode::Competing(competition) = &mut self.mode {
            competition.cubic_mut().on_app_limited(now);
        }
    }

    fn on_mtu_changed(&mut self, mtu: u16) {
        self.mtu = mtu;
        if self.untouched {
            self.peak.raise(initial_window(mtu));
            self.window = initial_window(mtu) as f64;
        }
        self.window = self.window.max(self.least());
        if let Mode::Competing(competition) = &mut self.mode {
            competition.cubic_mut().on_mtu_changed(mtu);
            self.follow_cubic();
        }
    }

    fn window(&self) -> u64 {
        (self.window as u64).clamp(minimum_window(self.mtu), MAX_WINDOW)
    }

    /// Returns `None` before the first round trip.
    fn pacing_rate(&self) -> Option<Rate> {
        self.delays.base().map(|_| self.pace())
    }

    fn send_quantum(&self) -> Option<u64> {
        let rate = self.pacing_rate()?;
        Some(rate.bytes_in(TRAIN).clamp(u64::from(self.mtu), MAX_TRAIN))
    }

    /// ECT(1), because this controller reacts to marks of low-latency queues as these expect. Other queues
    /// treat it like ECT(0), and their marks get the reaction that they expect.
    fn ecn(&self) -> Ecn {
        Ecn::Ect1
    }

    fn estimate(&self) -> Estimate {
        let rate = self.rate.get();
        Estimate { rate: (rate > Rate::ZERO).then_some(rate), at_capacity: !self.app_limited }
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = match &self.mode {
            Mode::Startup(_) => Snapshot::new(NAME, self.window(), Phase::SlowStart),
            Mode::Steering(_) => Snapshot::new(NAME, self.window(), Phase::CongestionAvoidance),
            Mode::Competing(competition) => competition.cubic().snapshot(),
        };
        snapshot.name = NAME;
        snapshot.reductions += self.reductions;
        snapshot.undone += self.undone;
        snapshot
    }
}
