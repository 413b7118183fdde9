//! CUBIC (RFC 9438) with `HyStart++` (RFC 9406), the default controller. Another slow start can be chosen
//! (`slow_start/`).
//!
//! In congestion avoidance, marks reduce the window by less than losses do (RFC 8511): an AQM that marks
//! keeps its queue short, so the window that fills the path is closer to the one that was marked.

use std::time::Duration;

use super::{
    CongestionEvent, Controller, Estimate, FlightPeak, MAX_WINDOW, NewPath, Phase, SentPacket, Snapshot,
    SpuriousLoss, Start,
    descent::Descent,
    episode::{Episode, Meter},
    initial_window, minimum_window,
    slow_start::{AnyStart, Landed, Quarters, SlowStart as _, Step},
};
use crate::base::{Rate, Timestamp};

/// RFC 9438 §4.6.
const BETA: f64 = 0.7;
/// RFC 8511 §3.1, in congestion avoidance.
const BETA_ECN: f64 = 0.85;
/// Datagrams per cubic second (RFC 9438 §5).
const C: f64 = 0.4;

/// The curve that the window follows, and what was known at the last reduction. Windows are in bytes.
#[derive(Clone, Copy, Debug)]
struct Curve {
    /// The window, or during recovery the window that it will be at the end.
    window: f64,
    ssthresh: Option<f64>,
    /// The window before the last reduction.
    prior: f64,
    /// The window at which the path was full; zero if unknown.
    w_max: f64,
    epoch: Option<Epoch>,
    /// The most of the window that was used since the last reduction.
    peak: FlightPeak,
}

/// One stage of congestion avoidance.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    /// When it began. Time in which the window was not used moves this later.
    start: Timestamp,
    /// How many seconds after the start the window is back at `w_max`.
    k: f64,
    /// The window that `NewReno` would have by now (RFC 9438 §4.3).
    w_est: f64,
}

/// The CUBIC controller.
#[derive(Clone, Debug)]
pub struct Cubic {
    name: &'static str,
    mtu: u16,
    curve: Curve,
    /// The slow start that finds the first threshold.
    start: AnyStart,
    /// Whether nothing has changed the window yet, so that a new MTU gives a new initial window.
    untouched: bool,
    /// The recovery period, as long as acknowledged packets belong to it.
    descent: Option<Descent>,
    /// Since when the curve stands still because most of the window is not used.
    limited_since: Option<Timestamp>,
    episode: Episode<Curve>,
    meter: Meter,
}

impl Curve {
    fn in_slow_start(&self) -> bool {
        self.ssthresh.is_none_or(|ssthresh| self.window < ssthresh)
    }

    /// Begins congestion avoidance at the current window.
    fn begin(&mut self, now: Timestamp, mtu: f64) -> Epoch {
        if self.window >= self.w_max {
            // Slow start ended above the last known limit, or there is none (RFC 9438 §4.8, §4.10).
            self.w_max = self.window;
            self.prior = self.prior.max(self.window);
        }
        let epoch = Epoch {
            start: now,
            k: ((self.w_max - self.window) / mtu / C).max(0.0).cbrt(),
            w_est: self.window,
        };
        self.epoch = Some(epoch);
        epoch
    }

    /// `W_cubic(t)` in bytes (RFC 9438 §4.2).
    fn cubic(&self, k: f64, t: Duration, mtu: f64) -> f64 {
        C * (t.as_secs_f64() - k).powi(3) * mtu + self.w_max
    }

    /// How far the window may grow: to `target` on the curve, but only as far as one round trip of what was
    /// in flight would take it, and not slower than `NewReno` (draft-ietf-ccwg-ratelimited-increase §3).
    fn limit(&self, target: f64, mtu: f64) -> f64 {
        let used = self.peak.bytes() as f64;
        target.min(used * 1.5).max(used + mtu)
    }

    /// Grows for `acked` bytes in congestion avoidance.
    fn avoid(&mut self, now: Timestamp, rtt: Duration, acked: f64, mtu: f64) {
        let mut epoch = self.epoch.unwrap_or_else(|| self.begin(now, mtu));
        let t = now.saturating_since(epoch.start);
        // RFC 9438 §4.2: the window does not shrink, and grows slower than in slow start.
        let target = self.cubic(epoch.k, t + rtt, mtu).clamp(self.window, self.window * 1.5);
        // RFC 9438 §4.3: with this factor the mean window equals that of NewReno. Once the old window is
        // reached again, it grows as fast as NewReno.
        let alpha = if epoch.w_est >= self.prior { 1.0 } else { 3.0 * (1.0 - BETA) / (1.0 + BETA) };
        let acked = acked.min(self.window);
        let used = self.peak.bytes() as f64;
        epoch.w_est = (epoch.w_est + alpha * mtu * acked / self.window).min(used + mtu).max(epoch.w_est);
        let reno_friendly = self.cubic(epoch.k, t, mtu) < epoch.w_est;
        self.epoch = Some(epoch);
        let before = self.window;
        self.window += (target - self.window) * acked / self.window;
        if reno_friendly {
            self.window = self.window.max(epoch.w_est);
        }
        self.window = self.window.min(self.limit(target, mtu)).max(before).min(MAX_WINDOW as f64);
    }
}

impl Cubic {
    /// A controller for a new path whose datagrams have up to `mtu` bytes.
    #[must_use]
    pub fn new(mtu: u16) -> Self {
        Self::begin(mtu, AnyStart::new(Start::HyStart))
    }

    fn begin(mtu: u16, start: AnyStart) -> Self {
        let window = start.initial_window(mtu) as f64;
        Self {
            name: "cubic",
            mtu,
            curve: Curve {
                window,
                ssthresh: None,
                prior: 0.0,
                w_max: 0.0,
                epoch: None,
                peak: FlightPeak::new(initial_window(mtu)),
            },
            start,
            untouched: true,
            descent: None,
            limited_since: None,
            episode: Episode::new(),
            meter: Meter::default(),
        }
    }

    /// A controller for `path`. If another controller had the path, this one continues with its window.
    #[must_use]
    pub fn for_path(path: &NewPath) -> Self {
        Self::starting(path, Start::HyStart)
    }

    /// Like [`Self::for_path`], with another slow start.
    #[must_use]
    pub fn starting(path: &NewPath, start: Start) -> Self {
        let name = start.named("cubic");
        let Some(before) = &path.predecessor else {
            return Self { name, ..Self::begin(path.mtu, AnyStart::new(start)) };
        };
        let mut new = Self { name, ..Self::begin(path.mtu, AnyStart::in_use(start)) };
        let window = before.window.clamp(minimum_window(path.mtu), MAX_WINDOW);
        new.curve.window = window as f64;
        new.curve.ssthresh = (!before.in_slow_start).then_some(new.curve.window);
        new.curve.peak.raise(window);
        new.untouched = false;
        new
    }

    /// A controller that takes over from another one. It starts at `window` bytes and uses slow start up to
    /// `threshold`; `peak` of the window was used.
    pub(crate) fn resuming(mtu: u16, window: f64, threshold: f64, peak: FlightPeak) -> Self {
        let new = Self::new(mtu);
        let curve = Curve { window, ssthresh: Some(threshold.max(window)), peak, ..new.curve };
        Self { curve, untouched: false, ..new }
    }

    /// Yields for a round trip: goes down to `window`, and by slow start back to where it was. The curve
    /// continues there.
    pub(crate) fn dip(&mut self, window: f64) {
        let curve = &mut self.curve;
        if window < curve.window && self.descent.is_none() {
            curve.ssthresh = Some(curve.ssthresh.unwrap_or(0.0).max(curve.window));
            curve.window = window.max(minimum_window(self.mtu) as f64);
            curve.epoch = None;
            curve.peak.on_reduced();
        }
    }

    fn floor(&self) -> f64 {
        minimum_window(self.mtu) as f64
    }

    /// Restores the state from before a reduction that was wrong.
    fn restore(&mut self, saved: Curve) {
        self.descent = None;
        // RFC 9438 §4.9.2: unless the window has already outgrown the old one.
        if self.curve.window < saved.window {
            let (floor, peak) = (self.floor(), self.curve.peak);
            self.curve = saved;
            self.curve.peak.raise(peak.bytes());
            self.curve.window = self.curve.window.max(floor);
            self.limited_since = None;
        }
    }

    /// Reduces the window by `beta`. The caller ensures that this happens once per round trip.
    fn reduce(&mut self, event: &CongestionEvent<'_>, beta: f64) {
        let window = self.settled_window();
        let curve = &mut self.curve;
        let landing = match curve.ssthresh {
            None => self.start.on_congestion(event, window, self.mtu, beta),
            Some(_) => None,
        };
        curve.prior = curve.window;
        // Fast convergence (RFC 9438 §4.7): the limit was lower than last time, so other flows need room.
        curve.w_max =
            if curve.window < curve.w_max { curve.window * (1.0 + beta) / 2.0 } else { curve.window };
        let floor = minimum_window(self.mtu) as f64;
        curve.window = (curve.window * beta).max(floor);
        curve.ssthresh = Some(curve.window);
        curve.epoch = None;
        curve.peak.on_reduced();
        self.limited_since = None;
        self.untouched = false;
        self.descent = Some(Descent::new(event, landing));
        self.come_down(event);
    }

    fn come_down(&mut self, event: &CongestionEvent<'_>) {
        let target = self.settled_window();
        if let Some(descent) = &mut self.descent {
            let window = descent.on_loss(event, target, self.mtu);
            self.come_to(window);
        }
    }

    /// The descent is to end at another window.
    fn come_to(&mut self, window: Option<u64>) {
        if let Some(window) = window {
            self.curve.window = window as f64;
            self.curve.ssthresh = Some(window as f64);
        }
    }

    /// The recovery period is over.
    fn recovered(&mut self) {
        if let Some(Landed { window, threshold, full }) =
            self.descent.take().and_then(|descent| descent.end(self.mtu))
        {
            // Without a window that filled the path, the curve begins where slow start ends (RFC 9438 §4.8).
            let full = full.unwrap_or_default() as f64;
            let (window, ssthresh) = (window as f64, Some(threshold as f64));
            self.curve = Curve { window, ssthresh, prior: full, w_max: full, epoch: None, ..self.curve };
        }
    }

    /// The window, or during recovery the window that it will be at the end.
    fn settled_window(&self) -> u64 {
        (self.curve.window as u64).clamp(minimum_window(self.mtu), MAX_WINDOW)
    }

    fn slow_start(&mut self, event: &CongestionEvent<'_>) {
        let window = self.settled_window();
        let curve = &mut self.curve;
        // RFC 9406 §4.3: only the first slow start searches for a threshold.
        let (step, limit) = match curve.ssthresh {
            None => (self.start.on_ack(event, window, self.mtu), self.start.limit(curve.peak) as f64),
            Some(ssthresh) => {
                (Step::Grow(Quarters::DOUBLE), ssthresh.min(curve.peak.slow_start_limit() as f64))
            }
        };
        match step {
            Step::Grow(quarters) => {
                let grown = (curve.window + quarters.of(event.bytes_acked)).min(limit);
                curve.window = curve.window.max(grown).min(MAX_WINDOW as f64);
            }
            Step::Set(window) => {
                curve.window = window.clamp(minimum_window(self.mtu), MAX_WINDOW) as f64;
            }
            Step::Exit => {
                // RFC 9438 §4.10: no loss showed the limit, so this window counts as the limit.
                curve.ssthresh = Some(curve.window);
                curve.prior = curve.window;
                curve.w_max = curve.window;
                curve.epoch = None;
            }
        }
    }

    /// Whether most of the window is unused with `in_flight` bytes in flight.
    fn is_unused(&self, in_flight: u64) -> bool {
        in_flight.saturating_mul(2) <= self.settled_window()
    }

    /// Removes the time in which the window was not used from the epoch (RFC 9438 §4.2, §5.8).
    fn resume(&mut self, now: Timestamp) {
        if let (Some(since), Some(epoch)) = (self.limited_since.take(), &mut self.curve.epoch) {
            epoch.start += now.saturating_since(since.max(epoch.start));
        }
    }
}

impl Controller for Cubic {
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket) {
        self.curve.peak.on_sent(packet);
        if let Some(descent) = &mut self.descent {
            descent.on_sent(packet.bytes);
        } else if self.curve.ssthresh.is_none() && self.start.watches_packets() {
            let window = self.settled_window();
            self.start.on_sent(now, packet, window, self.mtu);
        }
    }

    fn on_ecn_ce(&mut self, event: &CongestionEvent<'_>) {
        // A mark of the newest acknowledged packet's round trip counts once per round trip (RFC 9002 §7.1).
        if self.episode.covers(event.newest_acked_sent.or(Some(event.now))) {
            return self.episode.forbid_undo();
        }
        // RFC 8511 §3: in slow start a mark reduces by as much as a loss.
        let beta = if self.curve.in_slow_start() { BETA } else { BETA_ECN };
        self.episode.begin_marked(event.now, self.curve);
        self.reduce(event, beta);
    }

    fn on_marks_void(&mut self, _now: Timestamp) {
        if let Some(saved) = self.episode.on_marks_void() {
            self.restore(saved);
        }
    }

    fn on_loss(&mut self, event: &CongestionEvent<'_>) {
        self.meter.on_event(event);
        if !self.episode.covers(event.newest_lost_sent) {
            self.episode.begin(event.now, self.curve);
            self.reduce(event, BETA);
        } else {
            self.come_down(event);
        }
        self.episode.on_lost(event.packets_lost);
        if event.persistent {
            // RFC 9002 §7.6.2, RFC 9438 §4.8: slow start from the minimum up to the threshold, and from there
            // a new curve without an old limit.
            self.curve.window = self.floor();
            self.curve.w_max = 0.0;
            self.curve.epoch = None;
            self.curve.peak.on_reduced();
            self.episode.clear();
            self.descent = None;
        }
    }

    fn on_ack(&mut self, event: &CongestionEvent<'_>) {
        self.meter.on_event(event);
        let covered = self.episode.covers(event.newest_acked_sent);
        if self.descent.is_some() && !covered && event.newest_acked_sent.is_some() {
            self.recovered();
        }
        let target = self.settled_window();
        if let Some(descent) = &mut self.descent {
            let window = descent.on_ack(event, target, self.mtu);
            return self.come_to(window);
        }
        if covered || event.persistent {
            return;
        }
        self.untouched = false;
        if self.curve.in_slow_start() {
            self.slow_start(event);
            return;
        }
        // Less than half of the window was used, whatever limited the sender.
        if self.is_unused(event.prior_in_flight) {
            self.limited_since.get_or_insert(event.now);
            return;
        }
        self.resume(event.now);
        let mtu = f64::from(self.mtu.max(1));
        self.curve.avoid(event.now, event.rtt.smoothed(), event.bytes_acked as f64, mtu);
        if event.limited_by.is_application() && self.is_unused(event.in_flight) {
            // A burst that filled the window is over.
            self.limited_since = Some(event.now);
        }
    }

    fn on_spurious_loss(&mut self, _now: Timestamp, spurious: &SpuriousLoss) {
        if let Some(saved) = self.episode.on_spurious(spurious) {
            self.restore(saved);
        }
    }

    fn on_app_limited(&mut self, _now: Timestamp) {
        self.meter.on_app_limited();
    }

    fn on_mtu_changed(&mut self, mtu: u16) {
        self.mtu = mtu;
        if self.untouched {
            self.curve.peak.raise(initial_window(mtu));
        }
        self.curve.window = match self.untouched {
            true => self.start.initial_window(mtu) as f64,
            false => self.curve.window.max(self.floor()),
        };
        self.curve.ssthresh = self.curve.ssthresh.map(|ssthresh| ssthresh.max(self.floor()));
    }

    fn window(&self) -> u64 {
        match &self.descent {
            Some(descent) => descent.window(self.mtu),
            None => self.settled_window(),
        }
    }

    fn pacing_rate(&self) -> Option<Rate> {
        match self.curve.ssthresh {
            None => self.start.pacing_rate(self.settled_window(), self.meter.smoothed()),
            Some(_) => None,
        }
    }

    fn estimate(&self) -> Estimate {
        self.meter.estimate(self.settled_window())
    }

    fn snapshot(&self) -> Snapshot {
        let phase = match (self.descent.is_some(), self.curve.in_slow_start(), self.start.is_conservative()) {
            (true, _, _) => Phase::Recovery,
            (_, true, true) if self.curve.ssthresh.is_none() => Phase::ConservativeSlowStart,
            (_, true, _) => Phase::SlowStart,
            (_, false, _) => Phase::CongestionAvoidance,
        };
        Snapshot {
            ssthresh: self.curve.ssthresh.map(|ssthresh| ssthresh as u64),
            reductions: self.episode.reductions(),
            undone: self.episode.undone(),
            ..Snapshot::new(self.name, self.window(), phase)
        }
    }
}
