//! Table F: streams and flow control.

use crate::common::*;

both_sides! {
    fn f12_reset_of_a_stream_the_peer_cannot_send_on(side) {
        let id = ours(side, Dir::Uni, 0);
        let reset = Frame::ResetStream { id, code: 1, final_size: 0 };
        closes_with(side, wire::frame(&reset), STREAM_STATE_ERROR, 0x04);
        let reset = Frame::ResetStreamAt { id, code: 1, final_size: 0, reliable_size: 0 };
        closes_with(side, wire::frame(&reset), STREAM_STATE_ERROR, 0x24);
    }

    fn f13_stop_sending_where_nothing_is_sent(side) {
        for id in [theirs(side, Dir::Uni, 0), ours(side, Dir::Bidi, 0), ours(side, Dir::Uni, 0)] {
            closes_with(side, wire::frame(&Frame::StopSending { id, code: 1 }), STREAM_STATE_ERROR, 0x05);
            let credit = Frame::MaxStreamData { id, limit: 1 };
            closes_with(side, wire::frame(&credit), STREAM_STATE_ERROR, 0x11);
        }
    }

    fn f17_stream_that_only_the_endpoint_sends_on_or_opens(side) {
        for id in [ours(side, Dir::Uni, 0), ours(side, Dir::Bidi, 0)] {
            closes_with(side, wire::stream(id, 0, false, b"x"), STREAM_STATE_ERROR, 0x0a);
        }
    }

    /// While a stream is open: the largest IDs are looked up like any other.
    fn f17_f19_largest_stream_ids(side) {
        for (id, code) in [
            (ours(side, Dir::Uni, (1 << 60) - 1), STREAM_STATE_ERROR),
            (ours(side, Dir::Bidi, (1 << 60) - 1), STREAM_STATE_ERROR),
            (theirs(side, Dir::Uni, (1 << 60) - 1), STREAM_LIMIT_ERROR),
            (theirs(side, Dir::Bidi, (1 << 60) - 1), STREAM_LIMIT_ERROR),
        ] {
            let open = wire::stream(theirs(side, Dir::Bidi, 3), 0, false, b"x");
            closes_with(side, [open, wire::stream(id, 0, false, b"x")].concat(), code, 0x0a);
        }
    }

    fn f18_stream_beyond_the_largest_offset(side) {
        let id = theirs(side, Dir::Bidi, 0);
        let mut w = World::at(side, Stage::Confirmed);
        w.send(Space::Data, [wire::ints(&[0x0e, id.value(), varint::MAX, 4]), vec![1; 4]].concat());
        w.expect_close(&[FRAME_ENCODING_ERROR, FLOW_CONTROL_ERROR]);
    }

    fn f19_streams_over_the_limit(side) {
        let limit = TransportConfig::default().max_streams_bidi;
        for dir in [Dir::Bidi, Dir::Uni] {
            let id = theirs(side, dir, limit);
            let mut cases = vec![
                Frame::Stream { id, offset: 0, fin: false, data: b"x" },
                Frame::ResetStream { id, code: 0, final_size: 0 },
                Frame::ResetStreamAt { id, code: 0, final_size: 0, reliable_size: 0 },
                Frame::StreamDataBlocked { id, limit: 0 },
            ];
            if dir == Dir::Bidi {
                cases.push(Frame::StopSending { id, code: 0 });
                cases.push(Frame::MaxStreamData { id, limit: 0 });
            }
            for frame in cases {
                let bytes = wire::frame(&frame);
                let kind = u64::from(bytes[0]);
                closes_with(side, bytes, STREAM_LIMIT_ERROR, kind);
            }
            // The last one within the limit is served.
            let mut w = World::at(side, Stage::Confirmed);
            w.send(Space::Data, wire::stream(theirs(side, dir, limit - 1), 0, true, b"x"));
            assert!(w.app.error().is_none());
        }
    }

    fn f20_final_size_over_the_windows(side) {
        let config = TransportConfig::default();
        let (window, total) = (config.stream_receive_window, config.receive_window);
        let reset = |index, final_size| {
            wire::frame(&Frame::ResetStream { id: theirs(side, Dir::Bidi, index), code: 0, final_size })
        };
        closes_with(side, reset(0, window + 1), FLOW_CONTROL_ERROR, 0x04);
        let id = theirs(side, Dir::Uni, 0);
        let reset_at = Frame::ResetStreamAt { id, code: 0, final_size: window + 1, reliable_size: 0 };
        closes_with(side, wire::frame(&reset_at), FLOW_CONTROL_ERROR, 0x24);
        let mut w = World::at(side, Stage::Confirmed);
        w.reads = false;
        for index in 0..total / window {
            // One byte at the end of the window. A reset would be forgotten at once, and its credit returned.
            let id = theirs(side, Dir::Bidi, index);
            w.send(Space::Data, wire::stream(id, window - 1, false, b"x"));
            assert!(w.app.error().is_none(), "within the window");
        }
        w.send(Space::Data, reset(total / window, 1));
        w.expect_close_in(FLOW_CONTROL_ERROR, 0x04);
    }

    fn f21_final_size_changes(side) {
        let id = theirs(side, Dir::Bidi, 0);
        let fin = |offset, data| wire::stream(id, offset, true, data);
        let data = |offset, data| wire::stream(id, offset, false, data);
        let reset = |final_size| wire::frame(&Frame::ResetStream { id, code: 0, final_size });
        for (first, second) in [
            (fin(0, b"abcd"), data(3, b"de")),
            (fin(0, b"abcd"), fin(0, b"abcde")),
            (fin(5, b"abcd"), fin(0, b"abc")),
            (data(0, b"abcd"), fin(0, b"abc")),
            (data(0, b"abcd"), reset(3)),
            (fin(4, b"abcd"), reset(9)),
            (reset(4), reset(5)),
            (reset(4), data(4, b"x")),
        ] {
            for reads in [true, false] {
                let mut w = World::at(side, Stage::Confirmed);
                w.reads = reads;
                w.send(Space::Data, first.clone());
                assert!(w.app.error().is_none());
                if reads && w.app.ended.contains_key(&id) {
                    // The stream is over, so late frames cause 0x06 or are ignored.
                    w.send(Space::Data, second.clone());
                    if w.app.error().is_some() {
                        w.expect_close(&[FINAL_SIZE_ERROR]);
                    }
                } else {
                    w.send(Space::Data, second.clone());
                    w.expect_close(&[FINAL_SIZE_ERROR]);
                }
            }
        }
    }

    fn f21_the_same_end_again_is_ignored(side) {
        let id = theirs(side, Dir::Bidi, 0);
        let ends = [
            wire::stream(id, 4, true, b"abcd"),
            wire::frame(&Frame::ResetStream { id, code: 0, final_size: 4 }),
        ];
        for end in ends {
            let mut w = World::at(side, Stage::Confirmed);
            for _ in 0..3 {
                w.send(Space::Data, end.clone());
            }
            w.expect_alive();
        }
    }

    /// The parameter says what its sender accepts, not what it sends.
    fn f34_reset_stream_at_from_a_peer_that_did_not_offer_it(side) {
        let params = |mut p: quic_core::TransportParameters| {
            p.reset_stream_at = false;
            encode(&p)
        };
        let options = Options { params: Box::new(params), ..Options::default() };
        let mut w = World::with(side, Stage::Confirmed, options);
        let id = theirs(side, Dir::Uni, 0);
        let reset = Frame::ResetStreamAt { id, code: 9, final_size: 8, reliable_size: 4 };
        w.send(Space::Data, [wire::stream(id, 0, false, b"abcd"), wire::frame(&reset)].concat());
        assert_eq!(w.app.received.get(&id).map(Vec::as_slice), Some(&b"abcd"[..]));
        assert_eq!(w.app.ended.get(&id), Some(&Some(9)));
        w.expect_alive();
    }
}

both_sides! {
    fn f23_stream_limit_beyond_what_ids_can_tell(side) {
        for kind in [0x12, 0x13] {
            for limit in [(1 << 60) + 1, varint::MAX] {
                closes_with(side, wire::ints(&[kind, limit]), FRAME_ENCODING_ERROR, kind);
            }
        }
    }

    fn f24_stream_data_blocked_on_a_send_only_stream(side) {
        for created in [false, true] {
            let mut w = World::at(side, Stage::Confirmed);
            if created {
                w.connection().open(Dir::Uni).expect("the peer permits streams");
            }
            let id = ours(side, Dir::Uni, 0);
            w.send(Space::Data, wire::frame(&Frame::StreamDataBlocked { id, limit: 0 }));
            w.expect_close_in(STREAM_STATE_ERROR, 0x15);
        }
        // Similarly, a stream of the endpoint that is not created yet.
        let id = ours(side, Dir::Bidi, 0);
        closes_with(side, wire::frame(&Frame::StreamDataBlocked { id, limit: 0 }), STREAM_STATE_ERROR, 0x15);
    }

    fn f25_streams_blocked_beyond_what_ids_can_tell(side) {
        for kind in [0x16, 0x17] {
            let mut w = World::at(side, Stage::Confirmed);
            w.send(Space::Data, wire::ints(&[kind, (1 << 60) + 1]));
            assert_eq!(w.expect_close(&[STREAM_LIMIT_ERROR, FRAME_ENCODING_ERROR]).frame_type, kind);
        }
    }
}

both! {
    fn f22_stream_bytes_with_other_content(w: Confirmed) {
        let id = theirs(w.side(), Dir::Bidi, 0);
        w.send(Space::Data, wire::stream(id, 10, false, &[b'a'; 10]));
        w.send(Space::Data, wire::stream(id, 5, false, &[b'b'; 20]));
        w.send(Space::Data, wire::stream(id, 0, false, &[b'c'; 25]));
        w.send(Space::Data, wire::stream(id, 0, true, &[b'd'; 25]));
        let expected = [[b'c'; 5].to_vec(), vec![b'b'; 5], vec![b'a'; 10], vec![b'b'; 5]].concat();
        assert_eq!(w.app.received.get(&id), Some(&expected));
        w.expect_alive();
    }

    fn f23_limits_that_go_down_are_ignored(w: Confirmed) {
        let id = w.connection().open(Dir::Bidi).expect("the peer permits streams");
        let lower = [
            Frame::MaxData(1),
            Frame::MaxStreamData { id, limit: 1 },
            Frame::MaxStreams { dir: Dir::Uni, limit: 0 },
            Frame::MaxStreams { dir: Dir::Bidi, limit: 0 },
        ];
        w.send(Space::Data, wire::frames(&lower));
        w.expect_alive();
    }

    fn f33_reliable_size_above_the_final_size(w: Confirmed) {
        let id = theirs(w.side(), Dir::Bidi, 0);
        w.send(Space::Data, wire::ints(&[0x24, id.value(), 1, 10, 11]));
        w.expect_close_in(FRAME_ENCODING_ERROR, 0x24);
    }
}
