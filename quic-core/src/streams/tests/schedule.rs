//! The order in which streams send.

use super::{super::schedule::Schedule, *};
use crate::event::Priority;

fn turns(schedule: &mut Schedule, count: usize) -> Vec<u32> {
    (0..count)
        .map(|_| {
            let slot = schedule.peek().unwrap();
            schedule.on_sent(5_000);
            slot
        })
        .collect()
}

fn rank(urgency: u8, group: u32, order: i64) -> Priority {
    Priority { urgency, group, order, ..Priority::default() }
}

#[test]
fn urgency_then_order_are_strict() {
    let mut schedule = Schedule::default();
    let ranks = [rank(3, 0, 0), rank(3, 0, 7), rank(1, 0, -5), rank(3, 0, 7)];
    for (slot, rank) in (0..).zip(&ranks) {
        schedule.insert(slot, u64::from(slot), rank);
    }
    assert_eq!(turns(&mut schedule, 3), [2, 2, 2]);
    schedule.remove(2, 2, &ranks[2]);
    assert_eq!(turns(&mut schedule, 4), [1, 3, 1, 3]);
    schedule.remove(1, 1, &ranks[1]);
    schedule.remove(3, 3, &ranks[3]);
    assert_eq!(turns(&mut schedule, 2), [0, 0]);
    schedule.remove(0, 0, &ranks[0]);
    assert!(schedule.is_empty() && schedule.peek().is_none());
}

#[test]
fn groups_share_equally_however_many_streams_they_have() {
    let mut schedule = Schedule::default();
    for slot in 0..10 {
        schedule.insert(slot, u64::from(slot), &rank(3, 1, 0));
    }
    schedule.insert(99, 99, &rank(3, 2, -100));
    let order = turns(&mut schedule, 20);
    assert_eq!(order.iter().filter(|&&slot| slot == 99).count(), 10);
    let others: Vec<u32> = order.into_iter().filter(|&slot| slot != 99).collect();
    assert_eq!(others, (0..10).collect::<Vec<_>>());
}

#[test]
fn streams_that_are_not_incremental_go_by_id() {
    let mut schedule = Schedule::default();
    let rank = Priority { incremental: false, ..Priority::default() };
    for slot in [5, 3, 4] {
        schedule.insert(slot, u64::from(slot), &rank);
    }
    assert_eq!(turns(&mut schedule, 3), [3, 3, 3]);
    schedule.remove(3, 3, &rank);
    assert_eq!(turns(&mut schedule, 2), [4, 4]);
    schedule.insert(8, 8, &Priority::default());
    let mut both = turns(&mut schedule, 4);
    both.sort_unstable();
    assert_eq!(both, [4, 4, 8, 8], "shares with those that are");
}

#[test]
fn equals_share_a_link_and_keep_packets_of_one_stream_together() {
    let mut client = End::client();
    let ids: Vec<StreamId> = (0..3).map(|_| client.streams.open(Dir::Uni).unwrap()).collect();
    for &id in &ids {
        client.write(id, &[1; 60_000]);
    }
    let mut sent = [0usize; 3];
    for _ in 0..60 {
        let (payload, _) = client.packet(1_200);
        let frames = frames(&payload);
        assert!(frames.len() <= 2);
        for frame in frames {
            let Frame::Stream { id, data, .. } = frame else { panic!("{frame:?}") };
            sent[id.index() as usize] += data.len();
        }
    }
    let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
    assert!(most - least <= 2 * 4_096 + 1_200, "{sent:?}");
}

#[test]
fn a_new_priority_takes_effect_on_queued_data() {
    let mut client = End::client();
    let ids: Vec<StreamId> = (0..2).map(|_| client.streams.open(Dir::Uni).unwrap()).collect();
    for &id in &ids {
        client.write(id, &[1; 10_000]);
    }
    assert!(client.streams.set_priority(ids[1], rank(0, 4, 4)));
    for _ in 0..3 {
        let (payload, _) = client.packet(1_200);
        assert!(matches!(frames(&payload)[..], [Frame::Stream { id, .. }] if id == ids[1]));
    }
}
