use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{base::varint, error::Violation, ids::ConnectionId};

fn encode(params: &TransportParameters) -> Vec<u8> {
    let mut bytes = Vec::new();
    params.write(&mut bytes);
    bytes
}

fn raw(id: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint::put(&mut bytes, id);
    varint::put(&mut bytes, value.len() as u64);
    bytes.extend_from_slice(value);
    bytes
}

fn raw_integer(id: u64, value: u64) -> Vec<u8> {
    let mut encoded = Vec::new();
    varint::put(&mut encoded, value);
    raw(id, &encoded)
}

fn cid(bytes: &[u8]) -> Option<ConnectionId> {
    ConnectionId::new(bytes)
}

#[test]
fn all_parameters_survive_the_wire() {
    let params = TransportParameters {
        original_destination_connection_id: cid(b"original"),
        max_idle_timeout: Duration::from_secs(30),
        stateless_reset_token: Some([3; 16]),
        max_udp_payload_size: 1472,
        initial_max_data: 1 << 20,
        initial_max_stream_data_bidi_local: 1,
        initial_max_stream_data_bidi_remote: 2,
        initial_max_stream_data_uni: 3,
        initial_max_streams_bidi: 1 << 60,
        initial_max_streams_uni: 5,
        ack_delay_exponent: 20,
        max_ack_delay: Duration::from_millis((1 << 14) - 1),
        disable_active_migration: true,
        preferred_address: Some(PreferredAddress {
            v4: Some("192.0.2.1:443".parse().expect("an address")),
            v6: Some("[2001:db8::1]:443".parse().expect("an address")),
            connection_id: cid(b"preferred").expect("short"),
            token: [9; 16],
        }),
        active_connection_id_limit: 8,
        initial_source_connection_id: cid(b""),
        retry_source_connection_id: cid(b"retry"),
        version_information: Some(VersionInformation { chosen: 1, available: vec![1, 0x1a2a_3a4a] }),
        reset_stream_at: true,
        max_datagram_frame_size: 65_535,
        grease_quic_bit: true,
        min_ack_delay: Some(Duration::from_micros(1500)),
        grease: None,
    };
    assert_eq!(TransportParameters::parse(&encode(&params), Side::Server), Ok(params.clone()));
    let greased = TransportParameters { grease: Some((1234, 7)), ..params.clone() };
    assert_eq!(TransportParameters::parse(&encode(&greased), Side::Server), Ok(params));
}

/// The codepoints of reliable-stream-reset: the registered one, and the one of drafts before 08.
const RESET_STREAM_AT: [u64; 2] = [0x1d, 0x0017_f758_6d2c_b571];

#[test]
fn either_codepoint_of_reset_stream_at_or_both_are_one_extension() {
    let [current, legacy] = RESET_STREAM_AT.map(|id| raw(id, &[]));
    for bytes in [current.clone(), legacy.clone(), [&*current, &*legacy].concat(), [legacy, current].concat()]
    {
        for sender in [Side::Client, Side::Server] {
            let params = TransportParameters::parse(&bytes, sender);
            assert_eq!(params.map(|params| params.reset_stream_at), Ok(true), "{bytes:02x?}");
        }
    }
    let without = TransportParameters::parse(&raw(0x0017_f758_6d2c_b570, &[]), Side::Server);
    assert_eq!(without.map(|params| params.reset_stream_at), Ok(false), "drafts up to 04 had another frame");
}

#[test]
fn reset_stream_at_is_sent_under_both_codepoints() {
    let params = TransportParameters { reset_stream_at: true, ..TransportParameters::default() };
    assert_eq!(encode(&params), RESET_STREAM_AT.map(|id| raw(id, &[])).concat());
    assert_eq!(encode(&TransportParameters::default()), []);
}

#[test]
fn x01_the_same_codepoint_of_reset_stream_at_twice() {
    for id in RESET_STREAM_AT {
        let bytes = [raw(id, &[]), raw(id, &[])].concat();
        assert_eq!(TransportParameters::parse(&bytes, Side::Server), Err(Violation::ParameterDuplicate));
    }
}

#[test]
fn x01_duplicates_known_and_unknown() {
    for id in [0x04, 0x7f0] {
        let bytes = [raw_integer(id, 1), raw_integer(id, 1)].concat();
        assert_eq!(TransportParameters::parse(&bytes, Side::Client), Err(Violation::ParameterDuplicate));
    }
}

#[test]
fn x02_parameters_of_servers_from_a_client() {
    let preferred = [&[127, 0, 0, 1, 1, 1][..], &[0; 18], &[4, 1, 2, 3, 4], &[7; 16]].concat();
    for bytes in [raw(0x00, b"12345678"), raw(0x02, &[1; 16]), raw(0x0d, &preferred), raw(0x10, b"12345678")]
    {
        assert!(TransportParameters::parse(&bytes, Side::Server).is_ok());
        assert_eq!(TransportParameters::parse(&bytes, Side::Client), Err(Violation::ParameterOfServer));
    }
}

#[test]
fn x03_values_out_of_range() {
    for (id, last_valid, first_invalid) in [
        (0x03, 1200, 1199),
        (0x0a, 20, 21),
        (0x0b, (1 << 14) - 1, 1 << 14),
        (0x0e, 2, 1),
        (0x08, 1 << 60, (1 << 60) + 1),
        (0x09, 1 << 60, (1 << 60) + 1),
    ] {
        assert!(TransportParameters::parse(&raw_integer(id, last_valid), Side::Client).is_ok());
        let parsed = TransportParameters::parse(&raw_integer(id, first_invalid), Side::Client);
        assert_eq!(parsed, Err(Violation::ParameterValue));
    }
}

/// ack-frequency §3: the shortest delay is no longer than the longest, whichever comes first.
#[test]
fn x03_a_min_ack_delay_above_the_max_ack_delay() {
    let (least, most) = (|micros| raw_integer(0xff04_de1b, micros), raw_integer(0x0b, 7));
    for (micros, valid) in [(0, true), (7_000, true), (7_001, false), ((1 << 62) - 1, false)] {
        for bytes in [[least(micros), most.clone()].concat(), [most.clone(), least(micros)].concat()] {
            let parsed = TransportParameters::parse(&bytes, Side::Client);
            assert_eq!(parsed.is_ok(), valid, "{micros}");
            assert!(valid || parsed == Err(Violation::ParameterValue));
        }
    }
    assert_eq!(TransportParameters::parse(&least(25_001), Side::Client), Err(Violation::ParameterValue));
}

#[test]
fn x05_preferred_addresses_that_do_not_parse() {
    let empty_cid = [&[0; 24][..], &[0], &[7; 16]].concat();
    let too_short = [&[0; 24][..], &[4, 1, 2, 3, 4], &[7; 15]].concat();
    let too_long = [&[0; 24][..], &[4, 1, 2, 3, 4], &[7; 17]].concat();
    for value in [empty_cid, too_short, too_long] {
        let error = TransportParameters::parse(&raw(0x0d, &value), Side::Server).expect_err("invalid");
        assert_eq!(error.code(), crate::error::TransportErrorCode::TRANSPORT_PARAMETER_ERROR);
    }
}

#[test]
fn x07_version_information_that_does_not_parse() {
    for value in [&[0, 0, 0, 1, 0][..], &[0, 0, 0, 0], &[0, 0, 0, 1, 0, 0, 0, 0], &[]] {
        let parsed = TransportParameters::parse(&raw(0x11, value), Side::Client);
        assert_eq!(parsed, Err(Violation::VersionInformation));
    }
}

#[test]
fn x08_values_of_the_wrong_shape() {
    for bytes in [
        raw(0x20, &[]),
        raw(0x20, &[0x40]),
        raw(0x20, &[1, 1]),
        raw(0x1d, &[0]),
        raw(0x0017_f758_6d2c_b571, &[0]),
        raw(0x2ab2, &[0]),
        raw(0x02, &[1; 15]),
        vec![0x04, 0x40],
    ] {
        assert_eq!(TransportParameters::parse(&bytes, Side::Server), Err(Violation::ParameterMalformed));
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(params) = TransportParameters::parse(&bytes, Side::Server) {
            prop_assert_eq!(TransportParameters::parse(&encode(&params), Side::Server), Ok(params));
        }
    }
}

/// A peer may name any number of versions. Few are kept, but the chosen one is found wherever it stands.
#[test]
fn few_of_many_versions_are_kept() {
    for (at, found) in [(0, true), (40, true), (9_999, true), (20_000, false)] {
        let others = (0..10_000_u32).map(|n| if n == at { 1 } else { 0x1000 + n });
        let versions: Vec<u8> = std::iter::once(1).chain(others).flat_map(u32::to_be_bytes).collect();
        let parsed = TransportParameters::parse(&raw(0x11, &versions), Side::Client);
        assert_eq!(parsed.is_ok(), found, "the chosen version is named {at}th");
        if let Ok(parsed) = parsed {
            let available = parsed.version_information.expect("it was sent").available;
            assert_eq!(available.len(), if at < 32 { 32 } else { 33 });
            assert!(available.capacity() <= 64);
        }
    }
}

#[test]
fn what_belongs_to_one_connection_is_not_remembered() {
    let params = TransportParameters {
        original_destination_connection_id: cid(b"original"),
        stateless_reset_token: Some([3; 16]),
        ack_delay_exponent: 9,
        max_ack_delay: Duration::from_millis(77),
        initial_source_connection_id: cid(b"source"),
        retry_source_connection_id: cid(b"retry"),
        version_information: Some(VersionInformation { chosen: 1, available: vec![1] }),
        grease_quic_bit: true,
        min_ack_delay: Some(Duration::from_millis(1)),
        preferred_address: Some(PreferredAddress {
            v4: None,
            v6: None,
            connection_id: cid(b"preferred").expect("short"),
            token: [9; 16],
        }),
        ..TransportParameters::default()
    };
    assert_eq!(params.remembered(), TransportParameters::default());
    let kept = TransportParameters {
        max_idle_timeout: Duration::from_secs(30),
        max_udp_payload_size: 1472,
        initial_max_data: 1,
        initial_max_stream_data_bidi_local: 2,
        initial_max_stream_data_bidi_remote: 3,
        initial_max_stream_data_uni: 4,
        initial_max_streams_bidi: 5,
        initial_max_streams_uni: 6,
        active_connection_id_limit: 7,
        max_datagram_frame_size: 8,
        reset_stream_at: true,
        disable_active_migration: true,
        ..TransportParameters::default()
    };
    assert_eq!(kept.remembered(), kept);
    assert_eq!(kept.early_limits(), [7, 1, 2, 3, 4, 5, 6, 8, 1]);
}
