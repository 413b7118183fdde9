//! The congestion window of a modelled flow, in segments.

use crate::units::{MILLISECOND, SECOND};

/// The initial window, in segments (RFC 6928).
const INITIAL: f64 = 10.0;
/// The smallest window after a loss, in segments.
const LEAST: f64 = 2.0;
/// The constant C of CUBIC (RFC 9438 §5.1).
const STEEPNESS: f64 = 0.4;
/// The share of CUBIC's window that a loss leaves (RFC 9438 §4.6).
const CUBIC_LEFT: f64 = 0.7;
/// The share of Reno's window that a loss leaves (RFC 5681).
const RENO_LEFT: f64 = 0.5;
/// How many samples a round needs before its minimum counts (RFC 9406 §4.2).
const SAMPLES: u32 = 8;

/// The congestion control algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flavour {
    /// RFC 5681: the window grows by a segment in each round trip, and a loss halves it.
    Reno,
    /// RFC 9438.
    Cubic,
}

/// The cubic curve after a loss.
#[derive(Clone, Copy, Debug)]
struct Curve {
    from: u64,
    /// When the curve reaches the window before the loss, in seconds from its start.
    turn: f64,
    /// The window that it reaches then.
    plateau: f64,
    /// The window that Reno would have now.
    reno: f64,
}

/// One round of HyStart, which checks whether round trips get longer in slow start.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    ends: u64,
    least: Option<u64>,
    before: Option<u64>,
    samples: u32,
}

/// A congestion window.
#[derive(Clone, Debug)]
pub(super) struct Window {
    flavour: Flavour,
    size: f64,
    threshold: f64,
    /// The window at the last loss.
    most: f64,
    curve: Option<Curve>,
    round: Round,
}

impl Window {
    pub(super) fn new(flavour: Flavour) -> Self {
        let (threshold, most, round) = (f64::INFINITY, 0.0, Round::default());
        Self { flavour, size: INITIAL, threshold, most, curve: None, round }
    }

    /// How many segments may be in flight.
    pub(super) fn segments(&self) -> u64 {
        self.size as u64
    }

    /// Grows the window: `segments` segments arrived while it was full.
    pub(super) fn on_acked(&mut self, now: u64, segments: u64, smoothed: u64) {
        let mut acked = segments as f64;
        if self.size < self.threshold {
            let room = (self.threshold - self.size).min(acked);
            self.size += room;
            acked -= room;
        }
        if acked > 0.0 {
            match self.flavour {
                Flavour::Reno => self.size += acked / self.size,
                Flavour::Cubic => self.follow(now, acked, smoothed),
            }
        }
    }

    /// Follows CUBIC's curve (RFC 9438 §4.2 to §4.5).
    fn follow(&mut self, now: u64, acked: f64, smoothed: u64) {
        let (size, most) = (self.size, self.most.max(self.size));
        let curve = self.curve.get_or_insert_with(|| Curve {
            from: now,
            turn: ((most - size) / STEEPNESS).cbrt(),
            plateau: most,
            reno: size,
        });
        let seconds = |nanos: u64| nanos as f64 / SECOND as f64;
        let ahead = seconds(now - curve.from) + seconds(smoothed) - curve.turn;
        let target = (STEEPNESS * ahead.powi(3) + curve.plateau).clamp(size, size * 1.5);
        let pace = if curve.reno < most { 3.0 * (1.0 - CUBIC_LEFT) / (1.0 + CUBIC_LEFT) } else { 1.0 };
        curve.reno += pace * acked / size;
        self.size = (size + (target - size) / size * acked).max(curve.reno);
    }

    /// Takes a sample of the round trip (RFC 9406 §4.2). `acked` is the acknowledged number, `newest` the
    /// next one to send.
    pub(super) fn on_round_trip(&mut self, sample: u64, acked: u64, newest: u64) {
        if self.flavour == Flavour::Reno || self.size >= self.threshold {
            return;
        }
        let round = &mut self.round;
        if acked >= round.ends {
            *round = Round { ends: newest, least: None, before: round.least, samples: 0 };
        }
        round.least = Some(round.least.map_or(sample, |least| least.min(sample)));
        round.samples += 1;
        if let (Some(before), Some(least)) = (round.before, round.least)
            && round.samples >= SAMPLES
            && least >= before + (before / 8).clamp(4 * MILLISECOND, 16 * MILLISECOND)
        {
            self.threshold = self.size;
        }
    }

    /// Reduces the window after a loss, once in a round trip.
    pub(super) fn on_loss(&mut self) {
        let left = match self.flavour {
            Flavour::Reno => RENO_LEFT,
            Flavour::Cubic => CUBIC_LEFT,
        };
        // A flow that reached less than before makes room for others (RFC 9438 §4.7).
        self.most = if self.size < self.most { self.size * (1.0 + left) / 2.0 } else { self.size };
        self.size = (self.size * left).max(LEAST);
        self.threshold = self.size;
        self.curve = None;
    }

    /// The retransmission timer expired; `is_first` says that it had not expired just before.
    pub(super) fn on_timeout(&mut self, is_first: bool) {
        if is_first {
            self.on_loss();
        }
        self.size = 1.0;
    }
}
