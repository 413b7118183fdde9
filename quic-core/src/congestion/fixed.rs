//! Controllers with a constant rate or window, whatever the network signals.
//!
//! They are for experiments on your own network: to find out what a path does at a given load, or as traffic
//! that yields to nobody. They ignore congestion, so on a shared network they may take all of it.

use std::time::Duration;

use super::{
    CongestionEvent, Controller, Estimate, MAX_WINDOW, Phase, Snapshot, episode::Meter, initial_window,
    minimum_window,
};
use crate::base::{Rate, Timestamp};

/// With a constant rate, as many bytes may be in flight as it sends in this time, so that a dead path is not
/// sent to for ever.
const LONGEST: Duration = Duration::from_secs(2);

/// The constant.
#[derive(Clone, Copy, Debug)]
enum Load {
    Rate(Rate),
    Window(u64),
}

/// A controller with a constant rate or window.
#[derive(Clone, Debug)]
pub struct Fixed {
    load: Load,
    mtu: u16,
    meter: Meter,
}

impl Fixed {
    /// Sends at `rate`, but at least a byte per second. As many bytes may be in flight as that is in two
    /// seconds.
    #[must_use]
    pub fn rate(rate: Rate, mtu: u16) -> Self {
        let load = Load::Rate(rate.max(Rate::from_bytes_per_second(1)));
        Self { load, mtu, meter: Meter::default() }
    }

    /// Keeps `window` bytes in flight, but at least two datagrams.
    #[must_use]
    pub fn window(window: u64, mtu: u16) -> Self {
        Self { load: Load::Window(window), mtu, meter: Meter::default() }
    }
}

impl Controller for Fixed {
    fn on_congestion_event(&mut self, event: &CongestionEvent<'_>) {
        self.meter.on_event(event);
    }

    fn on_app_limited(&mut self, _now: Timestamp) {
        self.meter.on_app_limited();
    }

    fn on_mtu_changed(&mut self, mtu: u16) {
        self.mtu = mtu;
    }

    fn window(&self) -> u64 {
        let (window, least) = match self.load {
            Load::Rate(rate) => (rate.bytes_in(LONGEST), initial_window(self.mtu)),
            Load::Window(window) => (window, minimum_window(self.mtu)),
        };
        window.clamp(least, MAX_WINDOW)
    }

    fn pacing_rate(&self) -> Option<Rate> {
        match self.load {
            Load::Rate(rate) => Some(rate),
            Load::Window(_) => None,
        }
    }

    fn estimate(&self) -> Estimate {
        let estimate = self.meter.estimate(self.window());
        Estimate { rate: self.pacing_rate().or(estimate.rate), ..estimate }
    }

    fn snapshot(&self) -> Snapshot {
        let name = match self.load {
            Load::Rate(_) => "fixed-rate",
            Load::Window(_) => "fixed-window",
        };
        Snapshot::new(name, Controller::window(self), Phase::CongestionAvoidance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::Rtt;

    #[test]
    fn neither_losses_nor_marks_nor_silence_change_anything() {
        let rate = Rate::from_bytes_per_second(2_500_000);
        for (mut fixed, window, paced) in [
            (Fixed::rate(rate, 1_200), 5_000_000, Some(rate)),
            (Fixed::window(100_000, 1_200), 100_000, None),
            (Fixed::window(1, 1_200), 2_400, None),
            (Fixed::rate(Rate::ZERO, 1_200), 12_000, Some(Rate::from_bytes_per_second(1))),
        ] {
            let rtt = Rtt::default();
            fixed.on_congestion_event(&CongestionEvent {
                bytes_lost: 100_000,
                packets_lost: 100,
                ce_delta: 100,
                persistent: true,
                ..CongestionEvent::new(Timestamp::from_nanos(1), &rtt)
            });
            fixed.on_app_limited(Timestamp::from_nanos(2));
            assert_eq!((Controller::window(&fixed), fixed.pacing_rate()), (window, paced));
        }
    }
}
