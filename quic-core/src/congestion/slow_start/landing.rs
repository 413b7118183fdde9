//! How the window decreases after slow starts that may overshoot to more than twice what the path holds.
//!
//! [`Reduction`](crate::congestion::prr::Reduction) leaves a share of the window, which after these slow
//! starts may be several times too much. A landing derives the final window from what arrived.

use super::super::{initial_window, minimum_window};

/// The decrease during one recovery period.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Landing {
    /// After rapid start.
    Converging(Converging),
    /// After careful resume.
    Retreat(Retreat),
}

/// Decreases to a share of what the path delivered in the round trip of the loss
/// (draft-kazuho-ccwg-rapid-start §3.3). A short pause comes first. Then the window falls a little for each
/// byte that arrives, and by most of each byte that is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Converging {
    window: f64,
    floor: f64,
    beta: f64,
}

/// Halves what the path was seen to hold, and continues with slow start up to a threshold (RFC 9959 §3.5).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retreat {
    window: u64,
    /// What the path was seen to hold (`PipeSize`).
    pipe: u64,
}

/// The end of a landing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Landed {
    pub(crate) window: u64,
    pub(crate) threshold: u64,
    /// The window that counts as having filled the path, for curves that need it (RFC 9438 §4.1.2).
    pub(crate) full: Option<u64>,
}

/// The share of a loss's reduction that is spread over everything that arrives.
const SPREAD: f64 = 2.0 / 3.0;
/// By how much the window grew at most in a round trip. It bounds the reduction.
const MOST_GROWTH: f64 = 3.0;

impl Landing {
    /// A descent from `window` bytes, of which `flight` were in flight, to `beta` times what is delivered.
    pub(super) fn converging(window: u64, flight: u64, mtu: u16, beta: f64) -> Self {
        // The unused part of the window is taken off like lost bytes.
        let begin = flight.min(window) as f64 * share(beta);
        let least = (initial_window(mtu) as f64 * beta).min(begin).max(minimum_window(mtu) as f64);
        let floor = least.max(window as f64 * beta / MOST_GROWTH);
        Self::Converging(Converging { window: begin.max(floor), floor, beta })
    }

    /// A retreat on a path that was seen to hold `pipe` bytes.
    pub(super) fn retreat(pipe: u64, mtu: u16) -> Self {
        Self::Retreat(Retreat { window: (pipe / 2).max(minimum_window(mtu)), pipe })
    }

    pub(crate) fn on_lost(&mut self, bytes: u64) {
        if let Self::Converging(converging) = self {
            converging.take(share(converging.beta), bytes);
        }
    }

    pub(crate) fn on_acked(&mut self, bytes: u64) {
        match self {
            Self::Converging(converging) => converging.take(SPREAD * (1.0 - converging.beta), bytes),
            Self::Retreat(retreat) => retreat.pipe = retreat.pipe.saturating_add(bytes),
        }
    }

    /// How many bytes may be in flight now. Datagrams may have grown since the landing began.
    pub(crate) fn window(&self, mtu: u16) -> u64 {
        let window = match self {
            Self::Converging(converging) => converging.window as u64,
            Self::Retreat(retreat) => retreat.window,
        };
        window.max(minimum_window(mtu))
    }

    /// Ends the landing: a packet arrived that was sent after it began.
    pub(crate) fn end(&self, mtu: u16) -> Landed {
        let window = self.window(mtu);
        match self {
            // A slow start that doubles would have ended at twice what the path holds.
            Self::Converging(Converging { beta, .. }) => {
                Landed { window, threshold: window, full: Some((2.0 * window as f64 / beta) as u64) }
            }
            Self::Retreat(Retreat { pipe, .. }) => {
                Landed { window, threshold: (pipe / 2).max(minimum_window(mtu)), full: None }
            }
        }
    }
}

/// The share of the flight that the pause leaves, and of a lost byte that is taken off. With equal shares,
/// the final window does not depend on how much was lost.
fn share(beta: f64) -> f64 {
    beta + SPREAD * (1.0 - beta)
}

impl Converging {
    fn take(&mut self, factor: f64, bytes: u64) {
        self.window = (self.window - factor * bytes as f64).max(self.floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MTU: u16 = 1_000;

    /// Lands a flight of `window` bytes of which the path delivers `delivered`, a datagram at a time.
    fn land(window: u64, delivered: u64, beta: f64) -> (u64, Vec<u64>) {
        let mut landing = Landing::converging(window, window, MTU, beta);
        let mut windows = vec![landing.window(MTU)];
        let lost = (window - delivered) / (delivered / 1_000);
        for _ in 0..delivered / 1_000 {
            landing.on_lost(lost);
            landing.on_acked(1_000);
            windows.push(landing.window(MTU));
        }
        (landing.end(MTU).window, windows)
    }

    #[test]
    fn the_window_ends_at_a_share_of_what_was_delivered_for_any_loss() {
        for beta in [0.5, 0.7, 0.85] {
            for delivered in [300_000, 400_000, 600_000, 900_000] {
                let (window, windows) = land(900_000, delivered, beta);
                let wanted = delivered as f64 * beta;
                assert!((window as f64 - wanted).abs() < 0.01 * wanted, "{delivered} {beta}: {window}");
                assert!(windows.is_sorted_by(|a, b| a >= b), "{windows:?}");
            }
        }
    }

    /// Two thirds of a tripled window are lost. The bytes in flight fall faster than the window, and meet it
    /// when 1 - beta of what the path holds has left the queue.
    #[test]
    fn the_pause_drains_no_more_of_the_queue_than_any_loss() {
        let (_, windows) = land(900_000, 300_000, 0.5);
        let resumed = windows.iter().zip(0..).position(|(window, nth)| *window >= 900_000 - nth * 3_000);
        assert!(resumed.is_some_and(|nth| (148..=152).contains(&nth)), "{resumed:?}");
    }

    #[test]
    fn random_loss_takes_no_more_than_growth_gave_and_the_minimum_stays() {
        assert_eq!(land(900_000, 100_000, 0.7).0, 210_000);
        let mut small = Landing::converging(12_000, 12_000, MTU, 0.5);
        small.on_lost(11_000);
        assert_eq!(small.window(MTU), 5_000, "half of the initial window");
        let mut unused = Landing::converging(900_000, 300_000, MTU, 0.5);
        unused.on_acked(300_000);
        assert_eq!(unused.window(MTU), 150_000, "the unused part is not known to fit");
    }

    #[test]
    fn a_retreat_keeps_half_of_what_had_arrived_and_returns_to_half_of_what_arrives() {
        let mut landing = Landing::retreat(40_000, MTU);
        assert_eq!(landing.window(MTU), 20_000);
        landing.on_lost(100_000);
        landing.on_acked(60_000);
        assert_eq!(landing.window(MTU), 20_000);
        assert_eq!(landing.end(MTU), Landed { window: 20_000, threshold: 50_000, full: None });
        assert_eq!(Landing::retreat(1_000, MTU).window(MTU), 2_000);
    }
}
