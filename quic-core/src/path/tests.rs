use std::{sync::Arc, time::Duration};

use super::{ecn::EcnValidation, *};
use crate::{
    base::{Ecn, Rate, Timestamp},
    config::TransportConfig,
    congestion::{
        Algorithm, CongestionConfig, Controller, ControllerFactory, NewPath, Phase, SentPacket, Snapshot,
    },
    frame::{EcnCounts, Frame, FrameWriter, Frames},
    ids::{PathId, Space},
};

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

fn path(validated: bool) -> Path {
    let remote = "192.0.2.1:443".parse().expect("an address");
    Path::new(PathId::FIRST, Route::new(remote, None, validated), &TransportConfig::default(), NOW, 0)
}

#[test]
fn m01_three_times_what_was_received_until_validated() {
    let mut path = path(false);
    assert!(path.route.is_amplification_limited());
    path.route.on_datagram_received(1200);
    for left in [3600, 2400, 1200] {
        assert_eq!(path.route.amplification_credit(), left);
        assert!(!path.route.is_amplification_limited());
        path.route.on_datagram_sent(1200);
    }
    assert!(path.route.is_amplification_limited());
    path.route.validate();
    assert_eq!(path.route.amplification_credit(), u64::MAX);
}

#[test]
fn challenges_are_answered_once_and_floods_are_bounded() {
    let mut path = path(true);
    for n in 0..100 {
        path.route.on_challenge([n; 8]);
    }
    let mut payload = [0; 1200];
    let mut receipts = Vec::new();
    let mut w = FrameWriter::new(&mut payload, &mut receipts);
    assert!(path.route.write_responses(&mut w));
    let size = w.written();
    let answers: Vec<_> = Frames::new(&payload[..size]).map(|frame| frame.expect("a frame")).collect();
    assert_eq!(answers.len(), 4);
    assert_eq!(answers.last(), Some(&Frame::PathResponse([99; 8])));
    assert!(!path.route.wants_response());
}

/// Whatever a controller says, however absurd, packets are sent and time goes on.
#[test]
fn no_controller_stops_the_path_or_its_clock() {
    #[derive(Debug)]
    struct Absurd(Option<Rate>, u64);
    impl Controller for Absurd {
        fn on_sent(&mut self, _now: Timestamp, _packet: &SentPacket) {}
        fn on_mtu_changed(&mut self, _mtu: u16) {}
        fn window(&self) -> u64 {
            self.1
        }
        fn pacing_rate(&self) -> Option<Rate> {
            self.0
        }
        fn deadline(&self) -> Option<Timestamp> {
            Some(Timestamp::from_nanos(1))
        }
        fn snapshot(&self) -> Snapshot {
            // Its statistics may be as wrong as they like.
            Snapshot::new("absurd", 1, Phase::CongestionAvoidance)
        }
    }
    #[derive(Debug)]
    struct Factory(Option<Rate>, u64);
    impl ControllerFactory for Factory {
        fn build(&self, _path: &NewPath) -> Box<dyn Controller> {
            Box::new(Absurd(self.0, self.1))
        }
    }
    for (rate, window, least_window, least_rate) in [
        (Some(Rate::from_bytes_per_second(0)), 0, 2_400, 1_200),
        // The rate of a window is the rate of the window that is granted.
        (None, 1, 2_400, 9_000),
        (None, 60_000, 60_000, 200_000),
    ] {
        let congestion = CongestionConfig::new(Algorithm::Custom(Arc::new(Factory(rate, window))));
        let config = TransportConfig { congestion, ..TransportConfig::default() };
        let remote = "192.0.2.1:443".parse().expect("an address");
        let mut path = Path::new(PathId::FIRST, Route::new(remote, None, true), &config, NOW, 0);
        path.on_packet_sent(NOW, 1_200);
        assert_eq!((path.window(), path.window_room()), (least_window, least_window - 1_200));
        path.pacer.on_control(NOW, &path.controller, &path.rtt, path.mtu.current());
        assert!(path.pacer.rate().bytes_per_second() >= least_rate, "{:?}", path.pacer.rate());
        let (mut now, mut calls) = (NOW, 0);
        while now < NOW + Duration::from_millis(100) {
            now = now.max(path.deadline().expect("a deadline"));
            path.on_timeout(now);
            calls += 1;
        }
        assert!(calls <= 101, "{calls} calls in 100 ms");
    }
}

/// A controller that restarts after silence at the path's rate is heard before the next packet leaves.
#[test]
fn after_silence_the_pacer_asks_the_controller_for_its_rate() {
    #[derive(Debug)]
    struct Waking(u64);
    impl Controller for Waking {
        fn on_sent(&mut self, _now: Timestamp, packet: &SentPacket) {
            self.0 += u64::from(packet.in_flight == 0);
        }
        fn on_mtu_changed(&mut self, _mtu: u16) {}
        fn window(&self) -> u64 {
            1 << 20
        }
        fn pacing_rate(&self) -> Option<Rate> {
            Some(Rate::from_bytes_per_second(1_000_000 * self.0))
        }
        fn snapshot(&self) -> Snapshot {
            Snapshot::new("waking", self.window(), Phase::CongestionAvoidance)
        }
    }
    #[derive(Debug)]
    struct Factory;
    impl ControllerFactory for Factory {
        fn build(&self, _path: &NewPath) -> Box<dyn Controller> {
            Box::new(Waking(0))
        }
    }
    let congestion = CongestionConfig::new(Algorithm::Custom(Arc::new(Factory)));
    let config = TransportConfig { congestion, ..TransportConfig::default() };
    let remote = "192.0.2.1:443".parse().expect("an address");
    let mut path = Path::new(PathId::FIRST, Route::new(remote, None, true), &config, NOW, 0);
    for (in_flight, expected) in [(0, 1_000_000), (1_200, 1_000_000), (0, 2_000_000)] {
        path.in_flight = in_flight;
        path.on_packet_sent(NOW, 1_200);
        assert_eq!(path.pacer.rate().bytes_per_second(), expected, "{in_flight} in flight");
    }
}

fn counts(ect0: u64, ce: u64) -> Option<EcnCounts> {
    Some(EcnCounts { ect0, ect1: 0, ce })
}

fn ect0(ect0: u64) -> AckedMarks {
    AckedMarks { ect0, ect1: 0 }
}

fn sent(count: u64) -> EcnValidation {
    let mut ecn = EcnValidation::new(true);
    for _ in 0..count {
        assert!(ecn.may_mark());
        ecn.on_sent(Ecn::Ect0);
    }
    ecn
}

#[test]
fn marks_are_used_when_they_are_reported_back() {
    let mut ecn = sent(10);
    assert!(!ecn.may_mark(), "no more before the first report");
    assert_eq!(ecn.on_ack(Space::Data, ect0(4), counts(3, 1)), 1);
    assert!(ecn.may_mark());
    assert_eq!(ecn.on_ack(Space::Data, ect0(2), counts(5, 1)), 0);
}

/// Such marks end validation even if the window keeps no queue.
#[test]
fn a_path_that_marks_every_packet_gets_no_marks_any_more() {
    let run = |pattern: &[u64], least: bool| {
        let mut ecn = sent(10);
        let (mut plain, mut ce) = (0, 0);
        for marked in pattern.iter().cycle().take(50) {
            plain += 1 - marked;
            ce += marked;
            ecn.on_sent(Ecn::Ect0);
            assert_eq!(ecn.on_ack(Space::Data, ect0(1), counts(plain, ce)), *marked);
            if ecn.marks_everything(least) {
                assert!(!ecn.may_mark() && !ecn.marks_everything(least));
                return Some(ce);
            }
        }
        assert!(ecn.may_mark());
        None
    };
    assert_eq!(run(&[1], true), Some(20));
    assert_eq!(run(&[1], false), None, "a window that can be reduced comes first");
    assert_eq!(run(&[1, 1, 1, 1, 1, 0], true), None);
}

/// RFC 9000 §13.4.2.1: each packet is reported with its own mark or with CE, and no mark is reported more
/// often than sent.
#[test]
fn marks_that_are_changed_fail_validation() {
    let report = |ect0, ect1, ce| Some(EcnCounts { ect0, ect1, ce });
    for (acked, counts, valid) in [
        (ect0(4), report(3, 1, 0), false),
        (ect0(4), report(0, 4, 0), false),
        (ect0(4), report(4, 1, 0), false),
        (ect0(4), report(3, 0, 1), true),
        (ect0(4), report(0, 0, 4), true),
        (ect0(4), report(5, 0, 0), true),
        (AckedMarks { ect0: 0, ect1: 1 }, report(1, 0, 0), false),
    ] {
        let mut ecn = sent(10);
        ecn.on_ack(Space::Data, acked, counts);
        assert_eq!(ecn.may_mark(), valid, "{acked:?} {counts:?}");
    }
}

#[test]
fn marks_stop_when_ten_are_lost_and_none_behind_them_arrives() {
    let mut ecn = sent(10);
    ecn.on_ack(Space::Data, ect0(3), counts(3, 0));
    ecn.on_progress(Space::Data, ect0(3), 0);
    for _ in 0..3 {
        ecn.on_progress(Space::Data, ect0(0), 9);
        assert!(ecn.may_mark());
        ecn.on_progress(Space::Data, ect0(1), 0);
    }
    ecn.on_progress(Space::Data, ect0(0), 4);
    ecn.on_progress(Space::Data, ect0(0), 6);
    assert!(!ecn.may_mark());
}

#[test]
fn a_probe_timeout_suspends_marks_and_three_in_a_row_end_them() {
    let mut ecn = sent(2);
    ecn.on_probe_timeout();
    assert!(!ecn.may_mark());
    ecn.on_progress(Space::Handshake, ect0(0), 0);
    assert!(!ecn.may_mark(), "the handshake is not held up by what is left of the test");
    ecn.on_progress(Space::Data, ect0(0), 0);
    for _ in 0..2 {
        assert!(ecn.may_mark());
        ecn.on_probe_timeout();
        ecn.on_probe_timeout();
        ecn.on_progress(Space::Data, ect0(0), 0);
    }
    assert!(!ecn.may_mark());

    let mut ecn = sent(10);
    ecn.on_ack(Space::Data, ect0(3), counts(3, 0));
    for _ in 0..9 {
        ecn.on_probe_timeout();
        ecn.on_progress(Space::Data, ect0(1), 0);
        assert!(ecn.may_mark(), "an outage is no reason");
    }
}

#[test]
fn marks_that_vanish_shrink_or_multiply_fail_validation() {
    for (marked, report) in [(1, None), (2, counts(1, 0)), (1, counts(11, 0))] {
        let mut ecn = sent(10);
        assert_eq!(ecn.on_ack(Space::Data, ect0(marked), report), 0);
        assert!(!ecn.may_mark());
        assert_eq!(ecn.on_ack(Space::Data, ect0(1), counts(20, 20)), 0);
    }
    let mut ecn = sent(10);
    ecn.on_ack(Space::Data, ect0(3), counts(3, 0));
    ecn.on_ack(Space::Data, ect0(1), counts(2, 2));
    assert!(!ecn.may_mark());
}

/// RFC 9000 §13.4.2: the peer's counts cover all paths.
#[test]
fn counts_of_marks_go_on_with_another_path() {
    let mut old = sent(10);
    assert_eq!(old.on_ack(Space::Data, ect0(10), counts(9, 1)), 1);
    let mut new = EcnValidation::new(true);
    new.take_over(&old);
    (0..5).for_each(|_| new.on_sent(Ecn::Ect0));
    // Packets of both paths arrived, so it is unknown whose marks were changed.
    new.on_mixed(Space::Data, counts(11, 3));
    assert!(new.may_mark());
    assert_eq!(new.on_ack(Space::Data, ect0(1), counts(12, 3)), 0);
    assert!(new.may_mark());
    // The connection moves back. The counts have gone on meanwhile, and both paths' packets are the bound.
    old.take_over(&new);
    old.on_sent(Ecn::Ect0);
    assert_eq!(old.on_ack(Space::Data, ect0(1), counts(13, 3)), 0);
    assert!(old.may_mark());
    assert_eq!(old.on_ack(Space::Data, ect0(1), counts(14, 3)), 0);
    assert!(!old.may_mark(), "17 of 16");
}
