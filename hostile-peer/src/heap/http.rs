//! HTTP/3 and WebTransport as bytes, meaningful or not: frames, field sections, settings, capsules.

use netsim::Random;
use qpack::{Encoder, FieldRef};
use quic_core::Side;

use crate::wire;

/// Capsules of all dialects: close, drain, datagram, limits, and blocked capsules.
const CAPSULES: [u64; 13] = [
    0x2843,
    0x78ae,
    0x00,
    0x190b_4d3d,
    0x190b_4d3e,
    0x190b_4d3f,
    0x190b_4d40,
    0x190b_4d41,
    0x190b_4d42,
    0x190b_4d43,
    0x190b_4d44,
    0x5_eeed,
    0x21,
];

/// An HTTP/3 frame.
pub(super) fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = wire::ints(&[kind, payload.len() as u64]);
    out.extend(payload);
    out
}

/// SETTINGS that offer everything, either in all dialects or in one.
pub(super) fn settings(random: &mut Random) -> Vec<u8> {
    let mut pairs = vec![0x08, 1, 0x33, 1];
    let dialects: [&[u64]; 4] =
        [&[0x2c7c_f000, 1], &[0x14e9_cd29, 100], &[0xc671_706a, 100], &[0x2b60_3742, 1]];
    match random.below(6) {
        one @ 0..4 => pairs.extend(dialects[one as usize]),
        _ => dialects.iter().for_each(|pair| pairs.extend(*pair)),
    }
    if random.chance(0.5) {
        let large = [1 << 20, 64, 1 << 40][random.below(3) as usize];
        pairs.extend([0x2b61, large, 0x2b64, large, 0x2b65, large]);
    }
    (0..random.below(40)).for_each(|n| pairs.extend([0x7_0000 + n * 0x1f, n]));
    frame(0x04, &wire::ints(&pairs))
}

fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let fields = fields.iter().map(|(name, value)| FieldRef::new(name.as_bytes(), value.as_bytes()));
    Encoder::new().encode(0, fields, &mut out);
    frame(0x01, &out)
}

/// HEADERS with `first` and, sometimes, many more fields or large ones.
fn headers(first: &[(&str, &str)], random: &mut Random) -> Vec<u8> {
    let value = "v".repeat(1 << random.below(13));
    let names: Vec<String> = match random.below(10) {
        0 => (0..random.below(200)).map(|n| format!("x-{n}")).collect(),
        1 | 2 => vec!["x-much".to_owned()],
        _ => Vec::new(),
    };
    let value = if names.len() > 1 { "v" } else { &value };
    let more = names.iter().map(|name| (name.as_str(), value));
    section(&first.iter().copied().chain(more).collect::<Vec<_>>())
}

/// An extended CONNECT.
pub(super) fn connect(random: &mut Random) -> Vec<u8> {
    let token = ["webtransport", "webtransport-h3"][random.below(2) as usize];
    let draft02 = ("sec-webtransport-http3-draft02", "1");
    let mut fields = vec![
        (":method", "CONNECT"),
        (":protocol", token),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/"),
        ("origin", "https://localhost"),
    ];
    if random.chance(0.5) {
        fields.push(draft02);
    }
    if random.chance(0.05) {
        fields.swap_remove(random.below(5) as usize);
    }
    headers(&fields, random)
}

/// A request that is not for a session.
pub(super) fn get(random: &mut Random) -> Vec<u8> {
    headers(&[(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/x")], random)
}

/// A response of any kind, and whether it is the final one.
pub(super) fn response(random: &mut Random) -> (Vec<u8>, bool) {
    let status = ["200", "200", "200", "103", "404", "204", "999"][random.below(7) as usize];
    let bytes = headers(&[(":status", status), ("sec-webtransport-http3-draft", "draft02")], random);
    (bytes, status != "103")
}

/// A frame of the control stream that may occur several times. `side` sends it; up to `streams` streams may
/// exist.
pub(super) fn control(n: u64, side: Side, streams: u64, random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        // GOAWAY frames with decreasing IDs.
        0 => frame(0x07, &wire::ints(&[(1 << 40) - 4 * n])),
        1 | 2 if side.is_client() => {
            let mut payload = wire::ints(&[4 * random.below(streams.max(1))]);
            payload.extend(format!("u={},i", n % 8).bytes());
            frame(0xf0700, &payload)
        }
        3 if side.is_client() => frame(0x0d, &wire::ints(&[n])),
        _ => frame(0x21 + 0x1f * random.below(99), &vec![0; random.below(30) as usize]),
    }
}

/// A capsule of any kind.
pub(super) fn capsule(n: u64, random: &mut Random) -> Vec<u8> {
    // Rarely a close, because a closed session brings nothing new.
    let kind = if random.chance(0.02) { CAPSULES[0] } else { CAPSULES[1 + random.below(12) as usize] };
    let value = match random.below(8) {
        0 => Vec::new(),
        1 => vec![0; random.below(1500) as usize],
        _ => wire::ints(&[n + random.below(3)]),
    };
    frame(kind, &value)
}
