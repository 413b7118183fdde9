//! Table P, P03 to P08: Version Negotiation, Retry and tokens.

use quic_core::{
    Version,
    crypto::retry_integrity_tag,
    packet::{self, Header},
};

use crate::common::*;

#[test]
fn p03_unknown_version_with_the_longest_ids() {
    let mut w = World::before(Side::Server, Options::default());
    let (dcid, scid) = (vec![0xdd; 255], vec![0x5c; 255]);
    let mut datagram = vec![0xc3, 0x7a, 0x6b, 0x5c, 0x4d, 255];
    datagram.extend(&dcid);
    datagram.push(255);
    datagram.extend(&scid);
    datagram.resize(1200, 0x99);
    w.deliver(&datagram[..1199]);
    assert!(w.stateless.is_empty(), "RFC 9000 §5.2.2: too small to start a connection");
    w.deliver(&datagram);
    let [answer] = &w.stateless[..] else { panic!("one answer: {:?}", w.stateless) };
    let Ok(Header::VersionNegotiation(vn)) = packet::parse(answer, 8, false) else { panic!("{answer:x?}") };
    assert_eq!((vn.dcid, vn.scid), (&scid[..], &dcid[..]));
    let versions: Vec<_> = vn.versions().collect();
    assert!(versions.contains(&Version::V1.number()));
    assert_eq!(versions.iter().filter(|v| Version::is_reserved(**v)).count(), 1);
    assert_eq!(w.endpoint.connections(), 0);
}

fn version_negotiation(w: &World, scid: &[u8], versions: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0xc0, 0, 0, 0, 0, w.peer.dcid.len() as u8];
    bytes.extend(w.peer.dcid.as_bytes());
    bytes.push(scid.len() as u8);
    bytes.extend(scid);
    bytes.extend(versions.iter().flat_map(|version| version.to_be_bytes()));
    bytes
}

#[test]
fn p04_version_negotiation_with_the_version_in_use() {
    let mut w = World::at(Side::Client, Stage::Initial);
    let original = w.peer.original_dcid;
    let datagram = version_negotiation(&w, original.as_bytes(), &[0x6b33_43cf, 1]);
    w.deliver(&datagram);
    goes_on(&mut w);
}

#[test]
fn p04_version_negotiation_after_another_packet() {
    let mut w = World::at(Side::Client, Stage::Initial);
    w.send(Space::Initial, PING.to_vec());
    let (original, scid) = (w.peer.original_dcid, w.peer.scid);
    for id in [original, scid] {
        let datagram = version_negotiation(&w, id.as_bytes(), &[0x6b33_43cf]);
        w.deliver(&datagram);
    }
    goes_on(&mut w);
}

#[test]
fn p04_version_negotiation_with_wrong_ids() {
    let mut w = World::at(Side::Client, Stage::Initial);
    for scid in [&b"wrong"[..], b""] {
        let datagram = version_negotiation(&w, scid, &[0x6b33_43cf]);
        w.deliver(&datagram);
    }
    let mut other = version_negotiation(&w, w.peer.original_dcid.as_bytes(), &[0x6b33_43cf]);
    other[6] ^= 1;
    w.deliver(&other);
    goes_on(&mut w);
}

/// The counterpart: a valid Version Negotiation packet takes effect.
#[test]
fn p04_version_negotiation_that_leaves_no_choice() {
    let mut w = World::at(Side::Client, Stage::Initial);
    // The number that version 2 had in its drafts.
    let datagram = version_negotiation(&w, w.peer.original_dcid.as_bytes(), &[0x709a_50c4]);
    w.deliver(&datagram);
    assert!(matches!(w.app.error(), Some(ConnectionError::VersionMismatch { .. })));
    w.expect_told();
    w.expect_gone();
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

/// A client whose first Initial got no response: the world, the client's ID and the ID that it chose for the
/// server.
fn unanswered_client() -> (World, ConnectionId, ConnectionId) {
    let mut w = World::before(Side::Client, Options::default());
    w.peer.deaf = true;
    w.begin();
    let Ok(Header::Long(long)) = packet::parse(&w.sent[0], 8, false) else { panic!("an Initial") };
    w.peer.original_dcid = long.dcid;
    (w, long.scid, long.dcid)
}

/// Makes the peer listen, and lets it read the client's last datagram.
fn listens(w: &mut World) {
    w.peer.deaf = false;
    let last = w.sent.last().cloned().expect("the client spoke");
    w.peer.receive(&last);
}

#[test]
fn p05_retry_that_is_discarded() {
    for case in ["tag", "token", "scid"] {
        let (mut w, client, original) = unanswered_client();
        let mut bytes = match case {
            "token" => retry(&client, b"retry-id", b"", &original),
            "scid" => retry(&client, original.as_bytes(), b"token", &original),
            _ => retry(&client, b"retry-id", b"token", &original),
        };
        if case == "tag" {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
        w.deliver(&bytes);
        assert_eq!(w.sent.len(), 1, "{case}: no new Initial");
        listens(&mut w);
        goes_on(&mut w);
    }
}

/// One valid Retry takes effect, and a second one does not.
#[test]
fn p05_second_retry() {
    let (mut w, client, original) = unanswered_client();
    w.deliver(&retry(&client, b"retry-id", b"token", &original));
    assert_eq!(w.sent.len(), 2, "the Retry is obeyed");
    for covered in [original, cid(b"retry-id")] {
        w.deliver(&retry(&client, b"second", b"other", &covered));
    }
    assert_eq!(w.sent.len(), 2);
    let Ok(Header::Long(long)) = packet::parse(&w.sent[1], 8, false) else { panic!("an Initial") };
    assert_eq!((&w.sent[1][long.token.clone()], long.dcid), (&b"token"[..], cid(b"retry-id")));
    w.peer.retry_source = Some(cid(b"retry-id"));
    listens(&mut w);
    goes_on(&mut w);
}

#[test]
fn p05_retry_after_an_initial() {
    let mut w = World::at(Side::Client, Stage::Initial);
    w.send(Space::Initial, PING.to_vec());
    let (client, original, scid) = (w.peer.dcid, w.peer.original_dcid, w.peer.scid);
    for covered in [original, scid] {
        w.deliver(&retry(&client, b"retry-id", b"token", &covered));
    }
    goes_on(&mut w);
}

#[test]
fn p06_retry_source_connection_id_missing_or_wrong() {
    for source in [None, Some(cid(b"retry-xx")), Some(cid(b""))] {
        let (mut w, client, original) = unanswered_client();
        w.deliver(&retry(&client, b"retry-id", b"token", &original));
        w.peer.retry_source = source;
        listens(&mut w);
        w.step();
        w.expect_close_in(TRANSPORT_PARAMETER_ERROR, 0x06);
    }
}

/// Similarly, the parameter without a Retry (RFC 9000 §7.3).
#[test]
fn p06_retry_source_connection_id_without_a_retry() {
    let params = changed(|honest| honest.retry_source_connection_id = Some(cid(b"retry-id")));
    let mut w = World::with(Side::Client, Stage::Initial, Options { params, ..Options::default() });
    w.step();
    w.expect_close_in(TRANSPORT_PARAMETER_ERROR, 0x06);
}

/// A server that sent a Retry, and what the client received: the world, ClientHello, token and new connection
/// ID.
fn retried() -> (World, Vec<u8>, Vec<u8>, ConnectionId) {
    let (mut w, hello) = with_hello(Options { retry: true, ..Options::default() });
    w.send(Space::Initial, crypto(0, &hello));
    let Ok(Header::Retry(retry)) = packet::parse(&w.stateless[0], 8, false) else { panic!("a Retry") };
    let (token, scid) = (retry.token.to_vec(), retry.scid);
    w.stateless.clear();
    (w, hello, token, scid)
}

fn answer_retry(w: &mut World, hello: &[u8], token: &[u8], dcid: ConnectionId, from: SocketAddr) {
    w.peer.dcid = dcid;
    w.peer.initial_keys(dcid);
    w.peer.token = token.to_vec();
    let sealed = w.peer.sealed(Space::Initial, crypto(0, hello));
    w.deliver_from(from, &sealed);
}

#[test]
fn p07_retry_tokens_expired_or_of_somebody_else() {
    for case in ["expired", "address", "dcid"] {
        let (mut w, hello, token, scid) = retried();
        let (mut from, mut dcid) = (w.peer_address, scid);
        match case {
            "expired" => w.now += Duration::from_secs(31),
            "address" => from = elsewhere(),
            _ => dcid = cid(b"another-id"),
        }
        answer_retry(&mut w, &hello, &token, dcid, from);
        let [answer] = &w.stateless.clone()[..] else { panic!("{case}: one answer") };
        w.peer.receive(answer);
        assert_eq!(
            w.peer.closes().iter().map(|close| close.code).collect::<Vec<_>>(),
            [INVALID_TOKEN],
            "{case}"
        );
        assert!(w.connection.is_none() && w.endpoint.connections() == 0);
        assert!(w.bytes_out <= 3 * w.bytes_in);
    }
}

#[test]
fn p07_a_good_token_is_accepted() {
    let (mut w, hello, token, scid) = retried();
    let from = w.peer_address;
    answer_retry(&mut w, &hello, &token, scid, from);
    goes_on(&mut w);
}

#[test]
fn p08_tokens_that_are_none() {
    let (_, _, token, _) = retried();
    let mut flipped = token.clone();
    flipped[20] ^= 1;
    let garbage = [vec![0xaa; 64], vec![0], vec![0x55; 1000], token[..token.len() - 1].to_vec(), flipped];
    for token in garbage {
        let (mut w, hello) = with_hello(Options::default());
        w.peer.token = token;
        // Small CRYPTO frames, because a long token leaves no room for more.
        for (n, part) in hello.chunks(50).enumerate() {
            w.send(Space::Initial, crypto(50 * n as u64, part));
            assert!(w.bytes_out <= 3 * w.bytes_in);
        }
        goes_on(&mut w);
    }
}

/// A server that requires a token responds with another Retry.
#[test]
fn p08_tokens_that_are_none_get_a_retry() {
    for token in [vec![0xaa; 64], vec![0], vec![0x55; 1000]] {
        let (mut w, hello) = with_hello(Options { retry: true, ..Options::default() });
        w.peer.token = token;
        w.send(Space::Initial, crypto(0, &hello[..50]));
        let [answer] = &w.stateless[..] else { panic!("one answer") };
        assert!(matches!(packet::parse(answer, 8, false), Ok(Header::Retry(_))));
        assert!(w.connection.is_none());
        assert!(w.bytes_out <= 3 * w.bytes_in);
    }
}
