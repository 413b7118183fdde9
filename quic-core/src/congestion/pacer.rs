//! The pacer (RFC 9002 §7.7): a token bucket that spreads what the window permits over the round trip.
//!
//! It releases packets in trains of at most one quantum, so that one GSO send carries a train. Only the
//! initial window may leave as a larger burst. The pacer owns no packet and no queue: the path asks how many
//! bytes may leave.

use std::time::Duration;

use super::{Controller, Phase, Rtt, initial_window, minimum_window};
use crate::base::{Rate, Timestamp};

/// How long a train takes at the pacing rate.
const TRAIN: Duration = Duration::from_millis(1);
/// The longest train: no GSO send can be longer.
const MAX_QUANTUM: u64 = 64 * 1024;
/// How late a timer may fire without a loss of rate. Many timers count milliseconds and round up.
const LATE: Duration = Duration::from_millis(1);
/// The shortest round-trip time, because zero would give an unbounded rate.
const MIN_RTT: Duration = Duration::from_micros(10);
const NANOS: u128 = 1_000_000_000;

/// Spreads one path's packets over time.
#[derive(Clone, Debug)]
pub struct Pacer {
    rate: Rate,
    quantum: u64,
    credit: u64,
    /// What has accrued beyond `credit`, in billionths of a byte.
    fraction: u64,
    updated: Timestamp,
    /// Whether data waits for the pacer alone. Then what a late timer misses is made up for.
    waiting: bool,
}

impl Pacer {
    /// A pacer for a new path whose datagrams have up to `mtu` bytes: the initial window may leave at once.
    #[must_use]
    pub fn new(now: Timestamp, mtu: u16) -> Self {
        let burst = initial_window(mtu);
        let rate = Rate::from_bytes_in(2 * burst, super::INITIAL_RTT);
        Self { rate, quantum: quantum(rate, mtu), credit: burst, fraction: 0, updated: now, waiting: false }
    }

    /// Takes over the decisions of `controller`. Call it after each event of the controller and when the MTU
    /// changes.
    pub fn on_control<C: Controller + ?Sized>(
        &mut self,
        now: Timestamp,
        controller: &C,
        rtt: &Rtt,
        mtu: u16,
    ) {
        let rate = controller.pacing_rate().unwrap_or_else(|| window_rate(controller, rtt, mtu));
        // At least a datagram a second, whatever a controller says, so that nothing stops for ever.
        let rate = rate.max(Rate::from_bytes_per_second(mtu.into()));
        let quantum = match controller.send_quantum() {
            Some(quantum) => quantum.clamp(u64::from(mtu), MAX_QUANTUM),
            None => quantum(rate, mtu),
        };
        self.set(now, rate, quantum);
    }

    /// Sets rate and quantum directly. Credit from the old rate is kept.
    pub fn set(&mut self, now: Timestamp, rate: Rate, quantum: u64) {
        self.refill(now);
        self.rate = rate;
        self.quantum = quantum.max(1);
    }

    /// How many bytes may leave now.
    pub fn budget(&mut self, now: Timestamp) -> u64 {
        self.refill(now);
        self.credit
    }

    /// Takes `bytes` that were sent from the credit. Packets that are not paced (probes, acknowledgments) are
    /// not counted.
    pub fn on_sent(&mut self, bytes: u64) {
        self.credit = self.credit.saturating_sub(bytes);
    }

    /// When `bytes` may leave (at most a quantum counts); `None` if they may leave now.
    #[must_use]
    pub fn next_release(&self, now: Timestamp, bytes: u64) -> Option<Timestamp> {
        let missing = u128::from(bytes.min(self.quantum).checked_sub(self.credit).filter(|need| *need > 0)?);
        let rate = u128::from(self.rate.bytes_per_second().max(1));
        // Rounded up, because a wake-up a nanosecond early would find the credit a byte short.
        let nanos = (missing * NANOS - u128::from(self.fraction)).div_ceil(rate);
        let release = self.updated + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        (release > now).then_some(release)
    }

    /// Sets whether data waits for the pacer and for nothing else. While it does, up to a millisecond is made
    /// up for if the time that [`next_release`](Self::next_release) returned passes unused. Otherwise no more
    /// than a quantum is saved up.
    pub fn set_waiting(&mut self, waiting: bool) {
        if std::mem::replace(&mut self.waiting, waiting) && !waiting {
            self.credit = self.credit.min(self.quantum);
        }
    }

    /// The rate at which packets leave.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// The longest train in bytes.
    #[must_use]
    pub fn quantum(&self) -> u64 {
        self.quantum
    }

    /// How many bytes may leave in one train now: a quantum, even while more is made up for. The initial
    /// burst is one train.
    #[must_use]
    pub fn train(&self) -> u64 {
        if self.waiting { self.quantum } else { self.quantum.max(self.credit) }
    }

    fn refill(&mut self, now: Timestamp) {
        let elapsed = now.saturating_since(self.updated).as_nanos();
        self.updated = self.updated.max(now);
        let late = if self.waiting { self.rate.bytes_in(LATE) } else { 0 };
        let most = self.quantum.saturating_add(late);
        if self.credit >= most {
            // With the initial burst or a full bucket, time adds no credit.
            self.fraction = 0;
            return;
        }
        let earned = (u128::from(self.rate.bytes_per_second()).saturating_mul(elapsed))
            .saturating_add(u128::from(self.fraction));
        let credit = u128::from(self.credit).saturating_add(earned / NANOS);
        if credit >= u128::from(most) {
            self.credit = most;
            self.fraction = 0;
        } else {
            self.credit = credit as u64;
            self.fraction = (earned % NANOS) as u64;
        }
    }
}

/// The pacing rate that follows from the window: N · window / srtt. N is 2 in slow start, where the window
/// doubles each round trip, and 1.25 otherwise, so that pacing does not limit the path (RFC 9002 §7.7). In
/// recovery the window follows the bytes in flight, so the window at the end of recovery counts. The minimum
/// window that paths grant counts here too.
fn window_rate<C: Controller + ?Sized>(controller: &C, rtt: &Rtt, mtu: u16) -> Rate {
    let (snapshot, window) = (controller.snapshot(), controller.window());
    let bytes = match snapshot.phase {
        Phase::Recovery => snapshot.ssthresh.unwrap_or(window),
        _ => window,
    };
    let base = Rate::from_bytes_in(bytes.max(minimum_window(mtu)), rtt.smoothed().max(MIN_RTT));
    match snapshot.phase {
        Phase::SlowStart | Phase::ConservativeSlowStart => base.scaled(2, 1),
        Phase::Recovery | Phase::CongestionAvoidance | Phase::Drain | Phase::ProbeRtt => base.scaled(5, 4),
    }
}

fn quantum(rate: Rate, mtu: u16) -> u64 {
    let least = 2 * u64::from(mtu);
    rate.bytes_in(TRAIN).clamp(least, MAX_QUANTUM.max(least))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MTU: u16 = 1_200;

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_nanos(1 + micros * 1_000)
    }

    #[test]
    fn the_initial_window_leaves_at_once_and_then_trains_of_a_quantum() {
        let mut pacer = Pacer::new(at(0), MTU);
        assert_eq!((pacer.budget(at(0)), pacer.train()), (12_000, 12_000));
        pacer.on_sent(12_000);
        assert_eq!(pacer.budget(at(0)), 0);
        // 1.2 MB/s, and a train of two datagrams takes 2 ms.
        pacer.set(at(0), Rate::from_bytes_per_second(1_200_000), 2_400);
        assert_eq!(pacer.next_release(at(0), 1_200), Some(at(1_000)));
        assert_eq!(pacer.next_release(at(0), 100_000), Some(at(2_000)));
        assert_eq!(pacer.budget(at(1_500)), 1_800);
        assert_eq!(pacer.next_release(at(1_500), 1_200), None);
        assert_eq!(pacer.budget(at(1_000_000)), 2_400, "idle time adds one train, not more");
    }

    #[test]
    fn a_timer_that_is_late_by_a_millisecond_costs_nothing_while_data_waits() {
        // 1 Gbit/s: a full train accrues in half a millisecond.
        let rate = Rate::from_bytes_per_second(125_000_000);
        let mut pacer = Pacer::new(at(0), MTU);
        pacer.on_sent(12_000);
        pacer.set(at(0), rate, quantum(rate, MTU));
        pacer.set_waiting(true);
        assert!(pacer.next_release(at(0), 1_200).is_some());
        assert_eq!(pacer.budget(at(1_000)), 125_000, "what accrues in a millisecond, not one train");
        assert_eq!(pacer.budget(at(900_000)), 65_536 + 125_000, "and no more, however late");
        assert_eq!(pacer.train(), 65_536, "in trains of a quantum");
        pacer.set_waiting(false);
        assert_eq!(pacer.budget(at(900_000)), 65_536);
        assert_eq!(pacer.budget(at(950_000)), 65_536, "nothing is saved up while nothing waits");
    }

    #[test]
    fn the_quantum_is_a_millisecond_within_bounds() {
        assert_eq!(quantum(Rate::from_bytes_per_second(1_000), MTU), 2_400);
        assert_eq!(quantum(Rate::from_bytes_per_second(10_000_000), MTU), 10_000);
        assert_eq!(quantum(Rate::MAX, MTU), 65_536);
        assert_eq!(quantum(Rate::MAX, u16::MAX), 131_070);
    }

    #[test]
    fn a_rate_of_nothing_waits_without_overflow() {
        let mut pacer = Pacer::new(at(0), MTU);
        pacer.on_sent(u64::MAX);
        pacer.set(at(0), Rate::ZERO, u64::MAX);
        assert!(pacer.next_release(at(0), u64::MAX).is_some());
        pacer.set(at(5), Rate::MAX, u64::MAX);
        assert!(pacer.budget(Timestamp::from_nanos(u64::MAX)) > 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// At whatever instants the pacer is asked, what leaves follows the rate and exceeds it by at most
        /// one quantum. A wake-up at the promised time always finds the promised credit.
        #[test]
        fn what_leaves_follows_the_rate(
            rate in 1_000_u64..1_000_000_000,
            steps in proptest::collection::vec(1_u64..3_000_000, 1..200),
        ) {
            let mut now = Timestamp::from_nanos(1);
            let mut pacer = Pacer::new(now, MTU);
            pacer.on_sent(12_000);
            let rate = Rate::from_bytes_per_second(rate);
            pacer.set(now, rate, quantum(rate, MTU));
            let start = now;
            let mut sent = 0;
            for step in steps {
                now += Duration::from_nanos(step);
                if let Some(release) = pacer.next_release(now, 1_200) {
                    prop_assert!(pacer.budget(now) < 1_200);
                    now = release;
                }
                prop_assert!(pacer.budget(now) >= 1_200);
                pacer.on_sent(1_200);
                sent += 1_200;
                prop_assert!(sent <= rate.bytes_in(now - start) + pacer.quantum());
            }
        }
    }
}
