//! `NewReno`, the controller of RFC 9002 §7, which serves as the reference for others.
//!
//! Its slow start is the classic one, unless another is chosen (`slow_start/`).

use super::{
    CongestionEvent, Controller, Estimate, FlightPeak, MAX_WINDOW, NewPath, Phase, SentPacket, Snapshot,
    SpuriousLoss, Start,
    descent::Descent,
    episode::{Episode, Meter},
    initial_window, minimum_window,
    slow_start::{AnyStart, Landed, Landing, Quarters, SlowStart as _, Step},
};
use crate::base::{Rate, Timestamp};

/// The share of the window that is left after a loss, in tenths.
const BETA: u64 = 5;
/// The same after a mark in congestion avoidance (RFC 8511 §3.1). A queue that marks is short, so the window
/// that fills the path is closer to the one that was marked.
const BETA_ECN: u64 = 8;

/// The `NewReno` controller.
#[derive(Clone, Debug)]
pub struct NewReno {
    name: &'static str,
    mtu: u16,
    /// The window, or during recovery the window that it will be at the end.
    window: u64,
    ssthresh: Option<u64>,
    /// The slow start that finds the first threshold.
    start: AnyStart,
    /// Bytes acknowledged in congestion avoidance since the window last grew.
    acked: u64,
    /// Whether nothing has changed the window yet, so that a new MTU gives a new initial window.
    untouched: bool,
    /// The recovery period, as long as acknowledged packets belong to it.
    descent: Option<Descent>,
    peak: FlightPeak,
    episode: Episode<Saved>,
    meter: Meter,
}

/// The state to restore after a reduction that was wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved {
    window: u64,
    ssthresh: Option<u64>,
    peak: FlightPeak,
}

impl NewReno {
    /// A controller for a new path whose datagrams have up to `mtu` bytes.
    #[must_use]
    pub fn new(mtu: u16) -> Self {
        Self::begin(mtu, AnyStart::new(Start::Classic))
    }

    fn begin(mtu: u16, start: AnyStart) -> Self {
        Self {
            name: "newreno",
            mtu,
            window: start.initial_window(mtu),
            ssthresh: None,
            start,
            acked: 0,
            untouched: true,
            descent: None,
            peak: FlightPeak::new(initial_window(mtu)),
            episode: Episode::new(),
            meter: Meter::default(),
        }
    }

    /// A controller for `path`. If another controller had the path, this one continues with its window.
    #[must_use]
    pub fn for_path(path: &NewPath) -> Self {
        Self::starting(path, Start::Classic)
    }

    /// Like [`Self::for_path`], with another slow start.
    #[must_use]
    pub fn starting(path: &NewPath, start: Start) -> Self {
        let name = start.named("newreno");
        let Some(before) = &path.predecessor else {
            return Self { name, ..Self::begin(path.mtu, AnyStart::new(start)) };
        };
        let mut new = Self { name, ..Self::begin(path.mtu, AnyStart::in_use(start)) };
        new.window = before.window.clamp(minimum_window(path.mtu), MAX_WINDOW);
        new.ssthresh = (!before.in_slow_start).then_some(new.window);
        new.untouched = false;
        new.peak.raise(new.window);
        new
    }

    fn in_slow_start(&self) -> bool {
        self.ssthresh.is_none_or(|ssthresh| self.window < ssthresh)
    }

    /// Grows by `bytes`, but no further than `limit`. An unused window may already be beyond that.
    fn grow(&mut self, bytes: u64, limit: u64) {
        let grown = self.window.saturating_add(bytes).min(limit).min(MAX_WINDOW);
        self.window = self.window.max(grown);
    }

    fn saved(&self) -> Saved {
        let Self { window, ssthresh, peak, .. } = *self;
        Saved { window, ssthresh, peak }
    }

    /// Restores the state from before a reduction that was wrong.
    pub(super) fn restore(&mut self, saved: &Saved) {
        self.descent = None;
        if self.window < saved.window {
            self.window = saved.window.max(minimum_window(self.mtu));
            self.ssthresh = saved.ssthresh;
            self.peak.raise(saved.peak.bytes());
        }
    }

    /// The landing that the first slow start wants, if this event ends it.
    fn land(&mut self, event: &CongestionEvent<'_>, beta: u64) -> Option<Landing> {
        if self.ssthresh.is_some() {
            return None;
        }
        self.start.on_congestion(event, self.window, self.mtu, beta as f64 / 10.0)
    }

    /// Leaves `beta` tenths of the window. The caller ensures that this happens once per round trip: losses
    /// of packets sent before the last reduction are no new sign of congestion (RFC 9002 §7.3.2).
    fn reduce(&mut self, event: &CongestionEvent<'_>, beta: u64) {
        let landing = self.land(event, beta);
        self.window = (self.window * beta / 10).max(minimum_window(self.mtu));
        self.peak.on_reduced();
        self.ssthresh = Some(self.window);
        self.acked = 0;
        self.untouched = false;
        self.descent = Some(Descent::new(event, landing));
        self.come_down(event);
    }

    /// Handles the first mark of a round trip from a low-latency queue: leaves the share `left` of the window
    /// at once. Returns the state to restore if the mark turns out to be void; `None` if the same round trip
    /// already had a reduction for a loss.
    pub(super) fn on_scalable_mark(&mut self, event: &CongestionEvent<'_>, left: f64) -> Option<Saved> {
        // A mark cannot be a mistake of loss detection, so an earlier reduction for a loss becomes final.
        self.episode.forbid_undo();
        if self.episode.covers(event.newest_acked_sent.or(Some(event.now))) {
            return None;
        }
        let saved = self.saved();
        self.window = ((self.window as f64 * left) as u64).max(minimum_window(self.mtu));
        self.ssthresh = Some(self.window);
        self.peak.on_reduced();
        (self.acked, self.untouched) = (0, false);
        Some(saved)
    }

    /// Grows for `bytes` that arrived in congestion avoidance, by at most one datagram per window (RFC 9002
    /// §7.3.3).
    pub(super) fn avoid(&mut self, bytes: u64) {
        self.acked = self.acked.saturating_add(bytes);
        if self.acked >= self.window {
            self.acked = (self.acked - self.window).min(self.window);
            self.grow(u64::from(self.mtu), self.peak.avoidance_limit(self.mtu));
        }
    }

    fn come_down(&mut self, event: &CongestionEvent<'_>) {
        if let Some(descent) = &mut self.descent {
            let window = descent.on_loss(event, self.window, self.mtu);
            self.come_to(window);
        }
    }

    /// The descent is to end at another window.
    fn come_to(&mut self, window: Option<u64>) {
        if let Some(window) = window {
            self.window = window;
            self.ssthresh = Some(window);
        }
    }

    /// The recovery period is over.
    fn recovered(&mut self) {
        if let Some(Landed { window, threshold, .. }) = self.descent.take().and_then(|d| d.end(self.mtu)) {
            self.window = window;
            self.ssthresh = Some(threshold);
        }
    }

    fn slow_start(&mut self, event: &CongestionEvent<'_>) {
        let (step, limit) = match self.ssthresh {
            None => {
                let step = self.start.on_ack(event, self.window, self.mtu);
                (step, self.start.limit(self.peak))
            }
            Some(_) => (Step::Grow(Quarters::DOUBLE), self.peak.slow_start_limit()),
        };
        match step {
            Step::Grow(quarters) => self.grow(quarters.of(event.bytes_acked) as u64, limit),
            Step::Set(window) => self.window = window.clamp(minimum_window(self.mtu), MAX_WINDOW),
            Step::Exit => self.ssthresh = Some(self.window),
        }
    }
}

impl Controller for NewReno {
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket) {
        self.peak.on_sent(packet);
        if let Some(descent) = &mut self.descent {
            descent.on_sent(packet.bytes);
        } else if self.ssthresh.is_none() && self.start.watches_packets() {
            self.start.on_sent(now, packet, self.window, self.mtu);
        }
    }

    fn on_ecn_ce(&mut self, event: &CongestionEvent<'_>) {
        // RFC 9002 §7.1: a mark counts like a loss of the newest acknowledged packet.
        if self.episode.covers(event.newest_acked_sent.or(Some(event.now))) {
            return self.episode.forbid_undo();
        }
        // RFC 8511 §3: in slow start a mark reduces by as much as a loss.
        let beta = if self.in_slow_start() { BETA } else { BETA_ECN };
        self.episode.begin_marked(event.now, self.saved());
        self.reduce(event, beta);
    }

    fn on_marks_void(&mut self, _now: Timestamp) {
        if let Some(saved) = self.episode.on_marks_void() {
            self.restore(&saved);
        }
    }

    fn on_loss(&mut self, event: &CongestionEvent<'_>) {
        self.meter.on_event(event);
        if !self.episode.covers(event.newest_lost_sent) {
            self.episode.begin(event.now, self.saved());
            self.reduce(event, BETA);
        } else {
            self.come_down(event);
        }
        self.episode.on_lost(event.packets_lost);
        if event.persistent {
            // RFC 9002 §7.6.2: back to the minimum, and the next loss may reduce at once.
            self.window = minimum_window(self.mtu);
            self.peak.on_reduced();
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
        if let Some(descent) = &mut self.descent {
            let window = descent.on_ack(event, self.window, self.mtu);
            return self.come_to(window);
        }
        if covered || event.persistent {
            return;
        }
        self.untouched = false;
        if self.in_slow_start() {
            return self.slow_start(event);
        }
        self.avoid(event.bytes_acked);
    }

    fn on_spurious_loss(&mut self, _now: Timestamp, spurious: &SpuriousLoss) {
        if let Some(saved) = self.episode.on_spurious(spurious) {
            self.restore(&saved);
        }
    }

    fn on_app_limited(&mut self, _now: Timestamp) {
        self.meter.on_app_limited();
    }

    fn on_mtu_changed(&mut self, mtu: u16) {
        self.mtu = mtu;
        if self.untouched {
            self.peak.raise(initial_window(mtu));
        }
        self.window = match self.untouched {
            true => self.start.initial_window(mtu),
            false => self.window.max(minimum_window(mtu)),
        };
        self.ssthresh = self.ssthresh.map(|ssthresh| ssthresh.max(minimum_window(mtu)));
    }

    fn window(&self) -> u64 {
        match &self.descent {
            Some(descent) => descent.window(self.mtu),
            None => self.window,
        }
    }

    fn pacing_rate(&self) -> Option<Rate> {
        match self.ssthresh {
            None => self.start.pacing_rate(self.window, self.meter.smoothed()),
            Some(_) => None,
        }
    }

    fn estimate(&self) -> Estimate {
        self.meter.estimate(self.window)
    }

    fn snapshot(&self) -> Snapshot {
        let conservative = self.ssthresh.is_none() && self.start.is_conservative();
        let phase = match (self.descent.is_some(), self.in_slow_start()) {
            (true, _) => Phase::Recovery,
            (false, true) if conservative => Phase::ConservativeSlowStart,
            (false, true) => Phase::SlowStart,
            (false, false) => Phase::CongestionAvoidance,
        };
        Snapshot {
            ssthresh: self.ssthresh,
            reductions: self.episode.reductions(),
            undone: self.episode.undone(),
            ..Snapshot::new(self.name, self.window(), phase)
        }
    }
}
