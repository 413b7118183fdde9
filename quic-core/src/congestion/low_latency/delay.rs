//! What round-trip times tell: the path delay without a queue, the standing queue, and how much of a rise is
//! noise.
//!
//! Owns the filters over round-trip samples. It must never know windows, rates or who sends.

use std::time::Duration;

use super::super::recent::Recent;
use crate::base::Timestamp;

/// How long the shortest round-trip time counts: for one to two of these, since a route may become longer,
const BASE_WINDOW: Duration = Duration::from_secs(5);
/// but for at least this many round trips.
const BASE_ROUNDS: u32 = 64;
/// In how many periods the least sample is the standing queue.
const STANDING_PARTS: usize = 3;
/// The length of each period as a divisor of the smoothed round-trip time. Three periods cover between a half
/// and three quarters of it.
const STANDING_DIVISOR: u32 = 4;
/// For how many round trips the noise is remembered.
const SPREADS: usize = 8;
/// The least number of samples that tells noise.
const SPREAD_SAMPLES: u32 = 4;
/// The difference between samples that timers and batches of the system always explain.
const QUIET: Duration = Duration::from_millis(1);

/// The filters of one path.
#[derive(Clone, Debug)]
pub(super) struct Delays {
    base: Recent<2>,
    standing: Recent<STANDING_PARTS>,
    /// The least sample of the running round trip and of the previous one.
    rounds: [Option<Duration>; 2],
    /// The least and the greatest sample of the running round trip, and how many there were. Several round
    /// trips are taken together where one has too few samples.
    spread: Option<(Duration, Duration, u32)>,
    /// The difference between the least and the greatest sample, for each of the latest round trips.
    spreads: [Duration; SPREADS],
    known_spreads: usize,
    /// The median of these differences.
    usual_spread: Duration,
}

impl Delays {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            base: Recent::new(now),
            standing: Recent::new(now),
            rounds: [None; 2],
            spread: None,
            spreads: [Duration::ZERO; SPREADS],
            known_spreads: 0,
            usual_spread: Duration::ZERO,
        }
    }

    /// Adds a sample; `smoothed` is the smoothed round-trip time. With `hold`, the known base round-trip time
    /// does not age, because others keep a queue and all new samples would include it.
    pub(super) fn on_sample(&mut self, now: Timestamp, sample: Duration, smoothed: Duration, hold: bool) {
        if !hold || self.base().is_none_or(|base| sample < base) {
            self.base.push(now, sample, BASE_WINDOW.max(smoothed * BASE_ROUNDS));
        }
        let part = (smoothed / STANDING_DIVISOR).max(Duration::from_micros(1));
        self.standing.push(now, sample, part);
        self.rounds[0] = Some(self.rounds[0].map_or(sample, |least| least.min(sample)));
        self.spread = Some(match self.spread {
            None => (sample, sample, 1),
            Some((least, most, count)) => (least.min(sample), most.max(sample), count.saturating_add(1)),
        });
    }

    /// A round trip is over. Returns its least queueing delay, if it had samples. With `app_limited`, the
    /// spread of the samples does not count as noise, because the bursts of an application spread them too.
    pub(super) fn on_round(&mut self, app_limited: bool) -> Option<Duration> {
        let least = self.rounds[0];
        self.rounds = [None, least];
        if app_limited {
            self.spread = None;
        } else if let Some((least, most, _)) = self.spread.take_if(|(_, _, count)| *count >= SPREAD_SAMPLES) {
            self.spreads[self.known_spreads % SPREADS] = most - least;
            self.known_spreads += 1;
            let mut sorted = self.spreads;
            sorted.sort_unstable();
            self.usual_spread = sorted[SPREADS / 2];
        }
        Some(least?.saturating_sub(self.base()?))
    }

    /// The shortest sample of the running round trip and the previous one; `None` without samples.
    pub(super) fn latest(&self) -> Option<Duration> {
        self.rounds.iter().flatten().min().copied()
    }

    /// Sets the base round-trip time to `base`, whatever was measured before, because the route has changed.
    pub(super) fn set_base(&mut self, now: Timestamp, base: Duration) {
        self.base = Recent::new(now);
        self.base.push(now, base, BASE_WINDOW);
    }

    /// The round-trip time without a queue; `None` before the first sample.
    pub(super) fn base(&self) -> Option<Duration> {
        self.base.least()
    }

    /// The round-trip time with the standing queue. Peaks that last less than half a round trip do not count.
    /// With noise, peaks that last less than two do not count. `own` is how long our own packets wait for
    /// each other.
    pub(super) fn standing(&self, own: Duration) -> Option<Duration> {
        let standing = self.standing.least()?;
        if self.noise(own).is_zero() {
            return Some(standing);
        }
        Some(self.rounds.iter().flatten().fold(standing, |least, round| least.min(*round)))
    }

    /// The usual spread of the samples of a round trip, beyond what our own queue explains. A queue that
    /// grows or drains changes from one round trip to the next, and only little within one.
    pub(super) fn noise(&self, own: Duration) -> Duration {
        self.spread().saturating_sub(own * 2 + QUIET)
    }

    /// The usual spread of the samples of a round trip; zero until it is known.
    pub(super) fn spread(&self) -> Duration {
        if self.known_spreads < SPREADS { Duration::ZERO } else { self.usual_spread }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(1_000_000_000 + ms * 1_000_000)
    }
    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    /// Adds a sample every 10 ms, from `from` on; every fourth ends a round trip of 40 ms.
    fn feed(delays: &mut Delays, from: u64, samples: &[u64]) {
        for (index, sample) in (0_u64..).zip(samples) {
            delays.on_sample(at(from + index * 10), ms(*sample), ms(40), false);
            if index % 4 == 3 {
                delays.on_round(false);
            }
        }
    }

    #[test]
    fn a_queue_stands_when_no_sample_of_half_a_round_trip_is_shorter() {
        let mut delays = Delays::new(at(0));
        feed(&mut delays, 0, &[40, 60, 40, 60]);
        assert_eq!((delays.base(), delays.standing(ms(1))), (Some(ms(40)), Some(ms(40))));
        feed(&mut delays, 40, &[60, 60, 60, 60]);
        assert_eq!((delays.base(), delays.standing(ms(1))), (Some(ms(40)), Some(ms(60))));
        feed(&mut delays, 80, &[41]);
        assert_eq!(delays.standing(ms(1)), Some(ms(41)));
    }

    #[test]
    fn the_base_ages_unless_others_keep_a_queue() {
        let mut delays = Delays::new(at(0));
        feed(&mut delays, 0, &[30]);
        delays.on_sample(at(11_000), ms(90), ms(90), true);
        assert_eq!(delays.base(), Some(ms(30)));
        delays.on_sample(at(12_000), ms(90), ms(90), false);
        assert_eq!(delays.base(), Some(ms(90)));
        delays.set_base(at(13_000), ms(80));
        assert_eq!(delays.base(), Some(ms(80)));
    }

    #[test]
    fn jumps_within_round_trips_are_noise_and_a_rising_queue_is_not() {
        let mut delays = Delays::new(at(0));
        let rising: Vec<u64> = (0..48).map(|index| 40 + index / 4).collect();
        feed(&mut delays, 0, &rising);
        assert_eq!(delays.noise(ms(1)), Duration::ZERO);
        let jumping: Vec<u64> = (0..48).map(|index| if index % 4 == 1 { 41 } else { 80 }).collect();
        feed(&mut delays, 480, &jumping);
        assert_eq!(delays.noise(ms(1)), ms(39 - 3));
        assert_eq!(delays.standing(ms(1)), Some(ms(41)), "the least of two round trips");
    }
}
