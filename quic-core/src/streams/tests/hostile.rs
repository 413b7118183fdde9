//! Any frames and calls in any order: no panic, and nothing is held in the end.

use proptest::prelude::*;

use super::*;
use crate::event::{Priority, StreamTag};

#[derive(Clone, Debug)]
enum Step {
    Frame { kind: u8, id: u64, a: u64, b: u64, fin: bool },
    Call { kind: u8, id: u64, size: usize },
    Packet { room: usize },
    Settle { index: prop::sample::Index, acked: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = prop_oneof![0u64..40, 0u64..9_000, Just((1 << 60) + 1), Just((1 << 62) - 1)];
    let step = prop_oneof![
        4 => (0u8..9, 0u64..24, number.clone(), number, any::<bool>())
            .prop_map(|(kind, id, a, b, fin)| Step::Frame { kind, id, a, b, fin }),
        4 => (0u8..8, 0u64..24, 0usize..3_000).prop_map(|(kind, id, size)| Step::Call { kind, id, size }),
        2 => (20usize..1_500).prop_map(|room| Step::Packet { room }),
        2 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(index, acked)| Step::Settle { index, acked }),
    ];
    prop::collection::vec(step, 1..150)
}

fn frame(end: &mut End, kind: u8, id: StreamId, a: u64, b: u64, fin: bool) -> Result<(), Violation> {
    let End { streams, schedule, budget, events, .. } = end;
    let dir = if fin { Dir::Bidi } else { Dir::Uni };
    match kind {
        0 | 1 => {
            let data = Bytes::from(vec![1; (b % 2_000) as usize]);
            streams.on_stream(id, a, data, fin, 1_500, budget, events)
        }
        2 => streams.on_reset_stream(id, b % 3, a, 0, budget, events),
        3 => streams.on_reset_stream(id, 1, a, b, budget, events),
        4 => streams.on_stop_sending(id, a, schedule, budget, events),
        5 => streams.on_max_stream_data(id, a, schedule, budget, events),
        6 => {
            streams.on_max_data(a, schedule);
            streams.on_max_streams(dir, b, events)
        }
        7 => streams.on_stream_data_blocked(id, budget, events),
        _ => streams.on_streams_blocked(dir, a),
    }
}

fn call(end: &mut End, kind: u8, id: StreamId, size: usize) {
    let End { streams, schedule, budget, now, .. } = end;
    *now += Duration::from_millis(size as u64 % 90);
    match kind {
        0 => drop(streams.open(id.dir())),
        1 => drop(streams.read(id, size, budget, *now, RTT)),
        2 => {
            let within = if size.is_multiple_of(2) { Within::Buffer } else { Within::PeerLimit };
            let _ = streams.write_chunk(id, &mut Bytes::from(vec![2; size]), within, schedule);
        }
        3 => drop(streams.finish(id, schedule)),
        4 => drop(streams.reset(id, 6, size as u64, schedule)),
        5 => drop(streams.stop_sending(id, 7, budget)),
        6 => drop(streams.set_tag(id, StreamTag(size as u64))),
        _ => {
            let priority = Priority {
                urgency: size as u8,
                incremental: size.is_multiple_of(2),
                bundle: size as u32 % 2,
                group: size as u32 % 3,
                order: size as i64 % 4 - 2,
            };
            streams.set_priority(id, priority, schedule);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn anything_goes(steps in steps(), small_windows: bool) {
        let mut config = StreamsConfig { max_bidi: 5, max_uni: 5, send_buffer: 4_000, ..StreamsConfig::new(Side::Server) };
        if small_windows {
            config.stream_receive_window = 2_000;
            config.connection_receive_window = 5_000;
        }
        let mut end = End::ready(config);
        let mut receipts: Vec<Receipt> = Vec::new();
        for step in steps {
            match step {
                Step::Frame { kind, id, a, b, fin } => {
                    // A violation would end the connection; going on is the harder test.
                    let _ = frame(&mut end, kind, StreamId::from_value(id).unwrap(), a, b, fin);
                }
                Step::Call { kind, id, size } => call(&mut end, kind, StreamId::from_value(id).unwrap(), size),
                Step::Packet { room } => {
                    let wanted = end.streams.wants(&end.schedule).any();
                    let (payload, new) = end.packet(room);
                    prop_assert!(wanted || payload.is_empty(), "a frame without interest");
                    prop_assert!(!wanted || room < 60 || !payload.is_empty(), "interest without a frame");
                    receipts.extend(new);
                }
                Step::Settle { index, acked } if !receipts.is_empty() => {
                    let receipt = receipts[index.index(receipts.len())];
                    end.settle(&[receipt], acked);
                }
                Step::Settle { .. } => {}
            }
            let waiting = end.streams.table.slots().into_iter()
                .filter(|&slot| end.streams.table.get(slot).is_some_and(|stream| stream.waits_for_credit)).count();
            prop_assert_eq!(waiting, end.streams.waiting);
            prop_assert!(end.streams.credit.available() > 0 || end.streams.wants(&end.schedule).any()
                || end.streams.send_state(&end.schedule) != SendState::Ready);
        }
        end.streams.clear(&mut end.budget);
        prop_assert_eq!(end.budget.used(), 0);
    }
}
