use super::{ecn::EcnValidation, *};
use crate::frame::Frames;

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

fn path(validated: bool) -> Path {
    let remote = "192.0.2.1:443".parse().expect("an address");
    Path::new(remote, None, &TransportConfig::default(), validated, NOW)
}

#[test]
fn m01_three_times_what_was_received_until_validated() {
    let mut path = path(false);
    assert!(path.is_amplification_limited());
    path.on_datagram_received(1200);
    for left in [3600, 2400, 1200] {
        assert_eq!(path.amplification_credit(), left);
        assert!(!path.is_amplification_limited());
        path.on_datagram_sent(1200);
    }
    assert!(path.is_amplification_limited());
    path.validate();
    assert_eq!(path.amplification_credit(), u64::MAX);
}

#[test]
fn challenges_are_answered_once_and_floods_are_bounded() {
    let mut path = path(true);
    for n in 0..100 {
        path.on_challenge([n; 8]);
    }
    let mut payload = [0; 1200];
    let mut receipts = Vec::new();
    let mut w = FrameWriter::new(&mut payload, &mut receipts);
    assert!(path.write(&mut w));
    let size = w.written();
    let answers: Vec<_> = Frames::new(&payload[..size]).map(|frame| frame.expect("a frame")).collect();
    assert_eq!(answers.len(), MAX_RESPONSES);
    assert_eq!(answers.last(), Some(&Frame::PathResponse([99; 8])));
    assert!(!path.wants());
}

fn counts(ect0: u64, ce: u64) -> Option<EcnCounts> {
    Some(EcnCounts { ect0, ect1: 0, ce })
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
    assert_eq!(ecn.on_ack(Space::Data, 4, counts(3, 1)), 1);
    assert!(ecn.may_mark());
    assert_eq!(ecn.on_ack(Space::Data, 2, counts(5, 1)), 0);
}

#[test]
fn marks_that_vanish_shrink_or_multiply_fail_validation() {
    for (marked, report) in [(1, None), (2, counts(1, 0)), (1, counts(11, 0))] {
        let mut ecn = sent(10);
        assert_eq!(ecn.on_ack(Space::Data, marked, report), 0);
        assert!(!ecn.may_mark());
        assert_eq!(ecn.on_ack(Space::Data, 1, counts(20, 20)), 0);
    }
    let mut ecn = sent(10);
    ecn.on_ack(Space::Data, 3, counts(3, 0));
    ecn.on_ack(Space::Data, 1, counts(2, 2));
    assert!(!ecn.may_mark());
}
