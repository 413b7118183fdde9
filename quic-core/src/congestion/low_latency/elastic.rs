//! Whether delay is a queue of ours: whether the rate is elastic, and follows the window.
//!
//! Where packets wait for each other, a smaller window leaves the rate as it was and shortens the wait. Where the way takes its time
//! whatever is sent, as with jitter, a smaller window lowers the rate and leaves the wait. So when delay has taken half of the window
//! and the rate fell with it, a trial lets the window grow again, step by step, as long as the rate follows. What packets waited for
//! meanwhile belongs to the way, until a drained queue or a window that falls without the rate shows otherwise.
//!
//! Flows of a kind that share a queue look elastic to each other, too, since the others yield to whoever grows. But in a queue the
//! samples of a round trip are close together, and with jitter they are not: only there a trial begins.
//!
//! Owns the trial and what it found. Must never know how the window is steered otherwise.

use std::time::Duration;

use super::sight::Sight;
use crate::base::Timestamp;
use crate::congestion::RateSample;

/// No more than this of the window may be left for the rate's answer to count: steering changes it by a part of that all the time.
const FALLEN: f64 = 0.5;
/// The window grows by this factor in a step of a trial: two make up for the fall.
const STEP: f64 = std::f64::consts::SQRT_2;
/// The rate has to follow so many steps. One, chance makes too often.
const STEPS: u32 = 2;
/// The rate follows where its change is the window's to within this share, in logarithms. With a queue of our own it does not change at
/// all (0), on a way whose delay is not ours it changes as the window does (1).
const FOLLOWS: f64 = 0.5;
/// Jitter is what makes packets wait where the samples of a round trip are further apart than this share of the wait. Of drawn flows of
/// a kind in one queue that would begin a trial 3 in 100 are beyond it, with jitter 77.
const JITTER: f64 = 0.4;
/// While the window grows, packets follow each other more closely, and jitter that keeps their order sets them less apart.
const JITTER_ON: f64 = 0.2;
/// A change of the window shows in what is delivered a round trip later.
const SETTLE: u32 = 1;
/// Rates and flights are means over so many round trips, and over more where these have too few packets,
const LEAST_LOOK: usize = 2;
const MOST_LOOK: usize = 8;
const LOOK_PACKETS: f64 = 16.0;
/// Packets wait too long if they do so for so many round trips in a row, beyond the target.
const WAIT_ROUNDS: u32 = 3;
/// No trial begins so soon after another one,
const PAUSE: Duration = Duration::from_secs(1);
/// and after those in vain it takes twice as long each time, with no more doublings than this.
const DOUBLINGS: u32 = 4;

/// The end of a round trip.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Timestamp,
    /// Bytes that had arrived by then.
    delivered: u64,
    /// Bytes that were in flight.
    flight: f64,
    /// The shortest round trip of a packet in it.
    least: Duration,
}

/// What the latest round trips carried.
#[derive(Clone, Copy, Debug)]
struct Carried {
    /// Bytes that were in flight, on average.
    flight: f64,
    /// Bytes in a second.
    rate: f64,
    /// The shortest round trip.
    least: Duration,
}

impl Carried {
    /// How long a packet was on its way, on average.
    fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.flight / self.rate)
    }

    /// Whether the samples of a round trip are further apart than this share of what packets wait.
    fn jumps(&self, sight: &Sight, share: f64) -> bool {
        sight.spread > self.mean().saturating_sub(sight.shortest).mul_f64(share)
    }

    /// Whether the rate changed as what was in flight did since `before`.
    fn follows(&self, before: &Self) -> bool {
        let elasticity = (self.rate / before.rate).ln() / (self.flight / before.flight).ln();
        (elasticity - 1.0).abs() < FOLLOWS
    }
}

/// A trial that runs.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// What was carried before the latest step, and the window then, to which to return.
    before: Carried,
    window: f64,
    /// Steps that the rate has followed.
    steps: u32,
    /// Round trips since the latest.
    rounds: u32,
}

/// The state.
#[derive(Clone, Debug)]
pub(super) struct Elasticity {
    /// The ends of the latest round trips in a row in which the window was used, the newest first.
    marks: [Option<Mark>; MOST_LOOK + 1],
    /// What was carried with most in flight since the rate's answer was last judged.
    widest: Option<Carried>,
    /// Round trips in a row in which packets waited longer than they should.
    waited: u32,
    trial: Option<Trial>,
    /// When a trial may begin at the earliest.
    next: Timestamp,
    /// Trials in vain since the last that was none.
    failed: u32,
    way: Duration,
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
            way: Duration::ZERO,
        }
    }

    /// A round trip was found to take this long, whatever is sent. Nothing if nothing was found.
    pub(super) fn way(&self) -> Duration {
        self.way
    }

    /// A trial runs: nothing else should change the window.
    pub(super) fn is_trying(&self) -> bool {
        self.trial.is_some()
    }

    /// Others keep a queue, or the path was lost: nothing that was found holds.
    pub(super) fn forget(&mut self, now: Timestamp) {
        *self = Self { next: now + PAUSE, ..Self::new(now) };
    }

    /// Losses or marks made the window smaller.
    pub(super) fn on_reduced(&mut self, now: Timestamp) {
        self.marks = [None; MOST_LOOK + 1];
        self.widest = None;
        if self.trial.take().is_some() {
            self.fail(now);
        }
    }

    /// The queue was let drain, and this was the shortest round trip then: the way takes no longer.
    pub(super) fn on_drained(&mut self, least: Duration) {
        self.way = self.way.min(least);
    }

    /// A round trip is over in which something other than the window limited the rate. Gives the window to return to, if any.
    pub(super) fn on_unused(&mut self) -> Option<f64> {
        self.marks = [None; MOST_LOOK + 1];
        self.waited = 0;
        // Nothing tells any more what the step brought.
        self.trial.take().map(|trial| trial.window)
    }

    /// A round trip is over, the shortest of a packet in which was `least`. Gives the window to go on with, if it is another one.
    pub(super) fn on_round(&mut self, sight: &Sight, sample: &RateSample, least: Duration) -> Option<f64> {
        self.waited = if least > sight.base + sight.target { self.waited + 1 } else { 0 };
        self.marks.rotate_right(1);
        self.marks[0] = Some(Mark {
            at: sight.now,
            delivered: sample.prior_delivered + sample.delivered,
            flight: sample.in_flight as f64,
            least,
        });
        if let Some(trial) = &mut self.trial {
            trial.rounds += 1;
            let rounds = (trial.rounds - SETTLE) as usize;
            return match self.carried(rounds, sight.mtu) {
                Some(carried) => self.judge(sight, carried),
                None if rounds < MOST_LOOK => None,
                None => self.on_unused(),
            };
        }
        let carried = self.carried(MOST_LOOK, sight.mtu)?;
        (self.fell_with(&carried) && self.calls_for_trial(sight, &carried))
            .then(|| self.step(sight, carried, 0))
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
            // The queue was one of packets after all.
            (self.widest, self.way) = (Some(*carried), Duration::ZERO);
            return false;
        }
        true
    }

    /// Whether all packets wait, and for jitter.
    fn calls_for_trial(&self, sight: &Sight, carried: &Carried) -> bool {
        self.waited >= WAIT_ROUNDS && carried.jumps(sight, JITTER) && sight.now >= self.next
    }

    /// Takes a step, after so many that the rate has followed.
    fn step(&mut self, sight: &Sight, before: Carried, steps: u32) -> f64 {
        self.trial = Some(Trial { before, window: sight.window, steps, rounds: 0 });
        sight.window * STEP
    }

    /// What came of a step is known.
    fn judge(&mut self, sight: &Sight, carried: Carried) -> Option<f64> {
        let trial = self.trial.take()?;
        let grew = carried.flight > trial.before.flight && carried.jumps(sight, JITTER_ON);
        if grew && carried.follows(&trial.before) {
            return Some(self.step(sight, carried, trial.steps + 1));
        }
        self.widest = None;
        if trial.steps < STEPS {
            self.fail(sight.now);
        } else {
            self.failed = 0;
            self.next = sight.now + PAUSE;
            self.way = trial.before.least;
        }
        Some(trial.window)
    }

    fn fail(&mut self, now: Timestamp) {
        self.next = now + PAUSE * (1 << self.failed.min(DOUBLINGS));
        self.failed += 1;
    }

    /// What the latest round trips carried: as few as have packets enough, and no more than `most`.
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
    /// Without a queue of any kind a round trip takes this long.
    const SHORTEST: Duration = Duration::from_millis(40);

    type Rates = Box<dyn Fn(f64) -> f64>;

    /// A path that carries `rate(window)` bytes in a second, and the window on it.
    struct Path {
        rate: Rates,
        window: f64,
        /// How far apart samples are.
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

        /// A round trip passes. Whether there is another window.
        fn round(&mut self) -> bool {
            let rate = (self.rate)(self.window);
            let took = Duration::from_secs_f64(self.window / rate);
            self.now += took;
            let prior = self.delivered;
            self.delivered += self.window as u64;
            let base = SHORTEST.max(self.elasticity.way());
            let sight = Sight {
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
            let window = self.elasticity.on_round(&sight, &sample, took);
            self.window = window.unwrap_or(self.window);
            window.is_some()
        }

        /// Round trips until there is another window, and no more than these.
        fn rounds(&mut self, most: u32) -> Option<u32> {
            (1..=most).find(|_| self.round())
        }

        /// Delay takes a part of the window. Whether a trial begins.
        fn fall(&mut self, left: f64) -> bool {
            assert_eq!(self.rounds(10), None);
            self.window *= left;
            self.rounds(20).is_some()
        }

        /// Until the trial is over. How many steps were taken.
        fn finish(&mut self) -> u32 {
            let mut steps = 0;
            while self.elasticity.is_trying() {
                assert!(self.rounds(MOST_LOOK as u32 + 1).is_some(), "it neither follows nor does not");
                steps += 1;
            }
            steps
        }
    }

    /// The rate is the window's to the power of `elasticity`, and `WINDOW` takes 200 ms.
    fn power(elasticity: f64) -> Rates {
        Box::new(move |window| (window / WINDOW).powf(elasticity) * WINDOW / 0.2)
    }

    /// Jitter of 20 ms, and a bottleneck that carries `window` in a round trip.
    fn jittered(window: f64) -> Rates {
        Box::new(move |flight| flight.min(window) / 0.06)
    }

    #[test]
    fn where_the_rate_follows_the_window_grows_again_and_the_way_is_longer() {
        let mut path = Path::new(jittered(340_000.0));
        assert!(path.fall(0.4));
        // From 80 by √2 to 113, 160, 226, 320, and 453, which is too much.
        assert_eq!((path.finish(), path.window.round()), (5, 320_000.0));
        assert_eq!(path.elasticity.way(), Duration::from_millis(60));
        path.elasticity.on_drained(Duration::from_millis(50));
        assert_eq!(
            path.elasticity.way(),
            Duration::from_millis(50),
            "a drained queue shows what the way takes at most"
        );
        path.elasticity.on_drained(Duration::from_millis(70));
        assert_eq!(path.elasticity.way(), Duration::from_millis(50));
    }

    #[test]
    fn where_the_rate_stays_packets_wait_for_each_other() {
        let mut path = Path::new(power(0.0));
        assert!(!path.fall(0.3) && !path.fall(0.4));
        // What was found before does not outlive it.
        path.elasticity.way = Duration::from_millis(60);
        assert!(!path.fall(0.4));
        assert_eq!(path.elasticity.way(), Duration::ZERO);
    }

    #[test]
    fn a_half_is_the_boundary_between_the_two() {
        for (elasticity, follows) in [(0.45, false), (0.55, true), (1.45, true), (1.55, false)] {
            // While the window falls.
            let mut path = Path::new(power(elasticity));
            path.spread = Duration::from_millis(400);
            assert_eq!(path.fall(0.2), follows, "{elasticity}");
            // While it grows, at a rate that followed before.
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

    /// Others of its kind yield to whoever grows, so that its rate follows: in a queue, where samples are close together.
    #[test]
    fn without_jitter_no_trial_begins_or_goes_on() {
        for (spread, begins) in [(0, false), (7, false), (9, true)] {
            let mut path = Path::new(jittered(400_000.0));
            path.spread = Duration::from_millis(spread);
            assert_eq!(path.fall(0.4), begins, "{spread} ms of a wait of 20");
        }
        for (spread, steps) in [(3, 1), (5, 5)] {
            let mut path = Path::new(jittered(340_000.0));
            assert!(path.fall(0.4));
            path.spread = Duration::from_millis(spread);
            assert_eq!(path.finish(), steps, "it stopped, at {spread} ms");
        }
    }

    #[test]
    fn a_single_step_may_be_chance_and_the_next_trial_comes_later_each_time() {
        // One step is left to the bottleneck, and the window is what it was before.
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
            assert_eq!(path.elasticity.way(), Duration::ZERO);
        }
        assert_eq!(waits, [0, 0, 1, 3, 7, 15, 15]);
    }

    #[test]
    fn what_interrupts_a_trial_ends_it() {
        let mut path = Path::new(jittered(400_000.0));
        assert!(path.fall(0.4));
        assert_eq!(path.elasticity.on_unused().map(f64::round), Some(80_000.0), "the window to return to");
        assert!(!path.elasticity.is_trying());
        let mut path = Path::new(jittered(400_000.0));
        assert!(path.fall(0.4));
        path.elasticity.on_reduced(path.now);
        assert!(!path.elasticity.is_trying() && path.elasticity.next > path.now);
        path.elasticity.way = Duration::from_millis(60);
        path.elasticity.forget(path.now);
        assert_eq!(path.elasticity.way(), Duration::ZERO);
    }
}
