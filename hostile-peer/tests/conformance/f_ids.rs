//! Table F: connection IDs and datagrams.

use crate::common::*;

both_sides! {
    fn f26_new_connection_id_with_bad_fields(side) {
        let raw = |length: u8, sequence: u64, retire: u64| {
            let id = vec![9; usize::from(length)];
            [wire::ints(&[0x18, sequence, retire]), vec![length], id, vec![1; 16]].concat()
        };
        for payload in [raw(0, 1, 0), raw(21, 1, 0), raw(255, 1, 0), raw(8, 1, 2), raw(8, 0, varint::MAX)] {
            closes_with(side, payload, FRAME_ENCODING_ERROR, 0x18);
        }
    }

    fn f27_connection_ids_reused(side) {
        let other_token =
            wire::frame(&Frame::NewConnectionId { sequence: 1, retire_prior_to: 0, id: numbered_cid(1), token: token(2) });
        for second in [new_cid(1, 0, 2), new_cid(2, 0, 1), other_token] {
            let mut w = World::at(side, Stage::Confirmed);
            w.send(Space::Data, new_cid(1, 0, 1));
            w.send(Space::Data, second);
            w.expect_close_in(PROTOCOL_VIOLATION, 0x18);
        }
    }

    fn f29_retirement_of_ids_not_issued_or_in_use(side) {
        for sequence in [100, varint::MAX] {
            let frame = wire::frame(&Frame::RetireConnectionId(sequence));
            closes_with(side, frame, PROTOCOL_VIOLATION, 0x19);
        }
        // The packets use the ID of the handshake.
        closes_with(side, wire::frame(&Frame::RetireConnectionId(0)), PROTOCOL_VIOLATION, 0x19);
    }

    fn f31_datagrams_not_offered_or_too_large(side) {
        for (offered, size) in [(0, 0), (0, 10), (100, 99), (100, 100)] {
            let options = || {
                let transport = TransportConfig::new().max_datagram_frame_size(offered);
                Options { transport, ..Options::default() }
            };
            let mut w = World::with(side, Stage::Confirmed, options());
            // Type, and two bytes of length: 99 and 100 are both beyond 100.
            w.send(Space::Data, [wire::ints(&[0x31, size]), vec![1; size as usize]].concat());
            w.expect_close_in(PROTOCOL_VIOLATION, 0x31);
            // Without a length: type and data.
            let mut w = World::with(side, Stage::Confirmed, options());
            w.send(Space::Data, [vec![0x30], vec![1; size as usize + 1]].concat());
            w.expect_close_in(PROTOCOL_VIOLATION, 0x30);
        }
    }
}

both! {
    /// Each ID retires the one before, and no RETIRE_CONNECTION_ID is ever acknowledged. The close must reach
    /// the peer, so it must use an ID that the peer has.
    fn f28_more_retirements_than_are_acknowledged(w: Confirmed) {
        for n in 1..1000 {
            w.send(Space::Data, new_cid(n, n, n));
            if w.app.error().is_some() {
                break;
            }
        }
        let last = w.sent.last().expect("a close");
        let named = (1..1000).any(|n| last[1..9] == *numbered_cid(n).as_bytes());
        assert!(named, "the close is addressed to nobody: {last:x?}");
        w.expect_close_in(CONNECTION_ID_LIMIT_ERROR, 0x18);
    }

    fn f27_an_exact_repeat_is_ignored(w: Confirmed) {
        for _ in 0..3 {
            w.send(Space::Data, new_cid(1, 0, 1));
        }
        w.expect_alive();
    }

    fn f28_one_connection_id_too_many(w: Confirmed) {
        // Four are held; one is retired by the fifth frame.
        for n in 1..=3 {
            w.send(Space::Data, new_cid(n, 0, n));
        }
        w.send(Space::Data, new_cid(4, 1, 4));
        assert!(w.app.error().is_none());
        w.send(Space::Data, new_cid(5, 1, 5));
        w.expect_close_in(CONNECTION_ID_LIMIT_ERROR, 0x18);
    }

    fn f29_the_same_retirement_twice_is_ignored(w: Confirmed) {
        let (_, id, _) = w.peer.issued()[0];
        w.peer.dcid = id;
        for _ in 0..3 {
            w.send(Space::Data, wire::frame(&Frame::RetireConnectionId(0)));
        }
        w.expect_alive();
        assert_eq!(w.peer.count(|frame| matches!(frame, Frame::NewConnectionId { sequence: 4, .. })), 1);
    }

    /// A hundred in each packet, the last one without a length; the application reads or not.
    fn f32_empty_datagrams_without_end(w: Confirmed) {
        let mut packet = [0x31, 0].repeat(99);
        packet.push(0x30);
        for reads in [true, false] {
            w.reads = reads;
            w.flood(10_000, |w, _| w.send_fast(&packet));
        }
        let stats = w.connection().stats();
        assert_eq!(stats.dgrams_received, 2_000_000);
        assert!(stats.datagrams_sent < 20_000, "acknowledgments and nothing else: {stats:?}");
        w.reads = true;
        w.send(Space::Data, vec![0x31, 0]);
        w.expect_alive();
    }
}
