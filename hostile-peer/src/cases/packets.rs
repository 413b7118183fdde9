//! Table P, as far as it does not need the endpoint's internals.

use quic_core::{ConnectionId, Side, Space, Version, crypto::retry_integrity_tag};

use super::case::{Case, Expect, close, space_of};
use crate::{peer::Peer, wire, world::Stage};

const PING: [u8; 1] = [0x01];

pub(super) fn cases(side: Side) -> Vec<Case> {
    let mut all = headers();
    all.extend(stray(side));
    if side == Side::Client {
        all.extend(first_answers());
    }
    all
}

/// A packet of the stage with flipped bits.
fn flipped(row: &'static str, stage: Stage, flip: u8, forged: bool, expect: Expect) -> Case {
    let what = format!("bits {flip:#04x} at {stage:?}{}", if forged { ", forged" } else { "" });
    Case::new(row, what, Some(stage), expect).with(move |peer| {
        let mut packet = peer.packet(space_of(stage), PING.to_vec()).padded_to(60);
        packet.flip = flip;
        packet.forged = forged;
        vec![peer.seal(packet)]
    })
}

/// P11 to P16: packet headers.
fn headers() -> Vec<Case> {
    let mut all = Vec::new();
    for flip in [0x04, 0x08, 0x0c] {
        all.push(flipped("P12", Stage::Handshake, flip, false, close(0x0a, 0)));
        all.push(flipped("P14", Stage::Handshake, flip, true, Expect::Alive));
    }
    for flip in [0x08, 0x10, 0x18] {
        all.push(flipped("P13", Stage::Confirmed, flip, false, close(0x0a, 0)));
        all.push(flipped("P14", Stage::Confirmed, flip, true, Expect::Alive));
    }
    for length in 0..4_u64 {
        let case = Case::new("P11", format!("Length {length}"), Some(Stage::Handshake), Expect::Alive);
        all.push(case.with(move |peer| {
            let mut packet = peer.packet(Space::Handshake, PING.to_vec());
            packet.length = Some(length);
            let end = packet.header_size() - 4 + length as usize;
            let mut datagram = peer.seal(packet)[..end].to_vec();
            datagram.extend(peer.sealed(Space::Handshake, PING.to_vec()));
            vec![datagram]
        }));
    }
    let beyond = Case::new("P11", "Length beyond the datagram", Some(Stage::Handshake), Expect::Alive);
    all.push(beyond.with(|peer| {
        let mut packet = peer.packet(Space::Handshake, PING.to_vec());
        packet.length = Some(2000);
        vec![peer.seal(packet)]
    }));
    let again = Case::new("P16", "the same packet again", Some(Stage::Confirmed), Expect::Alive);
    all.push(again.with(|peer| vec![peer.sealed(Space::Data, PING.to_vec()); 3]));
    let behind = Case::new("P10", "packets behind a violation", Some(Stage::Handshake), close(0x07, 0x20));
    all.push(behind.with(|peer| {
        let mut datagram = peer.sealed(Space::Handshake, wire::ints(&[0x20]));
        datagram.extend(peer.sealed(Space::Handshake, wire::ints(&[0x21])));
        vec![datagram]
    }));
    all
}

/// P02, P09, P18: packets that belong to no connection.
fn stray(side: Side) -> Vec<Case> {
    let long =
        Case::new("P02", "connection IDs of 21 bytes", Some(Stage::Confirmed), Expect::Alive).with(|_| {
            let make = |first: u8, dcid: u8, scid: u8| {
                let mut datagram = vec![first, 0, 0, 0, 1, dcid];
                datagram.extend(vec![1; usize::from(dcid)]);
                datagram.push(scid);
                datagram.resize(1200, 1);
                datagram
            };
            let firsts = [0xc0, 0xd0, 0xe0, 0xf0].into_iter();
            firsts.flat_map(|first| [make(first, 21, 8), make(first, 8, 21), make(first, 255, 0)]).collect()
        });
    let short = Case::new("P18", "short headers for nobody", Some(Stage::Confirmed), Expect::Alive)
        .with(|_| (1..=64).map(|size| vec![0x45; size]).collect());
    let mut all = vec![long, short];
    if side == Side::Server {
        let foreign = Case::new("P09", "coalesced packets for others", Some(Stage::Initial), Expect::Alive)
            .with(|peer| {
                let mut datagram = peer.sealed(Space::Initial, PING.to_vec());
                for n in 0..4 {
                    let mut foreign = peer.packet(Space::Initial, wire::ints(&[0x20]));
                    foreign.dcid = vec![n; 8];
                    datagram.extend(peer.seal(foreign));
                }
                vec![datagram]
            });
        all.push(foreign);
    }
    all
}

/// P04, P05: Version Negotiation and Retry packets that a client must not obey.
fn first_answers() -> Vec<Case> {
    let negotiation = |peer: &Peer, scid: &[u8], versions: &[u32]| {
        let mut bytes = vec![0xc0, 0, 0, 0, 0, peer.dcid.len() as u8];
        bytes.extend(peer.dcid.as_bytes());
        bytes.push(scid.len() as u8);
        bytes.extend(scid);
        bytes.extend(versions.iter().flat_map(|version| version.to_be_bytes()));
        bytes
    };
    let alive = |row, what: &str| Case::new(row, what, Some(Stage::Initial), Expect::Alive);
    let mut all = vec![
        alive("P04", "the version in use").with(move |peer| {
            let original = peer.original_dcid;
            vec![negotiation(peer, original.as_bytes(), &[0x6b33_43cf, 1])]
        }),
        alive("P04", "wrong source connection ID")
            .with(move |peer| vec![negotiation(peer, b"wrong", &[0x6b33_43cf])]),
        alive("P04", "after another packet").with(move |peer| {
            let original = peer.original_dcid;
            vec![
                peer.sealed(Space::Initial, PING.to_vec()),
                negotiation(peer, original.as_bytes(), &[0x6b33_43cf]),
            ]
        }),
    ];
    for (what, scid, token, damage) in
        [("a bad integrity tag", &b"retry-id"[..], &b"token"[..], 1), ("an empty token", b"retry-id", b"", 0)]
    {
        all.push(alive("P05", what).with(move |peer| {
            let mut bytes = retry(&peer.dcid, scid, token, &peer.original_dcid);
            let last = bytes.len() - 1;
            bytes[last] ^= damage;
            vec![bytes]
        }));
    }
    all.push(alive("P05", "the ID of our Initial").with(|peer| {
        let original = peer.original_dcid;
        vec![retry(&peer.dcid, original.as_bytes(), b"token", &original)]
    }));
    all.push(alive("P05", "after a server Initial").with(|peer| {
        let original = peer.original_dcid;
        vec![peer.sealed(Space::Initial, PING.to_vec()), retry(&peer.dcid, b"retry-id", b"token", &original)]
    }));
    all
}

/// A Retry to a client at `to`, in response to its Initial to `original`.
fn retry(to: &ConnectionId, scid: &[u8], token: &[u8], original: &ConnectionId) -> Vec<u8> {
    let mut bytes = vec![0xf0, 0, 0, 0, 1, to.len() as u8];
    bytes.extend(to.as_bytes());
    bytes.push(scid.len() as u8);
    bytes.extend(scid);
    bytes.extend(token);
    let tag = retry_integrity_tag(Version::V1, original, &bytes);
    bytes.extend(tag);
    bytes
}
