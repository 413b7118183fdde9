use proptest::prelude::*;

use super::*;
use crate::{
    base::{Writer, varint},
    ids::ConnectionId,
    version::Version,
};

/// RFC 9000 Appendix A.2.
#[test]
fn published_packet_number_lengths() {
    assert_eq!(packet_number_length(0xac_5c02, Some(0xab_e8b3)), 2);
    assert_eq!(packet_number_length(0xac_e8fe, Some(0xab_e8b3)), 3);
}

/// RFC 9000 Appendix A.3.
#[test]
fn published_packet_number_decoding() {
    assert_eq!(decode_packet_number(0x9b32, 2, 0xa82f_30ea + 1), 0xa82f_9b32);
}

#[test]
fn a_first_packet_number_of_738_is_taken_as_it_is() {
    assert_eq!(decode_packet_number(738, 2, 0), 738);
    assert_eq!(decode_packet_number(19, 1, 0), 19);
}

fn cid(length: usize) -> ConnectionId {
    ConnectionId::new(&vec![0x5a; length]).expect("at most 20 bytes")
}

proptest! {
    #[test]
    fn a_packet_number_is_recovered(acked in prop::option::of(0..varint::MAX / 2), ahead in 1u64..1 << 30, behind in 0u64..1 << 20) {
        let number = acked.map_or(0, |a| a + 1) + ahead;
        let length = packet_number_length(number, acked);
        let truncated = number & ((1u64 << (8 * length)) - 1);
        // The receiver knows at least the acknowledged packet and at most one before this one.
        let least = acked.map_or(0, |a| a + 1);
        let expected = number.saturating_sub(behind).max(least);
        prop_assert_eq!(decode_packet_number(truncated, length, expected), number);
    }

    #[test]
    fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), cid_length in 0usize..=20, grease: bool) {
        let _ = parse(&bytes, cid_length, grease);
    }

    #[test]
    fn a_long_header_survives_the_wire(d in 0usize..=20, s in 0usize..=20, token in prop::collection::vec(any::<u8>(), 0..90), payload in 20usize..500, number: u32) {
        for kind in [LongType::Initial, LongType::ZeroRtt, LongType::Handshake] {
            let token = if kind == LongType::Initial { &token[..] } else { &[] };
            let header = LongHeader { kind, version: Version::V1, dcid: &cid(d), scid: &cid(s), token };
            let mut bytes = vec![0; 1200];
            let mut w = Writer::new(&mut bytes);
            let at = write_long_header(&mut w, &header, u64::from(number), 4).expect("room");
            let end = w.position() + payload;
            let pn_offset = w.position() - 4;
            let length = (end - pn_offset) as u16;
            bytes[at..at + 2].copy_from_slice(&(0x4000 | length).to_be_bytes());
            let Ok(Header::Long(long)) = parse(&bytes, 8, false) else { panic!("a long header") };
            prop_assert_eq!((long.kind, long.version, long.dcid, long.scid), (kind, Version::V1, cid(d), cid(s)));
            prop_assert_eq!((&bytes[long.token.clone()], long.pn_offset, long.end), (token, pn_offset, end));
            // P11: a Length beyond the datagram.
            prop_assert_eq!(parse(&bytes[..end - 1], 8, false), Err(HeaderError::Truncated));
        }
    }
}

#[test]
fn p02_connection_ids_of_21_bytes() {
    for (d, s) in [(21u8, 0u8), (0, 21)] {
        let mut bytes = vec![0xc0, 0, 0, 0, 1, d];
        bytes.extend(vec![1; usize::from(d)]);
        bytes.push(s);
        bytes.extend(vec![1; 60]);
        assert_eq!(parse(&bytes, 8, false), Err(HeaderError::CidTooLong));
    }
}

#[test]
fn p03_an_unknown_version_with_connection_ids_of_255_bytes() {
    let mut bytes = vec![0xc0, 0x12, 0x34, 0x56, 0x78, 255];
    bytes.extend([7; 255]);
    bytes.push(255);
    bytes.extend([9; 255]);
    let Ok(Header::UnknownVersion { version, dcid, scid }) = parse(&bytes, 8, false) else {
        panic!("readable")
    };
    assert_eq!((version, dcid, scid), (0x1234_5678, &[7; 255][..], &[9; 255][..]));
    let mut answer = vec![0; 1200];
    let mut w = Writer::new(&mut answer);
    assert!(write_version_negotiation(&mut w, scid, dcid, &[1, 0x1a2a_3a4a], 0xff));
    let Ok(Header::VersionNegotiation(vn)) = parse(w.written(), 8, false) else { panic!("readable") };
    assert_eq!((vn.dcid, vn.scid), (scid, dcid));
    assert_eq!(vn.versions().collect::<Vec<_>>(), [1, 0x1a2a_3a4a]);
    assert!(Version::is_reserved(0x1a2a_3a4a) && !Version::is_reserved(1));
}

#[test]
fn p15_the_fixed_bit() {
    let mut short = vec![0x00];
    short.extend([1; 30]);
    assert_eq!(parse(&short, 8, false), Err(HeaderError::FixedBit));
    assert!(matches!(parse(&short, 8, true), Ok(Header::Short(Short { pn_offset: 9, .. }))));
}
