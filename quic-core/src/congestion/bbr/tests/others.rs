//! Tests beyond the draft's cases.

use super::{link::MTU, *};
use crate::{
    base::Rate,
    congestion::{Algorithm, LimitedBy, Rtt, kit},
};

#[test]
fn the_kit_passes() {
    for seed in 0..200 {
        kit::check_controller(&Algorithm::Bbr3, seed);
    }
}

/// The draft's own traps, and those of other implementations: nothing stalls, the path is used, losses stay
/// bounded.
#[test]
fn paths_of_many_kinds_are_filled() {
    for (megabits, millis, bdps, least) in [
        // Four packets, because a shorter queue would drop what the least window holds.
        (1.0, 40.0, 4.0, 0.9),
        (20.0, 40.0, 1.0, 0.95),
        (20.0, 40.0, 5.0, 0.95),
        (50.0, 40.0, 0.1, 0.9),
        (100.0, 1.0, 1.0, 0.9),
        (5.0, 300.0, 1.0, 0.85),
    ] {
        let mut net = Net::new(megabits, millis, bdps);
        net.run(3.0);
        let used = net.utilization(17.0);
        assert!(used >= least, "{megabits} Mbit/s, {millis} ms, {bdps} BDP: {used}");
        let lost = net.dropped as f64 / net.sent as f64;
        assert!(lost < 0.02, "{megabits} Mbit/s, {millis} ms, {bdps} BDP: {lost} lost");
    }
}

/// Frames at a third of the rate: the estimate of the path survives a minute of them.
#[test]
fn an_application_that_sends_little_does_not_wear_the_estimate_down() {
    let mut net = Net::new(10.0, 40.0, 2.0);
    net.until_state(State::Cruise, 5.0);
    let bw = net.bbr.rates.bw;
    net.app = App::Paced(400_000);
    net.run(60.0);
    assert!(net.bbr.rates.bw >= bw, "{} of {bw}", net.bbr.rates.bw);
    assert!(!net.bbr.estimate().at_capacity);
    net.app = App::Greedy;
    assert!(net.utilization(1.0) > 0.9);
}

#[test]
fn what_is_in_flight_follows_a_longer_route() {
    let mut net = Net::new(10.0, 30.0, 2.0);
    net.until_state(State::Cruise, 5.0);
    net.round_trip = Duration::from_millis(100);
    net.queue = net.bdp();
    net.until("the new round trip", 16.0, |net| {
        net.bbr.min_rtt.get().is_some_and(|rtt| rtt >= Duration::from_millis(100))
    });
    // The next probe finds the capacity that a window for the shorter route left unused.
    net.run(5.0);
    assert!(net.utilization(5.0) > 0.9);
}

/// Others take a third of the path. A queue grows, nothing is lost, and the best rate of two cycles is above
/// what is left. The sender comes down to that within a second, instead of two probes later.
#[test]
fn beside_a_queue_no_more_is_sent_than_is_delivered() {
    let mut net = Net::new(20.0, 40.0, 20.0);
    net.until_state(State::Cruise, 5.0);
    net.rate = Rate::from_bytes_per_second(net.rate.bytes_per_second() * 2 / 3);
    net.until("the model is what is delivered", 1.0, |net| net.share(net.bbr.rates.bw) < 1.05);
    assert_eq!((net.dropped, net.bbr.state.is_probe_bw()), (0, true));
    assert!(net.share(net.bbr.rates.max.get()) > 1.3);
    assert!(net.utilization(5.0) > 0.9);
}

/// Three lost packets of a hundred are not rare on a path with random loss, but too many on a path whose
/// queue is full.
#[test]
fn losses_beside_a_queue_are_no_chance() {
    let mut net = Net::new(20.0, 40.0, 20.0);
    net.until_state(State::Cruise, 5.0).until("an empty queue", 1.0, |net| !net.bbr.has_queue());
    let (lost, in_flight) = (3 * u64::from(MTU), 100 * u64::from(MTU));
    assert!(!net.bbr.is_too_high(lost, in_flight));
    net.rate = Rate::from_bytes_per_second(net.rate.bytes_per_second() / 2);
    net.until("a queue", 1.0, |net| net.bbr.has_queue());
    assert!(net.bbr.is_too_high(lost, in_flight));
    assert!(!net.bbr.is_too_high(lost / 3, in_flight));
}

/// Marks count like losses: the model comes down. A late acknowledgment does not raise it again, but void
/// marks do.
#[test]
fn marks_are_answered_like_losses() {
    let mut net = Net::new(10.0, 40.0, 2.0);
    net.until_state(State::Cruise, 5.0);
    let mut rtt = Rtt::default();
    rtt.on_sample(Duration::from_millis(40), Duration::ZERO, true, Duration::ZERO, net.now);
    let event = CongestionEvent { ce_delta: 1, ..CongestionEvent::new(net.now, &rtt) };
    net.bbr.on_congestion_event(&event);
    net.until("an answer", 0.2, |net| net.bbr.rates.shortterm.is_finite());
    assert_eq!(net.bbr.state, State::Cruise);
    assert!(net.bbr.snapshot().reductions > 0);
    net.bbr.on_marks_void(net.now);
    assert!(net.bbr.rates.shortterm.is_infinite());
}

#[test]
fn a_probe_that_is_marked_was_too_high() {
    let mut net = Net::new(10.0, 40.0, 2.0);
    net.until_state(State::Up, 5.0).run(0.05);
    assert_eq!(net.bbr.state, State::Up);
    let rtt = Rtt::default();
    let event = CongestionEvent { ce_delta: 3, ..CongestionEvent::new(net.now, &rtt) };
    net.bbr.on_congestion_event(&event);
    net.until("an answer", 0.2, |net| net.bbr.cycle.too_high);
    assert_eq!(net.bbr.state, State::Down);
    assert_ne!(net.bbr.volumes.longterm, UNBOUNDED);
}

#[test]
fn the_initial_window_follows_the_datagrams_until_something_is_delivered() {
    let mut bbr = Bbr3::new(&NewPath::new(Timestamp::from_nanos(1), MTU));
    assert_eq!(bbr.window(), 12_000);
    bbr.on_mtu_changed(1_400);
    assert_eq!(bbr.window(), 14_000);
    let mut net = Net::new(10.0, 40.0, 2.0);
    net.until_state(State::Cruise, 5.0);
    let window = net.bbr.window();
    net.bbr.on_mtu_changed(1_500);
    assert_eq!(net.bbr.window(), window);
}

/// One packet in a hundred is lost at random. That neither ends `Startup` early nor lowers the rate.
#[test]
fn losses_by_chance_do_not_wear_the_rate_down() {
    for (per_mille, least) in [(1, 0.95), (10, 0.93)] {
        let mut net = Net::new(100.0, 40.0, 1.0);
        net.loss_per_mille = per_mille;
        net.run(1.0);
        let share = net.share(net.bbr.rates.max.get());
        assert!(share > 0.9, "{per_mille} per mille: {share}");
        let used = net.utilization(20.0);
        assert!(used >= least, "{per_mille} per mille: {used}");
    }
}

#[test]
fn chance_is_told_from_congestion_by_what_is_rare() {
    use crate::congestion::bbr::bounds::exceeds;
    let packets = |count: u64| count * u64::from(MTU);
    for (in_flight, deviations, most) in [
        (100, 0.0, 2),
        (100, 1.0, 3),
        (100, 3.0, 4),
        (10_000, 0.0, 200),
        (10_000, 1.0, 214),
        (10_000, 3.0, 242),
    ] {
        let exceeds = |lost| exceeds(packets(lost), packets(in_flight), MTU, deviations);
        assert!(!exceeds(most) && exceeds(most + 1), "{in_flight} packets, {deviations} deviations");
    }
}

/// In `Down` nine tenths of the rate are sent. That no more arrives says nothing new, with losses or without.
#[test]
fn what_the_sender_holds_back_is_not_the_paths_doing() {
    let mut net = Net::new(100.0, 40.0, 1.0);
    net.loss_per_mille = 2;
    net.until_state(State::Up, 10.0).until_state(State::Down, 5.0).until_state(State::Cruise, 5.0).run(0.2);
    let kept = net.bbr.rates.bw / net.bbr.rates.max.get();
    assert!(kept >= 0.97, "{kept}");
}

/// The rate falls to a tenth, and the buffer takes everything. Half of the path's best rate would still keep
/// a queue.
#[test]
fn the_round_trip_is_measured_without_a_queue_where_the_rate_has_fallen() {
    let mut net = Net::new(50.0, 40.0, 20.0);
    net.until_state(State::Cruise, 5.0);
    net.rate = net.rate.scaled(1, 10);
    net.until_state(State::ProbeRtt, 10.0).until("the end", 5.0, |net| net.bbr.state != State::ProbeRtt);
    net.run(12.0);
    let rtt = net.bbr.min_rtt.get().unwrap();
    assert!(rtt < Duration::from_millis(60), "{rtt:?}");
    assert!(net.utilization(5.0) > 0.9);
}

#[test]
fn a_path_that_is_seen_without_a_queue_is_not_emptied_for_that() {
    let mut net = Net::new(10.0, 40.0, 2.0);
    net.until_state(State::Cruise, 5.0);
    for _ in 0..20_000 {
        net.run(0.001);
        assert_ne!(net.bbr.state, State::ProbeRtt);
    }
}

/// Different seeds probe at different times, and equal seeds at the same times.
#[test]
fn the_seed_decides_when_the_path_is_probed() {
    let first_probe = |seed: u64| {
        let mut net = Net::new(20.0, 100.0, 1.0);
        net.bbr = Bbr3::new(&NewPath::new(net.now, MTU).with_seed(seed));
        net.until_state(State::Cruise, 5.0).until_state(State::Refill, 5.0);
        net.now
    };
    assert_eq!(first_probe(1), first_probe(1));
    let times: std::collections::BTreeSet<_> = (0..8).map(first_probe).collect();
    assert!(times.len() >= 4, "{times:?}");
}

#[test]
fn the_quantum_is_a_millisecond_within_bounds() {
    let mut net = Net::new(1.0, 40.0, 1.0);
    net.until_state(State::Cruise, 10.0);
    assert_eq!(net.bbr.send_quantum(), Some(2 * u64::from(MTU)));
    let mut net = Net::new(100.0, 40.0, 1.0);
    net.until_state(State::Cruise, 10.0);
    let quantum = net.bbr.send_quantum().unwrap();
    assert!((11_500..=12_800).contains(&quantum), "{quantum}");
}

/// The window counts as used up if that happened at any time in the last round trip.
#[test]
fn a_used_window_is_remembered_for_a_round_trip() {
    let mut bbr = Bbr3::new(&NewPath::new(Timestamp::from_nanos(1), MTU));
    let now = Timestamp::from_nanos(2);
    let packet = |in_flight| SentPacket { bytes: 1_200, in_flight, limited_by: LimitedBy::Window };
    bbr.on_sent(now, &packet(9_000));
    assert!(!bbr.control.is_limited());
    bbr.on_sent(now, &packet(10_800));
    bbr.control.on_round();
    assert!(bbr.control.is_limited());
    bbr.control.on_round();
    assert!(!bbr.control.is_limited());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
    #[test]
    fn the_kit_passes_for_any_seed(seed: u64) {
        kit::check_controller(&Algorithm::Bbr3, seed);
    }
}
