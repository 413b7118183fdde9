//! What one acknowledgment shows of the path, put together for those who decide.

use std::time::Duration;

use super::{delay::Delays, rate::NominalRate};
use crate::base::Timestamp;

/// The queue that a flow aims at holds so many datagrams of its own: flows that see the same queue then get the same rate.
const OWN_DATAGRAMS: f64 = 1.5;
/// One, where marks tell of shorter queues than delay can.
const MARKED_DATAGRAMS: f64 = 1.0;
/// No flow aims at a queue longer than this,
const MOST: Duration = Duration::from_millis(5);
/// or than this share of the round trip, where that is longer.
const MOST_DIVISOR: u32 = 10;
/// Or than it takes to send so many datagrams.
const MOST_DATAGRAMS: u64 = 2;
/// Of the delay that comes and goes by itself this share is added to the aim, for a path that is silent for a while needs
/// something in store,
const NOISE_DIVISOR: u32 = 3;
/// and no more than this.
const MOST_NOISE: Duration = Duration::from_millis(8);

/// Delays that jump by so many half round trips and more are those of a channel that others crowd: they come whatever is sent.
const JUMPS_HALVES: u32 = 3;

/// Less of a round trip cannot be told from timers and batches of the system: on a path that is shorter the queue may take the
/// rest. Without it a path within a machine or a room would carry what fits between two wake-ups.
const LEAST_ROUND_TRIP: Duration = Duration::from_millis(1);

/// A path as an acknowledgment shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) now: Timestamp,
    /// The window in bytes.
    pub(super) window: f64,
    /// Whether most of the window was in flight of late.
    pub(super) is_used: bool,
    pub(super) mtu: f64,
    /// The round trip without a queue of ours.
    pub(super) base: Duration,
    /// The shortest round trip of late, which is less where the way takes its time for other reasons.
    pub(super) shortest: Duration,
    /// The round trip with the queue that stands.
    pub(super) standing: Duration,
    /// How long packets wait in it.
    pub(super) queue: Duration,
    /// How long they are to wait.
    pub(super) target: Duration,
    /// How long they may wait at most without that being congestion.
    pub(super) limit: Duration,
    /// The same without regard to noise.
    pub(super) most: Duration,
    /// How far apart the samples of a round trip usually are, beyond what a queue at the target explains.
    pub(super) spread: Duration,
    /// By how much delays jump, where that is more than the way and any queue of ours explain.
    pub(super) jumps: Option<Duration>,
    pub(super) smoothed: Duration,
}

/// The window and the use that is made of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) window: f64,
    pub(super) is_used: bool,
    /// Marks keep the queue short.
    pub(super) marked: bool,
    pub(super) mtu: u16,
    /// The way was found to take this long, whatever is sent; nothing if nothing was found.
    pub(super) way: Duration,
}

impl Sight {
    pub(super) fn new(
        now: Timestamp,
        used: Use,
        delays: &Delays,
        rate: &NominalRate,
        smoothed: Duration,
    ) -> Self {
        let Use { window, is_used, marked, mtu, way } = used;
        let datagrams = if marked { MARKED_DATAGRAMS } else { OWN_DATAGRAMS };
        let shortest = delays.base().unwrap_or(smoothed);
        let base = shortest.max(way);
        let own = base.mul_f64((datagrams * f64::from(mtu) / window.max(1.0)).min(1.0));
        let standing = delays.standing(own).unwrap_or(smoothed).max(shortest);
        // At the rate that the path had at best: a flow that is starved must not take its own slowness for the path's.
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

    /// Others on a radio channel make delays jump by more than the way takes; a rate that varies makes them jump by less.
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
            let used = Use { window: 1e6, is_used: true, marked: false, mtu: 1_200, way: Duration::ZERO };
            Sight::new(now, used, &delays, &NominalRate::new(now), ms(40)).jumps
        };
        assert_eq!((jumps(0), jumps(20), jumps(60)), (None, None, None));
        assert!(jumps(80).is_some_and(|jumps| jumps > Duration::from_millis(75)), "{:?}", jumps(80));
    }

    /// On loopback the window held what fits between two wake-ups, an eighth of what the machine carries.
    #[test]
    fn a_round_trip_below_a_millisecond_leaves_the_rest_of_it_to_the_queue() {
        let target = |rtt: Duration| {
            let now = Timestamp::from_nanos(1_000_000_000);
            let mut delays = Delays::new(now);
            delays.on_sample(now, rtt, rtt, false);
            let used = Use { window: 1e6, is_used: true, marked: false, mtu: 1_200, way: Duration::ZERO };
            Sight::new(now, used, &delays, &NominalRate::new(now), rtt).target
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
