//! Beside flows that fill the buffer, and go by losses alone, a flow that yields to delay would starve.
//!
//! Two rooms: [`Crowd`] finds out that others keep a queue whatever we do, and [`Competition`] then shares with them as they do, by
//! CUBIC's curve. Every few seconds it lets its own part of the queue drain for a round trip: if that empties the queue, the
//! others are gone. Several of its kind would keep each other there, since none alone can empty the queue: so a test begins when
//! losses make all of them yield, and whoever sees the queue fall by half joins in. If the way only became longer, the queue that is left is the same each time, to a millisecond.

use std::time::Duration;

use super::sight::Sight;
use crate::congestion::dice::Dice;
use crate::{
    base::{Rate, Timestamp},
    congestion::{CongestionEvent, Controller as _, Cubic, FlightPeak, Phase},
};

/// So many round trips in a row, and so long, with a queue above what the path should have,
const ROUNDS: u32 = 5;
const TIME: Duration = Duration::from_millis(500);
/// above by this factor.
const FACTOR: f64 = 1.25;
/// Who was among others until a short while ago begins where it ended.
const MEMORY: Duration = Duration::from_secs(10);
/// From one test to the next, unless tests keep failing,
const PERIOD: Duration = Duration::from_secs(2);
/// and no less than so many round trips.
const PERIOD_ROUNDS: u32 = 20;
/// The period is doubled after each of so many tests that failed.
const DOUBLINGS: u32 = 3;
/// What a test leaves of the window that its rate comes to on an empty way.
const DEPTH: f64 = 0.5;
/// A test that losses or a falling queue suggest may come after this share of the period.
const SOON_DIVISOR: u32 = 4;
/// Others are gone where the queue is shorter than this share of what it may be.
const GONE_DIVISOR: u32 = 4;
/// Two tests that found the same queue, to this, found a longer way.
const SAME: Duration = Duration::from_millis(1);

/// Whether others keep a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    rounds: u32,
    since: Timestamp,
    /// The window before we began to yield to it.
    window: f64,
    /// When we were last among others, and the window then.
    left: Option<(Timestamp, f64)>,
}

impl Crowd {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { rounds: 0, since: now, window: 0.0, left: None }
    }

    /// A round trip is over, in which packets waited for `least` at least. Whether others keep the queue.
    pub(super) fn on_round(&mut self, sight: &Sight, least: Option<Duration>) -> bool {
        let Some(least) = least else { return false };
        if least <= sight.limit.mul_f64(FACTOR) {
            self.rounds = 0;
            return false;
        }
        if self.rounds == 0 {
            (self.since, self.window) = (sight.now, sight.window);
        }
        self.rounds += 1;
        self.rounds >= ROUNDS && sight.now.saturating_since(self.since) >= TIME
    }

    /// The window to come back to among others.
    pub(super) fn fair_window(&self, sight: &Sight) -> f64 {
        let recent = self.left.filter(|(at, _)| sight.now.saturating_since(*at) < MEMORY);
        self.window.max(sight.window).max(recent.map_or(0.0, |(_, window)| window))
    }

    /// They are gone.
    pub(super) fn on_left(&mut self, sight: &Sight) {
        (self.left, self.rounds) = (Some((sight.now, sight.window)), 0);
    }
}

/// The state while others fill the buffer.
#[derive(Clone, Debug)]
pub(super) struct Competition {
    cubic: Cubic,
    /// Since when a test runs, and the least round trip in it.
    test: Option<(Timestamp, Duration)>,
    next_test: Timestamp,
    /// When a test may begin that something suggests, and whether it does.
    soon: Timestamp,
    suggested: bool,
    /// The longest queue since the last test.
    longest: Duration,
    failed: u32,
    /// The least round trip of the last test.
    last: Option<Duration>,
}

/// What became of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// They are still there.
    Stay,
    /// They are gone.
    Gone,
    /// There were none: without a queue a round trip takes this long.
    Longer(Duration),
}

impl Competition {
    /// Goes over to CUBIC, which comes from the present window to `fair` by slow start; `peak` of the window was used.
    pub(super) fn new(sight: &Sight, mtu: u16, fair: f64, peak: FlightPeak, dice: &mut Dice) -> Self {
        Self {
            cubic: Cubic::resuming(mtu, sight.window, fair, peak),
            test: None,
            next_test: sight.now + period(sight, 0, dice),
            soon: sight.now + period(sight, 0, dice) / SOON_DIVISOR,
            suggested: false,
            longest: sight.queue,
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
    pub(super) fn on_event(&mut self, event: &CongestionEvent<'_>, sight: &Sight, dice: &mut Dice) -> Others {
        let reductions = self.cubic.snapshot().reductions;
        self.cubic.on_congestion_event(event);
        self.suggested |= self.cubic.snapshot().reductions > reductions || sight.queue < self.longest / 2;
        self.longest = self.longest.max(sight.queue);
        if event.rtt_sample.is_some() && sight.queue < sight.limit / GONE_DIVISOR {
            return Others::Gone;
        }
        let Some((since, shortest)) = self.test else {
            if sight.now >= self.next_test || self.suggested && sight.now >= self.soon {
                self.begin_test(sight);
            }
            return Others::Stay;
        };
        let Some(sent) = event.newest_acked_sent.filter(|sent| *sent > since) else { return Others::Stay };
        self.test = Some((since, shortest.min(event.rtt_sample.unwrap_or(shortest))));
        if sent > since + sight.smoothed / 2 { self.end_test(sight, dice) } else { Others::Stay }
    }

    fn begin_test(&mut self, sight: &Sight) {
        if self.cubic.snapshot().phase == Phase::CongestionAvoidance {
            let rate = Rate::from_bytes_in(self.cubic.window(), sight.smoothed);
            let left = rate.bytes_in(sight.base) as f64 * DEPTH;
            self.cubic.dip(left);
            self.test = Some((sight.now, Duration::MAX));
            self.suggested = false;
        }
    }

    fn end_test(&mut self, sight: &Sight, dice: &mut Dice) -> Others {
        let Some((_, shortest)) = self.test.take() else { return Others::Stay };
        self.failed += 1;
        self.next_test = sight.now + period(sight, self.failed, dice);
        self.soon = sight.now + period(sight, self.failed, dice) / SOON_DIVISOR;
        (self.suggested, self.longest) = (false, sight.queue);
        match self.last.replace(shortest) {
            Some(last) if last.abs_diff(shortest) < SAME && shortest < Duration::MAX => {
                Others::Longer(shortest)
            }
            _ => Others::Stay,
        }
    }
}

/// Until the next test, when so many have failed: not at the same time as that of another flow.
fn period(sight: &Sight, failed: u32, dice: &mut Dice) -> Duration {
    let period = PERIOD.max(sight.smoothed * PERIOD_ROUNDS) * (1 << failed.min(DOUBLINGS));
    period.mul_f64(0.75 + dice.unit() / 2.0)
}
