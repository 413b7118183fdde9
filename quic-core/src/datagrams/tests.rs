use super::*;
use crate::event::Priority;

const NOW: Timestamp = Timestamp::ORIGIN;
const ROOM: usize = 1_200;

struct End {
    datagrams: Datagrams,
    schedule: Schedule,
    budget: Budget,
    events: VecDeque<Event>,
}

impl End {
    fn new(config: DatagramsConfig) -> Self {
        let mut datagrams = Datagrams::new(config);
        datagrams.set_peer_max_frame(65_535);
        Self {
            datagrams,
            schedule: Schedule::default(),
            budget: Budget::alone(1 << 24),
            events: VecDeque::new(),
        }
    }

    fn receive(&mut self, data: &[u8], has_length: bool) -> Result<(), Violation> {
        let data = Bytes::copy_from_slice(data);
        self.datagrams.on_datagram(data, has_length, 1_500, NOW, &mut self.budget, &mut self.events)
    }

    fn send(&mut self, data: impl Into<Bytes>, now: Timestamp) -> Result<(), DatagramError> {
        self.send_with(data, DatagramOptions::default(), now)
    }

    fn send_with(
        &mut self,
        data: impl Into<Bytes>,
        options: DatagramOptions,
        now: Timestamp,
    ) -> Result<(), DatagramError> {
        self.datagrams.send(data.into(), options, ROOM, now, &mut self.schedule)
    }

    fn packet(&mut self, room: usize, now: Timestamp) -> (Vec<u8>, Vec<Receipt>) {
        let (mut payload, mut receipts) = (vec![0; room], Vec::new());
        let mut writer = FrameWriter::new(&mut payload, &mut receipts);
        let Self { datagrams, schedule, events, .. } = self;
        while let Some(turn) = schedule.peek(0) {
            if !datagrams.write(turn, &mut writer, ROOM, now, schedule, events) {
                break;
            }
        }
        let written = writer.written();
        payload.truncate(written);
        (payload, receipts)
    }
}

#[test]
fn f31_not_offered_or_larger_than_offered() {
    let mut end = End::new(DatagramsConfig { max_frame_size: 0, ..DatagramsConfig::default() });
    assert_eq!(end.receive(b"", false), Err(Violation::DatagramUnexpected));
    let mut end = End::new(DatagramsConfig { max_frame_size: 100, ..DatagramsConfig::default() });
    assert_eq!(end.receive(&[0; 99], false), Ok(()));
    assert_eq!(end.receive(&[0; 100], false), Err(Violation::DatagramUnexpected));
    assert_eq!(end.receive(&[0; 97], true), Ok(()));
    assert_eq!(end.receive(&[0; 98], true), Err(Violation::DatagramUnexpected), "the length counts");
}

#[test]
fn f32_a_flood_of_empty_datagrams_is_bounded() {
    let mut end = End::new(DatagramsConfig::default());
    for index in 0..100_000u32 {
        end.receive(b"", index % 2 == 0).unwrap();
    }
    assert_eq!(end.budget.used(), 1_024 * ENTRY);
    assert_eq!(end.events, [Event::DatagramReadable]);
    assert_eq!(end.datagrams.counters().dropped_incoming, 100_000 - 1_024);
    assert_eq!(end.datagrams.recv(NOW, &mut end.budget), Some((Bytes::new(), NOW)));
    end.datagrams.clear(&mut end.budget);
    assert_eq!(end.budget.used(), 0);
}

#[test]
fn the_oldest_is_dropped_by_count_by_bytes_and_for_want_of_budget() {
    let config = DatagramsConfig { incoming_count: 3, incoming_bytes: 10, ..DatagramsConfig::default() };
    for (sizes, left, budget) in
        [(&[1, 1, 1, 1][..], 3, 1 << 20), (&[4, 4, 4], 2, 1 << 20), (&[2, 2], 1, 80), (&[11], 0, 1 << 20)]
    {
        let mut end = End::new(config);
        end.budget = Budget::alone(budget);
        for (index, &size) in sizes.iter().enumerate() {
            end.receive(&vec![index as u8; size], true).unwrap();
        }
        let mut kept = Vec::new();
        while let Some((data, _)) = end.datagrams.recv(NOW, &mut end.budget) {
            kept.push(usize::from(data[0]));
        }
        assert_eq!(kept, (sizes.len() - left..sizes.len()).collect::<Vec<_>>());
        assert_eq!(end.datagrams.counters().dropped_incoming as usize, sizes.len() - left);
        assert_eq!(end.budget.used(), 0);
    }
}

#[test]
fn small_datagrams_share_a_packet_and_an_exact_fit_needs_no_length() {
    let mut end = End::new(DatagramsConfig::default());
    for _ in 0..3 {
        end.send(&b"abcd"[..], NOW).unwrap();
    }
    let (payload, receipts) = end.packet(6 + 6 + 5, NOW);
    let frames: Vec<_> = crate::frame::Frames::new(&payload).map(Result::unwrap).collect();
    let lengths =
        frames.iter().map(|frame| matches!(frame, Frame::Datagram { has_length: true, data: b"abcd" }));
    assert_eq!(lengths.collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(receipts, [Receipt::Datagrams { count: 3, bytes: 12 }]);
    assert!(!end.datagrams.wants());
    end.datagrams.on_lost(1);
    end.datagrams.on_acked(1, 4, false);
    assert_eq!(end.datagrams.counters().lost_outgoing, 1);
    end.datagrams.on_acked(1, 4, true);
    let counters = end.datagrams.counters();
    assert_eq!((counters.lost_outgoing, counters.bytes_sent, counters.bytes_acked), (0, 12, 8));
}

#[test]
fn a_full_queue_refuses_and_tells_when_it_has_room() {
    let config = DatagramsConfig { outgoing_count: 4, ..DatagramsConfig::default() };
    let mut end = End::new(config);
    for _ in 0..4 {
        end.send(vec![1; 100], NOW).unwrap();
    }
    assert_eq!(end.send(Bytes::new(), NOW), Err(DatagramError::Full));
    end.packet(110, NOW);
    assert!(end.events.is_empty());
    end.packet(110, NOW);
    assert_eq!(end.events, [Event::DatagramWritable]);
    // The same limit by bytes. A datagram that is larger than the whole limit may have an empty queue to
    // itself.
    let mut end = End::new(DatagramsConfig { outgoing_bytes: 1_000, ..DatagramsConfig::default() });
    for _ in 0..2 {
        end.send(vec![1; 500], NOW).unwrap();
    }
    assert_eq!(end.send(vec![1], NOW), Err(DatagramError::Full));
    end.packet(ROOM, NOW);
    assert_eq!(end.events, [Event::DatagramWritable]);
}

#[test]
fn datagrams_too_old_or_too_large_are_dropped_when_their_turn_comes() {
    let age = Some(Duration::from_millis(10));
    let mut end =
        End::new(DatagramsConfig { outgoing_max_age: age, incoming_max_age: age, ..Default::default() });
    let later = NOW + Duration::from_millis(11);
    end.send(&b"old"[..], NOW).unwrap();
    end.datagrams
        .send(Bytes::from(vec![1; 1_300]), DatagramOptions::default(), 1_400, later, &mut end.schedule)
        .unwrap();
    end.send(&b"new"[..], later).unwrap();
    let (payload, _) = end.packet(ROOM, later);
    assert_eq!(payload, b"\x31\x03new");
    let counters = end.datagrams.counters();
    assert_eq!((counters.expired_outgoing, counters.too_large_outgoing, counters.sent), (1, 1, 1));
    end.receive(b"old", true).unwrap();
    assert_eq!(end.datagrams.recv(later, &mut end.budget), None);
    assert_eq!(end.datagrams.counters().expired_incoming, 1);
}

#[test]
fn the_largest_payload_fits_and_one_more_does_not() {
    assert_eq!((max_size(0, 1_200), max_size(1, 1_200), max_size(65_535, 0)), (None, None, None));
    assert_eq!(
        (max_size(2, 1_200), max_size(65_535, 1_200), max_size(u64::MAX, 60)),
        (Some(0), Some(1_197), Some(58))
    );
    let mut end = End::new(DatagramsConfig::default());
    assert_eq!(end.send(vec![0; 1_198], NOW), Err(DatagramError::TooLarge { max: 1_197 }));
    end.send(vec![0; 1_197], NOW).unwrap();
    assert_eq!(end.packet(ROOM, NOW).0.len(), ROOM);
    end.datagrams.set_peer_max_frame(0);
    assert_eq!(end.send(Bytes::new(), NOW), Err(DatagramError::Unsupported));
}

/// The payloads of one packet, each of one byte.
fn order(end: &mut End, now: Timestamp) -> Vec<u8> {
    let (payload, _) = end.packet(ROOM, now);
    let data = crate::frame::Frames::new(&payload).map(|frame| match frame.unwrap() {
        Frame::Datagram { data, .. } => data[0],
        other => panic!("{other:?}"),
    });
    data.collect()
}

fn ranked(urgency: u8, group: u32, order: i64) -> DatagramOptions {
    let priority = Priority { urgency, group, order, incremental: order % 2 == 0, ..Priority::default() };
    DatagramOptions::default().with_priority(priority)
}

#[test]
fn datagrams_go_by_rank_and_in_one_rank_as_they_came() {
    let mut end = End::new(DatagramsConfig::default());
    for (name, options) in [
        (1, ranked(3, 0, 0)),
        (2, ranked(3, 0, -5)),
        (3, ranked(3, 0, 5)),
        (4, ranked(3, 0, 0)),
        (5, DatagramOptions::default()),
        (6, ranked(3, 0, 5)),
    ] {
        end.send_with(vec![name], options, NOW).unwrap();
    }
    assert_eq!(order(&mut end, NOW), [5, 3, 6, 1, 4, 2]);
    assert!(end.schedule.is_empty() && !end.datagrams.wants());
}

#[test]
fn groups_of_datagrams_share_by_bytes_of_frames() {
    let mut end = End::new(DatagramsConfig { outgoing_count: 9_000, ..DatagramsConfig::default() });
    for _ in 0..3_000 {
        end.send_with(vec![1; 10], ranked(3, 1, 0), NOW).unwrap();
        end.send_with(vec![9; 40], ranked(3, 2, 0), NOW).unwrap();
    }
    let mut sizes = [0_usize, 0];
    for _ in 0..20 {
        let (payload, _) = end.packet(ROOM, NOW);
        for frame in crate::frame::Frames::new(&payload).map(Result::unwrap) {
            let Frame::Datagram { data, .. } = frame else { panic!("{frame:?}") };
            sizes[usize::from(data.len() == 40)] += 2 + data.len();
        }
    }
    assert!(sizes[0].abs_diff(sizes[1]) <= 4_096 + 42, "{sizes:?}");
}

#[test]
fn a_datagram_without_room_waits_and_so_do_those_behind_it() {
    let mut end = End::new(DatagramsConfig::default());
    end.send_with(vec![1; 600], ranked(3, 0, 0), NOW).unwrap();
    end.send_with(vec![2; 700], ranked(3, 0, 0), NOW).unwrap();
    end.send_with(vec![3; 10], ranked(3, 0, -1), NOW).unwrap();
    assert_eq!((order(&mut end, NOW), order(&mut end, NOW)), (vec![1], vec![2, 3]));
}

#[test]
fn a_datagrams_own_maximum_age_overrides_the_connections() {
    let ms = Duration::from_millis;
    let mut end = End::new(DatagramsConfig { outgoing_max_age: Some(ms(10)), ..DatagramsConfig::default() });
    for (name, age) in [(1, None), (2, Some(ms(5))), (3, Some(ms(50)))] {
        end.send_with(vec![name], DatagramOptions::default().with_max_age(age), NOW).unwrap();
    }
    end.send_with(vec![4], ranked(3, 0, 0), NOW).unwrap();
    assert_eq!(order(&mut end, NOW + ms(20)), [3]);
    assert_eq!((end.datagrams.counters().expired_outgoing, end.datagrams.counters().sent), (3, 1));
    assert!(end.schedule.is_empty());
}

#[test]
fn queues_are_limited_together_and_go_with_their_last_datagram() {
    let config = DatagramsConfig { outgoing_count: 50, ..DatagramsConfig::default() };
    let mut end = End::new(config);
    for round in 0..10 {
        for name in 0..50 {
            end.send_with(vec![name], ranked(name % 8, u32::from(name), round), NOW).unwrap();
        }
        assert_eq!(end.send_with(vec![99], ranked(0, 99, 0), NOW), Err(DatagramError::Full));
        let mut all = order(&mut end, NOW);
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<u8>>());
        assert_eq!(end.events.pop_front(), Some(Event::DatagramWritable));
    }
    end.send(vec![1], NOW).unwrap();
    end.datagrams.clear(&mut end.budget);
    assert!(!end.datagrams.wants());
}
