//! `ProbeRTT` (draft §5.3.4): the least round trip of the last ten seconds, and a look at the path without a queue where none came
//! by itself in five.

use std::time::Duration;

use super::{AckPhase, Bbr3, Sample, State};
use crate::base::Timestamp;

/// The window over the bandwidth-delay product.
pub(super) const WINDOW_GAIN: f64 = 0.5;
/// How long the path is left half empty, at least.
const DURATION: Duration = Duration::from_millis(200);
/// From one look to the next. All flows use the same, so that they look together.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long the least round trip counts.
const FILTER: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
struct Least {
    rtt: Option<Duration>,
    at: Timestamp,
}

impl Least {
    fn is_below(self, other: Self) -> bool {
        self.rtt.is_some_and(|rtt| other.rtt.is_none_or(|other| rtt < other))
    }
}

/// The least round trips of the last five and of the last ten seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct MinRtt {
    short: Least,
    long: Least,
    seconds: f64,
}

impl MinRtt {
    pub(super) fn new(now: Timestamp) -> Self {
        let least = Least { rtt: None, at: now };
        Self { short: least, long: least, seconds: 0.0 }
    }

    /// The path had this round trip before the controller was made, whenever that was.
    pub(super) fn know(&mut self, rtt: Duration) {
        for least in [&mut self.short, &mut self.long] {
            least.rtt = Some(rtt);
        }
        self.seconds = rtt.as_secs_f64();
    }

    /// Takes the event's sample; true if none of the last five seconds was as low as what is known.
    pub(super) fn on_ack(&mut self, sample: &Sample) -> bool {
        let now = sample.now;
        let expired = now.saturating_since(self.short.at) > INTERVAL;
        let latest = Least { rtt: sample.rtt, at: now };
        // The same once more is as good a look at a path without a queue as the first one.
        if sample.rtt.is_some() && (expired || !self.short.is_below(latest)) {
            self.short = latest;
        }
        if self.short.is_below(self.long) || now.saturating_since(self.long.at) > FILTER {
            self.long = self.short;
            self.seconds = self.long.rtt.map_or(0.0, |rtt| rtt.as_secs_f64());
        }
        expired
    }

    /// In seconds; `None` before the first sample.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.long.rtt.map(|_| self.seconds)
    }

    /// The least round trip was seen again.
    #[cfg(test)]
    pub(super) fn refresh(&mut self, now: Timestamp) {
        self.short.at = now;
    }

    #[cfg(test)]
    pub(super) fn get(&self) -> Option<Duration> {
        self.long.rtt
    }
}

/// A look at the empty path that is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProbeRtt {
    /// When it is over, once so little is in flight.
    done_at: Option<Timestamp>,
    round_done: bool,
    /// What was delivered in the round trip before it, in bytes per second. Where the path's rate varies, half of what it
    /// delivered at its best would be a queue still, whose delay would then be taken for the path's.
    rate: f64,
    /// What was delivered when the window was first and last held back: packets sent between tell of that, and not of the path.
    held_back: Option<(u64, u64)>,
}

impl ProbeRtt {
    /// Whether a packet that was sent when so much was delivered was sent with the window held back.
    pub(super) fn held_back(&self, prior_delivered: u64) -> bool {
        self.held_back.is_some_and(|(from, until)| (from..=until).contains(&prior_delivered))
    }
}

impl Bbr3 {
    pub(super) fn check_probe_rtt(&mut self, sample: &Sample, expired: bool) {
        if self.state != State::ProbeRtt && expired && !self.idle_restart {
            self.save_window();
            self.state = State::ProbeRtt;
            self.probe_rtt = ProbeRtt { rate: self.rates.latest, ..ProbeRtt::default() };
            self.cycle.ack_phase = AckPhase::ProbeStopping;
            self.rounds.begin();
        }
        if self.state == State::ProbeRtt {
            self.handle_probe_rtt(sample);
        }
        if sample.delivered > 0 {
            self.idle_restart = false;
        }
    }

    fn handle_probe_rtt(&mut self, sample: &Sample) {
        let delivered = self.rounds.delivered;
        let from = self.probe_rtt.held_back.map_or(delivered, |(from, _)| from);
        self.probe_rtt.held_back = Some((from, delivered.saturating_add(sample.in_flight)));
        match self.probe_rtt.done_at {
            None if sample.in_flight <= self.probe_rtt_window() => {
                self.probe_rtt.done_at = Some(sample.now + DURATION);
                self.probe_rtt.round_done = false;
                self.rounds.begin();
            }
            None => {}
            Some(_) => {
                self.probe_rtt.round_done |= self.rounds.started;
                if self.probe_rtt.round_done {
                    self.check_probe_rtt_done(sample.now);
                }
            }
        }
    }

    pub(super) fn check_probe_rtt_done(&mut self, now: Timestamp) {
        if self.probe_rtt.done_at.is_none_or(|done_at| now <= done_at) {
            return;
        }
        self.min_rtt.short.at = now;
        self.probe_rtt.done_at = None;
        self.restore_window();
        // What was seen with the path half empty says nothing of it.
        self.reset_shortterm();
        if self.full_pipe.reached {
            self.start_down(now);
            self.start_cruise();
        } else {
            self.enter_startup();
        }
    }

    pub(super) fn probe_rtt_window(&self) -> u64 {
        self.bdp_multiple(self.probe_rtt.rate.min(self.rates.bw), WINDOW_GAIN).max(self.least_window())
    }
}
