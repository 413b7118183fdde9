//! Competition with loss-based flows. They fill the buffer, and beside them a flow that yields to delay would
//! starve.
//!
//! [`Crowd`] detects that others keep a queue whatever we do. [`Competition`] then shares with them on their
//! terms, by CUBIC's curve. Every few seconds it tests whether they are still there: it lets its own part of
//! the queue drain for a round trip, and if that empties the queue, the others are gone.
//!
//! Several low-latency flows could keep each other in this mode, since none alone can empty the queue. So a
//! test begins when losses make all of them yield, and a flow that sees the queue fall by half joins in. If
//! only the path became longer, each test finds the same queue, to a millisecond.

use std::time::Duration;

use super::path_state::PathState;
use crate::congestion::dice::Dice;
use crate::{
    base::{Rate, Timestamp},
    congestion::{CongestionEvent, Controller as _, Cubic, FlightPeak, Phase},
};

/// Competition begins after this many consecutive round trips, and this time, with a queue above the limit
const ROUNDS: u32 = 5;
const TIME: Duration = Duration::from_millis(500);
/// by this factor.
const FACTOR: f64 = 1.25;
/// How long the window of the last competition is remembered as a starting point.
const MEMORY: Duration = Duration::from_secs(10);
/// The time between two tests, unless tests keep failing,
const PERIOD: Duration = Duration::from_secs(2);
/// but at least this many round trips.
const PERIOD_ROUNDS: u32 = 20;
/// How many failed tests in a row double the period.
const DOUBLINGS: u32 = 3;
/// The share of the window for a path without a queue that a test leaves.
const DEPTH: f64 = 0.5;
/// The share of the period after which a test may begin if losses or a falling queue suggest it.
const SOON_DIVISOR: u32 = 4;
/// Others count as gone if the queue is shorter than this share of the limit.
const GONE_DIVISOR: u32 = 4;
/// Two tests that found the same queue, to this precision, found a longer path.
const SAME: Duration = Duration::from_millis(1);

/// Whether others keep a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    rounds: u32,
    since: Timestamp,
    /// The window before we began to yield to the queue.
    window: f64,
    /// When the last competition ended, and the window then.
    left: Option<(Timestamp, f64)>,
}

impl Crowd {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { rounds: 0, since: now, window: 0.0, left: None }
    }

    /// A round trip is over, in which each packet waited for at least `least`. Returns whether others keep
    /// the queue.
    pub(super) fn on_round(&mut self, path: &PathState, least: Option<Duration>) -> bool {
        let Some(least) = least else { return false };
        if least <= path.limit.mul_f64(FACTOR) {
            self.rounds = 0;
            return false;
        }
        if self.rounds == 0 {
            (self.since, self.window) = (path.now, path.window);
        }
        self.rounds += 1;
        self.rounds >= ROUNDS && path.now.saturating_since(self.since) >= TIME
    }

    /// The window to return to when competing.
    pub(super) fn fair_window(&self, path: &PathState) -> f64 {
        let recent = self.left.filter(|(at, _)| path.now.saturating_since(*at) < MEMORY);
        self.window.max(path.window).max(recent.map_or(0.0, |(_, window)| window))
    }

    /// The others are gone.
    pub(super) fn on_left(&mut self, path: &PathState) {
        (self.left, self.rounds) = (Some((path.now, path.window)), 0);
    }
}

/// The state while others fill the buffer.
#[derive(Clone, Debug)]
pub(super) struct Competition {
    cubic: Cubic,
    /// Since when a test runs, and the least round-trip time in it.
    test: Option<(Timestamp, Duration)>,
    next_test: Timestamp,
    /// The earliest time for a suggested test, and whether one is suggested.
    soon: Timestamp,
    suggested: bool,
    /// The longest queue since the last test.
    longest: Duration,
    failed: u32,
    /// The least round-trip time of the last test.
    last: Option<Duration>,
}

/// What a test says about the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// They are still there.
    Stay,
    /// They are gone.
    Gone,
    /// There were none: this is the round-trip time of the path without a queue.
    Longer(Duration),
}

impl Competition {
    /// Switches to CUBIC, which takes the present window to `fair` by slow start. `peak` of the window was
    /// used.
    pub(super) fn new(path: &PathState, mtu: u16, fair: f64, peak: FlightPeak, dice: &mut Dice) -> Self {
        Self {
            cubic: Cubic::resuming(mtu, path.window, fair, peak),
            test: None,
            next_test: path.now + period(path, 0, dice),
            soon: path.now + period(path, 0, dice) / SOON_DIVISOR,
            suggested: false,
            longest: path.queue,
            failed: 0,
            last: None,
        }
    }

    pub(super) fn cubic(&self) -> &Cubic {
        &self.cubic
    }

    pub(super) fn cubic_mut(&mut self) -> &mut Cubic {
        &mut self.cubic
    }

    /// Packets were acknowledged, lost or marked.
    pub(super) fn on_event(
        &mut self,
        event: &CongestionEvent<'_>,
        path: &PathState,
        dice: &mut Dice,
    ) -> Others {
        let reductions = self.cubic.snapshot().reductions;
        self.cubic.on_congestion_event(event);
        self.suggested |= self.cubic.snapshot().reductions > reductions || path.queue < self.longest / 2;
        self.longest = self.longest.max(path.queue);
        if event.rtt_sample.is_some() && path.queue < path.limit / GONE_DIVISOR {
            return Others::Gone;
        }
        let Some((since, shortest)) = self.test else {
            if path.now >= self.next_test || self.suggested && path.now >= self.soon {
                self.begin_test(path);
            }
            return Others::Stay;
        };
        let Some(sent) = event.newest_acked_sent.filter(|sent| *sent > since) else { return Others::Stay };
        self.test = Some((since, shortest.min(event.rtt_sample.unwrap_or(shortest))));
        if sent > since + path.smoothed / 2 { self.end_test(path, dice) } else { Others::Stay }
    }

    fn begin_test(&mut self, path: &PathState) {
        if self.cubic.snapshot().phase == Phase::CongestionAvoidance {
            let rate = Rate::from_bytes_in(self.cubic.window(), path.smoothed);
            let left = rate.bytes_in(path.base) as f64 * DEPTH;
            self.cubic.dip(left);
            self.test = Some((path.now, Duration::MAX));
            self.suggested = false;
        }
    }

    fn end_test(&mut self, path: &PathState, dice: &mut Dice) -> Others {
        let Some((_, shortest)) = self.test.take() else { return Others::Stay };
        self.failed += 1;
        self.next_test = path.now + period(path, self.failed, dice);
        self.soon = path.now + period(path, self.failed, dice) / SOON_DIVISOR;
        (self.suggested, self.longest) = (false, path.queue);
        match self.last.replace(shortest) {
            Some(last) if last.abs_diff(shortest) < SAME && shortest < Duration::MAX => {
                Others::Longer(shortest)
            }
            _ => Others::Stay,
        }
    }
}

/// The time until the next test after `failed` failed ones. It is drawn, so that flows do not test at the
/// same time.
fn period(path: &PathState, failed: u32, dice: &mut Dice) -> Duration {
    let period = PERIOD.max(path.smoothed * PERIOD_ROUNDS) * (1 << failed.min(DOUBLINGS));
    period.mul_f64(0.75 + dice.unit() / 2.0)
}
