//! Controllers under the conformance kit, with single events, and in a closed loop with one bottleneck.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::base::{Rate, Timestamp};

const MTU: u16 = 1_200;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(1_000_000_000 + ms * 1_000_000)
}

fn measured(ms: u64) -> Rtt {
    let mut rtt = Rtt::default();
    rtt.on_sample(Duration::from_millis(ms), Duration::ZERO, true, Duration::ZERO, at(0));
    rtt
}

/// `bytes` are acknowledged at `now` ms. They were sent at `sent` ms and are all that was in flight.
fn acked<'a>(rtt: &'a Rtt, now: u64, sent: u64, bytes: u64) -> CongestionEvent<'a> {
    CongestionEvent {
        bytes_acked: bytes,
        prior_in_flight: bytes,
        newest_acked_sent: Some(at(sent)),
        ..CongestionEvent::new(at(now), rtt)
    }
}

/// One packet is lost at `now` ms that was sent at `sent` ms.
fn lost<'a>(rtt: &'a Rtt, now: u64, sent: u64) -> CongestionEvent<'a> {
    CongestionEvent {
        bytes_lost: u64::from(MTU),
        packets_lost: 1,
        newest_lost_sent: Some(at(sent)),
        ..CongestionEvent::new(at(now), rtt)
    }
}

/// Puts `bytes` in flight.
fn in_flight(controller: &mut impl Controller, bytes: u64) {
    let packet = SentPacket {
        bytes: u64::from(MTU),
        in_flight: bytes - u64::from(MTU),
        limited_by: LimitedBy::Window,
    };
    controller.on_sent(at(0), &packet);
}

/// The window, or during recovery the window that it will be at the end.
fn level(controller: &impl Controller) -> u64 {
    let snapshot = controller.snapshot();
    snapshot.ssthresh.filter(|_| snapshot.phase == Phase::Recovery).unwrap_or(snapshot.window)
}

fn spurious(packets: u32, lost_at: u64) -> SpuriousLoss {
    SpuriousLoss { packets, bytes: u64::from(packets) * u64::from(MTU), oldest_lost_at: at(lost_at) }
}

#[test]
fn initial_windows() {
    assert_eq!([1_200, 1_472, 1_500, 9_000].map(initial_window), [12_000, 14_720, 14_720, 18_000]);
    for algorithm in [Algorithm::NewReno, Algorithm::Cubic] {
        let mut controller = CongestionConfig::new(algorithm).build(&NewPath::new(at(0), MTU));
        assert_eq!(level(&controller), 12_000);
        controller.on_mtu_changed(1_400);
        assert_eq!(level(&controller), 14_000, "nothing is known yet");
        let rtt = measured(40);
        controller.on_congestion_event(&acked(&rtt, 40, 0, 1_000));
        controller.on_mtu_changed(1_500);
        assert_eq!(level(&controller), 15_000, "a grown window does not follow the MTU");
    }
}

#[test]
fn newreno_doubles_halves_and_then_adds_one_datagram_per_window() {
    let rtt = measured(40);
    let mut reno = NewReno::new(MTU);
    reno.on_congestion_event(&acked(&rtt, 40, 0, 12_000));
    assert_eq!((level(&reno), reno.snapshot().phase), (24_000, Phase::SlowStart));
    reno.on_congestion_event(&lost(&rtt, 60, 20));
    assert_eq!((level(&reno), reno.snapshot().phase), (12_000, Phase::Recovery));
    reno.on_congestion_event(&lost(&rtt, 65, 60));
    reno.on_congestion_event(&acked(&rtt, 70, 60, 12_000));
    assert_eq!(level(&reno), 12_000, "one reduction, and no growth before a packet sent after it");
    in_flight(&mut reno, 12_000);
    reno.on_congestion_event(&acked(&rtt, 101, 61, 11_999));
    assert_eq!((level(&reno), reno.snapshot().phase), (12_000, Phase::CongestionAvoidance));
    reno.on_congestion_event(&acked(&rtt, 102, 62, 1));
    assert_eq!(level(&reno), 13_200);
    reno.on_congestion_event(&lost(&rtt, 110, 61));
    assert_eq!((level(&reno), reno.snapshot().reductions), (6_600, 2));
    let persistent = CongestionEvent { persistent: true, ..lost(&rtt, 500, 111) };
    reno.on_congestion_event(&persistent);
    assert_eq!((level(&reno), reno.snapshot().phase), (2_400, Phase::SlowStart));
}

#[test]
fn a_mark_reduces_once_per_round_trip_in_slow_start_like_a_loss_and_then_by_less() {
    let rtt = measured(40);
    for (algorithm, expected, then) in [(Algorithm::NewReno, 6_000, 4_800), (Algorithm::Cubic, 8_400, 7_140)]
    {
        let mut controller = CongestionConfig::new(algorithm).build(&NewPath::new(at(0), MTU));
        let marked = CongestionEvent { ce_delta: 1, ..acked(&rtt, 40, 0, 1_200) };
        controller.on_congestion_event(&marked);
        assert_eq!(level(&controller), expected);
        controller.on_congestion_event(&CongestionEvent { ce_delta: 5, ..acked(&rtt, 50, 40, 1_200) });
        assert_eq!(level(&controller), expected);
        controller.on_spurious_loss(at(60), &spurious(9, 40));
        assert_eq!(level(&controller), expected, "a mark is never spurious");
        // RFC 8511 §3: 0.8 and 0.85 in congestion avoidance.
        controller.on_congestion_event(&CongestionEvent { ce_delta: 1, ..acked(&rtt, 90, 50, 1) });
        assert_eq!(level(&controller), then);
    }
}

/// One ACK frame brings both. The reduction for the loss is made, once.
#[test]
fn a_mark_and_a_loss_together_reduce_like_the_loss() {
    let rtt = measured(40);
    for (algorithm, beta) in [(Algorithm::NewReno, 0.5), (Algorithm::Cubic, 0.7)] {
        let mut controller = CongestionConfig::new(algorithm).build(&NewPath::new(at(0), MTU));
        controller.on_congestion_event(&lost(&rtt, 10, 5));
        in_flight(&mut controller, 100_000);
        let before = level(&controller);
        let both = CongestionEvent { ce_delta: 3, ..acked(&rtt, 60, 30, 1_200) };
        let both =
            CongestionEvent { newest_lost_sent: Some(at(29)), packets_lost: 1, bytes_lost: 1_200, ..both };
        controller.on_congestion_event(&both);
        let reduced = (before as f64 * beta) as u64;
        assert_eq!((level(&controller), controller.snapshot().reductions), (reduced, 2));
        controller.on_spurious_loss(at(70), &spurious(1, 60));
        assert_eq!(level(&controller), reduced, "the mark stands");
        // The loss belongs to the running recovery period, and the mark does not.
        let window = level(&controller);
        let late = CongestionEvent { ce_delta: 1, ..acked(&rtt, 110, 65, 1_200) };
        let late =
            CongestionEvent { newest_lost_sent: Some(at(55)), packets_lost: 1, bytes_lost: 1_200, ..late };
        controller.on_congestion_event(&late);
        assert!(level(&controller) < window && level(&controller) > (window as f64 * beta) as u64);
        let persistent = CongestionEvent { persistent: true, ce_delta: 1, ..late };
        controller.on_congestion_event(&persistent);
        assert_eq!(controller.snapshot().reductions, 3, "nothing is left that a mark could reduce");
    }
}

#[test]
fn void_marks_are_undone_up_to_the_last_loss() {
    let rtt = measured(40);
    for algorithm in [Algorithm::NewReno, Algorithm::Cubic] {
        let mut controller = CongestionConfig::new(algorithm).build(&NewPath::new(at(0), MTU));
        let mark = |controller: &mut AnyController, from: u64| {
            for round in 0..9 {
                let now = from + round * 50;
                controller.on_congestion_event(&CongestionEvent {
                    ce_delta: 2,
                    ..acked(&rtt, now + 40, now, 2_400)
                });
            }
        };
        let start = controller.snapshot();
        mark(&mut controller, 0);
        assert!(level(&controller) < start.window / 2);
        controller.on_marks_void(at(500));
        let undone = controller.snapshot();
        assert_eq!((undone.window, undone.phase, undone.undone), (start.window, Phase::SlowStart, 1));
        controller.on_congestion_event(&lost(&rtt, 600, 590));
        let reduced = level(&controller);
        mark(&mut controller, 610);
        controller.on_marks_void(at(1_200));
        assert_eq!(level(&controller), reduced, "a loss stands");
        controller.on_marks_void(at(1_300));
        assert_eq!(controller.snapshot().undone, 2);
    }
}

#[test]
fn cubic_reduces_to_seven_tenths_and_comes_back_after_k_seconds() {
    let rtt = measured(100);
    let mut cubic = Cubic::new(MTU);
    in_flight(&mut cubic, 120_000);
    cubic.on_congestion_event(&acked(&rtt, 0, 0, 108_000));
    assert_eq!(level(&cubic), 120_000);
    cubic.on_congestion_event(&lost(&rtt, 10, 5));
    assert_eq!(level(&cubic), 84_000);
    // K = cbrt(30 datagrams / 0.4) = 4.217 s. The window is flat around it, near 100 datagrams.
    let mut seen = Vec::new();
    for ms in (110..10_000).step_by(100) {
        let window = level(&cubic);
        in_flight(&mut cubic, window);
        cubic.on_congestion_event(&acked(&rtt, ms, ms - 99, window));
        seen.push((ms, level(&cubic)));
    }
    let window_at = |ms: u64| seen.iter().find(|(then, _)| *then >= ms).unwrap().1;
    assert!((116_000..=124_000).contains(&window_at(4_310)), "{}", window_at(4_310));
    assert!(window_at(2_000) < 116_000, "concave before");
    let slopes = [(200, 1_200), (3_800, 4_800), (8_000, 9_000)].map(|(a, b)| window_at(b) - window_at(a));
    assert!(slopes[0] > slopes[1] && slopes[2] > 2 * slopes[1], "{slopes:?}");
}

#[test]
fn cubic_gives_way_when_the_limit_falls() {
    let rtt = measured(100);
    let mut cubic = Cubic::new(MTU);
    in_flight(&mut cubic, 1_200_000);
    cubic.on_congestion_event(&acked(&rtt, 0, 0, 1_188_000));
    cubic.on_congestion_event(&lost(&rtt, 10, 5));
    cubic.on_congestion_event(&lost(&rtt, 20, 11));
    assert_eq!(level(&cubic), 588_000);
    // Fast convergence: the plateau is at 840000 * 0.85 = 714000, and K = cbrt(105 / 0.4) = 6.4 s.
    for ms in (120..6_600).step_by(100) {
        let window = level(&cubic);
        in_flight(&mut cubic, window);
        cubic.on_congestion_event(&acked(&rtt, ms, ms - 90, window));
    }
    assert!((710_000..=718_000).contains(&level(&cubic)), "{}", level(&cubic));
}

/// Where the window is too small for the cubic curve, it grows as fast as `NewReno`'s mean window.
#[test]
fn cubic_is_not_slower_than_newreno_on_short_paths() {
    let rtt = measured(5);
    let mut cubic = Cubic::new(MTU);
    cubic.on_congestion_event(&lost(&rtt, 10, 5));
    let start = level(&cubic);
    for ms in (20..270).step_by(5) {
        let window = level(&cubic);
        in_flight(&mut cubic, window);
        cubic.on_congestion_event(&acked(&rtt, ms, ms - 5, window));
    }
    // 50 round trips: 0.53 datagrams each up to the old window (7 round trips), and one each from there.
    let grown = (level(&cubic) - start) / u64::from(MTU);
    assert!((40..=50).contains(&grown), "{grown}");
}

#[test]
fn time_limited_by_the_application_does_not_count_for_cubic() {
    let rtt = measured(100);
    let run = |idle: u64| {
        let mut cubic = Cubic::new(MTU);
        in_flight(&mut cubic, 120_000);
        cubic.on_congestion_event(&acked(&rtt, 0, 0, 108_000));
        cubic.on_congestion_event(&lost(&rtt, 10, 5));
        for step in 0..20 {
            let window = level(&cubic);
            in_flight(&mut cubic, window);
            cubic.on_congestion_event(&acked(&rtt, 110 + step * 100, 11 + step * 100, window));
        }
        // The last burst is over, completely or partly.
        for rest in [0, 50_000] {
            let mut limited = acked(&rtt, 2_010, 2_005, 50_000);
            limited.limited_by = LimitedBy::Application;
            limited.in_flight = rest;
            cubic.on_congestion_event(&limited);
        }
        cubic.on_congestion_event(&acked(&rtt, 2_060 + idle, 2_050 + idle, 20_000));
        cubic.on_congestion_event(&acked(&rtt, 2_110 + idle, 2_050 + idle, 50_000));
        level(&cubic)
    };
    let (short, long) = (run(0), run(60_000));
    assert!(short.abs_diff(long) < 100, "{short} {long}");
}

/// A window grows with what was in flight, and not further, whatever kept the rest from being used.
#[test]
fn a_window_grows_no_further_than_a_round_trip_of_its_use_permits() {
    use LimitedBy::{Application, FlowControl, Pacer, Window};
    let rtt = measured(100);
    for (algorithm, limited_by) in [Algorithm::NewReno, Algorithm::Cubic]
        .into_iter()
        .flat_map(|algorithm| [Application, FlowControl, Pacer, Window].map(|by| (algorithm.clone(), by)))
    {
        let mut controller = CongestionConfig::new(algorithm.clone()).build(&NewPath::new(at(0), MTU));
        let mut run = |from: u64, in_flight: u64| {
            for step in 0..600 {
                let now = from + step * 100;
                let packet = SentPacket { bytes: 1_200, in_flight: in_flight - 1_200, limited_by };
                controller.on_sent(at(now), &packet);
                controller.on_congestion_event(&CongestionEvent {
                    limited_by,
                    prior_in_flight: in_flight,
                    ..acked(&rtt, now + 100, now, in_flight)
                });
            }
            level(&controller)
        };
        assert_eq!(run(0, 7_200), 24_000, "the initial window counts as used");
        assert_eq!(run(100_000, 100_000), 200_000, "{algorithm:?}");
        controller.on_congestion_event(&lost(&rtt, 200_000, 199_900));
        let reduced = level(&controller);
        let mut most = 0;
        for now in (200_101..260_000).step_by(100) {
            let packet = SentPacket { bytes: 1_200, in_flight: reduced / 2, limited_by };
            controller.on_sent(at(now), &packet);
            let prior_in_flight = reduced / 2 + 1_200;
            let event = acked(&rtt, now + 100, now, 1_200);
            controller.on_congestion_event(&CongestionEvent { prior_in_flight, limited_by, ..event });
            most = most.max(level(&controller));
        }
        assert_eq!(most, reduced, "{algorithm:?} {limited_by:?}: half of it was used");
    }
}

#[test]
fn a_reduction_is_undone_only_when_all_its_losses_were_wrong() {
    let rtt = measured(40);
    for algorithm in [Algorithm::NewReno, Algorithm::Cubic] {
        let mut controller = CongestionConfig::new(algorithm).build(&NewPath::new(at(0), MTU));
        controller.on_congestion_event(&acked(&rtt, 40, 0, 12_000));
        let before = level(&controller);
        controller.on_congestion_event(&lost(&rtt, 60, 20));
        controller.on_congestion_event(&lost(&rtt, 61, 21));
        let reduced = level(&controller);
        controller.on_spurious_loss(at(65), &spurious(1, 50));
        controller.on_spurious_loss(at(65), &spurious(1, 60));
        assert_eq!(level(&controller), reduced, "one of two, and one of an older episode");
        controller.on_spurious_loss(at(66), &spurious(1, 61));
        assert_eq!((level(&controller), controller.snapshot().undone), (before, 1));
        assert_eq!(controller.snapshot().phase, Phase::SlowStart);
    }
}

#[test]
fn names_and_custom_controllers() {
    let names = ["newreno", "cubic", "bbr3", "low-latency", "copa", "prague", "c4"];
    assert_eq!(Algorithm::names().collect::<Vec<_>>(), names);
    for name in Algorithm::names() {
        let config = CongestionConfig::new(name.parse().unwrap());
        assert_eq!(config.build(&NewPath::new(at(0), MTU)).snapshot().name, name);
    }
    assert_eq!(CongestionConfig::default().algorithm.name(), "cubic");
    let custom = CongestionConfig::new(Algorithm::Custom(Arc::new(Algorithm::NewReno)));
    assert_eq!(custom.build(&NewPath::new(at(0), MTU)).snapshot().name, "newreno");
}

#[test]
fn the_built_in_controllers_pass_the_kit() {
    for seed in 0..40 {
        kit::check_loss_based_controller(&Algorithm::NewReno, seed);
        kit::check_loss_based_controller(&Algorithm::Cubic, seed);
        check_others(seed);
        check_slow_starts(seed);
    }
}

/// Checks controllers that do not treat every loss as congestion.
fn check_others(seed: u64) {
    let rate = Rate::from_bytes_per_second(1_000_000);
    for algorithm in [
        Algorithm::LowLatency,
        Algorithm::Copa,
        Algorithm::Prague,
        Algorithm::C4,
        Algorithm::FixedRate(rate),
        Algorithm::FixedWindow(100_000),
    ] {
        kit::check_controller(&algorithm, seed);
    }
}

/// Checks slow starts that follow RFC 9002 against its rules, and the others against the general ones.
fn check_slow_starts(seed: u64) {
    kit::check_loss_based_controller(&Algorithm::NewRenoFrom(Start::HyStart), seed);
    kit::check_loss_based_controller(&Algorithm::CubicFrom(Start::Classic), seed);
    // Twice the most that a controller may leave unused, because the jump takes half.
    let saved = SavedPath::new(96_000, Duration::from_millis(20));
    for start in [Start::RapidStart, Start::CarefulResume(saved)] {
        kit::check_controller(&Algorithm::NewRenoFrom(start), seed);
        kit::check_controller(&Algorithm::CubicFrom(start), seed);
    }
}

/// A controller that ignores everything must not pass, or the kit proves nothing.
#[test]
fn the_kit_finds_a_controller_that_grows_unused() {
    #[derive(Debug)]
    struct Greedy(u64);
    impl Controller for Greedy {
        fn on_ack(&mut self, event: &CongestionEvent<'_>) {
            self.0 += event.bytes_acked;
        }
        fn on_mtu_changed(&mut self, _mtu: u16) {}
        fn window(&self) -> u64 {
            self.0
        }
        fn snapshot(&self) -> Snapshot {
            Snapshot::new("greedy", self.0, Phase::SlowStart)
        }
    }
    #[derive(Debug)]
    struct Factory;
    impl ControllerFactory for Factory {
        fn build(&self, _path: &NewPath) -> Box<dyn Controller> {
            Box::new(Greedy(12_000))
        }
    }
    let refused = std::panic::catch_unwind(|| kit::check_controller(&Factory, 1)).unwrap_err();
    assert!(refused.downcast_ref::<String>().unwrap().contains("unused window grew"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_kit_passes_for_any_seed(seed: u64) {
        kit::check_loss_based_controller(&Algorithm::NewReno, seed);
        kit::check_loss_based_controller(&Algorithm::Cubic, seed);
        check_others(seed);
        check_slow_starts(seed);
    }
}

/// The losses of a reduction prove spurious after the window has outgrown the old one, so the window stays.
/// Then another earlier packet is lost.
#[test]
fn a_loss_after_an_undone_reduction_reduces_again() {
    for algorithm in [Algorithm::NewReno, Algorithm::Cubic] {
        kit::check_loss_based_controller(&algorithm, 3_034_615_599_365_538_287);
    }
}

/// Half of a tripled window is lost. The remaining window is a share of what arrived, not of the window.
#[test]
fn rapid_start_comes_down_to_a_share_of_what_was_delivered() {
    let rtt = measured(40);
    for (algorithm, left) in [
        (Algorithm::NewRenoFrom(Start::RapidStart), 18_000),
        (Algorithm::CubicFrom(Start::RapidStart), 25_200),
    ] {
        let mut controller = CongestionConfig::new(algorithm).build(&NewPath::new(at(0), MTU));
        in_flight(&mut controller, 24_000);
        controller.on_congestion_event(&acked(&rtt, 40, 0, 24_000));
        assert_eq!((controller.window(), controller.snapshot().phase), (72_000, Phase::SlowStart));
        in_flight(&mut controller, 72_000);
        let again = lost(&rtt, 160, 122);
        let lost = CongestionEvent { bytes_lost: 36_000, packets_lost: 30, ..lost(&rtt, 80, 41) };
        let all = CongestionEvent { prior_in_flight: 72_000, in_flight: 36_000, ..lost };
        controller.on_congestion_event(&all);
        assert_eq!(controller.snapshot().phase, Phase::Recovery);
        controller.on_congestion_event(&acked(&rtt, 81, 42, 36_000));
        controller.on_congestion_event(&acked(&rtt, 121, 81, 1));
        assert!(controller.window().abs_diff(left) < 10, "{controller:?}");
        assert_eq!(controller.snapshot().phase, Phase::CongestionAvoidance);
        // Spurious losses restore the window.
        controller.on_congestion_event(&again);
        controller.on_spurious_loss(at(170), &spurious(1, 160));
        assert!(controller.window().abs_diff(left) < 10, "{controller:?}");
    }
}

/// A jump that loses packets is followed by half of what had arrived, and slow start to half of what arrives.
#[test]
fn careful_resume_jumps_and_retreats() {
    let rtt = measured(40);
    let saved = SavedPath::new(96_000, Duration::from_millis(40));
    for algorithm in [
        Algorithm::NewRenoFrom(Start::CarefulResume(saved)),
        Algorithm::CubicFrom(Start::CarefulResume(saved)),
    ] {
        let mut controller = CongestionConfig::new(algorithm).build(&NewPath::new(at(0), MTU));
        let arrived = CongestionEvent { in_flight: 8_000, ..acked(&rtt, 40, 0, 12_000) };
        controller.on_congestion_event(&arrived);
        assert_eq!(controller.window(), 48_000);
        let rate = controller.pacing_rate().map(Rate::bytes_per_second);
        assert_eq!(rate, Some(1_200_000), "over one round trip");
        in_flight(&mut controller, 48_000);
        let lost = CongestionEvent { prior_in_flight: 48_000, in_flight: 46_800, ..lost(&rtt, 60, 41) };
        controller.on_congestion_event(&lost);
        assert_eq!((controller.window(), controller.snapshot().phase), (4_000, Phase::Recovery));
        controller.on_congestion_event(&acked(&rtt, 80, 42, 32_000));
        assert_eq!(controller.window(), 4_000);
        in_flight(&mut controller, 4_000);
        controller.on_congestion_event(&acked(&rtt, 100, 61, 1_200));
        let snapshot = controller.snapshot();
        assert_eq!((snapshot.ssthresh, snapshot.phase), (Some(20_000), Phase::SlowStart));
        assert_eq!(controller.window(), 5_200, "up to the threshold by slow start");
        assert_eq!(controller.pacing_rate(), None);
    }
}

/// One bottleneck with a drop-tail queue and one greedy flow. Every second packet is acknowledged.
struct Toy {
    rate: Rate,
    delay: Duration,
    queue: u64,
}

#[derive(Debug)]
struct Outcome {
    /// Delivered bytes as a share of what the link could carry.
    utilization: f64,
    drops: u64,
    sent: u64,
}

impl Toy {
    fn run(&self, algorithm: Algorithm, duration: Duration) -> Outcome {
        let start = at(0);
        let mut controller = CongestionConfig::new(algorithm).build(&NewPath::new(start, MTU));
        let (mut rtt, mut sampler) = (Rtt::default(), RateSampler::new(start));
        let mut pacer = Pacer::new(start, MTU);
        // (sent, arrival of its acknowledgment or None if dropped, rate)
        let mut flight: VecDeque<(Timestamp, Option<Timestamp>, PacketRate)> = VecDeque::new();
        let bytes = u64::from(MTU);
        let (mut now, mut link_free) = (start, start);
        let (mut delivered, mut drops, mut sent) = (0, 0, 0);
        while now < start + duration {
            // Packets whose acknowledgment has arrived; the holes before them are losses.
            let arrived = flight.iter().rposition(|packet| packet.1.is_some_and(|ack| ack <= now));
            if let Some(last) = arrived {
                let prior = flight.len() as u64 * bytes;
                let mut event = CongestionEvent::new(now, &rtt);
                for (when, ack, packet) in flight.drain(..=last) {
                    if ack.is_some() {
                        event.bytes_acked += bytes;
                        event.newest_acked_sent = Some(when);
                        event.rtt_sample = Some(now - when);
                        sampler.on_acked(now, when, bytes, &packet);
                        delivered += bytes;
                    } else {
                        event.bytes_lost += bytes;
                        event.packets_lost += 1;
                        event.newest_lost_sent = Some(when);
                        sampler.on_lost(bytes);
                    }
                }
                let sample = event.rtt_sample.unwrap();
                let mut after = rtt.clone();
                after.on_sample(sample, Duration::ZERO, true, Duration::ZERO, now);
                let event = CongestionEvent {
                    rate: sampler.finish(after.min()),
                    prior_in_flight: prior,
                    in_flight: flight.len() as u64 * bytes,
                    rtt: &after,
                    ..event
                };
                controller.on_congestion_event(&event);
                rtt = after;
                pacer.on_control(now, &controller, &rtt, MTU);
            }
            let mut release = None;
            while (flight.len() as u64 + 1) * bytes <= controller.window() {
                if pacer.budget(now) < bytes {
                    release = pacer.next_release(now, bytes);
                    break;
                }
                pacer.on_sent(bytes);
                let in_flight = flight.len() as u64 * bytes;
                controller.on_sent(now, &SentPacket { bytes, in_flight, limited_by: LimitedBy::Window });
                let packet = sampler.on_sent(now, bytes, flight.len() as u64 * bytes);
                let backlog = self.rate.bytes_in(link_free.saturating_since(now));
                sent += 1;
                let ack = (backlog + bytes <= self.queue).then(|| {
                    link_free = link_free.max(now) + self.rate.time_for(bytes);
                    link_free + self.delay
                });
                drops += u64::from(ack.is_none());
                flight.push_back((now, ack, packet));
            }
            let next_ack = flight.iter().find_map(|packet| packet.1);
            let next = [release, next_ack].into_iter().flatten().filter(|time| *time > now).min();
            // Only holes are in flight: the probe timeout would fire.
            now = next.unwrap_or(now + Duration::from_millis(100));
        }
        let capacity = self.rate.bytes_in(duration) as f64;
        Outcome { utilization: delivered as f64 / capacity, drops, sent }
    }
}

#[test]
fn both_controllers_fill_ten_megabit_at_forty_milliseconds() {
    let rate = Rate::from_bytes_per_second(1_250_000);
    let delay = Duration::from_millis(40);
    let toy = Toy { rate, delay, queue: rate.bytes_in(delay) };
    for algorithm in [Algorithm::NewReno, Algorithm::Cubic] {
        let outcome = toy.run(algorithm.clone(), Duration::from_secs(20));
        assert!(outcome.utilization >= 0.9, "{}: {outcome:?}", algorithm.name());
        assert!(outcome.drops > 0, "the queue must have been filled: {outcome:?}");
        assert!(outcome.drops * 50 < outcome.sent, "{}: {outcome:?}", algorithm.name());
    }
}

/// `HyStart++` sees the queue grow and slows down. `NewReno` fills it to its end.
#[test]
fn cubic_loses_a_fraction_of_what_newreno_loses_at_the_start() {
    let rate = Rate::from_bytes_per_second(2_500_000);
    let delay = Duration::from_millis(80);
    let toy = Toy { rate, delay, queue: rate.bytes_in(delay) };
    let first = Duration::from_secs(2);
    let (reno, cubic) = (toy.run(Algorithm::NewReno, first), toy.run(Algorithm::Cubic, first));
    assert!(cubic.drops * 3 < reno.drops, "{cubic:?} {reno:?}");
}

/// Datagrams grow while the window decreases after a jump. The window stays at two datagrams or more.
#[test]
fn a_descent_stays_at_two_datagrams_of_the_present_size() {
    let saved = SavedPath::new(96_000, Duration::from_millis(20));
    for start in [Start::RapidStart, Start::CarefulResume(saved)] {
        for algorithm in [Algorithm::NewRenoFrom(start), Algorithm::CubicFrom(start)] {
            kit::check_controller(&algorithm, 3_063_924_762_720_795_125);
        }
    }
}
