//! The counts of a sending half over its whole life, including resets and stops.

use proptest::prelude::*;

use super::*;
use crate::{event::StreamTag, streams::send::SendStats};

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    Finish,
    Packet(usize),
    Settle(prop::sample::Index, bool),
    Reset(u64),
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..2_000).prop_map(Step::Write),
        1 => Just(Step::Finish),
        4 => (20usize..1_500).prop_map(Step::Packet),
        3 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(index, acked)| Step::Settle(index, acked)),
        1 => (0u64..3_000).prop_map(Step::Reset),
        1 => Just(Step::Stop),
    ]
}

/// What the frames on the wire tell about the stream: how far its data went, and its final sizes.
#[derive(Default)]
struct Seen {
    end: u64,
    final_sizes: Vec<u64>,
}

impl Seen {
    fn packet(&mut self, payload: &[u8]) {
        for frame in frames(payload) {
            match frame {
                Frame::Stream { offset, data, .. } => self.end = self.end.max(offset + data.len() as u64),
                Frame::ResetStream { final_size, .. } | Frame::ResetStreamAt { final_size, .. } => {
                    self.final_sizes.push(final_size);
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No count ever decreases (the W3C API demands this of `getStats`). The counts keep their order and are
    /// what the peer could count: bytes on the wire and, in resets, the final size.
    #[test]
    fn counts_never_fall(steps in prop::collection::vec(step(), 1..60)) {
        let mut client = End::client();
        let id = client.streams.open(Dir::Uni).unwrap();
        let (mut written, mut seen, mut receipts) = (0, Seen::default(), Vec::new());
        let mut last = client.streams.send_stats(id).unwrap();
        for step in steps {
            match step {
                Step::Write(size) => {
                    let mut bytes = Bytes::from(vec![3; size]);
                    written += client.streams.write_chunk(id, &mut bytes, Within::Buffer, &mut client.schedule).unwrap_or(0) as u64;
                }
                Step::Finish => drop(client.streams.finish(id, &mut client.schedule)),
                Step::Packet(room) => {
                    let (payload, sent) = client.packet(room);
                    seen.packet(&payload);
                    receipts.push(sent);
                }
                Step::Settle(index, acked) if !receipts.is_empty() => {
                    let receipts = receipts.swap_remove(index.index(receipts.len()));
                    client.settle(&receipts, acked);
                }
                Step::Settle(..) => {}
                Step::Reset(reliable) => drop(client.streams.reset(id, 1, reliable, &mut client.schedule)),
                Step::Stop => client.stop(id, 2).unwrap(),
            }
            let Some(now) = client.streams.send_stats(id) else { break };
            let SendStats { written: told, sent, acked, final_size } = now;
            prop_assert!(told >= last.written && sent >= last.sent && acked >= last.acked, "{last:?} {now:?}");
            prop_assert!(told >= sent && sent >= acked, "{now:?}");
            prop_assert_eq!((told, sent), (written, seen.end));
            if let Some(told) = seen.final_sizes.last() {
                prop_assert_eq!(final_size, Some(*told));
                prop_assert_eq!(sent, *told);
            }
            last = now;
        }
        prop_assert!(seen.final_sizes.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", seen.final_sizes);
    }
}

#[test]
fn a_stop_does_not_reduce_the_count_of_sent_bytes() {
    let mut client = End::client();
    let id = client.streams.open(Dir::Uni).unwrap();
    client.write(id, &[1; 3_000]);
    let (_, first) = client.packet(1_000);
    let (_, _lost) = client.packet(1_000);
    client.settle(&first, true);
    let before = client.streams.send_stats(id).unwrap();
    assert!(before.acked < before.sent && before.sent < 3_000);
    assert_eq!((before.written, before.final_size), (3_000, None));
    client.stop(id, 9).unwrap();
    let stats = client.streams.send_stats(id).unwrap();
    assert_eq!(stats, SendStats { final_size: Some(before.sent), ..before });
    let (payload, reset) = client.packet(1_000);
    assert_eq!(frames(&payload), [Frame::ResetStream { id, code: 9, final_size: before.sent }]);
    client.events.clear();
    client.settle(&reset, true);
    assert_eq!(client.events, [Event::StreamSent(id, StreamTag(0))]);
    assert_eq!(client.streams.send_stats(id), None);
}

#[test]
fn a_second_reset_that_cuts_off_more_reduces_no_count() {
    let mut client = End::client();
    let id = client.streams.open(Dir::Uni).unwrap();
    client.write(id, &[1; 3_000]);
    client.packet(500);
    client.streams.reset(id, 4, 2_000, &mut client.schedule).unwrap();
    client.packet(700);
    let before = client.streams.send_stats(id).unwrap();
    assert!((700..2_000).contains(&before.sent));
    assert_eq!((before.written, before.final_size), (3_000, Some(2_000)));
    client.streams.reset(id, 4, 600, &mut client.schedule).unwrap();
    let stats = client.streams.send_stats(id).unwrap();
    assert_eq!(stats, SendStats { final_size: Some(before.sent), ..before });
}
