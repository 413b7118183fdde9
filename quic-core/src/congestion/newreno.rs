//! `NewReno`, the controller of RFC 9002 §7: the reference that others are compared with.

use super::{
    CongestionEvent, Controller, Estimate, FlightPeak, MAX_WINDOW, NewPath, Phase, SentPacket, Snapshot,
    SpuriousLoss,
    episode::{Episode, Meter},
    initial_window, minimum_window,
    prr::Reduction,
};
use crate::base::Timestamp;

/// What is left of the window after a loss, in tenths.
const BETA: u64 = 5;
/// And after a mark in congestion avoidance (RFC 8511 §3.1): a queue that is marked is short, so that the window that fills
/// the path is closer to the one that was marked.
const BETA_ECN: u64 = 8;

/// The `NewReno` controller.
#[derive(Clone, Debug)]
pub struct NewReno {
    mtu: u16,
    /// What the window is, or, while it comes down, what it comes to.
    window: u64,
    ssthresh: Option<u64>,
    /// Bytes acknowledged in congestion avoidance since the window last grew.
    acked: u64,
    /// Nothing has changed the window yet, so a new MTU makes a new initial window.
    untouched: bool,
    /// The recovery period, as long as acknowledged packets belong to it.
    reduction: Option<Reduction>,
    peak: FlightPeak,
    episode: Episode<Saved>,
    meter: Meter,
}

#[derive(Clone, Copy, Debug)]
struct Saved {
    window: u64,
    ssthresh: Option<u64>,
    peak: FlightPeak,
}

impl NewReno {
    /// A controller for a new path whose datagrams have up to `mtu` bytes.
    #[must_use]
    pub fn new(mtu: u16) -> Self {
        Self {
            mtu,
            window: initial_window(mtu),
            ssthresh: None,
            acked: 0,
            untouched: true,
            reduction: None,
            peak: FlightPeak::new(initial_window(mtu)),
            episode: Episode::new(),
            meter: Meter::default(),
        }
    }

    /// A controller for `path`, which goes on with the window of the one that the path had before.
    #[must_use]
    pub fn for_path(path: &NewPath) -> Self {
        let mut new = Self::new(path.mtu);
        if let Some(before) = &path.predecessor {
            new.window = before.window.clamp(minimum_window(path.mtu), MAX_WINDOW);
            new.ssthresh = (!before.in_slow_start).then_some(new.window);
            new.untouched = false;
            new.peak.raise(new.window);
        }
        new
    }

    fn in_slow_start(&self) -> bool {
        self.ssthresh.is_none_or(|ssthresh| self.window < ssthresh)
    }

    /// Grows by `bytes`, no further than to `limit`, which an unused window may be beyond already.
    fn grow(&mut self, bytes: u64, limit: u64) {
        let grown = self.window.saturating_add(bytes).min(limit).min(MAX_WINDOW);
        self.window = self.window.max(grown);
    }

    fn saved(&self) -> Saved {
        let Self { window, ssthresh, peak, .. } = *self;
        Saved { window, ssthresh, peak }
    }

    /// Returns to what was before a reduction that was none of congestion.
    fn restore(&mut self, saved: &Saved) {
        self.reduction = None;
        if self.window < saved.window {
            self.window = saved.window.max(minimum_window(self.mtu));
            self.ssthresh = saved.ssthresh;
            self.peak.raise(saved.peak.bytes());
        }
    }

    /// Leaves `beta` tenths of the window, once per round trip: losses of packets sent before the last reduction tell
    /// nothing new (RFC 9002 §7.3.2), which the caller has seen to.
    fn reduce(&mut self, event: &CongestionEvent<'_>, beta: u64) {
        self.window = (self.window * beta / 10).max(minimum_window(self.mtu));
        self.peak.on_reduced();
        self.ssthresh = Some(self.window);
        self.acked = 0;
        self.untouched = false;
        self.reduction = Some(Reduction::new(event));
        self.come_down(event);
    }

    fn come_down(&mut self, event: &CongestionEvent<'_>) {
        if let Some(reduction) = &mut self.reduction {
            reduction.on_loss(event, self.window, self.mtu);
        }
    }
}

impl Controller for NewReno {
    fn on_sent(&mut self, _now: Timestamp, packet: &SentPacket) {
        self.peak.on_sent(packet);
        if let Some(reduction) = &mut self.reduction {
            reduction.on_sent(packet.bytes);
        }
    }

    fn on_ecn_ce(&mut self, event: &CongestionEvent<'_>) {
        // RFC 9002 §7.1: a mark counts like a loss of the newest acknowledged packet.
        if self.episode.covers(event.newest_acked_sent.or(Some(event.now))) {
            return self.episode.forbid_undo();
        }
        // RFC 8511 §3: in slow start a mark asks for as much as a loss.
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
            self.reduction = None;
        }
    }

    fn on_ack(&mut self, event: &CongestionEvent<'_>) {
        self.meter.on_event(event);
        let covered = self.episode.covers(event.newest_acked_sent);
        if !covered && event.newest_acked_sent.is_some() {
            self.reduction = None;
        }
        if let Some(reduction) = &mut self.reduction {
            return reduction.on_ack(event, self.window, self.mtu);
        }
        if covered || event.persistent {
            return;
        }
        self.untouched = false;
        if self.in_slow_start() {
            self.grow(event.bytes_acked, self.peak.slow_start_limit());
            return;
        }
        // RFC 9002 §7.3.3: at most one datagram per window acknowledged.
        self.acked = self.acked.saturating_add(event.bytes_acked);
        if self.acked >= self.window {
            self.acked = (self.acked - self.window).min(self.window);
            self.grow(u64::from(self.mtu), self.peak.avoidance_limit(self.mtu));
        }
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
        self.window = if self.untouched { initial_window(mtu) } else { self.window.max(minimum_window(mtu)) };
        self.ssthresh = self.ssthresh.map(|ssthresh| ssthresh.max(minimum_window(mtu)));
    }

    fn window(&self) -> u64 {
        self.reduction.map_or(self.window, |reduction| reduction.window(self.mtu))
    }

    fn estimate(&self) -> Estimate {
        self.meter.estimate(self.window)
    }

    fn snapshot(&self) -> Snapshot {
        let phase = match (self.reduction.is_some(), self.in_slow_start()) {
            (true, _) => Phase::Recovery,
            (false, true) => Phase::SlowStart,
            (false, false) => Phase::CongestionAvoidance,
        };
        Snapshot {
            ssthresh: self.ssthresh,
            reductions: self.episode.reductions(),
            undone: self.episode.undone(),
            ..Snapshot::new("newreno", self.window(), phase)
        }
    }
}
