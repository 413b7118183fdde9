use super::*;
use crate::frame::{Frame, Frames, Receipt};

const MAX_DELAY: Duration = Duration::from_millis(25);

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(1_000_000 * (1_000 + ms))
}

fn tracker() -> AckTracker {
    AckTracker::new(Space::Data, MAX_DELAY, 3)
}

fn written(tracker: &mut AckTracker, now: Timestamp) -> Option<(Vec<std::ops::RangeInclusive<u64>>, u64)> {
    let mut payload = vec![0; 1200];
    let mut receipts = Vec::new();
    let mut w = FrameWriter::new(&mut payload, &mut receipts);
    let largest = tracker.write(&mut w, now)?;
    let size = w.written();
    assert!(!w.is_ack_eliciting() && !w.is_in_flight());
    assert_eq!(receipts, [Receipt::Ack { space: Space::Data, largest }]);
    match Frames::new(&payload[..size]).next() {
        Some(Ok(Frame::Ack(ack))) => Some((ack.ranges().collect(), ack.delay << 3)),
        other => panic!("an ACK frame, not {other:?}"),
    }
}

#[test]
fn acknowledges_every_second_ack_eliciting_packet_or_after_the_delay() {
    let mut acks = tracker();
    acks.on_packet(0, true, Ecn::NotEct, at(0));
    assert!(!acks.is_due(at(24)) && acks.is_due(at(25)));
    acks.on_packet(1, true, Ecn::NotEct, at(5));
    assert!(acks.is_due(at(5)));
    assert_eq!(written(&mut acks, at(7)), Some((vec![0..=1], 2_000)));
    assert_eq!((acks.deadline(), acks.has_unreported()), (None, false));
}

#[test]
fn packets_that_elicit_nothing_are_reported_only_along_with_others() {
    let mut acks = tracker();
    acks.on_packet(0, false, Ecn::NotEct, at(0));
    assert!(acks.has_unreported() && acks.deadline().is_none());
}

#[test]
fn acknowledges_at_once_on_gaps_reordering_and_congestion_marks() {
    for (numbers, mark) in [(&[0, 2][..], Ecn::NotEct), (&[1, 0], Ecn::NotEct), (&[0], Ecn::Ce)] {
        let mut acks = tracker();
        for number in numbers {
            acks.on_packet(*number, true, mark, at(0));
        }
        assert!(acks.is_due(at(0)), "{numbers:?}");
    }
    let mut acks = tracker();
    acks.on_packet(738, true, Ecn::Ect0, at(0));
    assert_eq!(acks.ecn_counts(), EcnCounts { ect0: 1, ect1: 0, ce: 0 });
    assert_eq!(acks.expected(), 739);
}

#[test]
fn p16_duplicates_are_recognised_even_if_their_range_is_forgotten() {
    let mut acks = tracker();
    let last = 4 * 256;
    for number in (0..=last).step_by(2) {
        assert!(!acks.is_duplicate(number));
        acks.on_packet(number, true, Ecn::NotEct, at(0));
        assert!(acks.received.len() <= 256);
    }
    for number in (0..=last).step_by(2) {
        assert!(acks.is_duplicate(number));
    }
    let (ranges, _) = written(&mut acks, at(1)).expect("an ACK");
    assert_eq!((ranges.len(), ranges[0].clone()), (64, last..=last));
    let remembered = last - 2 * 256;
    assert!(!acks.is_duplicate(last - 1) && !acks.is_duplicate(remembered + 3));
    assert!(acks.is_duplicate(remembered + 1), "everything below the remembered ranges is a duplicate");
}

#[test]
fn acknowledged_acknowledgments_shorten_the_next() {
    let mut acks = tracker();
    for number in [0, 1, 5, 6, 9] {
        acks.on_packet(number, true, Ecn::NotEct, at(0));
    }
    assert!(written(&mut acks, at(0)).is_some());
    acks.on_ack_acked(6);
    assert_eq!(written(&mut acks, at(0)).expect("an ACK").0, [9..=9, 5..=6]);
    assert!(acks.is_duplicate(0) && !acks.is_duplicate(7));
}

#[test]
fn a_late_packet_is_no_duplicate_and_is_reported_after_its_neighbours() {
    let mut acks = tracker();
    for number in (0..100).filter(|number| number % 10 != 3) {
        acks.on_packet(number, true, Ecn::NotEct, at(0));
    }
    assert!(written(&mut acks, at(0)).is_some());
    acks.on_ack_acked(99);
    acks.on_packet(100, true, Ecn::NotEct, at(1));
    assert_eq!(written(&mut acks, at(1)).expect("an ACK").0, [94..=100]);
    for late in [13, 53] {
        assert!(!acks.is_duplicate(late));
        acks.on_packet(late, true, Ecn::NotEct, at(2));
        assert!(acks.is_duplicate(late) && acks.is_due(at(2)));
    }
    // This acknowledges an ACK frame from before the late packets came, so it did not report them.
    acks.on_ack_acked(100);
    let (ranges, _) = written(&mut acks, at(2)).expect("an ACK");
    assert_eq!(ranges.last(), Some(&(4..=22)));
    assert!(ranges.contains(&(44..=62)));
    acks.on_ack_acked(100);
    assert_eq!(written(&mut acks, at(3)).expect("an ACK").0, [94..=100]);
}
