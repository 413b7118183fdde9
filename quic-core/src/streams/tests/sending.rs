//! The sending side: what blocks it, what the peer and the writer learn, and how streams are given up.

use super::*;
use crate::{error::call::WriteError, event::StreamTag};

#[test]
fn blocked_is_told_once_for_each_limit_and_again_when_lost() {
    let config = StreamsConfig {
        stream_receive_window: 100,
        connection_receive_window: 150,
        max_uni: 2,
        ..StreamsConfig::new(Side::Client)
    };
    let mut client = End::ready(config);
    let ids = [client.streams.open(Dir::Uni).unwrap(), client.streams.open(Dir::Uni).unwrap()];
    assert_eq!(client.streams.send_state(&client.schedule), SendState::Nothing);
    for id in ids {
        assert_eq!(client.write(id, &[1; 500]), 500, "flow control does not hold writing back");
    }
    assert_eq!((client.streams.open(Dir::Uni), client.streams.open(Dir::Uni)), (None, None));
    assert_eq!(client.streams.send_state(&client.schedule), SendState::Ready);
    let (payload, receipts) = client.packet(1_200);
    let blocked: Vec<Frame<'_>> =
        frames(&payload).into_iter().filter(|frame| !matches!(frame, Frame::Stream { .. })).collect();
    let expected = [
        Frame::StreamsBlocked { dir: Dir::Uni, limit: 2 },
        Frame::StreamDataBlocked { id: ids[0], limit: 100 },
        Frame::DataBlocked(150),
    ];
    assert_eq!(blocked, expected);
    assert_eq!(client.streams.send_state(&client.schedule), SendState::Blocked);
    assert!(!client.streams.wants(&client.schedule).any());
    let control: Vec<Receipt> =
        receipts.into_iter().filter(|receipt| !matches!(receipt, Receipt::Stream { .. })).collect();
    client.settle(&control, false);
    let (payload, receipts) = client.packet(1_200);
    assert_eq!(frames(&payload).len(), 3);
    client.streams.on_max_data(1_000, &mut client.schedule);
    let End { streams, schedule, budget, events, .. } = &mut client;
    streams.on_max_stream_data(ids[0], 1_000, schedule, budget, events).unwrap();
    streams.on_max_stream_data(ids[1], 1_000, schedule, budget, events).unwrap();
    client.settle(&receipts, false);
    let (payload, _) = client.packet(1_200);
    assert!(
        frames(&payload)
            .iter()
            .all(|frame| matches!(frame, Frame::Stream { .. } | Frame::StreamsBlocked { .. })),
        "a limit that no longer blocks is not reported again: {:?}",
        frames(&payload)
    );
}

#[test]
fn the_send_buffer_is_the_backpressure() {
    let mut client = End::ready(StreamsConfig { send_buffer: 1_000, ..StreamsConfig::new(Side::Client) });
    let id = client.streams.open(Dir::Uni).unwrap();
    assert_eq!((client.write(id, &[1; 900]), client.write(id, &[1; 900])), (900, 100));
    assert_eq!(client.write(id, &[1]), 0);
    let (_, first) = client.packet(150);
    let (_, second) = client.packet(400);
    client.settle(&first, true);
    assert!(client.events.is_empty(), "too little to wake a writer for");
    client.settle(&second, true);
    assert_eq!(client.events, [Event::StreamWritable(id, StreamTag(0))]);
    assert!(client.write(id, &[1; 900]) > 250);
}

#[test]
fn a_writer_that_keeps_to_the_peers_limit_hears_when_that_rises() {
    let mut client = End::ready(StreamsConfig {
        send_buffer: 1_000,
        stream_receive_window: 600,
        ..StreamsConfig::new(Side::Client)
    });
    let id = client.streams.open(Dir::Uni).unwrap();
    assert_eq!((client.write_within_limit(id, &[1; 900]), client.write_within_limit(id, &[1])), (600, 0));
    let (payload, receipts) = client.packet(1_200);
    let sent = frames(&payload);
    assert!(matches!(sent[0], Frame::Stream { data, .. } if data.len() == 600), "{sent:?}");
    assert_eq!(sent[1..], [Frame::StreamDataBlocked { id, limit: 600 }], "the peer is told");
    assert_eq!(client.streams.send_state(&client.schedule), SendState::Blocked);
    client.settle(&receipts, true);
    assert!(client.events.is_empty(), "the buffer is free, the limit is not: {:?}", client.events);
    raise(&mut client, id, 600);
    assert!(client.events.is_empty(), "not raised");
    raise(&mut client, id, 700);
    assert_eq!(client.events.pop_front(), Some(Event::StreamWritable(id, StreamTag(0))));
    assert_eq!(
        client.streams.send_state(&client.schedule),
        SendState::Nothing,
        "nobody waits for the limit now"
    );
    assert_eq!(client.write_within_limit(id, &[1; 900]), 100);
    raise(&mut client, id, 2_000);
    assert_eq!(client.events.pop_front(), Some(Event::StreamWritable(id, StreamTag(0))));
    assert_eq!(client.write_within_limit(id, &[1; 1_200]), 900, "the send buffer bounds it as well");
    raise(&mut client, id, 3_000);
    assert!(client.events.is_empty(), "there is no room yet");
    assert_eq!(client.write(id, &[1]), 0);
    client.streams.finish(id, &mut client.schedule).unwrap();
    raise(&mut client, id, 4_000);
    assert!(client.events.is_empty(), "nobody writes any more");
}

/// A writer that must not begin what it cannot send whole asks both limits (RFC 9000 §4.1).
#[test]
fn send_credit_is_what_both_limits_permit() {
    let mut client = End::ready(StreamsConfig {
        stream_receive_window: 600,
        connection_receive_window: 1_000,
        ..StreamsConfig::new(Side::Client)
    });
    let [id, other] = [0; 2].map(|_| client.streams.open(Dir::Uni).unwrap());
    assert_eq!(client.streams.send_credit(id), 600);
    client.write(id, &[1; 100]);
    assert_eq!(client.streams.send_credit(id), 500, "written and not sent");
    client.packet(1_200);
    assert_eq!(client.streams.send_credit(id), 500, "sent");
    // Another stream uses the connection's credit once it sends.
    client.write(other, &[1; 600]);
    assert_eq!((client.streams.send_credit(id), client.streams.send_credit(other)), (500, 0));
    client.packet(1_200);
    assert_eq!(client.streams.send_credit(id), 300);
    client.write(id, &[1; 250]);
    assert_eq!(client.streams.send_credit(id), 50);
    let unknown = StreamId::new(Side::Client, Dir::Uni, 7);
    assert_eq!(client.streams.send_credit(unknown), 0);
}

fn raise(end: &mut End, id: StreamId, limit: u64) {
    let End { streams, schedule, budget, events, .. } = end;
    streams.on_max_stream_data(id, limit, schedule, budget, events).unwrap();
}

#[test]
fn delayed_frames_leave_when_the_other_stream_has_arrived() {
    let mut client = End::client();
    let [last_word, both, uni, done] =
        [Dir::Bidi, Dir::Bidi, Dir::Uni, Dir::Uni].map(|dir| client.streams.open(dir).unwrap());
    for id in [last_word, both, uni] {
        client.write(id, &[1; 10]);
    }
    client.streams.finish(done, &mut client.schedule).unwrap();
    let (_, receipts) = client.packet(1_200);
    client.write(uni, &[2; 10]);
    for id in [both, uni, done] {
        client.streams.hold_back(id, last_word);
    }
    client.settle(&receipts, true);
    assert_eq!(client.events.drain(..).collect::<Vec<_>>(), [Event::StreamSent(done, StreamTag(0))]);
    for id in [both, uni] {
        client.streams.reset(id, 5, 0, &mut client.schedule).unwrap();
    }
    let End { streams, budget, .. } = &mut client;
    streams.stop_sending(both, 6, budget).unwrap();
    assert_eq!(
        client.streams.finish(uni, &mut client.schedule),
        Err(WriteError::Closed),
        "locally it takes effect at once"
    );
    assert!(!client.streams.wants(&client.schedule).any(), "and the written data is no longer sent");
    client.streams.finish(last_word, &mut client.schedule).unwrap();
    let (payload, lost) = client.packet(1_200);
    assert!(matches!(frames(&payload)[..], [Frame::Stream { fin: true, .. }]), "{:?}", frames(&payload));
    client.settle(&lost, false);
    let (payload, receipts) = client.packet(1_200);
    assert_eq!(frames(&payload).len(), 1);
    client.settle(&receipts, true);
    let (payload, receipts) = client.packet(1_200);
    let resets = [
        Frame::ResetStream { id: both, code: 5, final_size: 10 },
        Frame::StopSending { id: both, code: 6 },
        Frame::ResetStream { id: uni, code: 5, final_size: 10 },
    ];
    let mut sent = frames(&payload);
    sent.sort_by_key(|frame| resets.iter().position(|expected| expected == frame));
    assert_eq!(sent, resets);
    client.settle(&receipts, false);
    assert_eq!(frames(&client.packet(1_200).0).len(), 3, "those that were lost wait for nothing");
    // The stream to wait for has arrived or is unknown, so nothing waits.
    let other = client.streams.open(Dir::Uni).unwrap();
    client.streams.hold_back(other, last_word);
    client.streams.hold_back(other, done);
    client.streams.reset(other, 7, 0, &mut client.schedule).unwrap();
    assert_eq!(frames(&client.packet(1_200).0), [Frame::ResetStream { id: other, code: 7, final_size: 0 }]);
}

#[test]
fn a_reliable_reset_sends_its_data_first_and_again_until_acknowledged() {
    let mut client = End::client();
    let id = client.streams.open(Dir::Uni).unwrap();
    client.write(id, &[1; 1_000]);
    let (_, first) = client.packet(200);
    client.streams.reset(id, 4, 600, &mut client.schedule).unwrap();
    let (payload, second) = client.packet(300);
    assert!(matches!(frames(&payload)[..], [Frame::Stream { .. }]), "the final size is not sent yet");
    let (payload, third) = client.packet(1_200);
    let sent = frames(&payload);
    assert!(
        matches!(sent[0], Frame::Stream { offset, data, fin: false, .. } if offset + data.len() as u64 == 600)
    );
    assert_eq!(sent[1], Frame::ResetStreamAt { id, code: 4, final_size: 600, reliable_size: 600 });
    client.settle(&third, true);
    client.settle(&first, true);
    client.settle(&second, false);
    let (payload, again) = client.packet(1_200);
    assert!(matches!(frames(&payload)[..], [Frame::Stream { .. }]));
    assert!(client.events.is_empty());
    client.settle(&again, true);
    assert_eq!(client.events, [Event::StreamSent(id, StreamTag(0))]);
    assert_eq!(client.streams.live(), 0);
}

#[test]
fn lowering_the_reliable_size_needs_an_acknowledgment_of_its_own() {
    let mut client = End::client();
    let id = client.streams.open(Dir::Uni).unwrap();
    client.write(id, &[1; 1_000]);
    let (_, data) = client.packet(2_000);
    client.streams.reset(id, 4, 600, &mut client.schedule).unwrap();
    let (_, high) = client.packet(1_200);
    client.stop(id, 77).unwrap();
    let (payload, low) = client.packet(1_200);
    assert_eq!(frames(&payload), [Frame::ResetStream { id, code: 4, final_size: 1_000 }]);
    client.events.clear();
    client.settle(&data, true);
    client.settle(&high, true);
    assert!(client.events.is_empty(), "that was for the old size");
    client.settle(&low, true);
    assert_eq!(client.events, [Event::StreamSent(id, StreamTag(0))]);
}

/// A client whose peer does not know RESET_STREAM_AT, with a stream of five bytes.
fn without_reset_stream_at() -> (End, StreamId) {
    let config = StreamsConfig::new(Side::Client);
    let mut client = End::new(config);
    client.streams.set_peer_limits(limits_of(&config, false), &mut client.schedule, &mut client.events);
    let id = client.streams.open(Dir::Uni).unwrap();
    client.write(id, b"hello");
    (client, id)
}

#[test]
fn without_reset_stream_at_a_reliable_reset_falls_back_and_is_counted() {
    let (mut client, id) = without_reset_stream_at();
    client.streams.reset(id, 4, 3, &mut client.schedule).unwrap();
    assert_eq!(client.streams.counters().reset_fallbacks, 1);
    // The client sends the reliable data and no more.
    let (payload, first) = client.packet(1_200);
    let [Frame::Stream { offset: 0, fin: false, data, .. }] = frames(&payload)[..] else {
        panic!("{payload:?}")
    };
    assert_eq!(data, b"hel");
    assert!(!client.streams.wants(&client.schedule).any(), "the reset waits");
    // That data is lost: it is sent again, alone.
    client.settle(&first, false);
    let (payload, second) = client.packet(1_200);
    assert!(matches!(frames(&payload)[..], [Frame::Stream { offset: 0, .. }]));
    assert!(!client.streams.wants(&client.schedule).any(), "the reset waits");
    client.settle(&second, true);
    let (payload, reset) = client.packet(1_200);
    assert_eq!(frames(&payload), [Frame::ResetStream { id, code: 4, final_size: 3 }]);
    // A lost reset waits for nothing any more.
    client.settle(&reset, false);
    let (payload, reset) = client.packet(1_200);
    assert_eq!(frames(&payload), [Frame::ResetStream { id, code: 4, final_size: 3 }]);
    client.settle(&reset, true);
    assert_eq!(client.events, [Event::StreamSent(id, StreamTag(0))]);
    assert_eq!(client.streams.live(), 0);
}

#[test]
fn a_plain_reset_waits_no_longer_than_it_has_to() {
    // The peer has asked for the reset, or the reliable data is given up.
    for stopped in [true, false] {
        let (mut client, id) = without_reset_stream_at();
        client.streams.reset(id, 4, 3, &mut client.schedule).unwrap();
        if stopped {
            client.stop(id, 9).unwrap();
        } else {
            client.streams.reset(id, 5, 0, &mut client.schedule).unwrap();
        }
        let (payload, _) = client.packet(1_200);
        assert_eq!(frames(&payload), [Frame::ResetStream { id, code: 4, final_size: 0 }]);
    }
    // The reliable data has arrived before.
    let (mut client, id) = without_reset_stream_at();
    let (_, data) = client.packet(1_200);
    client.settle(&data, true);
    client.streams.reset(id, 4, 3, &mut client.schedule).unwrap();
    let (payload, _) = client.packet(1_200);
    assert_eq!(frames(&payload), [Frame::ResetStream { id, code: 4, final_size: 5 }]);
    // There is no reliable data.
    let (mut client, id) = without_reset_stream_at();
    client.streams.reset(id, 4, 0, &mut client.schedule).unwrap();
    let (payload, _) = client.packet(1_200);
    assert_eq!(frames(&payload), [Frame::ResetStream { id, code: 4, final_size: 0 }]);
}

/// There are ten streams. The peer acknowledges nothing, and then all data of one stream.
#[test]
fn all_streams_together_hold_what_the_connection_may_and_take_turns() {
    let config = StreamsConfig {
        send_buffer: 100_000,
        stream_receive_window: 1 << 20,
        ..StreamsConfig::new(Side::Client)
    };
    let mut client = End::ready(config);
    client.streams.set_send_limits(130_000, 130_000);
    let ids: Vec<_> = (0..10).map(|_| client.streams.open(Dir::Uni).unwrap()).collect();
    let taken: Vec<_> = ids.iter().map(|id| client.write(*id, &[7; 150_000])).collect();
    assert_eq!(taken, [100_000, 30_000, 4_096, 4_096, 4_096, 4_096, 4_096, 4_096, 4_096, 4_096]);
    assert_eq!(client.streams.buffered(), 130_000 + 8 * 4_096);
    client.streams.wake_writers(&mut client.events);
    assert!(client.events.is_empty(), "there is no room");
    // Data that is given up is no longer held.
    client.streams.reset(ids[0], 1, 0, &mut client.schedule).unwrap();
    client.streams.wake_writers(&mut client.events);
    let writable = |client: &mut End| {
        std::iter::from_fn(|| client.events.pop_front())
            .filter_map(|event| match event {
                Event::StreamWritable(id, _) => Some(id),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(writable(&mut client), ids[1..2], "room for one is told to one");
    assert_eq!(client.write(ids[1], &[7; 150_000]), 67_232);
    for _ in 0..1_000 {
        let (_, receipts) = client.packet(1_200);
        client.settle(&receipts, true);
    }
    client.streams.wake_writers(&mut client.events);
    assert_eq!(client.streams.buffered(), 0);
    let mut told = writable(&mut client);
    told.sort_unstable();
    told.dedup();
    assert_eq!(told, ids[1..], "all of them, once nothing is held");
}

/// One stream alone can fill the congestion window. All streams together may hold two windows, so that others
/// find room beside it.
#[test]
fn a_stream_holds_more_than_its_buffer_where_the_window_is_large() {
    let config = StreamsConfig {
        send_buffer: 10_000,
        stream_receive_window: 1 << 20,
        ..StreamsConfig::new(Side::Client)
    };
    let mut client = End::ready(config);
    let [one, other] = [(); 2].map(|()| client.streams.open(Dir::Uni).unwrap());
    client.streams.set_send_limits(200_000, 200_000);
    assert_eq!(client.streams.writable(one), 150_000);
    assert_eq!(client.write(one, &[7; 200_000]), 150_000);
    assert_eq!(client.write(other, &[7; 200_000]), 50_000);
    let (_, receipts) = client.packet(60_000);
    client.settle(&receipts, true);
    assert!(client.events.contains(&Event::StreamWritable(one, StreamTag(0))), "{:?}", client.events);
    client.streams.set_send_limits(10_000, 10_000);
    assert_eq!(client.streams.writable(one), 0);
}

/// A missing packet delays the data behind it, but not the writer, up to a bound for all that is held.
#[test]
fn data_acknowledged_behind_a_gap_makes_room() {
    let config = StreamsConfig {
        send_buffer: 10_000,
        stream_receive_window: 1 << 20,
        ..StreamsConfig::new(Side::Client)
    };
    let mut client = End::ready(config);
    let id = client.streams.open(Dir::Uni).unwrap();
    client.streams.set_send_limits(20_000, 40_000);
    assert_eq!(client.write(id, &[7; 100_000]), 15_000);
    let (_, missing) = client.packet(1_200);
    let mut held = 15_000;
    // A single stream may hold three quarters of either limit.
    while held < 30_000 {
        let (_, receipts) = client.packet(1_200);
        client.settle(&receipts, true);
        let told = client.events.drain(..).any(|event| matches!(event, Event::StreamWritable(..)));
        let taken = client.write(id, &[7; 100_000]) as u64;
        assert!(taken > 0 || !told, "{held} held");
        held += taken;
        assert_eq!(client.streams.buffered(), held);
        assert!(!receipts.is_empty(), "{held} held, and nothing is left to send");
    }
    assert_eq!((held, client.streams.writable(id)), (30_000, 0));
    client.settle(&missing, true);
    assert!(client.streams.writable(id) > 0);
    // Giving up the data releases all of it.
    client.streams.reset(id, 1, 0, &mut client.schedule).unwrap();
    assert_eq!(client.streams.buffered(), 0);
}

/// Data of one stream that the peer does not accept is not held without end, nor at the cost of other
/// streams.
#[test]
fn a_stream_takes_little_data_beyond_the_peers_limit() {
    let config = StreamsConfig { stream_receive_window: 1_000, ..StreamsConfig::new(Side::Client) };
    let mut client = End::ready(config);
    let id = client.streams.open(Dir::Uni).unwrap();
    assert_eq!(client.write(id, &[7; 100_000]), 1_000 + 16_384);
    client.packet(1_500);
    let End { streams, schedule, budget, events, .. } = &mut client;
    streams.on_max_stream_data(id, 5_000, schedule, budget, events).unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::StreamWritable(..))));
    assert_eq!(client.write(id, &[7; 100_000]), 4_000);
}

/// The peer gives no credit, and one stream holds all the room. Streams that wait in vain and are given up
/// leave nothing behind.
#[test]
fn streams_that_come_and_go_while_all_are_blocked_leave_no_entries() {
    for credit in [0, 1 << 30] {
        let config = StreamsConfig {
            connection_receive_window: credit,
            send_buffer: 10_000,
            ..StreamsConfig::new(Side::Client)
        };
        let mut client = End::ready(config);
        client.streams.set_send_limits(10_000, 10_000);
        let first = client.streams.open(Dir::Uni).unwrap();
        assert_eq!(client.write(first, &[7; 10_000]), 10_000);
        // These packets are never acknowledged.
        client.packet(20_000);
        for round in 1..20_000 {
            let End { streams, events, .. } = &mut client;
            streams.on_max_streams(Dir::Uni, 1_000 + round, events).unwrap();
            let id = client.streams.open(Dir::Uni).unwrap();
            assert_eq!(client.write(id, &[7; 5_000]), 4_096);
            client.streams.reset(id, 1, 0, &mut client.schedule).unwrap();
            let (_, receipts) = client.packet(30);
            client.settle(&receipts, true);
        }
        assert_eq!(client.streams.live(), 1);
        let (blocked, waiting) = client.streams.waiting_entries();
        assert!(blocked <= 2 * 64 && waiting <= 2 * 64, "{blocked} and {waiting} entries of one stream");
    }
}
