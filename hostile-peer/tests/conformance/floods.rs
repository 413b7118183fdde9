//! Like F16 and F32, for every frame type in 1-RTT packets: an endless series with a counter in each frame.
//! The peer acknowledges nothing. The heap stays flat, and the end, if there is one, is a close with a code
//! of RFC 9000.

use crate::common::*;

/// A frame with a counter in it.
type Counted = fn(Side, u64) -> Vec<u8>;

const FLOODS: [(&str, Counted); 24] = [
    ("PADDING", |_, n| vec![0; 1 + (n % 40) as usize]),
    ("PING", |_, _| vec![1]),
    ("ACK of what is acknowledged", |_, n| wire::ack(0, n, 0, &[])),
    ("RESET_STREAM of new streams", |side, n| reset(theirs(side, Dir::Uni, n), 0)),
    ("RESET_STREAM of one stream", |side, _| reset(theirs(side, Dir::Bidi, 0), 9)),
    ("STOP_SENDING of new streams", |side, n| stop(theirs(side, Dir::Bidi, n))),
    ("STOP_SENDING of one stream", |side, _| stop(theirs(side, Dir::Bidi, 0))),
    ("CRYPTO at the same place", |_, n| crypto(5000, &[n as u8; 10])),
    ("CRYPTO in holes", |_, n| crypto(2000 + 3 * (n % 20_000), &[1])),
    ("STREAM that ends at once", |side, n| wire::stream(theirs(side, Dir::Uni, n), 0, true, b"x")),
    ("STREAM without data", |side, _| wire::stream(theirs(side, Dir::Uni, 0), 0, false, b"")),
    ("STREAM in holes", |side, n| {
        wire::stream(theirs(side, Dir::Uni, 0), 1 + 2 * (n % 100_000), false, b"x")
    }),
    ("STREAM on new streams that stay open", |side, n| {
        wire::stream(theirs(side, Dir::Bidi, n), 1, false, b"x")
    }),
    ("MAX_DATA", |_, n| wire::frame(&Frame::MaxData((1 << 31) + n))),
    ("MAX_STREAMS", |_, n| wire::frame(&Frame::MaxStreams { dir: Dir::Uni, limit: 200 + n })),
    ("DATA_BLOCKED", |_, n| wire::frame(&Frame::DataBlocked(n))),
    ("STREAM_DATA_BLOCKED", |side, n| {
        wire::frame(&Frame::StreamDataBlocked { id: theirs(side, Dir::Uni, n % 900), limit: n })
    }),
    ("STREAMS_BLOCKED", |_, n| wire::frame(&Frame::StreamsBlocked { dir: Dir::Bidi, limit: n })),
    ("NEW_CONNECTION_ID that retires all before", |_, n| new_cid(n + 1, n + 1, n + 1)),
    ("NEW_CONNECTION_ID again", |_, _| new_cid(1, 0, 1)),
    ("RETIRE_CONNECTION_ID of one", |_, _| wire::frame(&Frame::RetireConnectionId(1))),
    ("PATH_CHALLENGE", |_, n| wire::frame(&Frame::PathChallenge(n.to_be_bytes()))),
    ("PATH_RESPONSE", |_, n| wire::frame(&Frame::PathResponse(n.to_be_bytes()))),
    ("DATAGRAM", |_, n| wire::frame(&Frame::Datagram { data: &n.to_be_bytes(), has_length: true })),
];

fn reset(id: StreamId, final_size: u64) -> Vec<u8> {
    wire::frame(&Frame::ResetStream { id, code: 7, final_size })
}

fn stop(id: StreamId) -> Vec<u8> {
    wire::frame(&Frame::StopSending { id, code: 7 })
}

both_sides! {
    fn floods_of_every_frame(side) {
        for (name, frame) in FLOODS {
            for reads in [true, false] {
                println!("{name}, the application {}", if reads { "reads" } else { "does not read" });
                let mut w = World::at(side, Stage::Confirmed);
                w.reads = reads;
                // Windows, limits and buffers are full before the heap is measured.
                let (before, rounds) = if reads { (10_000, 7_000) } else { (3_000, 2_000) };
                w.flood_after(before, rounds, |w, n| w.send_fast(&frame(side, n)));
                let closes = w.peer.closes();
                assert!(closes.len() <= 1, "{name}: {closes:?}");
                assert!(closes.iter().all(|close| !close.application && close.code <= 0x10), "{name}: {closes:?}");
                // If the endpoint ends the connection, it tells both the peer and the application.
                assert_eq!(closes.len(), usize::from(w.app.error().is_some()), "{name}: {:?}", w.app.error());
            }
        }
    }
}
