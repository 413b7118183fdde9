//! Rules one by one; those of the conformance table carry its ids.

use super::*;
use crate::{
    base::varint,
    error::{TransportErrorCode as Code, call::WriteError},
    event::StreamTag,
};

fn code<T: std::fmt::Debug>(result: Result<T, Violation>) -> Code {
    result.unwrap_err().code()
}

/// Streams of a server: one of its own of each kind is open.
fn server_with_own() -> (End, StreamId, StreamId) {
    let mut server = End::server();
    let bidi = server.streams.open(Dir::Bidi).unwrap();
    let uni = server.streams.open(Dir::Uni).unwrap();
    (server, bidi, uni)
}

#[test]
fn f12_reset_of_a_send_only_stream() {
    let (mut server, _, uni) = server_with_own();
    assert_eq!(code(server.reset(uni, 1, 0, 0)), Code::STREAM_STATE_ERROR);
}

#[test]
fn f13_stop_sending_of_a_receive_only_or_unopened_stream() {
    let mut server = End::server();
    assert_eq!(code(server.stop(client_uni(0), 1)), Code::STREAM_STATE_ERROR);
    for dir in [Dir::Bidi, Dir::Uni] {
        assert_eq!(code(server.stop(StreamId::new(Side::Server, dir, 0), 1)), Code::STREAM_STATE_ERROR);
    }
    let End { streams, schedule, budget, events, .. } = &mut server;
    assert_eq!(
        code(streams.on_max_stream_data(client_uni(0), 1, schedule, budget, events)),
        Code::STREAM_STATE_ERROR
    );
}

#[test]
fn f17_stream_on_a_send_only_or_unopened_stream() {
    let (mut server, bidi, uni) = server_with_own();
    assert_eq!(code(server.stream(uni, 0, b"x", false)), Code::STREAM_STATE_ERROR);
    assert_eq!(server.stream(bidi, 0, b"x", false), Ok(()));
    assert_eq!(
        code(server.stream(StreamId::new(Side::Server, Dir::Bidi, 1), 0, b"", false)),
        Code::STREAM_STATE_ERROR
    );
}

#[test]
fn f18_data_beyond_the_largest_offset() {
    let mut server = End::server();
    assert_eq!(code(server.stream(client_uni(0), varint::MAX, b"x", false)), Code::FRAME_ENCODING_ERROR);
}

#[test]
fn f19_a_stream_beyond_the_limit() {
    for (dir, limit) in [(Dir::Bidi, 1_000), (Dir::Uni, 1_000)] {
        let beyond = StreamId::new(Side::Client, dir, limit);
        let mut server = End::server();
        assert_eq!(code(server.stream(beyond, 0, b"", false)), Code::STREAM_LIMIT_ERROR);
        assert_eq!(code(server.reset(beyond, 0, 0, 0)), Code::STREAM_LIMIT_ERROR);
        let End { streams, schedule, budget, events, .. } = &mut server;
        assert_eq!(code(streams.on_stream_data_blocked(beyond, budget, events)), Code::STREAM_LIMIT_ERROR);
        if dir == Dir::Bidi {
            assert_eq!(
                code(streams.on_stop_sending(beyond, 0, schedule, budget, events)),
                Code::STREAM_LIMIT_ERROR
            );
            assert_eq!(
                code(streams.on_max_stream_data(beyond, 0, schedule, budget, events)),
                Code::STREAM_LIMIT_ERROR
            );
        }
        assert_eq!(server.stream(StreamId::new(Side::Client, dir, limit - 1), 0, b"", false), Ok(()));
        assert_eq!(server.events.len(), 1, "one event, however many streams it opens");
        assert_eq!(server.streams.live(), 1, "and an entry for none but itself");
    }
}

#[test]
fn f20_data_or_final_size_beyond_a_window() {
    let config = StreamsConfig {
        stream_receive_window: 1_000,
        connection_receive_window: 1_500,
        ..StreamsConfig::new(Side::Server)
    };
    let mut server = End::ready(config);
    assert_eq!(code(server.reset(client_uni(0), 0, 1_001, 0)), Code::FLOW_CONTROL_ERROR);
    assert_eq!(code(server.stream(client_uni(0), 1_000, b"x", false)), Code::FLOW_CONTROL_ERROR);
    assert_eq!(server.stream(client_uni(0), 999, b"x", false), Ok(()));
    assert_eq!(server.reset(client_uni(1), 0, 501, 0), Err(Violation::ConnectionFlowControl));
    assert_eq!(server.stream(client_uni(1), 500, b"x", false), Err(Violation::ConnectionFlowControl));
    assert_eq!(server.stream(client_uni(1), 499, b"x", false), Ok(()));
}

#[test]
fn f21_final_size_changed() {
    type Step = fn(&mut End, StreamId) -> Result<(), Violation>;
    let wrong: [(Step, Step); 8] = [
        (|end, id| end.stream(id, 0, b"abc", true), |end, id| end.stream(id, 3, b"d", false)),
        (|end, id| end.stream(id, 1, b"bc", true), |end, id| end.stream(id, 0, b"ab", true)),
        (|end, id| end.stream(id, 1, b"bc", true), |end, id| end.stream(id, 3, b"d", true)),
        (|end, id| end.stream(id, 0, b"abc", false), |end, id| end.stream(id, 0, b"ab", true)),
        (|end, id| end.stream(id, 0, b"abc", false), |end, id| end.reset(id, 0, 2, 0)),
        (|end, id| end.stream(id, 0, b"abc", true), |end, id| end.reset(id, 0, 4, 0)),
        (|end, id| end.reset(id, 0, 3, 0), |end, id| end.reset(id, 0, 4, 0)),
        (|end, id| end.reset(id, 0, 3, 0), |end, id| end.stream(id, 2, b"cd", false)),
    ];
    for (index, (first, second)) in wrong.into_iter().enumerate() {
        let mut server = End::server();
        first(&mut server, client_uni(0)).unwrap();
        assert_eq!(code(second(&mut server, client_uni(0))), Code::FINAL_SIZE_ERROR, "case {index}");
    }
}

#[test]
fn f21_the_same_end_again_and_frames_on_a_forgotten_stream_are_ignored() {
    let mut server = End::server();
    let id = client_uni(0);
    for _ in 0..2 {
        server.stream(id, 0, b"abc", true).unwrap();
        server.reset(client_uni(1), 7, 3, 0).unwrap();
    }
    assert_eq!(server.drain(id), (b"abc".to_vec(), Ok(Read::Finished)));
    assert_eq!(server.read(id, 1), Err(ReadError::Closed));
    assert_eq!(server.read(client_uni(1), 1), Err(ReadError::Reset(7)));
    assert_eq!(server.streams.live(), 0);
    assert_eq!(server.stream(id, 100, b"beyond", false), Ok(()));
    assert_eq!(server.reset(id, 0, 999, 0), Ok(()));
    assert_eq!((server.streams.live(), server.streams.counters().frames_after_close), (0, 2));
}

#[test]
fn f22_bytes_that_came_first_stay() {
    let mut server = End::server();
    let id = client_uni(0);
    server.stream(id, 2, b"cd", false).unwrap();
    server.stream(id, 0, b"ABCDE", false).unwrap();
    assert_eq!(server.drain(id).0, b"ABcdE");
}

#[test]
fn f23_and_f25_stream_limits() {
    let mut end = End::new(StreamsConfig::new(Side::Client));
    let (streams, events) = (&mut end.streams, &mut end.events);
    assert_eq!(streams.open(Dir::Bidi), None);
    assert_eq!(code(streams.on_max_streams(Dir::Bidi, (1 << 60) + 1, events)), Code::FRAME_ENCODING_ERROR);
    assert_eq!(code(streams.on_streams_blocked(Dir::Bidi, (1 << 60) + 1)), Code::FRAME_ENCODING_ERROR);
    streams.on_max_streams(Dir::Bidi, 2, events).unwrap();
    assert_eq!(events.drain(..).collect::<Vec<_>>(), [Event::StreamsAvailable(Dir::Bidi)]);
    streams.on_max_streams(Dir::Bidi, 1, events).unwrap();
    assert!(streams.open(Dir::Bidi).is_some() && streams.open(Dir::Bidi).is_some());
    assert_eq!((streams.open(Dir::Bidi), streams.open(Dir::Uni)), (None, None));
    streams.on_max_data(10, &mut end.schedule);
    streams.on_max_data(5, &mut end.schedule);
    assert_eq!(streams.credit.available(), 10);
}

#[test]
fn f24_stream_data_blocked_on_a_send_only_stream() {
    let (mut server, _, uni) = server_with_own();
    let End { streams, budget, events, .. } = &mut server;
    assert_eq!(code(streams.on_stream_data_blocked(uni, budget, events)), Code::STREAM_STATE_ERROR);
}

#[test]
fn the_highest_offset_counts_gaps_and_the_final_size() {
    let mut server = End::server();
    let (read, reset, stopped) = (client_uni(0), client_uni(1), client_uni(2));
    let highest = |server: &mut End, id| server.streams.recv_stats(id).map(|stats| stats.highest);
    assert_eq!(highest(&mut server, read), None);
    server.stream(read, 0, &[1; 10], false).unwrap();
    server.stream(read, 90, &[1; 10], false).unwrap();
    server.stream(read, 50, &[1; 10], false).unwrap();
    assert_eq!(highest(&mut server, read), Some(100));
    assert_eq!(server.streams.recv_stats(read).map(|stats| stats.received), Some(10));
    server.stream(read, 10, &[1; 80], false).unwrap();
    server.stream(read, 100, &[], true).unwrap();
    assert_eq!(highest(&mut server, read), Some(100));
    assert_eq!(server.drain(read).1, Ok(Read::Finished));
    assert_eq!(highest(&mut server, read), None);

    server.stream(reset, 0, &[1; 10], false).unwrap();
    server.reset(reset, 7, 500, 0).unwrap();
    assert_eq!(highest(&mut server, reset), Some(500));
    assert_eq!(server.read(reset, 1), Err(ReadError::Reset(7)));
    assert_eq!(highest(&mut server, reset), None);

    server.stream(stopped, 0, &[1; 10], false).unwrap();
    server.streams.stop_sending(stopped, 7, &mut server.budget).unwrap();
    server.stream(stopped, 10, &[1; 20], false).unwrap();
    assert_eq!(highest(&mut server, stopped), Some(30), "stopped streams count on");
    server.reset(stopped, 7, 40, 0).unwrap();
    assert_eq!(highest(&mut server, stopped), None);
}

#[test]
fn f33_reliable_size_beyond_the_final_size() {
    let mut server = End::server();
    assert_eq!(code(server.reset(client_uni(0), 0, 3, 4)), Code::FRAME_ENCODING_ERROR);
    assert_eq!(server.reset(client_uni(0), 0, 4, 4), Ok(()));
    assert_eq!(code(server.reset(client_uni(0), 1, 4, 4)), Code::STREAM_STATE_ERROR);
}

#[test]
fn a_reliable_reset_delivers_up_to_its_size_and_the_size_is_only_lowered() {
    let mut server = End::server();
    let id = client_uni(0);
    server.reset(id, 9, 10, 6).unwrap();
    server.stream(id, 0, b"abc", false).unwrap();
    assert_eq!(server.drain(id), (b"abc".to_vec(), Ok(Read::Blocked)));
    server.reset(id, 9, 10, 8).unwrap();
    server.events.clear();
    server.stream(id, 3, b"defghij", false).unwrap();
    assert_eq!(server.events, [Event::StreamReadable(id, StreamTag(0))]);
    assert_eq!(server.streams.final_size(id), Some(10));
    assert_eq!(server.drain(id), (b"def".to_vec(), Err(ReadError::Reset(9))));
    assert_eq!((server.streams.live(), server.budget.used()), (0, 0));
}

#[test]
fn lower_streams_open_with_a_higher_one_and_can_be_used_before_their_first_frame() {
    let mut server = End::server();
    server.stream(client_bidi(2), 0, b"", false).unwrap();
    assert_eq!(server.events, [Event::StreamOpened(client_bidi(2))]);
    assert!(server.streams.set_tag(client_bidi(0), StreamTag(5)));
    assert_eq!(server.write(client_bidi(1), b"hello"), 5);
    assert_eq!(server.read(client_bidi(3), 1), Err(ReadError::Closed));
    server.stream(client_bidi(0), 0, b"x", false).unwrap();
    assert_eq!(server.events.pop_back(), Some(Event::StreamReadable(client_bidi(0), StreamTag(5))));
    assert_eq!((server.streams.live(), server.budget.used()), (3, 3 * super::table::STREAM_COST + 1 + 63));
}

/// One frame opens as many streams as the limit permits, and causes one event. Each other stream has its own
/// event when its first frame arrives.
#[test]
fn a_frame_that_opens_many_streams_makes_one_event() {
    let mut server = End::server();
    server.stream(client_bidi(99), 0, b"", false).unwrap();
    assert_eq!(server.events, [Event::StreamOpened(client_bidi(99))]);
    server.events.clear();
    for index in [98, 0] {
        server.stream(client_bidi(index), 0, b"x", false).unwrap();
        let id = client_bidi(index);
        assert_eq!(server.events.pop_front(), Some(Event::StreamOpened(id)));
        assert_eq!(server.events.pop_front(), Some(Event::StreamReadable(id, StreamTag(0))));
        assert_eq!(server.events.pop_front(), None);
    }
}

#[test]
fn stop_sending_is_answered_by_a_reset_with_its_code() {
    let mut client = End::client();
    let id = client.streams.open(Dir::Bidi).unwrap();
    client.write(id, b"hello");
    let (_, data) = client.packet(1_200);
    client.stop(id, 42).unwrap();
    client.stop(id, 43).unwrap();
    assert_eq!(client.events, [Event::StreamStopped(id, StreamTag(0), 42)]);
    for within in [Within::Buffer, Within::PeerLimit] {
        let refused =
            client.streams.write_chunk(id, &mut Bytes::from_static(b"x"), within, &mut client.schedule);
        assert_eq!(refused, Err(WriteError::Stopped(42)));
    }
    client.settle(&data, false);
    let (payload, reset) = client.packet(1_200);
    assert_eq!(frames(&payload), [Frame::ResetStream { id, code: 42, final_size: 5 }]);
    client.settle(&reset, false);
    let (payload, again) = client.packet(1_200);
    assert_eq!(frames(&payload), [Frame::ResetStream { id, code: 42, final_size: 5 }]);
    client.events.clear();
    client.settle(&again, true);
    client.settle(&reset, true);
    assert_eq!(client.events, [Event::StreamSent(id, StreamTag(0))]);
}

#[test]
fn a_reset_discards_unread_data_and_gives_the_connection_its_credit_back() {
    let config = StreamsConfig { connection_receive_window: 1_000, ..StreamsConfig::new(Side::Server) };
    let mut server = End::ready(config);
    server.stream(client_uni(0), 0, &[1; 300], false).unwrap();
    server.reset(client_uni(0), 3, 600, 0).unwrap();
    let (payload, _) = server.packet(1_200);
    assert_eq!(frames(&payload), [Frame::MaxData(1_600)]);
    assert_eq!(server.drain(client_uni(0)), (vec![], Err(ReadError::Reset(3))));
    // After stop_sending, arriving data is dropped, counted and credited. The end of the data closes the
    // stream.
    server.stream(client_uni(1), 0, &[1; 100], false).unwrap();
    server.streams.stop_sending(client_uni(1), 8, &mut server.budget).unwrap();
    server.stream(client_uni(1), 100, &[1; 400], false).unwrap();
    let (payload, _) = server.packet(1_200);
    let id = client_uni(1);
    assert_eq!(frames(&payload), [Frame::StopSending { id, code: 8 }, Frame::MaxData(2_100)]);
    server.reset(id, 8, 900, 0).unwrap();
    let (payload, _) = server.packet(1_200);
    assert_eq!(frames(&payload), [Frame::MaxData(2_500)]);
    assert_eq!((server.streams.live(), server.streams.received), (0, 1_500));
    server.streams.clear(&mut server.budget);
    assert_eq!(server.budget.used(), 0);
}

/// RFC 9000 §3.2 permits an end to drop data at a reset. The data that tells who owns the stream must
/// survive: it is read before the reset while the stream has no tag, in whatever order the bytes and the
/// reset came. With the tag, the rest is dropped.
#[test]
fn a_reset_of_an_unclaimed_stream_is_told_after_what_came_in_order() {
    type Frames = fn(&mut End, StreamId);
    let bursts: [(Frames, &[u8]); 6] = [
        (|server, id| server.reset(id, 3, 600, 0).unwrap(), b""),
        (
            |server, id| {
                server.stream(id, 0, b"preface", false).unwrap();
                server.reset(id, 3, 600, 0).unwrap();
            },
            b"preface",
        ),
        // A packet arrives late, but in one burst with the others.
        (
            |server, id| {
                server.stream(id, 3, b"face", false).unwrap();
                server.reset(id, 3, 600, 0).unwrap();
                server.stream(id, 0, b"pre", false).unwrap();
            },
            b"preface",
        ),
        // The data has a gap: it is read up to there.
        (
            |server, id| {
                server.stream(id, 0, b"pre", false).unwrap();
                server.stream(id, 4, b"ace", false).unwrap();
                server.reset(id, 3, 600, 0).unwrap();
            },
            b"pre",
        ),
        // The end was known, and bytes before it are missing.
        (
            |server, id| {
                server.stream(id, 599, b"!", true).unwrap();
                server.stream(id, 0, b"preface", false).unwrap();
                server.reset(id, 3, 600, 0).unwrap();
            },
            b"preface",
        ),
        // The reliable size determines what is read.
        (
            |server, id| {
                server.stream(id, 0, b"preface", false).unwrap();
                server.reset(id, 3, 600, 4).unwrap();
            },
            b"pref",
        ),
    ];
    for (burst, readable) in bursts {
        for claimed_after in 0..=readable.len() {
            let config = StreamsConfig {
                connection_receive_window: 1_000,
                tags_claim: true,
                ..StreamsConfig::new(Side::Server)
            };
            let mut server = End::ready(config);
            let id = client_uni(0);
            burst(&mut server, id);
            let mut read = 0;
            while read < claimed_after {
                let Ok(Read::Data(bytes)) = server.read(id, 1) else { panic!("{read} of {readable:?}") };
                assert_eq!(bytes[..], readable[read..=read]);
                read += 1;
            }
            let reliable = readable == b"pref";
            let rest = if claimed_after < readable.len() {
                server.streams.set_tag(id, StreamTag(6));
                if reliable { &readable[read..] } else { b"".as_slice() }
            } else {
                b""
            };
            assert_eq!(server.drain(id), (rest.to_vec(), Err(ReadError::Reset(3))));
            assert_eq!((server.streams.live(), server.budget.used()), (0, 0));
            let (payload, _) = server.packet(1_200);
            assert_eq!(frames(&payload), [Frame::MaxData(1_600)], "all 600 bytes are credited");
        }
    }
}

#[test]
fn the_final_size_of_a_stopped_stream_is_told_once() {
    type End1 = fn(&mut End, StreamId) -> Result<(), Violation>;
    let ends: [(End1, u64); 3] = [
        (|server, id| server.reset(id, 8, 900, 0), 900),
        (|server, id| server.reset(id, 8, 900, 700), 900),
        // Bytes are missing, but no reader waits for them.
        (|server, id| server.stream(id, 300, &[1; 50], true), 350),
    ];
    for (end, final_size) in ends {
        let mut server = End::server();
        let [early, late] = [0, 1].map(client_uni);
        for id in [early, late] {
            server.stream(id, 0, &[1; 100], false).unwrap();
            assert!(server.streams.set_tag(id, StreamTag(6)));
        }
        end(&mut server, early).unwrap();
        server.events.clear();
        // The caller can ask before it stops the stream.
        assert_eq!(server.streams.final_size(early), Some(final_size));
        for id in [early, late] {
            server.streams.stop_sending(id, 8, &mut server.budget).unwrap();
        }
        assert!(server.events.is_empty());
        server.stream(late, 100, &[1; 20], false).unwrap();
        assert!(server.events.is_empty(), "that is not the end");
        assert_eq!(server.streams.counters().bytes_dropped, 20);
        end(&mut server, late).unwrap();
        assert_eq!(server.events, [Event::StreamDiscarded(late, StreamTag(6), final_size)]);
        end(&mut server, late).unwrap();
        assert_eq!((server.events.len(), server.streams.live()), (1, 0));
    }
}

#[test]
fn a_finished_stream_stays_readable_though_a_reset_follows() {
    let mut server = End::server();
    server.stream(client_uni(0), 0, b"all", true).unwrap();
    server.reset(client_uni(0), 1, 3, 0).unwrap();
    assert_eq!(server.drain(client_uni(0)), (b"all".to_vec(), Ok(Read::Finished)));
}

#[test]
fn receipts_of_a_forgotten_stream_touch_no_other() {
    let mut client = End::client();
    let mut old = Vec::new();
    for _ in 0..50 {
        let id = client.streams.open(Dir::Uni).unwrap();
        client.write(id, b"hello");
        client.streams.finish(id, &mut client.schedule).unwrap();
        let (_, receipts) = client.packet(1_200);
        client.settle(&receipts, false);
        let (_, again) = client.packet(1_200);
        client.settle(&again, true);
        old.extend(receipts);
    }
    assert_eq!(client.streams.live(), 0);
    let id = client.streams.open(Dir::Uni).unwrap();
    client.write(id, b"hello");
    client.packet(1_200);
    client.settle(&old, true);
    client.settle(&old, false);
    assert_eq!(client.streams.send_stats(id).unwrap().acked, 0);
    assert!(!client.streams.wants(&client.schedule).any());
}

#[test]
fn memory_is_charged_and_one_stream_too_many_ends_the_connection() {
    let mut server = End::server();
    // The endpoint's budget is the limit here; a connection's own budget suffices for all credit.
    let endpoint = |bytes| Budget::new(usize::MAX, EndpointBudget::new(bytes));
    let cost = super::table::STREAM_COST;
    assert!(cost <= 752, "{cost} bytes each");
    server.budget = endpoint(10 * super::table::STREAM_COST);
    for index in 0..10 {
        server.stream(client_uni(index), 0, b"", false).unwrap();
    }
    assert_eq!(server.stream(client_uni(10), 0, b"", false), Err(Violation::EndpointMemory));
    let mut server = End::server();
    server.budget = endpoint(super::table::STREAM_COST + 6_000);
    server.stream(client_uni(0), 0, &[1; 1_400], false).unwrap();
    assert_eq!(server.stream(client_uni(0), 100_000, b"x", false), Err(Violation::EndpointMemory));
}

#[test]
fn a_burst_of_streams_leaves_no_table_behind_and_its_receipts_stay_dead() {
    let mut client = End::client();
    let mut old = Vec::new();
    for round in 0..3 {
        let ids: Vec<StreamId> = (0..300).map(|_| client.streams.open(Dir::Uni).unwrap()).collect();
        for &id in &ids {
            client.write(id, b"hello");
            client.streams.finish(id, &mut client.schedule).unwrap();
        }
        client.settle(&old, true);
        assert_eq!(client.streams.live(), 300, "round {round}");
        let (_, receipts) = client.packet(10_000);
        client.settle(&receipts, true);
        assert_eq!(client.streams.live(), 0);
        old.extend(receipts);
    }
}

#[test]
fn spent_credit_leaves_no_interest_in_data_that_needs_it() {
    let config = StreamsConfig { connection_receive_window: 1_000, ..StreamsConfig::new(Side::Client) };
    let mut client = End::ready(config);
    let [first, second, third] = [0, 1, 2].map(|_| client.streams.open(Dir::Uni).unwrap());
    client.write(first, &[1; 500]);
    let (_, receipts) = client.packet(502);
    client.write(second, &[1; 2_000]);
    client.settle(&receipts, false);
    client.write(third, &[1; 2_000]);
    let (payload, _) = client.packet(502);
    assert!(
        matches!(frames(&payload)[..], [Frame::Stream { id, data, .. }] if id == second && data.len() == 500)
    );
    assert_eq!(
        client.streams.wants(&client.schedule),
        Interest { control: true, data: true },
        "what was lost needs no credit"
    );
    client.settle(&receipts, true);
    assert_eq!(client.streams.wants(&client.schedule), Interest { control: true, data: false });
    assert_eq!(client.streams.send_state(&client.schedule), SendState::Blocked);
}

#[test]
fn data_held_above_keeps_the_connections_window_where_it_is() {
    let config = StreamsConfig {
        connection_receive_window: 100_000,
        connection_receive_window_max: 100_000,
        stream_receive_window: 80_000,
        stream_receive_window_max: 80_000,
        ..StreamsConfig::new(Side::Server)
    };
    let mut server = End::ready(config);
    let before = server.streams.receive_window.next_limit();
    server.stream(client_uni(0), 0, &[7; 60_000], false).expect("within the window");
    assert_eq!(server.drain(client_uni(0)).0.len(), 60_000);
    assert_eq!(server.streams.receive_window.next_limit(), before + 60_000);
    assert_eq!(
        server.streams.set_held_above(&held(60_000)),
        Some(35_000),
        "with so many a quarter more can be granted"
    );
    assert_eq!(server.streams.receive_window.next_limit(), before);
    assert_eq!(server.streams.set_held_above(&held(35_001)), Some(35_000));
    assert_eq!(server.streams.set_held_above(&held(25_000)), None);
    assert_eq!(server.streams.receive_window.next_limit(), before + 35_000);
    assert!(server.streams.max_data_wanted, "the peer is told");
}

#[test]
fn what_lies_unread_takes_half_of_a_window_that_can_grow() {
    let config = StreamsConfig {
        connection_receive_window: 100_000,
        connection_receive_window_max: 500_000,
        stream_receive_window: 80_000,
        stream_receive_window_max: 80_000,
        ..StreamsConfig::new(Side::Server)
    };
    let mut server = End::ready(config);
    // One stream is held in the layer above, another one here.
    let before = server.streams.receive_window.next_limit();
    server.stream(client_uni(0), 0, &[7; 40_000], false).expect("within the window");
    assert_eq!(server.drain(client_uni(0)).0.len(), 40_000);
    server.stream(client_uni(1), 0, &[7; 60_000], false).expect("within the window");
    server.streams.set_held_above(&held(40_000));
    assert_eq!(server.streams.receive_window.next_limit(), before + 100_000, "100,000 unread, as many left");
    assert!(server.streams.max_data_wanted, "the peer is told");
    server.streams.receive_window.advance();
    for index in 2..7 {
        server.stream(client_uni(index), 0, &[7; 20_000], false).expect("within the window");
    }
    server.streams.set_held_above(&held(40_000));
    assert_eq!(server.streams.receive_window.next_limit(), before + 300_000);
    server.streams.receive_window.advance();
    for index in 7..17 {
        server.stream(client_uni(index), 0, &[7; 20_000], false).unwrap();
    }
    server.streams.set_held_above(&held(40_000));
    assert_eq!(server.streams.receive_window.next_limit(), before + 400_000, "no further than its maximum");
}

fn held(stream_bytes: usize) -> HeldAbove {
    HeldAbove { stream_bytes, ..HeldAbove::default() }
}

/// However often the peer repeats itself, and whatever is lost, one frame of each kind is pending for each
/// stream, and one for the connection.
#[test]
fn a_frame_that_is_requested_repeatedly_is_pending_once() {
    let config = StreamsConfig {
        connection_receive_window: 100_000,
        stream_receive_window: 1_000,
        ..StreamsConfig::new(Side::Server)
    };
    let mut server = End::ready(config);
    let ids: Vec<StreamId> = (0..20).map(client_bidi).collect();
    for id in &ids {
        server.stream(*id, 0, &[7; 1_000], false).unwrap();
        assert_eq!(server.drain(*id).0.len(), 1_000);
        // This is more than the peer's stream limit permits to be sent.
        server.write(*id, &[7; 5_000]);
    }
    let (_, first) = server.packet(60_000);
    for round in 0..1_000 {
        server.settle(&first, false);
        for id in &ids {
            let End { streams, schedule, budget, events, .. } = &mut server;
            streams.on_stream_data_blocked(*id, budget, events).unwrap();
            streams.on_data_blocked();
            streams.on_streams_blocked(Dir::Bidi, 1_000).unwrap();
            if round > 500 {
                streams.on_stop_sending(*id, round, schedule, budget, events).unwrap();
                let _ = streams.stop_sending(*id, round, budget);
            }
        }
        server.events.clear();
        assert!(server.streams.control.len() <= ids.len(), "{} entries", server.streams.control.len());
    }
    let (payload, _) = server.packet(60_000);
    for id in &ids {
        let of = |frame: &&Frame<'_>| match frame {
            Frame::ResetStream { id: of, .. } | Frame::StopSending { id: of, .. } => of == id,
            Frame::MaxStreamData { id: of, .. } | Frame::StreamDataBlocked { id: of, .. } => of == id,
            _ => false,
        };
        assert_eq!(frames(&payload).iter().filter(of).count(), 2, "a RESET_STREAM and a STOP_SENDING");
    }
    let others = frames(&payload).len() - 2 * ids.len();
    assert!(others <= 4, "MAX_DATA, MAX_STREAMS, STREAMS_BLOCKED, DATA_BLOCKED: {others}");
}
