//! What each mechanism remembers from one acknowledgment to the next. None of these values knows the
//! controller, which owns them all.

use std::time::Duration;

use super::{
    filters::WindowMax,
    model::{Sample, State, UNBOUNDED},
};
use crate::{base::Timestamp, congestion::episode::Episode};

/// A round had a queue all the time if its least round-trip time is this many times the path's.
const STANDING: f64 = 1.2;

/// The least round-trip times of this round and of the last one, in seconds; infinite if there was none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    pub(super) now: f64,
    pub(super) last: f64,
}

impl Default for Queue {
    fn default() -> Self {
        Self { now: f64::INFINITY, last: f64::INFINITY }
    }
}

impl Queue {
    pub(super) fn on_ack(&mut self, rtt: Option<Duration>, round_started: bool) {
        if round_started {
            self.last = std::mem::replace(&mut self.now, f64::INFINITY);
        }
        self.now = self.now.min(rtt.map_or(f64::INFINITY, |rtt| rtt.as_secs_f64()));
    }

    pub(super) fn stands(self, least: f64) -> bool {
        self.last.is_finite() && self.last > least * STANDING
    }
}

/// How much arrived since the last bunch of acknowledgments began, and by how much the largest bunch exceeded
/// what was expected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aggregation {
    pub(super) start: Timestamp,
    pub(super) delivered: u64,
    /// The most bytes in flight before an acknowledgment since then. The acknowledgments of a bunch come one
    /// by one, and each finds fewer bytes.
    pub(super) peak: u64,
    pub(super) filter: WindowMax,
    /// Bytes beyond what was expected.
    pub(super) extra_acked: u64,
}

impl Aggregation {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { start: now, delivered: 0, peak: 0, filter: WindowMax::default(), extra_acked: 0 }
    }

    /// Starts the expectation anew at `now`.
    pub(super) fn restart(&mut self, now: Timestamp) {
        self.start = now;
        (self.delivered, self.peak) = (0, 0);
    }
}

/// The round trip whose losses are counted. It starts anew with its first loss.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LossRound {
    pub(super) end: u64,
    pub(super) started: bool,
    /// Whether it had losses or marks.
    pub(super) any: bool,
    pub(super) events: u32,
    /// Bytes of packets that were marked in it.
    pub(super) marked: u64,
    /// The total of bytes lost on the path.
    pub(super) lost: u64,
}

/// The losses and marks of a round that had some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LossyRound {
    /// How many acknowledgments brought losses or marks, which is the number of places at which packets were
    /// lost.
    pub(super) events: u32,
    /// Bytes of packets that were marked.
    pub(super) marked: u64,
}

/// The factor from one round to the next that counts as growth.
const GROWTH: f64 = 1.25;
/// How many rounds without growth fill the pipe. It is several because a growing receive window may hold one
/// round back.
const FLAT_ROUNDS: u32 = 3;

/// Searches for the plateau of the delivery rate, which shows that the path is full (draft §5.3.1.2).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FullPipe {
    pub(super) baseline: f64,
    pub(super) flat_rounds: u32,
    /// Whether the pipe was full since the search began.
    pub(super) now: bool,
    /// Whether the pipe was ever full on this path.
    pub(super) reached: bool,
}

impl FullPipe {
    /// Starts the search anew, from `baseline` bytes per second.
    pub(super) fn restart(&mut self, baseline: f64) {
        *self = Self { baseline, reached: self.reached, ..Self::default() };
    }

    pub(super) fn on_ack(&mut self, sample: &Sample, round_started: bool) {
        if self.now || !round_started || sample.is_app_limited || sample.rate <= 0.0 {
            return;
        }
        if sample.rate >= self.baseline * GROWTH {
            return self.restart(sample.rate);
        }
        self.flat_rounds += 1;
        if self.flat_rounds >= FLAT_ROUNDS {
            self.fill();
        }
    }

    pub(super) fn fill(&mut self) {
        self.now = true;
        self.reached = true;
    }

    #[cfg(test)]
    pub(super) fn flat_rounds(&self) -> u32 {
        self.flat_rounds
    }
}

/// The least time between two probes. Up to [`WAIT_SPREAD`] nanoseconds more are drawn, so that flows do not
/// probe together.
const WAIT: Duration = Duration::from_secs(2);
const WAIT_SPREAD: u64 = 1_000_000_000;

/// Which packets acknowledgments are about, with regard to probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckPhase {
    Init,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
}

/// The progress of the probing cycle.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    pub(super) ack_phase: AckPhase,
    /// Whether acknowledgments are of packets that probed.
    pub(super) is_probe_sample: bool,
    pub(super) rounds_since_probe: u64,
    pub(super) start: Timestamp,
    pub(super) wait: Duration,
    pub(super) up_acked: u64,
    pub(super) up_acked_per_step: u64,
    pub(super) up_rounds: u32,
    /// Whether the last probe lost too much.
    pub(super) too_high: bool,
    /// Whether the last probe ended where the one before had lost too much.
    pub(super) precautionary: bool,
    pub(super) dice: u64,
}

impl Cycle {
    pub(super) fn new(now: Timestamp, seed: u64) -> Self {
        Self {
            ack_phase: AckPhase::Init,
            is_probe_sample: false,
            rounds_since_probe: 0,
            start: now,
            wait: Duration::ZERO,
            up_acked: 0,
            up_acked_per_step: UNBOUNDED,
            up_rounds: 0,
            too_high: false,
            precautionary: false,
            dice: seed,
        }
    }

    /// The next pseudorandom number: a Weyl sequence, mixed by multiplications.
    pub(super) fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.dice ^ (self.dice >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 16
    }

    pub(super) fn pick_wait(&mut self) {
        self.rounds_since_probe = self.roll() % 2;
        self.wait = WAIT + Duration::from_nanos(self.roll() % (WAIT_SPREAD + 1));
    }
}

/// The time between two measurements. All flows use the same, so that they measure together.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long the least round-trip time counts.
const FILTER: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
pub(super) struct Least {
    pub(super) rtt: Option<Duration>,
    pub(super) at: Timestamp,
}

impl Least {
    pub(super) fn is_below(self, other: Self) -> bool {
        self.rtt.is_some_and(|rtt| other.rtt.is_none_or(|other| rtt < other))
    }
}

/// The least round-trip times of the last five and of the last ten seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct MinRtt {
    pub(super) short: Least,
    pub(super) long: Least,
    pub(super) seconds: f64,
}

impl MinRtt {
    pub(super) fn new(now: Timestamp) -> Self {
        let least = Least { rtt: None, at: now };
        Self { short: least, long: least, seconds: 0.0 }
    }

    /// The path had this round-trip time before the controller was made, at an unknown time.
    pub(super) fn know(&mut self, rtt: Duration) {
        for least in [&mut self.short, &mut self.long] {
            least.rtt = Some(rtt);
        }
        self.seconds = rtt.as_secs_f64();
    }

    /// Adds the event's sample. Returns whether no sample of the last five seconds was as low as the known
    /// minimum.
    pub(super) fn on_ack(&mut self, sample: &Sample) -> bool {
        let now = sample.now;
        let expired = now.saturating_since(self.short.at) > INTERVAL;
        let latest = Least { rtt: sample.rtt, at: now };
        // An equal sample shows a path without a queue as well as the first one did.
        if sample.rtt.is_some() && (expired || !self.short.is_below(latest)) {
            self.short = latest;
        }
        if self.short.is_below(self.long) || now.saturating_since(self.long.at) > FILTER {
            self.long = self.short;
            self.seconds = self.long.rtt.map_or(0.0, |rtt| rtt.as_secs_f64());
        }
        expired
    }

    /// The value in seconds; `None` before the first sample.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.long.rtt.map(|_| self.seconds)
    }

    /// Acts as if the least round-trip time was seen again.
    #[cfg(test)]
    pub(super) fn refresh(&mut self, now: Timestamp) {
        self.short.at = now;
    }

    #[cfg(test)]
    pub(super) fn get(&self) -> Option<Duration> {
        self.long.rtt
    }
}

/// A measurement of the drained path that is in progress.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProbeRtt {
    /// When it ends, once little enough is in flight.
    pub(super) done_at: Option<Timestamp>,
    pub(super) round_done: bool,
    /// The rate delivered in the round trip before, in bytes per second. Where the path's rate varies, half
    /// of its best rate would still keep a queue, whose delay would then be mistaken for the path's.
    pub(super) rate: f64,
    /// The delivered totals when the window was first and last held back. Packets sent between them show that
    /// limit, and not the path.
    pub(super) held_back: Option<(u64, u64)>,
}

impl ProbeRtt {
    /// Whether a packet was sent with the window held back, given the delivered total when it was sent.
    pub(super) fn held_back(&self, prior_delivered: u64) -> bool {
        self.held_back.is_some_and(|(from, until)| (from..=until).contains(&prior_delivered))
    }
}

/// The model from before the losses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved {
    pub(super) bw_shortterm: f64,
    pub(super) inflight_shortterm: u64,
    pub(super) inflight_longterm: u64,
    /// The state that was left because of the losses.
    pub(super) left: Option<State>,
}

#[derive(Clone, Debug)]
pub(super) struct Undo {
    pub(super) episode: Episode<Saved>,
    pub(super) in_recovery: bool,
    /// How often losses or marks lowered the model.
    pub(super) reductions: u64,
}

impl Undo {
    pub(super) fn new() -> Self {
        Self { episode: Episode::new(), in_recovery: false, reductions: 0 }
    }

    pub(super) fn undone(&self) -> u64 {
        self.episode.undone()
    }

    /// The losses were the reason to leave `state`.
    pub(super) fn left(&mut self, state: State) {
        if let Some(saved) = self.episode.saved_mut() {
            saved.left = Some(state);
        }
    }

    /// Forbids undoing, because a mark cannot be a mistake of loss detection.
    pub(super) fn forbid(&mut self) {
        self.episode.forbid_undo();
    }
}
