//! The scenarios of RFC 9002, written by hand in virtual time.

use super::*;
use crate::base::Ecn;
use crate::congestion::{PacketRate, RateSampler};
use crate::ids::Level;

pub(super) const MAX_ACK_DELAY: Duration = Duration::from_millis(25);

pub(super) fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

pub(super) fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(1_000_000_000 + ms * 1_000_000)
}

/// The state of a connection that surrounds the ledger. Receipts are (space, packet number).
pub(super) struct Bench {
    pub(super) recovery: Recovery<(Space, u64)>,
    pub(super) rtt: Rtt,
    pub(super) sampler: RateSampler,
    pub(super) path: PathId,
    pub(super) in_flight: u64,
    pub(super) conditions: Conditions,
    pub(super) settled: Vec<(u64, Outcome)>,
}

/// How many packets of 1-RTT are remembered.
fn held(bench: &Bench) -> usize {
    bench.recovery.ledgers.get(Space::Data).map_or(0, super::space::SpaceLedger::held)
}

impl Bench {
    /// A server with a confirmed handshake.
    pub(super) fn new() -> Self {
        let conditions = Conditions {
            max_ack_delay: MAX_ACK_DELAY,
            handshake_confirmed: true,
            peer_completed_address_validation: true,
            has_handshake_keys: true,
            crypto_waits: None,
            amplification_limited: false,
            scarce_memory: false,
            elsewhere_rtt: Duration::ZERO,
        };
        Self {
            recovery: Recovery::new(),
            rtt: Rtt::default(),
            sampler: RateSampler::new(at(0)),
            path: PathId::FIRST,
            in_flight: 0,
            conditions,
            settled: Vec::new(),
        }
    }

    /// A server with a round-trip time of 100 ms, measured with packet 0 at 0 ms.
    fn measured() -> Self {
        let mut bench = Self::new();
        bench.send(Space::Data, 0, 0);
        bench.ack(Space::Data, &[0..=0], 100).unwrap();
        bench.settled.clear();
        bench
    }

    fn client() -> Self {
        let mut bench = Self::new();
        bench.conditions.handshake_confirmed = false;
        bench.conditions.peer_completed_address_validation = false;
        bench.conditions.has_handshake_keys = false;
        bench
    }

    pub(super) fn info(&mut self, time: Timestamp) -> SentInfo {
        let rate: PacketRate = self.sampler.on_sent(time, 1_200, self.in_flight);
        SentInfo {
            level: Level::OneRtt,
            time,
            bytes: 1_200,
            ack_eliciting: true,
            in_flight: true,
            rate,
            ecn: Ecn::Ect0,
            mtu_probe: false,
        }
    }

    pub(super) fn send(&mut self, space: Space, pn: u64, ms: u64) {
        let info = SentInfo { level: space.level(), ..self.info(at(ms)) };
        self.in_flight += u64::from(info.bytes);
        self.recovery.on_packet_sent(pn, info, &[(space, pn)], self.path, self.path);
    }

    pub(super) fn send_ack_only(&mut self, space: Space, pn: u64, ms: u64) {
        let ack_only = SentInfo { ack_eliciting: false, in_flight: false, ..self.info(at(ms)) };
        let info = SentInfo { level: space.level(), ..ack_only };
        self.recovery.on_packet_sent(pn, info, &[(space, pn)], self.path, self.path);
    }

    /// An ACK frame arrives at `ms`. Ranges come lowest first, which is easier to read.
    pub(super) fn ack(
        &mut self,
        space: Space,
        ranges: &[RangeInclusive<u64>],
        ms: u64,
    ) -> Result<AckResult, Violation> {
        let mut context = Context {
            now: at(ms),
            path: self.path,
            rtt: &mut self.rtt,
            sampler: &mut self.sampler,
            in_flight: &mut self.in_flight,
            conditions: self.conditions,
        };
        let ranges = ranges.iter().rev().cloned();
        self.recovery.on_ack(space, ranges, Duration::ZERO, &mut context, &mut |(_, pn), outcome| {
            self.settled.push((pn, outcome));
        })
    }

    pub(super) fn timeout(&mut self, now: Timestamp) -> TimeoutResult {
        let mut context = Context {
            now,
            path: self.path,
            rtt: &mut self.rtt,
            sampler: &mut self.sampler,
            in_flight: &mut self.in_flight,
            conditions: self.conditions,
        };
        self.recovery.on_timeout(&mut context, &mut |(_, pn), outcome| self.settled.push((pn, outcome)))
    }

    pub(super) fn deadline(&self) -> Option<(Timestamp, TimerKind)> {
        self.recovery.deadline(&self.rtt, &self.conditions)
    }

    fn lost(&self) -> Vec<u64> {
        self.settled.iter().filter(|(_, outcome)| *outcome == Outcome::Lost).map(|(pn, _)| *pn).collect()
    }
}

use Space::{Data, Handshake, Initial};

#[test]
fn an_acknowledgment_settles_samples_and_frees_the_flight() {
    let mut bench = Bench::new();
    for pn in 0..3 {
        bench.send(Data, pn, pn);
    }
    assert_eq!(bench.in_flight, 3_600);
    let result = bench.ack(Data, &[0..=1], 50).unwrap();
    assert_eq!((result.newly_acked, result.acked_bytes, result.ect0), (2, 2_400, 2));
    assert_eq!((result.prior_in_flight, result.in_flight), (3_600, 1_200));
    assert_eq!((result.largest_newly_acked, result.newest_ack_eliciting), (Some(1), Some((1, at(1)))));
    assert_eq!((result.rtt_sample, bench.rtt.smoothed()), (Some(ms(49)), ms(49)));
    assert_eq!(bench.settled, [(0, Outcome::Acked), (1, Outcome::Acked)]);
    assert_eq!((bench.recovery.largest_acked(Data), bench.recovery.oldest_unacked(Data)), (Some(1), Some(2)));
    let again = bench.ack(Data, &[0..=1], 60).unwrap();
    assert_eq!((again.newly_acked, again.rtt_sample, again.raised_largest_acked), (0, None, false));
    assert_eq!(bench.settled.len(), 2);
}

#[test]
fn a_sample_needs_the_largest_and_an_ack_eliciting_packet() {
    let mut bench = Bench::new();
    bench.send(Data, 0, 0);
    bench.send_ack_only(Data, 1, 10);
    assert_eq!(
        bench.ack(Data, &[1..=1], 50).unwrap().rtt_sample,
        None,
        "nothing ack-eliciting is newly acknowledged"
    );
    assert_eq!(
        bench.ack(Data, &[0..=1], 60).unwrap().rtt_sample,
        None,
        "the largest was acknowledged before"
    );
    bench.send(Data, 2, 70);
    bench.send_ack_only(Data, 3, 80);
    assert_eq!(bench.ack(Data, &[2..=3], 100).unwrap().rtt_sample, Some(ms(20)));
}

#[test]
fn numbers_never_sent_are_a_violation_also_inside_a_range() {
    let mut bench = Bench::new();
    bench.send(Data, 0, 0);
    bench.recovery.on_packet_number_skipped(Data, 1);
    bench.send(Data, 2, 0);
    assert_eq!(bench.ack(Data, &[3..=3], 10), Err(Violation::AckOfUnsent));
    assert_eq!(bench.ack(Data, &[0..=2], 10), Err(Violation::AckOfUnsent));
    assert_eq!(bench.ack(Initial, &[0..=0], 10), Err(Violation::AckOfUnsent));
    assert_eq!(bench.ack(Data, &[0..=u64::MAX], 10), Err(Violation::AckOfUnsent));
    assert!(bench.ack(Data, &[0..=0, 2..=2], 10).is_ok());
}

#[test]
fn three_packets_later_is_lost() {
    let mut bench = Bench::measured();
    for pn in 1..=5 {
        bench.send(Data, pn, 200);
    }
    let result = bench.ack(Data, &[4..=4], 250).unwrap();
    assert_eq!(bench.lost(), [1]);
    assert_eq!((result.loss.packets, result.loss.bytes), (1, 1_200));
    assert_eq!((result.loss.first_sent, result.loss.last_sent), (Some(at(200)), Some(at(200))));
    // Packets 2 and 3 wait for 9/8 of the round-trip time.
    assert_eq!(bench.deadline(), Some((at(200) + bench.rtt.smoothed() * 9 / 8, TimerKind::LossTime)));
}

#[test]
fn the_loss_timer_takes_what_has_waited_nine_eighths_of_a_round_trip() {
    let mut bench = Bench::measured();
    bench.send(Data, 1, 200);
    bench.send(Data, 2, 210);
    bench.ack(Data, &[2..=2], 310).unwrap();
    let (at_time, why) = bench.deadline().unwrap();
    assert_eq!((at_time, why), (at(200) + Duration::from_micros(112_500), TimerKind::LossTime));
    let early = bench.timeout(at(312));
    assert_eq!((early.loss.packets, early.probe), (0, None));
    let result = bench.timeout(at_time);
    assert_eq!((result.loss.packets, result.in_flight, result.probe), (1, 0, None));
    assert_eq!(bench.lost(), [1]);
    assert_eq!(bench.deadline(), None);
}

#[test]
fn a_probe_timeout_loses_nothing_and_doubles() {
    let mut bench = Bench::measured();
    bench.send(Data, 1, 200);
    let pto = ms(100 + 200) + MAX_ACK_DELAY;
    assert_eq!(bench.deadline(), Some((at(200) + pto, TimerKind::Pto)));
    let result = bench.timeout(at(200) + pto);
    assert_eq!(result.probe, Some(Probe { space: Data, count: 2 }));
    assert_eq!((result.loss.packets, bench.in_flight), (0, 1_200));
    bench.send(Data, 2, 525);
    assert_eq!(bench.deadline(), Some((at(525) + pto * 2, TimerKind::Pto)));
    bench.timeout(at(525) + pto * 2);
    assert_eq!(bench.recovery.pto_count(), 2);
    bench.ack(Data, &[2..=2], 1_200).unwrap();
    assert_eq!(bench.recovery.pto_count(), 0);
}

#[test]
fn the_backoff_saturates() {
    let mut bench = Bench::measured();
    bench.send(Data, 1, 200);
    for _ in 0..100 {
        let (at, _) = bench.deadline().unwrap();
        assert!(bench.timeout(at).probe.is_some());
    }
    assert!(bench.deadline().is_some());
}

#[test]
fn the_data_space_waits_for_confirmation_and_handshake_packets_do_not() {
    let mut bench = Bench::new();
    bench.conditions.handshake_confirmed = false;
    bench.send(Data, 0, 0);
    assert_eq!(bench.deadline(), None);
    bench.send(Handshake, 0, 5);
    bench.send(Initial, 0, 10);
    assert_eq!(bench.deadline(), Some((at(5) + ms(999), TimerKind::Pto)));
    assert_eq!(bench.timeout(at(5) + ms(999)).probe.map(|probe| probe.space), Some(Handshake));
    bench.conditions.amplification_limited = true;
    assert_eq!(bench.deadline(), None);
}

#[test]
fn a_client_keeps_probing_until_the_server_has_validated_it() {
    let mut bench = Bench::client();
    assert_eq!(bench.deadline(), None, "nothing was sent");
    bench.send(Initial, 0, 0);
    bench.timeout(at(0) + ms(999));
    bench.ack(Initial, &[0..=0], 1_100).unwrap();
    assert_eq!(bench.recovery.pto_count(), 1, "an Initial packet's acknowledgment proves nothing");
    let (due, _) = bench.deadline().unwrap();
    assert_eq!(due, at(1_100) + bench.rtt.pto_base() * 2);
    assert_eq!(bench.timeout(due).probe, Some(Probe { space: Initial, count: 1 }));
    bench.conditions.has_handshake_keys = true;
    let (due, _) = bench.deadline().unwrap();
    assert_eq!(bench.timeout(due).probe, Some(Probe { space: Handshake, count: 1 }));
    bench.send(Handshake, 0, 9_000);
    bench.ack(Handshake, &[0..=0], 9_100).unwrap();
    bench.conditions.peer_completed_address_validation = true;
    assert_eq!((bench.recovery.pto_count(), bench.deadline()), (0, None));
}

#[test]
fn lost_handshake_data_that_waits_behind_1_rtt_packets_is_probed_for() {
    let mut bench = Bench::client();
    bench.conditions.peer_completed_address_validation = true;
    bench.conditions.has_handshake_keys = true;
    bench.send(Space::Handshake, 0, 0);
    bench.send(Space::Data, 0, 0);
    bench.send(Space::Handshake, 1, 100);
    bench.ack(Space::Handshake, &[1..=1], 200).unwrap();
    assert_eq!(bench.settled.last(), Some(&(0, Outcome::Lost)), "by time");
    assert_eq!(bench.deadline(), None, "1-RTT packets are not timed before confirmation");
    bench.conditions.crypto_waits = Some(Space::Handshake);
    let (due, why) = bench.deadline().expect("a probe");
    assert_eq!((due, why), (at(200) + bench.rtt.pto_base(), TimerKind::Pto));
    let probe = bench.timeout(due).probe.expect("due");
    assert_eq!((probe.space, probe.count), (Space::Handshake, 1));
}

#[test]
fn discarding_a_space_frees_its_flight_silently() {
    let mut bench = Bench::new();
    bench.send(Initial, 0, 0);
    bench.send(Handshake, 0, 0);
    bench.timeout(at(999));
    let mut landed = 0;
    bench.recovery.discard_space(Initial, at(1_000), &mut |_, bytes| landed += bytes);
    assert_eq!(landed, 1_200);
    bench.in_flight -= landed;
    assert_eq!((bench.in_flight, bench.recovery.pto_count()), (1_200, 0));
    assert!(bench.settled.is_empty());
    assert!(!bench.recovery.has_ack_eliciting_in_flight(Initial));
    assert!(bench.recovery.has_ack_eliciting_in_flight(Handshake));
}

#[test]
fn a_retry_settles_everything_as_lost_without_congestion() {
    let mut bench = Bench::client();
    bench.send(Initial, 0, 0);
    bench.send(Data, 0, 0);
    let mut lost = Vec::new();
    let in_flight = &mut bench.in_flight;
    bench
        .recovery
        .on_retry(&mut |_, bytes| *in_flight -= bytes, &mut |receipt, outcome| lost.push((receipt, outcome)));
    assert_eq!(lost, [((Initial, 0), Outcome::Lost), ((Data, 0), Outcome::Lost)]);
    assert_eq!((bench.in_flight, bench.recovery.counters().packets_lost), (0, 0));
    assert!(bench.ack(Data, &[0..=0], 5).is_ok(), "a late acknowledgment of it is no violation");
}

#[test]
fn a_late_acknowledgment_is_spurious_and_settles_as_recovered() {
    let mut bench = Bench::measured();
    for pn in 1..=5 {
        bench.send(Data, pn, 200);
    }
    bench.ack(Data, &[3..=5], 300).unwrap();
    assert_eq!(bench.lost(), [1, 2]);
    bench.settled.clear();
    let result = bench.ack(Data, &[1..=5], 310).unwrap();
    let spurious = result.spurious.unwrap();
    assert_eq!((spurious.packets, spurious.bytes, spurious.oldest_lost_at), (2, 2_400, at(300)));
    assert_eq!(
        (result.newly_acked, result.acked_bytes),
        (0, 0),
        "they left the flight when they were declared lost"
    );
    assert_eq!(bench.settled, [(1, Outcome::Recovered), (2, Outcome::Recovered)]);
    assert_eq!(bench.ack(Data, &[1..=5], 311).unwrap().spurious, None);
    // The path reorders by four packets: the next gap of four is no loss, a gap of five is.
    bench.settled.clear();
    for pn in 6..=12 {
        bench.send(Data, pn, 400);
    }
    bench.ack(Data, &[10..=10], 450).unwrap();
    assert_eq!(bench.lost(), []);
    bench.ack(Data, &[10..=11], 451).unwrap();
    assert_eq!(bench.lost(), [6]);
}

#[test]
fn the_memory_of_losses_ends_after_three_probe_timeouts() {
    let mut bench = Bench::measured();
    for pn in 1..=5 {
        bench.send(Data, pn, 200);
    }
    bench.ack(Data, &[4..=5], 300).unwrap();
    let forgotten = at(300) + (bench.rtt.pto_base() + MAX_ACK_DELAY) * 3;
    let later = (forgotten - at(0)).as_millis() as u64 + 1;
    bench.send(Data, 6, later - 10);
    bench.ack(Data, &[6..=6], later).unwrap();
    assert_eq!(bench.ack(Data, &[1..=2], later + 1).unwrap().spurious, None);
}

#[test]
fn spurious_time_losses_raise_the_time_threshold_up_to_two_round_trips() {
    let mut bench = Bench::measured();
    let mut now = 1_000;
    for round in 0..12 {
        let pn = 1 + round * 2;
        bench.send(Data, pn, now);
        bench.send(Data, pn + 1, now);
        bench.ack(Data, &[pn + 1..=pn + 1], now + 100).unwrap();
        let (due, _) = bench.deadline().unwrap();
        let waited = due - at(now);
        assert_eq!(waited, bench.rtt.smoothed() * (9 + round as u32).min(16) / 8);
        assert_eq!(bench.timeout(due).loss.packets, 1);
        bench.ack(Data, &[pn..=pn + 1], now + 400).unwrap();
        now += 1_000;
    }
}

#[test]
fn skipped_numbers_overtake_nothing() {
    let mut bench = Bench::measured();
    bench.send(Data, 1, 200);
    bench.recovery.on_packet_number_skipped(Data, 2);
    bench.send(Data, 3, 200);
    bench.send(Data, 4, 200);
    bench.ack(Data, &[3..=4], 300).unwrap();
    assert_eq!(bench.lost(), [], "only two packets overtook it");
}

#[test]
fn a_lost_mtu_probe_is_no_congestion_and_an_acknowledged_one_tells_its_size() {
    let mut bench = Bench::measured();
    for (pn, mtu_probe) in [(1, true), (2, false), (3, false), (4, false), (5, true)] {
        let info = SentInfo { mtu_probe, bytes: 1_200 + pn as u16, ..bench.info(at(200)) };
        bench.in_flight += u64::from(info.bytes);
        bench.recovery.on_packet_sent(pn, info, &[(Data, pn)], bench.path, bench.path);
    }
    let result = bench.ack(Data, &[2..=5], 300).unwrap();
    assert_eq!(bench.lost(), [1]);
    assert_eq!((result.loss.packets, result.loss.bytes, result.loss.mtu_probe), (0, 0, Some(1_201)));
    assert_eq!((result.mtu_probe_acked, result.in_flight), (Some(1_205), 0));
    assert_eq!(bench.ack(Data, &[1..=5], 301).unwrap().spurious, None, "no controller was told");
}

#[test]
fn persistent_congestion_needs_time_and_silence() {
    // Three probe timeouts are 3 * (100 + 4 * 37.5 + 25) ms = 825 ms after the second sample of 100 ms.
    for (gap, acked_between, expected) in [(830, false, true), (820, false, false), (830, true, false)] {
        let mut bench = Bench::measured();
        bench.send(Data, 1, 200);
        bench.send(Data, 2, 700);
        bench.send(Data, 3, 200 + gap);
        for pn in 4..=6 {
            bench.send(Data, pn, 1_200);
        }
        let ranges = if acked_between { vec![2..=2, 6..=6] } else { vec![6..=6] };
        let result = bench.ack(Data, &ranges, 1_300).unwrap();
        assert_eq!(result.loss.persistent, expected, "{gap} {acked_between}");
        assert_eq!(bench.recovery.counters().persistent_congestions, u64::from(expected));
    }
}

#[test]
fn persistent_congestion_is_found_across_several_frames() {
    let mut bench = Bench::measured();
    for (pn, sent) in [(1, 200), (2, 205), (3, 210), (4, 215), (5, 900), (6, 1_300), (7, 1_310), (8, 1_320)] {
        bench.send(Data, pn, sent);
    }
    let first = bench.ack(Data, &[8..=8], 1_400).unwrap();
    assert_eq!((first.loss.packets, first.loss.persistent), (5, false), "1 and 5 are 700 ms apart");
    let (due, _) = bench.deadline().unwrap();
    let second = bench.timeout(due);
    assert_eq!((second.loss.packets, second.loss.persistent), (1, true), "1 and 6 are 1100 ms apart");
    assert_eq!(bench.rtt.min(), ms(80), "the minimum starts over");
}

#[test]
fn losses_before_the_first_sample_are_no_persistent_congestion() {
    let mut bench = Bench::new();
    for (pn, sent) in [(0, 0), (1, 4_000), (2, 8_000), (3, 8_001), (4, 8_002), (5, 8_003)] {
        bench.send(Data, pn, sent);
    }
    let result = bench.ack(Data, &[5..=5], 8_050).unwrap();
    assert_eq!((result.loss.packets, result.loss.persistent), (3, false));
}

#[test]
fn packets_of_the_old_path_are_settled_but_count_for_nothing() {
    let mut bench = Bench::measured();
    for pn in 1..=5 {
        bench.send(Data, pn, 200);
    }
    bench.recovery.on_path_changed(PathId(1));
    (bench.path, bench.in_flight) = (PathId(1), 0);
    bench.rtt = Rtt::default();
    let result = bench.ack(Data, &[5..=5], 300).unwrap();
    assert_eq!((result.acked_bytes, result.rtt_sample, result.loss.packets), (0, None, 0));
    assert_eq!(bench.settled, [(5, Outcome::Acked), (1, Outcome::Lost), (2, Outcome::Lost)]);
    let mut landed = Vec::new();
    bench.recovery.take_landed_elsewhere(|path, bytes| landed.push((path, bytes)));
    assert_eq!((bench.in_flight, landed), (0, vec![(PathId::FIRST, 3 * 1_200)]));
}

/// A packet of another path than the one in use.
fn send_elsewhere(bench: &mut Bench, pn: u64, ms: u64) {
    let info = bench.info(at(ms));
    bench.recovery.on_packet_sent(pn, info, &[(Data, pn)], PathId(7), bench.path);
}

/// RFC 9000 §9.4: probes of other paths have their own timer.
#[test]
fn packets_of_other_paths_are_not_timed_and_overtake_nothing() {
    let mut bench = Bench::measured();
    send_elsewhere(&mut bench, 1, 200);
    assert_eq!(bench.deadline(), None);
    for pn in 2..=5 {
        bench.send(Data, pn, 210);
    }
    let due = bench.deadline();
    send_elsewhere(&mut bench, 6, 250);
    assert_eq!(bench.deadline(), due, "the timer is that of the path in use");
    // The other path is faster: packets that arrive there first show neither a loss nor a round-trip time
    // here.
    let result = bench.ack(Data, &[6..=6], 270).unwrap();
    assert_eq!((result.rtt_sample, result.acked_bytes, result.acked_elsewhere), (None, 0, 1));
    assert_eq!(
        (result.newest_ack_eliciting, bench.lost()),
        (None, vec![1]),
        "5 numbers behind on its own path"
    );
    let result = bench.ack(Data, &[5..=6], 310).unwrap();
    // RFC 9002 §5.1: no sample, because the largest number is not newly acknowledged.
    assert_eq!((result.rtt_sample, bench.lost()), (None, vec![1, 2]), "three behind, here");
    let mut landed = Vec::new();
    bench.recovery.take_landed_elsewhere(|path, bytes| landed.push((path, bytes)));
    assert_eq!(landed, [(PathId(7), 2 * 1_200)]);
    assert_eq!(bench.in_flight, 2 * 1_200);
}

/// Packets of a slower path get the time of that path, and do not delay losses here.
#[test]
fn packets_of_a_slower_path_are_given_its_time() {
    let mut bench = Bench::measured();
    for pn in 1..=2 {
        bench.send(Data, pn, 200);
    }
    bench.recovery.on_path_changed(PathId(1));
    (bench.path, bench.in_flight) = (PathId(1), 0);
    bench.conditions.elsewhere_rtt = ms(800);
    for pn in 3..=7 {
        bench.send(Data, pn, 210);
    }
    bench.ack(Data, &[7..=7], 310).unwrap();
    assert_eq!(bench.lost(), [3, 4]);
    let due = bench.deadline().map(|(at, _)| at);
    assert_eq!(due, Some(at(210) + ms(100) * 9 / 8), "the loss timer of what is left here");
    bench.timeout(due.expect("a time"));
    assert_eq!(bench.lost(), [3, 4, 5, 6]);
    let due = bench.deadline().map(|(at, _)| at);
    assert_eq!(due, Some(at(200) + ms(900)));
    bench.timeout(due.expect("a time"));
    assert_eq!(bench.lost(), [3, 4, 5, 6, 1, 2]);
    assert_eq!(bench.recovery.oldest_unacked(Data), None);
}

/// A peer that receives our acknowledgments and never acknowledges anything cannot make the ledger grow.
#[test]
fn acknowledgments_alone_are_bounded() {
    let mut bench = Bench::new();
    bench.send(Data, 0, 0);
    for pn in 1..10_000 {
        bench.send_ack_only(Data, pn, pn);
    }
    assert_eq!(held(&bench), 1 + 256);
    let result = bench.ack(Data, &[0..=9_999], 10_000).unwrap();
    assert_eq!(result.newly_acked, 257);
    assert_eq!(held(&bench), 0);
}

/// Of a hundred skipped numbers, the last 64 are remembered: acknowledging one of them ends the connection.
#[test]
fn the_memory_of_skipped_numbers_is_bounded() {
    for (acknowledged, known) in [(71, false), (73, true), (199, true)] {
        let mut bench = Bench::new();
        for pn in (0..200).step_by(2) {
            bench.send(Data, pn, 0);
            bench.recovery.on_packet_number_skipped(Data, pn + 1);
        }
        let result = bench.ack(Data, &[acknowledged..=acknowledged], 10);
        assert_eq!(result.is_err(), known, "{acknowledged}");
    }
}

/// As many losses are remembered as packets were in flight, up to a limit; only a few if memory runs short.
/// The memory of more than a few is charged.
#[test]
fn the_memory_of_losses_follows_the_flight_and_is_bounded() {
    for (flight, scarce, remembered) in [
        (1_000, false, 997),
        (5_000, false, 4_997),
        (16_387, false, 16_384),
        (16_388, false, 16_384),
        (5_000, true, 1_024),
    ] {
        let mut bench = Bench::measured();
        bench.conditions.scarce_memory = scarce;
        for pn in 1..=flight {
            bench.send(Data, pn, 200);
        }
        // The acknowledgments come in two steps, so that less is in flight at the second.
        bench.ack(Data, &[flight / 2..=flight / 2], 240).unwrap();
        bench.ack(Data, &[flight..=flight], 250).unwrap();
        let seen = u64::from(flight / 2 > 3);
        let remembered = if remembered == flight - 3 { remembered - seen } else { remembered };
        assert_eq!(held(&bench) as u64, remembered + 3, "{flight}");
        let charged = bench.recovery.loss_memory() as u64;
        let beyond = remembered.saturating_sub(1_024);
        assert!((40 * beyond..=150 * beyond).contains(&charged), "{charged} bytes for {beyond}");
        let late = bench.ack(Data, &[1..=flight], 260).unwrap();
        assert_eq!(u64::from(late.spurious.unwrap().packets), remembered);
        assert_eq!((held(&bench), bench.recovery.loss_memory()), (0, 0));
    }
}

/// For each lost packet, a controller learns what was in flight and delivered when it was sent. It learns
/// nothing of MTU probes.
#[test]
fn each_lost_packet_is_reported_with_its_state_when_it_was_sent() {
    let mut bench = Bench::measured();
    for pn in 1..=9 {
        bench.send(Data, pn, 200 + pn);
    }
    let loss = bench.ack(Data, &[6..=9, 3..=3], 320).unwrap().loss;
    let told = bench.recovery.just_lost();
    let seen: Vec<_> = told.iter().map(|lost| (lost.sent, lost.rate.in_flight)).collect();
    assert_eq!(seen, [1, 2, 4, 5].map(|pn| (at(200 + pn), 1_200 * pn as u32)));
    assert_eq!(
        (told.len(), told.iter().map(|lost| lost.bytes).sum::<u64>()),
        (loss.packets as usize, loss.bytes)
    );
    bench.send(Data, 10, 330);
    bench.ack(Data, &[10..=10], 430).unwrap();
    assert!(bench.recovery.just_lost().is_empty(), "told once");
}

/// A sender on a fast, short path empties and fills its flight many times a second. The ledger keeps the room
/// for it, because freeing and allocating it again costs more than the packets do. A second after the last
/// flight the room is freed, even if nothing is sent.
#[test]
fn room_for_a_flight_stays_while_it_is_in_use_and_goes_a_second_later() {
    let mut bench = Bench::new();
    let (mut pn, mut now) = (0, 0);
    for _ in 0..20 {
        let first = pn;
        while pn < first + 3_000 {
            bench.send(Data, pn, now);
            pn += 1;
        }
        bench.ack(Data, &[first..=pn - 1], now + 5).unwrap();
        now += 900;
        let due = bench.recovery.tidy_deadline().expect("room that is not in use");
        assert_eq!(due, at(now - 895) + Duration::from_secs(1));
        bench.recovery.tidy(at(now));
        assert!(bench.recovery.room() >= 3_000, "the next flight finds it");
    }
    let due = bench.recovery.tidy_deadline().expect("a deadline");
    bench.recovery.tidy(due);
    assert!(bench.recovery.room() <= 400, "{} places", bench.recovery.room());
    assert_eq!(bench.recovery.tidy_deadline(), None);
}
