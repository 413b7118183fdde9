//! Packet headers. The first byte gives the length of connection IDs and whether the fixed bit may be zero; a
//! datagram follows.

use quic_core::{
    Version,
    base::Writer,
    packet::{
        self, Header, Long, LongHeader, VersionNegotiation, decode_packet_number, packet_number_length,
        retry_integrity_split, write_long_header, write_short_header, write_version_negotiation,
    },
};

/// Parses, emits and parses again.
pub fn target(data: &[u8]) -> bool {
    super::bound::bounded(data, 0, check)
}

fn check(data: &[u8]) -> bool {
    let Some((first, datagram)) = data.split_first() else { return false };
    let (cid_length, grease) = (usize::from(first & 0x1f), first & 0x80 != 0);
    packet_numbers(datagram);
    let Ok(header) = packet::parse(datagram, cid_length, grease) else { return false };
    match header {
        Header::Long(long) => long_header(datagram, &long),
        Header::Short(short) => {
            assert_eq!(short.pn_offset, 1 + cid_length);
            let mut buffer = [0; 64];
            let mut writer = Writer::new(&mut buffer);
            assert!(write_short_header(&mut writer, &short.dcid, 0x0102_0304, 4, true, false));
            let parsed = packet::parse(writer.written(), cid_length, false);
            assert_eq!(parsed, Ok(Header::Short(short)));
        }
        Header::Retry(retry) => {
            let (covered, tag) = retry_integrity_split(datagram).expect("a Retry packet ends with its tag");
            assert_eq!(*tag, retry.tag);
            assert!(covered.ends_with(retry.token));
        }
        Header::VersionNegotiation(negotiation) => version_negotiation(&negotiation),
        Header::UnknownVersion { version, dcid, scid } => {
            assert!(version != 0 && Version::from_number(version).is_none());
            assert!(7 + dcid.len() + scid.len() <= datagram.len());
        }
    }
    true
}

fn long_header(datagram: &[u8], long: &Long) {
    assert!(long.token.end <= long.pn_offset && long.pn_offset <= long.end && long.end <= datagram.len());
    let token = &datagram[long.token.clone()];
    let mut buffer = vec![0; datagram.len() + 64];
    let mut writer = Writer::new(&mut buffer);
    let header =
        LongHeader { kind: long.kind, version: long.version, dcid: &long.dcid, scid: &long.scid, token };
    let at = write_long_header(&mut writer, &header, 0x1234, 2).expect("there is room");
    assert!(writer.bytes(&[0xee; 20]));
    writer.written_mut()[at..at + 2].copy_from_slice(&(0x4000_u16 | 22).to_be_bytes());
    let Ok(Header::Long(again)) = packet::parse(writer.written(), 0, false) else {
        panic!("a long header that was written is one")
    };
    assert_eq!(
        (again.kind, again.version, again.dcid, again.scid),
        (long.kind, long.version, long.dcid, long.scid)
    );
    assert_eq!(&writer.written()[again.token.clone()], token);
    assert_eq!((again.pn_offset, again.end), (at + 2, writer.position()));
}

fn version_negotiation(negotiation: &VersionNegotiation<'_>) {
    let versions: Vec<u32> = negotiation.versions().collect();
    let mut buffer = vec![0; 600 + 4 * versions.len()];
    let mut writer = Writer::new(&mut buffer);
    assert!(write_version_negotiation(&mut writer, negotiation.dcid, negotiation.scid, &versions, 0x55));
    let Ok(Header::VersionNegotiation(again)) = packet::parse(writer.written(), 0, false) else {
        panic!("a Version Negotiation packet that was written is one")
    };
    assert_eq!((again.dcid, again.scid), (negotiation.dcid, negotiation.scid));
    assert!(again.versions().eq(versions));
}

/// RFC 9000 §17.1: a receiver recovers a truncated packet number if it has received what the sender knows to
/// be acknowledged.
fn packet_numbers(bytes: &[u8]) {
    let Some((number, acked)) = bytes
        .split_first_chunk::<8>()
        .zip(bytes.last_chunk::<8>())
        .map(|((n, _), a)| (u64::from_be_bytes(*n) >> 2, u64::from_be_bytes(*a) >> 2))
    else {
        return;
    };
    // The encoding covers a distance of at most 2^31 (RFC 9000 §17.1).
    let acked = acked.min(number).max(number.saturating_sub(1 << 30));
    let length = packet_number_length(number, Some(acked));
    let truncated = number & ((1 << (8 * length)) - 1);
    for expected in [acked + 1, number, number.saturating_sub(1).max(acked)] {
        assert_eq!(decode_packet_number(truncated, length, expected), number);
    }
}
