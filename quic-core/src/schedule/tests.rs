use super::*;

fn turns(schedule: &mut Schedule, count: usize) -> Vec<u32> {
    (0..count)
        .map(|_| {
            let turn = schedule.peek(0).unwrap();
            schedule.on_sent(turn, 5_000);
            let (Sender::Stream(name) | Sender::Datagrams(name)) = turn.sender;
            name
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
        schedule.insert(Sender::Stream(slot), u64::from(slot), rank);
    }
    assert_eq!(turns(&mut schedule, 3), [2, 2, 2]);
    schedule.remove(Sender::Stream(2), 2, &ranks[2]);
    assert_eq!(turns(&mut schedule, 4), [1, 3, 1, 3]);
    schedule.remove(Sender::Stream(1), 1, &ranks[1]);
    schedule.remove(Sender::Stream(3), 3, &ranks[3]);
    assert_eq!(turns(&mut schedule, 2), [0, 0]);
    schedule.remove(Sender::Stream(0), 0, &ranks[0]);
    assert!(schedule.is_empty() && schedule.peek(0).is_none());
}

#[test]
fn groups_share_equally_however_many_streams_they_have() {
    let mut schedule = Schedule::default();
    for slot in 0..10 {
        schedule.insert(Sender::Stream(slot), u64::from(slot), &rank(3, 1, 0));
    }
    schedule.insert(Sender::Stream(99), 99, &rank(3, 2, -100));
    let order = turns(&mut schedule, 20);
    assert_eq!(order.iter().filter(|&&slot| slot == 99).count(), 10);
    let others: Vec<u32> = order.into_iter().filter(|&slot| slot != 99).collect();
    assert_eq!(others, (0..10).collect::<Vec<_>>());
}

#[test]
fn bundles_share_equally_however_many_groups_they_have() {
    let mut schedule = Schedule::default();
    let rank = |bundle, group| Priority { bundle, ..rank(3, group, 0) };
    for slot in 0..6 {
        schedule.insert(Sender::Stream(slot), u64::from(slot), &rank(1, slot / 2));
    }
    schedule.insert(Sender::Stream(99), 99, &rank(2, 0));
    let order = turns(&mut schedule, 24);
    assert_eq!(order.iter().filter(|&&slot| slot == 99).count(), 12);
    for group in 0..3 {
        assert_eq!(order.iter().filter(|&&slot| slot / 2 == group).count(), 4);
    }
    schedule.remove(Sender::Stream(99), 99, &rank(2, 0));
    assert_eq!(
        turns(&mut schedule, 3).iter().map(|slot| slot / 2).sum::<u32>(),
        3,
        "one turn for each group"
    );
}

#[test]
fn streams_that_are_not_incremental_go_by_id() {
    let mut schedule = Schedule::default();
    let rank = Priority { incremental: false, ..Priority::default() };
    for slot in [5, 3, 4] {
        schedule.insert(Sender::Stream(slot), u64::from(slot), &rank);
    }
    assert_eq!(turns(&mut schedule, 3), [3, 3, 3]);
    schedule.remove(Sender::Stream(3), 3, &rank);
    assert_eq!(turns(&mut schedule, 2), [4, 4]);
    schedule.insert(Sender::Stream(8), 8, &Priority::default());
    let mut both = turns(&mut schedule, 4);
    both.sort_unstable();
    assert_eq!(both, [4, 4, 8, 8], "shares with those that are");
}

#[test]
fn streams_and_datagrams_of_one_rank_take_turns_and_others_rank_by_order() {
    let mut schedule = Schedule::default();
    schedule.insert(Sender::Stream(1), 1, &rank(3, 7, 0));
    schedule.insert(Sender::Datagrams(2), 0, &rank(3, 7, 0));
    schedule.insert(Sender::Datagrams(3), 0, &rank(3, 7, -1));
    assert_eq!(turns(&mut schedule, 4), [1, 2, 1, 2]);
    schedule.insert(Sender::Datagrams(4), 0, &rank(3, 7, 1));
    assert_eq!(turns(&mut schedule, 3), [4, 4, 4]);
}

#[test]
fn less_urgent_senders_can_be_peeked_and_take_their_own_turns() {
    let mut schedule = Schedule::default();
    for (name, urgency) in [(1, 0), (2, 5), (3, 5), (4, 7)] {
        schedule.insert(Sender::Stream(name), u64::from(name), &rank(urgency, 0, 0));
    }
    let ask = |schedule: &Schedule, from| schedule.peek(from).map(|turn| (turn.sender, turn.urgency));
    assert_eq!(ask(&schedule, 0), Some((Sender::Stream(1), 0)));
    assert_eq!(ask(&schedule, 1), Some((Sender::Stream(2), 5)));
    let less_urgent = schedule.peek(1).unwrap();
    schedule.on_sent(less_urgent, 5_000);
    assert_eq!(ask(&schedule, 1), Some((Sender::Stream(3), 5)));
    assert_eq!(ask(&schedule, 0), Some((Sender::Stream(1), 0)));
    assert_eq!((ask(&schedule, 6), ask(&schedule, 8)), (Some((Sender::Stream(4), 7)), None));
}
