//! Seed corpora, made by our own encoders. Each seed is valid, and its target accepts it.

use crate::mutate::Random;
use h3_core::{Settings, capsule::put_capsule};
use qpack::{Encoder, EncoderOptions, FieldRef, Policy};
use quic_core::{
    ConnectionId, Dir, PreferredAddress, Side, StreamId, TransportParameters, Version, VersionInformation,
    base::{Writer, varint},
    frame::{EcnCounts, Frame, write_ack},
    packet::{LongHeader, LongType, write_long_header, write_short_header, write_version_negotiation},
};

/// The seeds of the target with this name; none for an unknown name.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "packet_header" => packet_headers(),
        "frames" => frames(),
        "transport_parameters" => transport_parameters(),
        "h3_frames" => h3_frames(),
        "hostile_steps" => hostile_steps(),
        "capsules" => capsules(),
        "qpack_decode" => qpack_decode(),
        _ => Vec::new(),
    }
}

fn cid(length: u8) -> ConnectionId {
    let bytes: Vec<u8> = (1..=length).collect();
    ConnectionId::new(&bytes).expect("a connection ID of at most 20 bytes")
}

/// What `fill` writes, after `first`.
fn written(first: &[u8], fill: impl FnOnce(&mut Writer<'_>) -> bool) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let mut writer = Writer::new(&mut buffer);
    assert!(fill(&mut writer), "a seed fits");
    [first, writer.written()].concat()
}

fn packet_headers() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (kind, token) in [
        (LongType::Initial, &b"token"[..]),
        (LongType::Initial, b""),
        (LongType::ZeroRtt, b""),
        (LongType::Handshake, b""),
    ] {
        let (dcid, scid) = (cid(8), cid(5));
        let header = LongHeader { kind, version: Version::V1, dcid: &dcid, scid: &scid, token };
        let mut length = None;
        let mut seed = written(&[8], |w| {
            length = write_long_header(w, &header, 7, 2);
            w.bytes(&[0xab; 30])
        });
        let at = 1 + length.expect("the header fits");
        seed[at..at + 2].copy_from_slice(&(0x4000_u16 | 32).to_be_bytes());
        seeds.push(seed);
    }
    seeds.push(written(&[8], |w| write_short_header(w, &cid(8), 99, 1, true, false) && w.bytes(&[0xcd; 24])));
    seeds.push(written(&[0], |w| write_short_header(w, &cid(0), 99, 4, false, true) && w.bytes(&[0xcd; 24])));
    seeds.push(written(&[0], |w| {
        write_version_negotiation(w, &[1; 30], &[2; 8], &[1, 0x6b33_43cf, 0x1a2a_3a4a], 9)
    }));
    // A Retry packet, and an unknown version.
    let retry = |first: u8, version: &[u8]| {
        [&[0, first][..], version, &[3, 1, 2, 3, 4, 9, 9, 9, 9], b"a token", &[0x77; 16]].concat()
    };
    seeds.push(retry(0xf0, &[0, 0, 0, 1]));
    seeds.push(retry(0xc0, &[0x1a, 0x2a, 0x3a, 0x4a]));
    seeds
}

fn all_frames() -> Vec<Frame<'static>> {
    let id = StreamId::new(Side::Client, Dir::Bidi, 5);
    vec![
        Frame::Padding(3),
        Frame::Ping,
        Frame::ResetStream { id, code: 0x10c, final_size: 70_000 },
        Frame::ResetStreamAt { id, code: 9, final_size: 100, reliable_size: 4 },
        Frame::StopSending { id, code: 0x52e4_a40f_a8db },
        Frame::Crypto { offset: 1200, data: b"crypto data" },
        Frame::NewToken(b"token"),
        Frame::Stream { id, offset: 0, fin: false, data: b"first" },
        Frame::Stream { id, offset: 1 << 20, fin: true, data: b"" },
        Frame::MaxData(1 << 30),
        Frame::MaxStreamData { id, limit: 1 << 20 },
        Frame::MaxStreams { dir: Dir::Bidi, limit: 1000 },
        Frame::MaxStreams { dir: Dir::Uni, limit: 1 << 60 },
        Frame::DataBlocked(17),
        Frame::StreamDataBlocked { id, limit: 64 },
        Frame::StreamsBlocked { dir: Dir::Bidi, limit: 0 },
        Frame::StreamsBlocked { dir: Dir::Uni, limit: 5 },
        Frame::NewConnectionId { sequence: 4, retire_prior_to: 2, id: cid(8), token: [6; 16] },
        Frame::RetireConnectionId(3),
        Frame::PathChallenge([1; 8]),
        Frame::PathResponse([2; 8]),
        Frame::TransportClose { code: 10, frame_type: 6, reason: b"why" },
        Frame::ApplicationClose { code: 0x100, reason: b"" },
        Frame::HandshakeDone,
        Frame::ImmediateAck,
        Frame::AckFrequency { sequence: 1, threshold: 9, max_ack_delay: 5_000, reordering: 3 },
        Frame::Datagram { data: b"datagram", has_length: true },
        Frame::Datagram { data: b"to the end", has_length: false },
    ]
}

fn frames() -> Vec<Vec<u8>> {
    let all = all_frames();
    let mut seeds: Vec<_> = all.iter().map(|frame| written(&[], |w| frame.write(w))).collect();
    seeds.push(written(&[], |w| all.iter().all(|frame| frame.write(w))));
    let ranges = [900..=1000, 500..=700, 3..=3, 0..=0];
    let ecn = EcnCounts { ect0: 5, ect1: 0, ce: 1 };
    for (count, ecn) in [(1, None), (4, None), (4, Some(ecn))] {
        seeds.push(written(&[], |w| write_ack(w, ranges.iter().take(count).cloned(), 25, ecn)));
    }
    seeds
}

fn transport_parameters() -> Vec<Vec<u8>> {
    let client = TransportParameters::new()
        .max_idle_timeout(std::time::Duration::from_secs(30))
        .initial_max_data(1 << 20)
        .initial_max_stream_data_bidi_local(1 << 18)
        .initial_max_stream_data_bidi_remote(1 << 18)
        .initial_max_stream_data_uni(1 << 18)
        .initial_max_streams_bidi(1000)
        .initial_max_streams_uni(1000)
        .initial_source_connection_id(Some(ConnectionId::EMPTY))
        .version_information(Some(VersionInformation { chosen: 1, available: vec![1, 0x1a2a_3a4a] }))
        .reset_stream_at(true)
        .max_datagram_frame_size(65_535)
        .grease_quic_bit(true)
        .grease(Some((77, 4)));
    let server = client
        .clone()
        .original_destination_connection_id(Some(cid(8)))
        .stateless_reset_token(Some([1; 16]))
        .retry_source_connection_id(Some(cid(20)))
        .max_udp_payload_size(1472)
        .ack_delay_exponent(10)
        .max_ack_delay(std::time::Duration::from_millis(5))
        .disable_active_migration(true)
        .active_connection_id_limit(8)
        .preferred_address(Some(PreferredAddress {
            v4: Some("192.0.2.1:443".parse().expect("an address")),
            v6: Some("[2001:db8::1]:443".parse().expect("an address")),
            connection_id: cid(4),
            token: [2; 16],
        }));
    let encode = |first: u8, params: &TransportParameters| {
        let mut seed = vec![first];
        params.write(&mut seed);
        seed
    };
    vec![
        encode(0, &client),
        encode(1, &server),
        encode(1, &client),
        encode(0, &TransportParameters::default()),
    ]
}

fn section(lines: &[(&'static str, &'static str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let lines = lines.iter().map(|(name, value)| FieldRef::new(name.as_bytes(), value.as_bytes()));
    Encoder::new().encode(0, lines, &mut out);
    out
}

fn request() -> Vec<u8> {
    section(&[
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/a"),
        ("x-a", "1"),
    ])
}

fn connect() -> Vec<u8> {
    section(&[
        (":method", "CONNECT"),
        (":protocol", "webtransport"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/echo"),
        ("sec-webtransport-http3-draft02", "1"),
    ])
}

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(&mut out, kind);
    varint::put(&mut out, payload.len() as u64);
    out.extend_from_slice(payload);
    out
}

/// A script for the HTTP/3 target: pairs of a step and its bytes.
fn script(first: u8, steps: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![first];
    for (what, bytes) in steps {
        out.extend([*what, u8::try_from(bytes.len()).expect("a step has at most 255 bytes")]);
        out.extend_from_slice(bytes);
    }
    out
}

fn h3_frames() -> Vec<Vec<u8>> {
    let mut settings = Vec::new();
    let sent = Settings::new().h3_datagram(true).wt_enabled_draft02(1);
    sent.encode(0x5eed, &mut settings);
    // Whatever the encoder writes before the payload, the control stream starts with a SETTINGS frame.
    let settings = || if settings.first() == Some(&4) { settings.clone() } else { frame(4, &settings) };
    let data =
        [frame(1, &request()), frame(0, b"content"), frame(0x21, b"grease"), frame(0, b"more")].concat();
    let trailers = frame(1, &section(&[("x-trailer", "1")]));
    let response = [
        frame(1, &section(&[(":status", "103")])),
        frame(1, &section(&[(":status", "200"), ("content-length", "5")])),
        frame(0, b"hello"),
    ]
    .concat();
    let update = frame(0xf0700, &[&[0][..], b"u=1,i"].concat());
    let goaway = frame(7, &[0]);
    vec![
        script(2, &[(0, settings()), (4, data.clone()), (6, vec![4])]),
        script(10, &[(4, data), (0, settings()), (4, trailers), (6, vec![4])]),
        script(
            4,
            &[
                (0, settings()),
                (4, frame(1, &connect())),
                (3, vec![0x40, 0x54, 0, b'x']),
                (5, b"\0data".to_vec()),
            ],
        ),
        script(
            6,
            &[(0, settings()), (0, update), (0, goaway.clone()), (4, frame(1, &request())), (7, vec![4])],
        ),
        script(8, &[(0, settings()), (1, vec![0x20]), (2, vec![0x40]), (3, vec![0x21, 1, 2, 3])]),
        script(3, &[(0, settings()), (4, response.clone()), (6, vec![4])]),
        script(9, &[(0, settings()), (0, goaway), (4, response), (7, vec![4])]),
    ]
}

fn capsules() -> Vec<Vec<u8>> {
    let list: [(u64, &[u8]); 6] = [
        (0x2843, b"\0\0\0\x07goodbye"),
        (0x78ae, b""),
        (0, b"a datagram"),
        (0x190b_4d3d, &[8]),
        (0x29 * 1000 + 0x17, b"grease"),
        (0, &[7; 1100]),
    ];
    let one = |(kind, value): &(u64, &[u8])| {
        let mut seed = vec![3];
        put_capsule(*kind, value, &mut seed);
        seed
    };
    let mut all = vec![5];
    for (kind, value) in &list {
        put_capsule(*kind, value, &mut all);
    }
    list.iter().map(one).chain([all]).collect()
}

fn qpack_decode() -> Vec<Vec<u8>> {
    let response = section(&[
        (":status", "200"),
        ("content-type", "text/html; charset=utf-8"),
        ("x-\u{e9}", "\u{1}\u{7f}"),
    ]);
    let mut secret = Vec::new();
    let mut line = FieldRef::new(b"authorization", b"Basic dGVzdA==");
    line.never_index = true;
    Encoder::new().encode(0, [line], &mut secret);
    let mut seeds: Vec<_> =
        [request(), connect(), response, secret].iter().map(|section| [&[0][..], section].concat()).collect();
    // Set Dynamic Table Capacity 0 twice; stream cancellations.
    seeds.push(vec![2 | 1 << 2, 0x20, 0x20]);
    seeds.push(vec![3 | 1 << 2, 0x44, 0x7f, 0x80, 0x01]);
    // Acknowledgments of two sections, an increment for one more insertion.
    seeds.push(vec![3 | 1 << 2, 0x80, 0x84, 0x01]);
    seeds.extend([exchange(false), exchange(true)]);
    seeds
}

/// Three sections with their instructions, which come before each of them or after all; one stream is cancelled.
fn exchange(late: bool) -> Vec<u8> {
    let mut encoder = Encoder::with_options(EncoderOptions::new().policy(Policy::Greedy));
    encoder.on_settings(220, 2);
    let (mut seed, mut all) = (vec![1], Vec::new());
    for (stream, value) in [(0, "one"), (1, "two"), (0, "one")] {
        let (mut section, mut instructions) = (Vec::new(), Vec::new());
        let lines = [FieldRef::new(b"x-name", value.as_bytes()), FieldRef::new(b":path", b"/")];
        encoder.encode(stream, lines, &mut section);
        encoder.take_instructions(&mut instructions);
        all.extend_from_slice(&instructions);
        if !late {
            seed.extend([&[0, instructions.len() as u8], &instructions[..]].concat());
        }
        seed.extend([&[2 | (stream as u8) << 2, section.len() as u8], &section[..]].concat());
    }
    seed.extend([3 | 1 << 2, 0]);
    if late {
        seed.extend([&[0, all.len() as u8], &all[..]].concat());
    }
    seed
}

/// Steps at every stage and against both roles: an accepted packet, followed by pseudorandom bytes from fixed
/// seeds.
fn hostile_steps() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for first in [0, 1, 4, 5, 6, 7] {
        for seed in 0..3 {
            let mut random = Random::new(seed * 8 + u64::from(first));
            // A packet in the usual space with one PING.
            let mut bytes = vec![first, 0, 0, 0, 0, 27];
            bytes.extend((0..40 << seed).map(|_| random.next_u64() as u8));
            seeds.push(bytes);
        }
    }
    seeds
}
