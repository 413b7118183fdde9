//! Tests of the three buffers against naive models.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::base::Budget;

fn check_shape(set: &RangeSet, model: &BTreeSet<u64>) {
    let members: Vec<u64> = set.iter().flatten().collect();
    assert_eq!(members, model.iter().copied().collect::<Vec<_>>());
    let ranges: Vec<_> = set.iter().collect();
    assert!(ranges.iter().all(|range| !range.is_empty()));
    assert!(
        ranges.windows(2).all(|pair| pair[0].end < pair[1].start),
        "not disjoint or adjacent: {ranges:?}"
    );
    assert_eq!(set.iter().rev().collect::<Vec<_>>(), ranges.into_iter().rev().collect::<Vec<_>>());
    assert_eq!((set.min(), set.max()), (model.first().copied(), model.last().copied()));
    assert_eq!(set.is_empty(), model.is_empty());
}

#[test]
fn a_bounded_set_drops_the_smallest_ranges() {
    let mut set = RangeSet::new();
    for value in 0..100 {
        assert!(set.insert_one(value * 2));
    }
    assert!(!set.insert_one(198));
    assert_eq!(set.limit(32), 68);
    assert_eq!((set.len(), set.min()), (32, Some(136)));
    assert_eq!(set.limit(32), 0);
    assert_eq!(set.limit(0), 32);
    assert!(set.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_range_set_is_a_set(steps in prop::collection::vec((0u8..8, 0u64..120, 0u64..20), 1..80)) {
        let mut set = RangeSet::new();
        let mut model = BTreeSet::new();
        for (kind, start, len) in steps {
            let range = start..start + len;
            match kind {
                0..4 => {
                    let new = range.clone().filter(|value| model.insert(*value)).count() as u64;
                    prop_assert_eq!(set.insert(range), new);
                }
                4 | 5 => {
                    let gone = range.clone().filter(|value| model.remove(value)).count() as u64;
                    prop_assert_eq!(set.remove(range), gone);
                }
                6 => prop_assert_eq!(set.insert_one(start), model.insert(start)),
                _ => {
                    if let Some(popped) = set.pop_min() {
                        for value in popped { prop_assert!(model.remove(&value)); }
                    }
                }
            }
            check_shape(&set, &model);
            prop_assert_eq!(set.contains(start), model.contains(&start));
        }
    }

    /// Overlapping fragments carry different bytes, so that the model also checks that the first ones win
    /// (F22).
    #[test]
    fn an_assembler_reads_what_came_first(
        steps in prop::collection::vec((0u64..20_000, 1usize..6_000, any::<u8>(), 0usize..9_000, any::<bool>()), 1..60)
    ) {
        let mut budget = Budget::alone(1 << 24);
        let mut assembler = Assembler::default();
        let mut model: Vec<Option<u8>> = vec![None; 30_000];
        let mut read = 0;
        for (offset, len, byte, max, far) in steps {
            let offset = if far { offset } else { assembler.contiguous_end().min(20_000) };
            let data = Bytes::from((0..len).map(|index| byte.wrapping_add(index as u8)).collect::<Vec<_>>());
            let mut new = 0;
            for (at, value) in data.iter().enumerate() {
                let place = &mut model[offset as usize + at];
                if place.is_none() { *place = Some(*value); new += 1; }
            }
            prop_assert_eq!(assembler.insert(offset, data, len + 100, &mut budget), Ok(new));
            let contiguous = model.iter().position(Option::is_none).unwrap();
            prop_assert_eq!(assembler.contiguous_end(), contiguous as u64);
            if let Some(bytes) = assembler.read(max, &mut budget) {
                prop_assert!(!bytes.is_empty() && bytes.len() <= max);
                for value in bytes { prop_assert_eq!(Some(value), model[read]); read += 1; }
            } else {
                prop_assert!(max == 0 || read == contiguous);
            }
            prop_assert_eq!(assembler.bytes_read(), read as u64);
            prop_assert_eq!(assembler.readable(), (contiguous - read) as u64);
        }
        assembler.clear(&mut budget);
        prop_assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_send_buffer_delivers_every_byte(
        steps in prop::collection::vec((0u8..6, 1usize..3_000, any::<prop::sample::Index>()), 1..120)
    ) {
        let mut buffer = SendBuffer::default();
        let mut written: Vec<u8> = Vec::new();
        let mut flights: Vec<std::ops::Range<u64>> = Vec::new();
        let mut acked: Vec<bool> = Vec::new();
        let mut wanted_again = BTreeSet::new();
        for (kind, size, index) in steps {
            match kind {
                0 => {
                    let data: Vec<u8> = (0..size).map(|at| (written.len() + at) as u8 ^ (at >> 8) as u8).collect();
                    written.extend_from_slice(&data);
                    acked.resize(written.len(), false);
                    buffer.write(Bytes::from(data));
                }
                1 | 2 => {
                    if let Some(range) = buffer.peek_transmit(size, u64::MAX) {
                        let mut out = vec![0; (range.end - range.start) as usize];
                        buffer.copy_to(range.start, &mut out);
                        prop_assert_eq!(&out, &written[range.start as usize..range.end as usize]);
                        if let Some(&first) = wanted_again.first() {
                            prop_assert_eq!(first, range.start, "lost data goes first");
                        }
                        for offset in range.clone() { wanted_again.remove(&offset); }
                        buffer.on_sent(range.clone());
                        flights.push(range);
                    } else {
                        prop_assert!(wanted_again.is_empty() && !buffer.has_unsent());
                    }
                }
                // A flight stays in the list: it may be lost first and acknowledged later, or either of them
                // twice.
                3 if !flights.is_empty() => {
                    let range = flights[index.index(flights.len())].clone();
                    let new = range.clone().filter(|&at| !std::mem::replace(&mut acked[at as usize], true)).count();
                    for offset in range.clone() { wanted_again.remove(&offset); }
                    prop_assert_eq!(buffer.on_ack(range), new as u64);
                }
                4 if !flights.is_empty() => {
                    let range = flights[index.index(flights.len())].clone();
                    wanted_again.extend(range.clone().filter(|&at| !acked[at as usize]));
                    buffer.on_lost(range);
                }
                // Truncation is rare and small, because it shrinks what is left.
                5 if index.index(20) == 0 => {
                    let end = written.len().saturating_sub(size / 2).max(buffer.acked_to() as usize);
                    buffer.truncate(end as u64);
                    written.truncate(end);
                    acked.truncate(end);
                    wanted_again.retain(|at| *at < end as u64);
                    flights.retain(|flight| flight.end <= end as u64);
                }
                _ => {}
            }
            let contiguous = acked.iter().position(|acked| !acked).unwrap_or(acked.len());
            prop_assert_eq!(buffer.acked_to(), contiguous as u64);
            let early = acked.iter().skip(contiguous).filter(|acked| **acked).count();
            let held = Held { bytes: (written.len() - contiguous) as u64, early: early as u64 };
            prop_assert_eq!(buffer.held(), held);
            prop_assert_eq!(buffer.has_lost(), !wanted_again.is_empty());
            prop_assert_eq!(buffer.is_fully_acked(), contiguous == written.len());
        }
    }
}

/// The heap may hold at most twice the reach plus 256 KiB, and the budget shows what is held.
fn fragments(reach: u64, len: usize, step: u64, allocation: usize, descending: bool) -> usize {
    let mut budget = Budget::alone(usize::MAX);
    let mut assembler = Assembler::default();
    let mut offsets: Vec<u64> = (1..reach / step).map(|index| index * step).collect();
    if descending {
        offsets.reverse();
    }
    for offset in offsets {
        assembler.insert(offset, Bytes::from(vec![7; len]), allocation, &mut budget).unwrap();
        assert!(budget.used() as u64 <= 2 * reach + 256 * 1024, "holds {} for {reach}", budget.used());
    }
    let used = budget.used();
    assembler.clear(&mut budget);
    assert_eq!(budget.used(), 0);
    used
}

#[test]
fn one_byte_fragments_with_gaps_hold_no_more_than_their_reach() {
    assert!(fragments(256 << 10, 1, 2, 2048, false) > 256 << 10);
    fragments(256 << 10, 1, 2, 2048, true);
    fragments(1 << 20, 1, 4096, 2048, false);
    fragments(1 << 20, 1_000, 1_001, 1_500, true);
    fragments(1 << 20, 600, 4_000, 2_048, false);
}

#[test]
fn in_order_fragments_that_pin_too_much_are_copied() {
    let mut budget = Budget::alone(usize::MAX);
    let mut assembler = Assembler::default();
    for (count, len, allocation) in [(20_000, 1, 1_500), (2_000, 520, 2_000), (500, 600, 65_536)] {
        let before = assembler.contiguous_end();
        for index in 0..count {
            let offset = before + index * len as u64;
            assembler.insert(offset, Bytes::from(vec![1; len]), allocation, &mut budget).unwrap();
        }
        let live = assembler.readable() as usize;
        assert!(budget.used() <= 2 * live + 32 * 1024, "holds {} for {live}", budget.used());
    }
    while assembler.read(usize::MAX, &mut budget).is_some() {}
    assert_eq!(budget.used(), 0);
}

#[test]
fn an_in_order_fragment_is_not_copied() {
    let mut budget = Budget::alone(1 << 20);
    let mut assembler = Assembler::default();
    let data = Bytes::from(vec![5; 1_400]);
    assembler.insert(0, data.clone(), 1_500, &mut budget).unwrap();
    assert_eq!(assembler.read(9_999, &mut budget).unwrap().as_ptr(), data.as_ptr());
}

#[test]
fn a_spent_budget_refuses_and_changes_nothing() {
    let mut budget = Budget::alone(20_000);
    let mut assembler = Assembler::default();
    let mut offset = 0;
    while assembler.insert(offset, Bytes::from(vec![5; 1_400]), 1_500, &mut budget).is_ok() {
        offset += 1_400;
    }
    assert!(offset >= 9 * 1_400, "refused at {offset}");
    assert_eq!(assembler.contiguous_end(), offset);
    assert!(assembler.insert(offset + 10_000, Bytes::from_static(b"x"), 1_500, &mut budget).is_err());
    while assembler.read(usize::MAX, &mut budget).is_some() {}
    assert_eq!(budget.used(), 0);
    assert!(assembler.insert(offset, Bytes::from(vec![5; 1_400]), 1_500, &mut budget).is_ok());
}

#[test]
fn truncating_gives_up_data_behind_the_cut_only() {
    let mut buffer = SendBuffer::default();
    buffer.write(Bytes::from(vec![1; 1_000]));
    buffer.write(Bytes::from_static(b"tail"));
    buffer.on_sent(0..800);
    buffer.on_lost(0..800);
    buffer.truncate(500);
    assert_eq!((buffer.end(), buffer.sent_end()), (500, 500));
    assert_eq!(buffer.peek_transmit(9_000, u64::MAX), Some(0..500));
    assert_eq!(buffer.on_ack(0..800), 500);
    assert!(buffer.is_fully_acked() && !buffer.has_lost());
}

#[test]
fn new_data_ends_at_the_limit_and_lost_data_does_not() {
    let mut buffer = SendBuffer::default();
    buffer.write(Bytes::from(vec![1; 1_000]));
    assert_eq!(buffer.peek_transmit(5_000, 300), Some(0..300));
    buffer.on_sent(0..300);
    assert_eq!(buffer.peek_transmit(5_000, 300), None);
    buffer.on_lost(100..200);
    assert_eq!(buffer.peek_transmit(5_000, 300), Some(100..200));
}
