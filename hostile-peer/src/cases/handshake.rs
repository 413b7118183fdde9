//! Table X, as far as it does not need the endpoint's internals.

use std::rc::Rc;

use quic_core::{Side, Space, TransportParameters, frame::Frame};

use super::case::{Case, Expect, close, close_any};
use crate::{
    peer::{Peer, encode, raw_param},
    tamper::{edit_extensions, with_length},
    wire,
    world::Stage,
};

const CRYPTO: u64 = 0x06;
/// A TLS `KeyUpdate` message.
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

pub(super) fn cases(side: Side) -> Vec<Case> {
    let mut all = parameters(side);
    all.extend(messages(side));
    all.extend(keys(side));
    all
}

fn integer(id: u64, value: u64) -> Vec<u8> {
    raw_param(id, &wire::ints(&[value]))
}

/// A case with changed honest parameters, followed by `more`, which must be refused.
fn refused(
    row: &'static str,
    what: impl Into<String>,
    change: fn(&mut TransportParameters),
    more: Vec<u8>,
) -> Case {
    let params = move |mut honest: TransportParameters| {
        change(&mut honest);
        [encode(&honest), more.clone()].concat()
    };
    Case { params: Rc::new(params), ..Case::new(row, what, None, close(0x08, CRYPTO)) }
}

/// X01 to X05, X08.
fn parameters(side: Side) -> Vec<Case> {
    // Omitted if they have their defaults, so that only the bad value is present.
    let defaults = |honest: &mut TransportParameters| {
        honest.active_connection_id_limit = 2;
        honest.initial_max_streams_bidi = 0;
        honest.initial_max_streams_uni = 0;
        honest.max_datagram_frame_size = 0;
        honest.reset_stream_at = false;
    };
    let mut all = vec![
        refused("X01", "a known parameter twice", |_| {}, integer(0x04, 1)),
        refused("X01", "an unknown one twice", |_| {}, [integer(0x7f0, 1), integer(0x7f0, 1)].concat()),
        refused(
            "X04",
            "initial_source_connection_id missing",
            |p| p.initial_source_connection_id = None,
            vec![],
        ),
    ];
    let (streams_bidi, streams_uni) = ((0x08, (1 << 60) + 1), (0x09, (1 << 60) + 1));
    for (id, value) in [(0x03, 1199), (0x0a, 21), (0x0b, 1 << 14), (0x0e, 1), streams_bidi, streams_uni] {
        all.push(refused("X03", format!("{id:#04x} = {value}"), defaults, integer(id, value)));
    }
    let reset_stream_at_legacy = 0x0017_f758_6d2c_b571;
    for (id, value) in [
        (0x20, &[][..]),
        (0x20, &[0x40]),
        (0x20, &[1, 1]),
        (0x1d, &[0]),
        (reset_stream_at_legacy, &[0]),
        (0x2ab2, &[0]),
    ] {
        all.push(refused("X08", format!("{id:#x} = {value:x?}"), defaults, raw_param(id, value)));
    }
    if side == Side::Server {
        let preferred = [&[127, 0, 0, 1, 1, 1][..], &[0; 18], &[4, 1, 2, 3, 4], &[7; 16]].concat();
        for (id, value) in
            [(0x00, &b"12345678"[..]), (0x02, &[1; 16]), (0x0d, &preferred), (0x10, b"12345678")]
        {
            all.push(refused("X02", format!("{id:#04x} from a client"), |_| {}, raw_param(id, value)));
        }
    } else {
        for length in [0, 3, 5, 255] {
            let value = [&[0; 24][..], &[length], &[1; 4], &[7; 16]].concat();
            all.push(refused("X05", format!("an ID of {length} bytes"), |_| {}, raw_param(0x0d, &value)));
        }
    }
    all
}

fn rewritten(
    row: &'static str,
    what: &str,
    level: Space,
    expect: Expect,
    rewrite: impl Fn(Vec<u8>) -> Vec<u8> + 'static,
) -> Case {
    let rewrite = move |space, bytes| if space == level { rewrite(bytes) } else { bytes };
    Case { rewrite: Some(Rc::new(rewrite)), ..Case::new(row, what, None, expect) }
}

/// X06, X09, X11, X12: handshake messages.
fn messages(side: Side) -> Vec<Case> {
    // The level at which the peer sends its extensions.
    let level = if side == Side::Server { Space::Initial } else { Space::Handshake };
    let renamed = if side == Side::Server { vec![0x016d] } else { vec![0x016d, 0x016e] };
    let mut all = vec![
        rewritten("X06", "no transport parameters", level, close_any(&[0x016d]), |bytes| {
            edit_extensions(&bytes, |id, value| (id != 0x39).then(|| (id, value.to_vec())))
        }),
        rewritten("X06", "parameters under 0xffa5", level, close_any(&renamed), |bytes| {
            edit_extensions(&bytes, |id, value| Some((if id == 0x39 { 0xffa5 } else { id }, value.to_vec())))
        }),
        rewritten(
            "X12",
            "bytes behind the last message of the level",
            Space::Initial,
            close_any(&[0x0a]),
            |bytes| [&bytes[..], &[8, 0]].concat(),
        ),
    ];
    if side == Side::Server {
        let other = Case::new("X09", "no common ALPN", None, close_any(&[0x0178]));
        all.push(Case { alpn: Some(b"hostile"), ..other });
        all.push(rewritten("X11", "a legacy session id", level, close(0x0a, CRYPTO), |bytes| {
            with_length(1, &[&bytes[4..38], &[32], &[9; 32], &bytes[39..]].concat(), &[])
        }));
    }
    all
}

/// A `NewSessionTicket` that permits `max` bytes of early data.
fn ticket(max: u32) -> Vec<u8> {
    let mut body = vec![0, 0, 0x10, 0, 1, 2, 3, 4, 1, 0, 0, 32];
    body.extend([0x7c; 32]);
    body.extend([0, 8, 0, 42, 0, 4]);
    body.extend(max.to_be_bytes());
    with_length(4, &body, &[])
}

/// Sends CRYPTO data after what was sent at the Data level.
fn crypto_behind(peer: &mut Peer, data: &[u8]) -> Vec<Vec<u8>> {
    let mut datagrams = peer.flight();
    let offset = peer.crypto_sent(Space::Data);
    datagrams.push(peer.sealed(Space::Data, wire::frame(&Frame::Crypto { offset, data })));
    datagrams
}

/// X10, X13, X14.
fn keys(side: Side) -> Vec<Case> {
    let confirmed = |row, what: &str, expect| Case::new(row, what, Some(Stage::Confirmed), expect);
    let mut all = vec![
        confirmed("X10", "TLS KeyUpdate", close(0x010a, CRYPTO))
            .with(|peer| crypto_behind(peer, &KEY_UPDATE)),
        confirmed("X14", "two key updates in one burst", close_any(&[0x0e])).with(|peer| {
            [1, 2]
                .into_iter()
                .flat_map(|generation| {
                    peer.generation = generation;
                    // PADDING is not acknowledged, so no ACK comes in between, however slow the burst is.
                    vec![peer.sealed(Space::Data, vec![0; 8])]
                })
                .collect()
        }),
        confirmed("X14", "old keys on a higher number", close_any(&[0x0e])).with(|peer| {
            peer.generation = 1;
            let new = peer.sealed(Space::Data, vec![1]);
            peer.generation = 0;
            vec![new, peer.sealed(Space::Data, vec![1])]
        }),
        confirmed("X14", "one key update", Expect::Alive).with(|peer| {
            peer.generation = 1;
            vec![peer.sealed(Space::Data, vec![1])]
        }),
    ];
    if side == Side::Client {
        let early = confirmed("X13", "a ticket with another limit of early data", close(0x0a, CRYPTO));
        all.push(early.with(|peer| crypto_behind(peer, &ticket(1))));
    }
    all
}
