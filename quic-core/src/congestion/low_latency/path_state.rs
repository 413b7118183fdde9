//! The state of the path after an acknowledgment, put together for the mechanisms that decide.

use std::time::Duration;

use super::{delay::Delays, rate::NominalRate};
use crate::base::Timestamp;

/// How many of a flow's own datagrams its target queue holds. Flows that see the same queue then get the same
/// rate.
const OWN_DATAGRAMS: f64 = 1.5;
/// The same where marks tell of shorter queues than delay can.
const MARKED_DATAGRAMS: f64 = 1.0;
/// The longest target queue is this,
const MOST: Duration = Duration::from_millis(5);
/// or this share of the round-trip time if that is longer,
const MOST_DIVISOR: u32 = 10;
/// or the time that it takes to send this many datagrams.
const MOST_DATAGRAMS: u64 = 2;
/// The share of the noise that is added to the target, because a path with short pauses needs something in
/// store,
const NOISE_DIVISOR: u32 = 3;
/// but no more than this.
const MOST_NOISE: Duration = Duration::from_millis(8);

/// From how many half round-trip times on jumps of the delay count as those of a crowded radio channel. Such
/// jumps come whatever is sent.
const JUMPS_HALVES: u32 = 3;

/// Shorter round-trip times cannot be told from timers and batches of the system. On a shorter path, the
/// queue may take up the rest. Otherwise a path within a machine or a room would only carry what fits between
/// two wake-ups.
const LEAST_ROUND_TRIP: Duration = Duration::from_millis(1);

/// The state of the path after an acknowledgment.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathState {
    pub(super) now: Timestamp,
    /// The window in bytes.
    pub(super) window: f64,
    /// Whether most of the window was recently in flight.
    pub(super) is_used: bool,
    pub(super) mtu: f64,
    /// The round-trip time without our own queue.
    pub(super) base: Duration,
    /// The shortest recent round-trip time. It is less than `base` where the path itself delays packets.
    pub(super) shortest: Duration,
    /// The round-trip time with the standing queue.
    pub(super) standing: Duration,
    /// How long packets wait in the standing queue.
    pub(super) queue: Duration,
    /// How long they should wait.
    pub(super) target: Duration,
    /// The longest wait that does not count as congestion.
    pub(super) limit: Duration,
    /// The same without regard to noise.
    pub(super) most: Duration,
    /// The usual spread of a round trip's samples, beyond what a queue at the target explains.
    pub(super) spread: Duration,
    /// By how much delays jump, if that is more than the path and our own queue explain.
    pub(super) jumps: Option<Duration>,
    pub(super) smoothed: Duration,
}

/// The window and how it is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowUse {
    pub(super) window: f64,
    pub(super) is_used: bool,
    /// Whether marks keep the queue short.
    pub(super) marked: bool,
    pub(super) mtu: u16,
    /// The round-trip time that the path was found to take, whatever is sent; zero if nothing was found.
    pub(super) path_rtt: Duration,
}

impl PathState {
    pub(super) fn new(
        now: Timestamp,
        used: WindowUse,
        delays: &Delays,
        rate: &NominalRate,
        smoothed: Duration,
    ) -> Self {
        let WindowUse { window, is_used, marked, mtu, path_rtt } = used;
        let datagrams = if marked { MARKED_DATAGRAMS } else { OWN_DATAGRAMS };
        let shortest = delays.base().unwrap_or(smoothed);
        let base = shortest.max(path_rtt);
        let own = base.mul_f64((datagrams * f64::from(mtu) / window.max(1.0)).min(1.0));
        let standing = delays.standing(own).unwrap_or(smoothed).max(shortest);
        // At the path's best rate: a flow that is starved must not mistake its own slow rate for the path's.
        let datagrams = rate.best().time_for(MOST_DATAGRAMS * u64::from(mtu)).min(base * 4);
        let most = MOST.max(base / MOST_DIVISOR).max(datagrams);
        let noise = delays.noise(own);
        let limit = most.max(noise);
        Self {
            now,
            window,
            is_used,
            mtu: f64::from(mtu),
            base,
            shortest,
            standing,
            queue: standing.saturating_sub(base),
            target: (own + (noise / NOISE_DIVISOR).min(MOST_NOISE))
                .max(LEAST_ROUND_TRIP.saturating_sub(base))
                .min(limit),
            limit,
            most,
            spread: delays.spread().saturating_sub(own),
            jumps: (noise * 2 > base * JUMPS_HALVES).then_some(noise),
            smoothed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other stations on a radio channel make delays jump by more than the round-trip time. A varying rate
    /// makes them jump by less.
    #[test]
    fn only_jumps_beyond_the_round_trip_are_those_of_a_crowded_channel() {
        let jumps = |spread: u64| {
            let (mut delays, ms) = (Delays::new(Timestamp::from_nanos(1)), Duration::from_millis);
            for round in 0..16 {
                for place in 0..4 {
                    let now = Timestamp::from_nanos(1 + (round * 4 + place) * 10_000_000);
                    delays.on_sample(now, ms(40 + place % 2 * spread), ms(40), false);
                }
                delays.on_round(false);
            }
            let now = Timestamp::from_nanos(1_000_000_000);
            let used =
                WindowUse { window: 1e6, is_used: true, marked: false, mtu: 1_200, path_rtt: Duration::ZERO };
            PathState::new(now, used, &delays, &NominalRate::new(now), ms(40)).jumps
        };
        assert_eq!((jumps(0), jumps(20), jumps(60)), (None, None, None));
        assert!(jumps(80).is_some_and(|jumps| jumps > Duration::from_millis(75)), "{:?}", jumps(80));
    }

    /// On loopback, the window used to hold only what fits between two wake-ups, an eighth of what the
    /// machine carries.
    #[test]
    fn a_round_trip_below_a_millisecond_leaves_the_rest_of_it_to_the_queue() {
        let target = |rtt: Duration| {
            let now = Timestamp::from_nanos(1_000_000_000);
            let mut delays = Delays::new(now);
            delays.on_sample(now, rtt, rtt, false);
            let used =
                WindowUse { window: 1e6, is_used: true, marked: false, mtu: 1_200, path_rtt: Duration::ZERO };
            PathState::new(now, used, &delays, &NominalRate::new(now), rtt).target
        };
        for micros in [20, 100, 400, 900] {
            let rtt = Duration::from_micros(micros);
            assert_eq!(rtt + target(rtt), LEAST_ROUND_TRIP);
        }
        for millis in [1, 20, 300] {
            let own = Duration::from_millis(millis).mul_f64(OWN_DATAGRAMS * 1_200.0 / 1e6);
            assert_eq!(target(Duration::from_millis(millis)), own);
        }
    }
}
