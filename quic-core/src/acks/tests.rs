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

/// The packets of `numbers` that are acknowledged at once, if acknowledgments are sent for their order alone.
fn told_at_once(reordering: u64, numbers: &[u64]) -> Vec<u64> {
    let mut acks = tracker();
    acks.on_request(0, 1_000, MAX_DELAY, reordering, Duration::ZERO).expect("a valid request");
    let mut told = Vec::new();
    for number in numbers {
        acks.on_packet(*number, true, Ecn::NotEct, at(0));
        if acks.is_due(at(0)) {
            told.push(*number);
            assert!(written(&mut acks, at(0)).is_some());
        }
    }
    told
}

/// ack-frequency §6.2.1: both tables.
#[test]
fn published_examples_of_reordering_thresholds() {
    assert_eq!(told_at_once(3, &[0, 1, 3, 4, 5, 8, 9, 10]), [5, 9, 10]);
    assert_eq!(told_at_once(5, &[0, 1, 3, 5, 6, 7, 8, 9]), [7, 9]);
    assert_eq!(told_at_once(1, &[0, 1, 3, 4, 2, 5]), [3, 2], "and 4 tells nothing new");
    assert_eq!(told_at_once(0, &[0, 1, 3, 9, 2, 7]), [0; 0]);
    // 2 comes when the peer has taken it for lost.
    assert_eq!(told_at_once(3, &[0, 1, 3, 4, 5, 2, 6]), [5, 2]);
    assert_eq!(told_at_once(3, &[738, 739, 740, 741, 742]), [0; 0], "the first packet is no gap");
}

/// ack-frequency §4, §6.
#[test]
fn the_peers_request_sets_the_number_and_the_delay() {
    let mut acks = tracker();
    let ms = Duration::from_millis;
    assert_eq!(acks.on_request(3, 4, ms(10), 3, ms(1)), Ok(()));
    assert_eq!(acks.on_request(3, 0, ms(1), 1, ms(1)), Ok(()), "the same number counts once");
    assert_eq!(acks.on_request(2, 0, ms(1), 1, ms(1)), Ok(()), "an older one does not count");
    for number in 0..4 {
        acks.on_packet(number, true, Ecn::NotEct, at(number));
        assert_eq!(acks.deadline(), Some(at(10)), "the delay of the first");
    }
    acks.on_packet(4, true, Ecn::NotEct, at(4));
    assert!(acks.is_due(at(4)), "the fifth is more than four");
    assert!(written(&mut acks, at(4)).is_some());
    acks.on_immediate();
    acks.on_packet(5, true, Ecn::NotEct, at(5));
    assert!(acks.is_due(at(5)));
    assert!(written(&mut acks, at(5)).is_some());
    acks.on_packet(6, true, Ecn::NotEct, at(6));
    assert!(!acks.is_due(at(6)), "IMMEDIATE_ACK concerns its packet alone");
    // Zero has every packet acknowledged.
    assert_eq!(acks.on_request(4, 0, ms(25), 1, ms(1)), Ok(()));
    acks.on_packet(7, true, Ecn::NotEct, at(7));
    assert!(acks.is_due(at(7)));
}

#[test]
fn a_request_for_a_delay_out_of_range() {
    let (mut acks, least) = (tracker(), Duration::from_millis(1));
    let range = [least, Duration::from_millis((1 << 14) - 1)];
    for (sequence, delay) in range.into_iter().enumerate() {
        assert_eq!(acks.on_request(sequence as u64, 1, delay, 1, least), Ok(()), "{delay:?}");
    }
    let invalid = [Duration::from_micros(999), Duration::from_millis(1 << 14), Duration::MAX];
    for delay in invalid {
        // Even in a request that counts for nothing otherwise.
        assert_eq!(acks.on_request(0, 1, delay, 1, least), Err(Violation::AckDelayRequested), "{delay:?}");
    }
}

/// ack-frequency §6.3.
#[test]
fn with_fewer_acknowledgments_the_first_mark_of_a_row_is_told_at_once() {
    let mut acks = tracker();
    acks.on_request(0, 10, MAX_DELAY, 3, Duration::ZERO).expect("a valid request");
    let marks = [Ecn::Ect0, Ecn::Ce, Ecn::Ce, Ecn::Ce, Ecn::Ect0, Ecn::Ce];
    let told: Vec<_> = (0..)
        .zip(marks)
        .filter(|(number, mark)| {
            acks.on_packet(*number, true, *mark, at(0));
            acks.is_due(at(0)) && written(&mut acks, at(0)).is_some()
        })
        .map(|(number, _)| number)
        .collect();
    assert_eq!(told, [1, 5]);
}

/// ack-frequency §6: a peer that wants to hear of no reordering hears before ranges are left out.
#[test]
fn many_gaps_are_told_whatever_the_peer_has_asked_for() {
    let mut acks = tracker();
    acks.on_request(0, 1_000, MAX_DELAY, 0, Duration::ZERO).expect("a valid request");
    let mut reported = std::collections::BTreeSet::new();
    for number in (0..400).step_by(2) {
        acks.on_packet(number, true, Ecn::NotEct, at(0));
        if acks.is_due(at(0)) {
            reported.extend(written(&mut acks, at(0)).expect("an ACK").0.into_iter().flatten());
        }
    }
    reported.extend(written(&mut acks, at(0)).expect("an ACK").0.into_iter().flatten());
    assert!(reported.into_iter().eq((0..400).step_by(2)), "each was in an ACK frame");
}
