//! Whether delay is our own queue: whether the rate is elastic, that is, follows the window.
//!
//! Where packets wait for each other in a queue, a smaller window leaves the rate unchanged and shortens the
//! wait. Where the path itself causes the delay, as with jitter, a smaller window lowers the rate and leaves
//! the wait unchanged. So when delay has halved the window and the rate fell with it, a trial begins: the
//! window grows again, step by step, as long as the rate follows. The remaining delay is then counted as path
//! delay, until a drained queue, or a window that falls without the rate, shows otherwise.
//!
//! Low-latency flows that share a queue look elastic to each other, too, since the others yield to the one
//! that grows. But in a queue the samples of a round trip are close together, and with jitter they are not. A
//! trial begins only with jitter.
//!
//! Owns the trial and its result. It must never know how the window is steered otherwise.

use std::time::Duration;

use super::path_state::PathState;
use crate::base::Timestamp;
use crate::congestion::RateSample;

/// The largest share of the window that may be left for a fall to count. Smaller changes happen all the time.
const FALLEN: f64 = 0.5;
/// By which factor the window grows in a step of a trial. Two steps make up for the fall.
const STEP: f64 = std::f64::consts::SQRT_2;
/// How many steps the rate has to follow. A single one is too often due to chance.
const STEPS: u32 = 2;
/// The rate follows if its change equals the window's to within this share, in logarithms. With a queue of
/// our own the ratio is 0: the rate does not change. With path delay it is 1: the rate changes as the window
/// does.
const FOLLOWS: f64 = 0.5;
/// Delay counts as jitter if the spread of a round trip's samples is more than this share of the wait. Among
/// simulated flows that would begin a trial, 3 in 100 exceed it when low-latency flows share a queue, and 77
/// in 100 exceed it with jitter.
const JITTER: f64 = 0.4;
/// The same share while the window grows. Packets then follow each other more closely, and jitter that keeps
/// their order spreads them less.
const JITTER_ON: f64 = 0.2;
/// After how many round trips a change of the window shows in the delivery rate.
const SETTLE: u32 = 1;
/// Over how many round trips rates and bytes in flight are averaged: more where a round trip has few packets,
const LEAST_LOOK: usize = 2;
const MOST_LOOK: usize = 8;
const LOOK_PACKETS: f64 = 16.0;
/// After how many consecutive round trips with a wait above the target packets wait too long.
const WAIT_ROUNDS: u32 = 3;
/// The least time between two trials,
const PAUSE: Duration = Duration::from_secs(1);
/// which doubles after each failed trial, at most this often.
const DOUBLINGS: u32 = 4;

/// The end of a round trip.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Timestamp,
    /// The total of bytes that had arrived by then.
    delivered: u64,
    /// The bytes in flight then.
    flight: f64,
    /// The shortest round-trip time of a packet in the round trip.
    least: Duration,
}

/// What the path carried in the latest round trips.
#[derive(Clone, Copy, Debug)]
struct Carried {
    /// The average of the bytes in flight.
    flight: f64,
    /// Bytes per second.
    rate: f64,
    /// The shortest round-trip time.
    least: Duration,
}

impl Carried {
    /// The average time that a packet was on its way.
    fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.flight / self.rate)
    }

    /// Whether the spread of a round trip's samples is more than this share of the wait.
    fn jumps(&self, path: &PathState, share: f64) -> bool {
        path.spread > self.mean().saturating_sub(path.shortest).mul_f64(share)
    }

    /// Whether, since `before`, the rate changed as the bytes in flight did.
    fn follows(&self, before: &Self) -> bool {
        let elasticity = (self.rate / before.rate).ln() / (self.flight / before.flight).ln();
        (elasticity - 1.0).abs() < FOLLOWS
    }
}

/// A trial in progress.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// What was carried before the latest step, and the window then. A failed trial returns to that window.
    before: Carried,
    window: f64,
    /// How many steps the rate has followed.
    steps: u32,
    /// How many round trips have passed since the latest step.
    rounds: u32,
}

/// The state of the mechanism.
#[derive(Clone, Debug)]
pub(super) struct Elasticity {
    /// The ends of the latest consecutive round trips in which the window was used, the newest first.
    marks: [Option<Mark>; MOST_LOOK + 1],
    /// What was carried with the most in flight since the rate's reaction was last judged.
    widest: Option<Carried>,
    /// How many consecutive round trips had packets that waited too long.
    waited: u32,
    trial: Option<Trial>,
    /// When a trial may begin at the earliest.
    next: Timestamp,
    /// How many trials have failed since the last successful one.
    failed: u32,
    path_rtt: Duration,
}

impl Elasticity {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            marks: [None; MOST_LOOK + 1],
            widest: None,
            waited: 0,
            trial: None,
            next: now,
            failed: 0,
            path_rtt: Duration::ZERO,
        }
    }

    /// The round-trip time that the path was found to take, whatever is sent; zero if nothing was found.
    pub(super) fn path_rtt(&self) -> Duration {
        self.path_rtt
    }

    /// Whether a trial runs, during which nothing else should change the window.
    pub(super) fn is_trying(&self) -> bool {
        self.trial.is_some()
    }

    /// Others keep a queue, or the path was lost, so nothing that was found holds.
    pub(super) fn forget(&mut self, now: Timestamp) {
        *self = Self { next: now + PAUSE, ..Self::new(now) };
    }

    /// Losses or marks reduced the window.
    pub(super) fn on_reduced(&mut self, now: Timestamp) {
        self.marks = [None; MOST_LOOK + 1];
        self.widest = None;
        if self.trial.take().is_some() {
            self.fail(now);
        }
    }

    /// The queue was drained, and this was the shortest round-trip time then. The path takes no longer.
    pub(super) fn on_drained(&mut self, least: Duration) {
        self.path_rtt = self.path_rtt.min(least);
    }

    /// A round trip is over in which something other than the window limited the rate. Returns the window to
    /// return to, if any.
    pub(super) fn on_unused(&mut self) -> Option<f64> {
        self.marks = [None; MOST_LOOK + 1];
        self.waited = 0;
        // The result of the step can no longer be measured.
        self.trial.take().map(|trial| trial.window)
    }

    /// A round trip is over, and `least` was its shortest sample. Returns the new window, if it changes.
    pub(super) fn on_round(&mut self, path: &PathState, sample: &RateSample, least: Duration) -> Option<f64> {
        self.waited = if least > path.base + path.target { self.waited + 1 } else { 0 };
        self.marks.rotate_right(1);
        self.marks[0] = Some(Mark {
            at: path.now,
            delivered: sample.prior_delivered + sample.delivered,
            flight: sample.in_flight as f64,
            least,
        });
        if let Some(trial) = &mut self.trial {
            trial.rounds += 1;
            let rounds = (trial.rounds - SETTLE) as usize;
            return match self.carried(rounds, path.mtu) {
                Some(carried) => self.judge(path, carried),
                None if rounds < MOST_LOOK => None,
                None => self.on_unused(),
            };
        }
        let carried = self.carried(MOST_LOOK, path.mtu)?;
        (self.fell_with(&carried) && self.calls_for_trial(path, &carried))
            .then(|| self.step(path, carried, 0))
    }

    /// Whether the window has fallen, and the rate with it.
    fn fell_with(&mut self, carried: &Carried) -> bool {
        let Some(widest) = self.widest.filter(|widest| carried.flight < widest.flight) else {
            self.widest = Some(*carried);
            return false;
        };
        if carried.flight >= widest.flight * FALLEN {
            return false;
        }
        if !carried.follows(&widest) {
            // The delay was a queue of packets after all.
            (self.widest, self.path_rtt) = (Some(*carried), Duration::ZERO);
            return false;
        }
        true
    }

    /// Whether all packets wait because of jitter, and a trial may begin.
    fn calls_for_trial(&self, path: &PathState, carried: &Carried) -> bool {
        self.waited >= WAIT_ROUNDS && carried.jumps(path, JITTER) && path.now >= self.next
    }

    /// Takes a step, after the rate has followed `steps` steps.
    fn step(&mut self, path: &PathState, before: Carried, steps: u32) -> f64 {
        self.trial = Some(Trial { before, window: path.window, steps, rounds: 0 });
        path.window * STEP
    }

    /// Judges the result of a step.
    fn judge(&mut self, path: &PathState, carried: Carried) -> Option<f64> {
        let trial = self.trial.take()?;
        let grew = carried.flight > trial.before.flight && carried.jumps(path, JITTER_ON);
        if grew && carried.follows(&trial.before) {
            return Some(self.step(path, carried, trial.steps + 1));
        }
        self.widest = None;
        if trial.steps < STEPS {
            self.fail(path.now);
        } else {
            self.failed = 0;
            self.next = path.now + PAUSE;
            self.path_rtt = trial.before.least;
        }
        Some(trial.window)
    }

    fn fail(&mut self, now: Timestamp) {
        self.next = now + PAUSE * (1 << self.failed.min(DOUBLINGS));
        self.failed += 1;
    }

    /// What the latest round trips carried. Takes as few round trips as have enough packets, and at most
    /// `most`.
    fn carried(&self, most: usize, mtu: f64) -> Option<Carried> {
        let last = self.marks[0]?;
        for count in LEAST_LOOK..=most.min(MOST_LOOK) {
            let first = self.marks[count]?;
            let delivered = last.delivered.saturating_sub(first.delivered) as f64;
            if delivered < LOOK_PACKETS * mtu {
                continue;
            }
            let marks = || self.marks[..count].iter().flatten();
            let flight = marks().map(|mark| mark.flight).sum::<f64>() / count as f64;
            let time = last.at.saturating_since(first.at).as_secs_f64().max(1e-6);
            let least = marks().map(|mark| mark.least).min()?;
            return (flight > 0.0).then_some(Carried { flight, rate: delivered / time, least });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MTU: f64 = 1_200.0;
    const WINDOW: f64 = 200_000.0;
    /// The round-trip time without any queue.
    const SHORTEST: Duration = Duration::from_millis(40);

    type Rates = Box<dyn Fn(f64) -> f64>;

    /// A path that carries `rate(window)` bytes in a second, and the window on it.
    struct Path {
        rate: Rates,
        window: f64,
        /// The spread of the samples.
        spread: Duration,
        now: Timestamp,
        delivered: u64,
        elasticity: Elasticity,
    }

    impl Path {
        fn new(rate: Rates) -> Self {
            let now = Timestamp::from_nanos(1_000_000_000);
            let (spread, elasticity) = (Duration::from_millis(20), Elasticity::new(now));
            Self { rate, window: WINDOW, spread, now, delivered: 0, elasticity }
        }

        /// Passes a round trip. Returns whether the window changed.
        fn round(&mut self) -> bool {
            let rate = (self.rate)(self.window);
            let took = Duration::from_secs_f64(self.window / rate);
            self.now += took;
            let prior = self.delivered;
            self.delivered += self.window as u64;
            let base = SHORTEST.max(self.elasticity.path_rtt());
            let path = PathState {
                now: self.now,
                window: self.window,
                is_used: true,
                mtu: MTU,
                base,
                shortest: SHORTEST,
                standing: took,
                queue: took.saturating_sub(base),
                target: Duration::from_millis(2),
                limit: Duration::from_millis(5),
                most: Duration::from_millis(5),
                spread: self.spread,
                jumps: None,
                smoothed: took,
            };
            let sample = RateSample {
                rate: None,
                delivered: self.window as u64,
                interval: took,
                lost: 0,
                prior_delivered: prior,
                in_flight: self.window as u64,
                is_app_limited: false,
            };
            let window = self.elasticity.on_round(&path, &sample, took);
            self.window = window.unwrap_or(self.window);
            window.is_some()
        }

        /// Passes round trips until the window changes, at most `most`. Returns how many.
        fn rounds(&mut self, most: u32) -> Option<u32> {
            (1..=most).find(|_| self.round())
        }

        /// Lets delay reduce the window to the share `left`. Returns whether a trial begins.
        fn fall(&mut self, left: f64) -> bool {
            assert_eq!(self.rounds(10), None);
            self.window *= left;
            self.rounds(20).is_some()
        }

        /// Runs until the trial is over. Returns how many steps were taken.
        fn finish(&mut self) -> u32 {
            let mut steps = 0;
            while self.elasticity.is_trying() {
                assert!(self.rounds(MOST_LOOK as u32 + 1).is_some(), "the trial does not end");
                steps += 1;
            }
            steps
        }
    }

    /// The rate is the window to the power of `elasticity`, and a round trip with `WINDOW` takes 200 ms.
    fn power(elasticity: f64) -> Rates {
        Box::new(move |window| (window / WINDOW).powf(elasticity) * WINDOW / 0.2)
    }

    /// Jitter of 20 ms, and a bottleneck that carries `window` in a round trip.
    fn jittered(window: f64) -> Rates {
        Box::new(move |flight| flight.min(window) / 0.06)
    }

    #[test]
    fn the_window_grows_again_and_the_path_delay_rises_if_the_rate_follows() {
        let mut path = Path::new(jittered(340_000.0));
        assert!(path.fall(0.4));
        // From 80 by √2 to 113, 160, 226, 320, and 453, which is too much.
        assert_eq!((path.finish(), path.window.round()), (5, 320_000.0));
        assert_eq!(path.elasticity.path_rtt(), Duration::from_millis(60));
        path.elasticity.on_drained(Duration::from_millis(50));
        assert_eq!(
            path.elasticity.path_rtt(),
            Duration::from_millis(50),
            "a drained queue bounds the path delay"
        );
        path.elasticity.on_drained(Duration::from_millis(70));
        assert_eq!(path.elasticity.path_rtt(), Duration::from_millis(50));
    }

    #[test]
    fn if_the_rate_stays_packets_wait_in_a_queue() {
        let mut path = Path::new(power(0.0));
        assert!(!path.fall(0.3) && !path.fall(0.4));
        // An earlier result does not survive.
        path.elasticity.path_rtt = Duration::from_millis(60);
        assert!(!path.fall(0.4));
        assert_eq!(path.elasticity.path_rtt(), Duration::ZERO);
    }

    #[test]
    fn a_half_is_the_boundary_between_the_two() {
        for (elasticity, follows) in [(0.45, false), (0.55, true), (1.45, true), (1.55, false)] {
            // While the window falls.
            let mut path = Path::new(power(elasticity));
            path.spread = Duration::from_millis(400);
            assert_eq!(path.fall(0.2), follows, "{elasticity}");
            // While the window grows, at a rate that followed before.
            let mut path = Path::new(power(1.0));
            path.spread = Duration::from_millis(400);
            assert!(path.fall(0.4));
            let window = path.window / STEP;
            path.rate = Box::new(move |grown| power(1.0)(window) * (grown / window).powf(elasticity));
            path.rounds(MOST_LOOK as u32 + 1);
            assert_eq!(path.elasticity.is_trying(), follows, "{elasticity}");
        }
    }

    #[test]
    fn less_than_a_fall_to_half_tells_nothing() {
        assert!(!Path::new(jittered(400_000.0)).fall(0.55));
        assert!(Path::new(jittered(400_000.0)).fall(0.45));
    }

    /// Other low-latency flows yield to the one that grows, so its rate follows. But they share a queue, in
    /// which samples are close together.
    #[test]
    fn without_jitter_no_trial_begins_or_goes_on() {
        for (spread, begins) in [(0, false), (7, false), (9, true)] {
            let mut path = Path::new(jittered(400_000.0));
            path.spread = Duration::from_millis(spread);
            assert_eq!(path.fall(0.4), begins, "a spread of {spread} ms with a wait of 20");
        }
        for (spread, steps) in [(3, 1), (5, 5)] {
            let mut path = Path::new(jittered(340_000.0));
            assert!(path.fall(0.4));
            path.spread = Duration::from_millis(spread);
            assert_eq!(path.finish(), steps, "it stopped, at {spread} ms");
        }
    }

    #[test]
    fn a_single_step_may_be_chance_and_failed_trials_delay_the_next() {
        // The bottleneck permits one step only, and the window returns to its old size.
        let mut path = Path::new(jittered(130_000.0));
        let mut waits = Vec::new();
        for _ in 0..7 {
            path.window = 130_000.0;
            assert_eq!(path.rounds(10), None);
            path.window = 64_000.0;
            let since = path.now;
            assert!(path.rounds(1_000).is_some());
            waits.push((path.now - since).as_secs());
            path.rate = jittered(96_000.0);
            assert_eq!((path.finish(), path.window.round()), (2, (64_000.0 * STEP).round()));
            path.rate = jittered(130_000.0);
            assert_eq!(path.elasticity.path_rtt(), Duration::ZERO);
        }
        assert_eq!(waits, [0, 0, 1, 3, 7, 15, 15]);
    }

    #[test]
    fn an_interruption_ends_a_trial() {
        let mut path = Path::new(jittered(400_000.0));
        assert!(path.fall(0.4));
        assert_eq!(path.elasticity.on_unused().map(f64::round), Some(80_000.0), "the window to return to");
        assert!(!path.elasticity.is_trying());
        let mut path = Path::new(jittered(400_000.0));
        assert!(path.fall(0.4));
        path.elasticity.on_reduced(path.now);
        assert!(!path.elasticity.is_trying() && path.elasticity.next > path.now);
        path.elasticity.path_rtt = Duration::from_millis(60);
        path.elasticity.forget(path.now);
        assert_eq!(path.elasticity.path_rtt(), Duration::ZERO);
    }
}
