//! Table F, as far as it does not need the endpoint's internals.

use quic_core::{ConnectionId, Dir, Side, Space, StreamId, TransportParameters, base::varint, frame::Frame};

use super::case::{Case, Expect, close, close_any};
use crate::{peer::Peer, wire, world::Stage};

const STAGES: [Stage; 3] = [Stage::Initial, Stage::Handshake, Stage::Confirmed];

fn cid(n: u64) -> ConnectionId {
    ConnectionId::new(&n.to_be_bytes()).expect("eight bytes")
}

fn token(n: u64) -> [u8; 16] {
    let mut token = [0x77; 16];
    token[..8].copy_from_slice(&n.to_be_bytes());
    token
}

fn new_cid(sequence: u64, retire_prior_to: u64, id: u64) -> Vec<u8> {
    wire::frame(&Frame::NewConnectionId { sequence, retire_prior_to, id: cid(id), token: token(id) })
}

/// A variety of frames with fields.
#[must_use]
pub fn frames_with_fields(side: Side) -> Vec<Vec<u8>> {
    let stream = StreamId::new(side.peer(), Dir::Bidi, 300);
    let all = [
        Frame::ResetStream { id: stream, code: 70, final_size: 700 },
        Frame::ResetStreamAt { id: stream, code: 70, final_size: 700, reliable_size: 100 },
        Frame::StopSending { id: stream, code: 70 },
        Frame::Crypto { offset: 100, data: b"data" },
        Frame::Stream { id: stream, offset: 70, fin: true, data: b"data" },
        Frame::Stream { id: stream, offset: 0, fin: false, data: b"data" },
        Frame::MaxData(70_000),
        Frame::MaxStreamData { id: stream, limit: 70_000 },
        Frame::MaxStreams { dir: Dir::Bidi, limit: 200 },
        Frame::MaxStreams { dir: Dir::Uni, limit: 200 },
        Frame::DataBlocked(70_000),
        Frame::StreamDataBlocked { id: stream, limit: 100 },
        Frame::StreamsBlocked { dir: Dir::Bidi, limit: 100 },
        Frame::StreamsBlocked { dir: Dir::Uni, limit: 100 },
        Frame::NewConnectionId { sequence: 1, retire_prior_to: 0, id: cid(1), token: token(1) },
        Frame::RetireConnectionId(70),
        Frame::PathChallenge([1; 8]),
        Frame::PathResponse([1; 8]),
        Frame::TransportClose { code: 70, frame_type: 70, reason: b"reason" },
        Frame::ApplicationClose { code: 70, reason: b"reason" },
        Frame::Datagram { data: b"data", has_length: true },
    ];
    let mut all: Vec<_> = all.iter().map(wire::frame).collect();
    all.push(wire::ack(1, 70, 0, &[]));
    // A STREAM frame without LEN, cut before its data.
    all.push(wire::ints(&[0x0c, stream.value(), 70_000]));
    all.push([&[0x03], &wire::ack(100, 70, 10, &[(5, 5), (6, 6)])[1..], &[1, 2, 3]].concat());
    if side == Side::Client {
        all.push(wire::frame(&Frame::NewToken(b"token")));
    }
    all
}

pub(super) fn cases(side: Side) -> Vec<Case> {
    let mut all = encoding(side);
    all.extend(levels(side));
    all.extend(acks_and_crypto());
    all.extend(streams(side));
    all.extend(limits(side));
    all.extend(ids());
    all
}

/// Frames after the handshake.
fn data(row: &'static str, what: impl Into<String>, payload: Vec<u8>, expect: Expect) -> Case {
    Case::frames(row, what, Stage::Confirmed, payload, expect)
}

/// F01 to F03, F07.
fn encoding(side: Side) -> Vec<Case> {
    let mut all = Vec::new();
    for kind in [0x20, varint::MAX] {
        all.push(data("F01", format!("frame type {kind:#x}"), wire::ints(&[kind]), close(0x07, kind)));
    }
    for (kind, size) in
        (0x00..=0x1e).chain([0x24, 0x30, 0x31]).flat_map(|kind| [2, 4, 8].map(|size| (kind, size)))
    {
        let payload = [wire::long_int(kind, size), vec![0; 40]].concat();
        all.push(data("F02", format!("type {kind:#x} in {size} bytes"), payload, close(0x0a, kind)));
    }
    for payload in [&[0x01, 0x40][..], &[0x01, 0x80, 0, 0], &[0x01, 0xc0, 0, 0, 0, 0, 0, 0]] {
        all.push(data("F02", "a type cut by the end of the packet", payload.to_vec(), close(0x07, 0)));
    }
    for frame in frames_with_fields(side) {
        for cut in 1..frame.len() {
            let what = format!("type {:#x} cut to {cut} bytes", frame[0]);
            all.push(data("F03", what, frame[..cut].to_vec(), close(0x07, u64::from(frame[0]))));
        }
    }
    let payload = [wire::ints(&[0x1c, 1, 0, 60_000]), vec![b'x'; 80]].concat();
    all.push(data("F07", "a reason beyond the packet", payload, close(0x07, 0x1c)));
    all
}

/// F04, F06, F16, F30: frames in packet types, or from a side, that never carry them.
fn levels(side: Side) -> Vec<Case> {
    let mut all = Vec::new();
    for (stage, frame) in [Stage::Initial, Stage::Handshake]
        .into_iter()
        .flat_map(|stage| frames_with_fields(side).into_iter().map(move |frame| (stage, frame)))
    {
        let kind = u64::from(frame[0]);
        if !matches!(kind, 0x02 | 0x03 | 0x06 | 0x1c | 0x1d) {
            all.push(Case::frames(
                "F04",
                format!("type {kind:#x} at {stage:?}"),
                stage,
                frame,
                close(0x0a, kind),
            ));
        }
    }
    for stage in [Stage::Initial, Stage::Handshake] {
        let frame = wire::frame(&Frame::ApplicationClose { code: 0x1234, reason: b"why" });
        all.push(Case::frames(
            "F06",
            format!("application close at {stage:?}"),
            stage,
            frame,
            close(0x0a, 0x1d),
        ));
    }
    if side == Side::Client {
        all.push(data("F16", "an empty token", vec![0x07, 0x00], close(0x07, 0x07)));
    } else {
        all.push(data("F30", "HANDSHAKE_DONE", vec![0x1e], close(0x0a, 0x1e)));
        all.push(data("F30", "NEW_TOKEN", wire::frame(&Frame::NewToken(b"token")), close(0x0a, 0x07)));
    }
    all
}

/// F08 to F11, F14, F15.
fn acks_and_crypto() -> Vec<Case> {
    let mut all = Vec::new();
    for stage in STAGES {
        let ack = wire::ack(10_000, 0, 0, &[]);
        all.push(Case::frames(
            "F08",
            format!("ACK of the future at {stage:?}"),
            stage,
            ack,
            close(0x0a, 0x02),
        ));
        for ack in [
            wire::ack(1, 0, 2, &[]),
            wire::ack(1, 0, 0, &[(0, 0)]),
            wire::ack(3, 0, 0, &[(0, 2)]),
            wire::ack(3, 0, 0, &[(varint::MAX, varint::MAX)]),
        ] {
            all.push(Case::frames(
                "F09",
                format!("ACK below zero at {stage:?}"),
                stage,
                ack,
                close(0x07, 0x02),
            ));
        }
        let far = [wire::ints(&[0x06, varint::MAX, 4]), vec![1; 4]].concat();
        all.push(Case::frames(
            "F14",
            format!("CRYPTO at 2^62 at {stage:?}"),
            stage,
            far,
            close_any(&[0x07, 0x0d]),
        ));
    }
    let payload = [wire::ints(&[0x02, 1, 0, 1 << 32, 0]), vec![0; 20]].concat();
    all.push(data("F10", "2^32 ACK ranges", payload, close(0x07, 0x02)));
    let delayed =
        Case::new("F11", "the largest ACK delay", Some(Stage::Confirmed), Expect::Alive).with(|peer| {
            let largest = peer.received(Space::Data).last().copied().unwrap_or_default();
            vec![peer.sealed(Space::Data, wire::ack(largest, varint::MAX, 0, &[]))]
        });
    all.push(delayed);
    let ahead = Case::new("F15", "CRYPTO beyond the buffer", Some(Stage::Confirmed), close(0x0d, 0x06)).with(
        |peer| {
            let offset = (64 << 10) + peer.crypto_sent(Space::Data);
            vec![peer.sealed(Space::Data, wire::frame(&Frame::Crypto { offset, data: &[1] }))]
        },
    );
    all.push(ahead);
    all
}

/// F12, F13, F17, F18, F21, F24, F33: streams in the wrong state.
fn streams(side: Side) -> Vec<Case> {
    let (ours, theirs) = (|dir| StreamId::new(side, dir, 99), |dir| StreamId::new(side.peer(), dir, 0));
    let state = |row, what: &str, frame: Frame<'_>| {
        let bytes = wire::frame(&frame);
        let kind = u64::from(bytes[0]);
        data(row, what, bytes, close(0x05, kind))
    };
    let (uni, bidi) = (ours(Dir::Uni), ours(Dir::Bidi));
    let far = [wire::ints(&[0x0e, theirs(Dir::Bidi).value(), varint::MAX, 4]), vec![1; 4]].concat();
    let mut all = vec![
        state("F12", "send-only", Frame::ResetStream { id: uni, code: 1, final_size: 0 }),
        state("F13", "receive-only", Frame::StopSending { id: theirs(Dir::Uni), code: 1 }),
        state("F13", "not created", Frame::StopSending { id: bidi, code: 1 }),
        state("F17", "send-only", Frame::Stream { id: uni, offset: 0, fin: false, data: b"x" }),
        state("F17", "not created", Frame::Stream { id: bidi, offset: 0, fin: false, data: b"x" }),
        state("F24", "send-only", Frame::StreamDataBlocked { id: uni, limit: 0 }),
        data("F18", "STREAM at 2^62", far, close_any(&[0x07, 0x03])),
        data(
            "F33",
            "reliable above final size",
            wire::ints(&[0x24, theirs(Dir::Bidi).value(), 1, 10, 11]),
            close(0x07, 0x24),
        ),
    ];
    let id = theirs(Dir::Uni);
    let part = |offset, fin, bytes| wire::stream(id, offset, fin, bytes);
    let reset = |final_size| wire::frame(&Frame::ResetStream { id, code: 0, final_size });
    // The first byte is never sent, so the stream cannot be read to its end and forgotten.
    for (first, second) in [
        (part(1, true, b"abcd"), part(4, false, b"de")),
        (part(1, true, b"abcd"), part(1, true, b"abcde")),
        (part(1, false, b"abcd"), part(1, true, b"abc")),
        (part(1, false, b"abcd"), reset(3)),
        (part(1, true, b"abcd"), reset(9)),
    ] {
        all.push(data("F21", "the final size changes", [first, second].concat(), close_any(&[0x06])));
    }
    all
}

/// The endpoint's transport parameters.
fn limits_of(peer: &Peer) -> TransportParameters {
    let bytes = peer.tls().and_then(|tls| tls.peer_parameters()).unwrap_or_default();
    TransportParameters::parse(bytes, peer.side.peer()).expect("the endpoint's parameters are valid")
}

/// Makes a frame for a stream, and the type of the frame.
type OnStream = (fn(StreamId) -> Vec<u8>, u64);

/// F19, F20, F23, F25: limits.
fn limits(side: Side) -> Vec<Case> {
    let mut all = Vec::new();
    for dir in [Dir::Bidi, Dir::Uni] {
        let limit = move |peer: &Peer| {
            let limits = limits_of(peer);
            let limit = if dir == Dir::Bidi {
                limits.initial_max_streams_bidi
            } else {
                limits.initial_max_streams_uni
            };
            // Beyond credit that may have been granted meanwhile.
            StreamId::new(side.peer(), dir, (limit + 100_000).min((1 << 60) - 1))
        };
        let mut kinds: Vec<OnStream> = vec![
            (|id| wire::stream(id, 0, false, b"x"), 0x0a),
            (|id| wire::frame(&Frame::ResetStream { id, code: 0, final_size: 0 }), 0x04),
            (|id| wire::frame(&Frame::StreamDataBlocked { id, limit: 0 }), 0x15),
        ];
        if dir == Dir::Bidi {
            kinds.push((|id| wire::frame(&Frame::StopSending { id, code: 0 }), 0x05));
            kinds.push((|id| wire::frame(&Frame::MaxStreamData { id, limit: 0 }), 0x11));
        }
        for (make, kind) in kinds {
            let what = format!("{dir:?} stream over the limit, type {kind:#x}");
            let case = Case::new("F19", what, Some(Stage::Confirmed), close(0x04, kind));
            all.push(case.with(move |peer| {
                vec![{
                    let id = limit(peer);
                    peer.sealed(Space::Data, make(id))
                }]
            }));
        }
    }
    let over = Case::new("F20", "final size over the window", Some(Stage::Confirmed), close(0x03, 0x04));
    all.push(over.with(move |peer| {
        let final_size = limits_of(peer).initial_max_stream_data_uni + 1;
        let id = StreamId::new(side.peer(), Dir::Uni, 0);
        vec![peer.sealed(Space::Data, wire::frame(&Frame::ResetStream { id, code: 0, final_size }))]
    }));
    for kind in [0x12, 0x13] {
        all.push(data("F23", "MAX_STREAMS 2^60+1", wire::ints(&[kind, (1 << 60) + 1]), close(0x07, kind)));
    }
    let lower = [Frame::MaxData(1), Frame::MaxStreams { dir: Dir::Uni, limit: 0 }];
    all.push(data("F23", "limits that go down", wire::frames(&lower), Expect::Alive));
    for kind in [0x16, 0x17] {
        all.push(data(
            "F25",
            "STREAMS_BLOCKED 2^60+1",
            wire::ints(&[kind, (1 << 60) + 1]),
            close_any(&[0x04, 0x07]),
        ));
    }
    all
}

/// F26 to F29: connection IDs.
fn ids() -> Vec<Case> {
    let raw = |length: u8, sequence: u64, retire: u64| {
        let id = vec![9; usize::from(length)];
        [wire::ints(&[0x18, sequence, retire]), vec![length], id, vec![1; 16]].concat()
    };
    let other_token =
        wire::frame(&Frame::NewConnectionId { sequence: 1, retire_prior_to: 0, id: cid(1), token: token(2) });
    let mut all = vec![
        data("F26", "length 0", raw(0, 1, 0), close(0x07, 0x18)),
        data("F26", "length 21", raw(21, 1, 0), close(0x07, 0x18)),
        data("F26", "Retire Prior To above", raw(8, 1, 2), close(0x07, 0x18)),
        data("F27", "another ID", [new_cid(1, 0, 1), new_cid(1, 0, 2)].concat(), close(0x0a, 0x18)),
        data("F27", "another sequence", [new_cid(1, 0, 1), new_cid(2, 0, 1)].concat(), close(0x0a, 0x18)),
        data("F27", "another token", [new_cid(1, 0, 1), other_token].concat(), close(0x0a, 0x18)),
        data("F27", "an exact repeat", new_cid(1, 0, 1).repeat(3), Expect::Alive),
        data("F29", "never issued", wire::frame(&Frame::RetireConnectionId(1000)), close(0x0a, 0x19)),
        data("F29", "in use", wire::frame(&Frame::RetireConnectionId(0)), close(0x0a, 0x19)),
    ];
    let many = Case::new("F28", "one connection ID too many", Some(Stage::Confirmed), close(0x09, 0x18));
    all.push(many.with(|peer| {
        // The ID of the handshake counts too.
        let limit = limits_of(peer).active_connection_id_limit;
        vec![peer.sealed(Space::Data, (1..=limit).flat_map(|n| new_cid(n, 0, n)).collect())]
    }));
    all
}
