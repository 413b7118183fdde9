//! The encoding of transport parameters: a sequence of id, length, value (RFC 9000 §18).

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6},
    time::Duration,
};

use super::{MAX_ACK_DELAY, MAX_STREAMS, PreferredAddress, TransportParameters, VersionInformation};
use crate::{
    base::{Reader, varint},
    error::Violation,
    ids::ConnectionId,
    version::Version,
};

mod id {
    pub(super) const ORIGINAL_DESTINATION_CONNECTION_ID: u64 = 0x00;
    pub(super) const MAX_IDLE_TIMEOUT: u64 = 0x01;
    pub(super) const STATELESS_RESET_TOKEN: u64 = 0x02;
    pub(super) const MAX_UDP_PAYLOAD_SIZE: u64 = 0x03;
    pub(super) const INITIAL_MAX_DATA: u64 = 0x04;
    pub(super) const INITIAL_MAX_STREAM_DATA_BIDI_LOCAL: u64 = 0x05;
    pub(super) const INITIAL_MAX_STREAM_DATA_BIDI_REMOTE: u64 = 0x06;
    pub(super) const INITIAL_MAX_STREAM_DATA_UNI: u64 = 0x07;
    pub(super) const INITIAL_MAX_STREAMS_BIDI: u64 = 0x08;
    pub(super) const INITIAL_MAX_STREAMS_UNI: u64 = 0x09;
    pub(super) const ACK_DELAY_EXPONENT: u64 = 0x0a;
    pub(super) const MAX_ACK_DELAY: u64 = 0x0b;
    pub(super) const DISABLE_ACTIVE_MIGRATION: u64 = 0x0c;
    pub(super) const PREFERRED_ADDRESS: u64 = 0x0d;
    pub(super) const ACTIVE_CONNECTION_ID_LIMIT: u64 = 0x0e;
    pub(super) const INITIAL_SOURCE_CONNECTION_ID: u64 = 0x0f;
    pub(super) const RETRY_SOURCE_CONNECTION_ID: u64 = 0x10;
    pub(super) const VERSION_INFORMATION: u64 = 0x11;
    pub(super) const RESET_STREAM_AT: u64 = 0x1d;
    pub(super) const MAX_DATAGRAM_FRAME_SIZE: u64 = 0x20;
    pub(super) const GREASE_QUIC_BIT: u64 = 0x2ab2;
    pub(super) const MIN_ACK_DELAY: u64 = 0xff04_de1b;
    /// The codepoint of reliable-stream-reset before draft 08, which Safari 26 still requires.
    pub(super) const RESET_STREAM_AT_LEGACY: u64 = 0x0017_f758_6d2c_b571;
}

/// The most available versions of the peer that are kept, besides the one that it chose and those that this
/// stack speaks. A peer may name 16,000, and they are kept as long as the connection lasts.
const MAX_VERSIONS: usize = 32;
/// A handshake with more parameters than this is refused; far fewer are registered.
const MAX_PARAMETERS: usize = 256;

pub(super) fn parse(bytes: &[u8]) -> Result<TransportParameters, Violation> {
    let malformed = |_| Violation::ParameterMalformed;
    let mut params = TransportParameters::default();
    let mut seen = Vec::new();
    let mut r = Reader::new(bytes);
    while !r.is_empty() {
        let id = r.varint().map_err(malformed)?;
        let length = r.varint().map_err(malformed)?;
        let mut value = Reader::new(r.bytes_u64(length).map_err(malformed)?);
        // RFC 9000 §7.4: no parameter may appear twice, known or not.
        if seen.contains(&id) {
            return Err(Violation::ParameterDuplicate);
        }
        if seen.len() == MAX_PARAMETERS {
            return Err(Violation::ParameterMalformed);
        }
        seen.push(id);
        if !parse_one(&mut params, id, &mut value)? {
            continue;
        }
        if !value.is_empty() {
            return Err(Violation::ParameterMalformed);
        }
    }
    Ok(params)
}

/// Parses one value; false for an unknown id, which is ignored (RFC 9000 §7.4.2).
fn parse_one(p: &mut TransportParameters, id: u64, v: &mut Reader<'_>) -> Result<bool, Violation> {
    match id {
        id::ORIGINAL_DESTINATION_CONNECTION_ID => {
            p.original_destination_connection_id = Some(connection_id(v)?);
        }
        id::MAX_IDLE_TIMEOUT => p.max_idle_timeout = Duration::from_millis(integer(v)?),
        id::STATELESS_RESET_TOKEN => p.stateless_reset_token = Some(array(v)?),
        id::MAX_UDP_PAYLOAD_SIZE => p.max_udp_payload_size = checked(integer(v)?, |size| size >= 1200)?,
        id::INITIAL_MAX_DATA => p.initial_max_data = integer(v)?,
        id::INITIAL_MAX_STREAM_DATA_BIDI_LOCAL => p.initial_max_stream_data_bidi_local = integer(v)?,
        id::INITIAL_MAX_STREAM_DATA_BIDI_REMOTE => p.initial_max_stream_data_bidi_remote = integer(v)?,
        id::INITIAL_MAX_STREAM_DATA_UNI => p.initial_max_stream_data_uni = integer(v)?,
        id::INITIAL_MAX_STREAMS_BIDI => {
            p.initial_max_streams_bidi = checked(integer(v)?, |n| n <= MAX_STREAMS)?;
        }
        id::INITIAL_MAX_STREAMS_UNI => {
            p.initial_max_streams_uni = checked(integer(v)?, |n| n <= MAX_STREAMS)?;
        }
        id::ACK_DELAY_EXPONENT => p.ack_delay_exponent = checked(integer(v)?, |n| n <= 20)? as u8,
        id::MAX_ACK_DELAY => {
            let millis = checked(integer(v)?, |ms| u128::from(ms) <= MAX_ACK_DELAY.as_millis())?;
            p.max_ack_delay = Duration::from_millis(millis);
        }
        id::DISABLE_ACTIVE_MIGRATION => p.disable_active_migration = true,
        id::PREFERRED_ADDRESS => p.preferred_address = Some(preferred_address(v)?),
        id::ACTIVE_CONNECTION_ID_LIMIT => p.active_connection_id_limit = checked(integer(v)?, |n| n >= 2)?,
        id::INITIAL_SOURCE_CONNECTION_ID => p.initial_source_connection_id = Some(connection_id(v)?),
        id::RETRY_SOURCE_CONNECTION_ID => p.retry_source_connection_id = Some(connection_id(v)?),
        id::VERSION_INFORMATION => p.version_information = Some(version_information(v)?),
        id::RESET_STREAM_AT | id::RESET_STREAM_AT_LEGACY => p.reset_stream_at = true,
        id::MAX_DATAGRAM_FRAME_SIZE => p.max_datagram_frame_size = integer(v)?,
        id::GREASE_QUIC_BIT => p.grease_quic_bit = true,
        id::MIN_ACK_DELAY => p.min_ack_delay = Some(Duration::from_micros(integer(v)?)),
        _ => return Ok(false),
    }
    Ok(true)
}

fn integer(v: &mut Reader<'_>) -> Result<u64, Violation> {
    v.varint().map_err(|_| Violation::ParameterMalformed)
}

fn checked(value: u64, valid: impl FnOnce(u64) -> bool) -> Result<u64, Violation> {
    if valid(value) { Ok(value) } else { Err(Violation::ParameterValue) }
}

fn array<const N: usize>(v: &mut Reader<'_>) -> Result<[u8; N], Violation> {
    v.array().map_err(|_| Violation::ParameterMalformed)
}

fn connection_id(v: &mut Reader<'_>) -> Result<ConnectionId, Violation> {
    ConnectionId::new(v.rest()).ok_or(Violation::ParameterMalformed)
}

fn preferred_address(v: &mut Reader<'_>) -> Result<PreferredAddress, Violation> {
    let malformed = |_| Violation::ParameterMalformed;
    let (ip4, port4) = (Ipv4Addr::from(array::<4>(v)?), v.u16().map_err(malformed)?);
    let (ip6, port6) = (Ipv6Addr::from(array::<16>(v)?), v.u16().map_err(malformed)?);
    let length = v.u8().map_err(malformed)?;
    // RFC 9000 §18.2: a preferred address has its own connection ID, which is never empty.
    if !(1..=20).contains(&length) {
        return Err(Violation::ParameterValue);
    }
    let id = v.bytes(usize::from(length)).map_err(malformed)?;
    Ok(PreferredAddress {
        v4: (!ip4.is_unspecified() || port4 != 0).then(|| SocketAddrV4::new(ip4, port4)),
        v6: (!ip6.is_unspecified() || port6 != 0).then(|| SocketAddrV6::new(ip6, port6, 0, 0)),
        connection_id: ConnectionId::new(id).ok_or(Violation::ParameterMalformed)?,
        token: array(v)?,
    })
}

/// RFC 9368 §4: whole 32-bit versions, none of them zero.
fn version_information(v: &mut Reader<'_>) -> Result<VersionInformation, Violation> {
    let bytes = v.rest();
    let mut versions = bytes.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    if !bytes.len().is_multiple_of(4) || versions.clone().any(|version| version == 0) {
        return Err(Violation::VersionInformation);
    }
    let chosen = versions.next().ok_or(Violation::VersionInformation)?;
    let mut available: Vec<u32> = versions.by_ref().take(MAX_VERSIONS).collect();
    // The chosen version and ours decide something, wherever they stand.
    for version in versions.filter(|version| *version == chosen || Version::from_number(*version).is_some()) {
        if !available.contains(&version) {
            available.push(version);
        }
    }
    Ok(VersionInformation { chosen, available })
}

pub(super) fn write(p: &TransportParameters, out: &mut Vec<u8>) {
    let default = TransportParameters::default();
    let bytes = |out: &mut Vec<u8>, id: u64, value: &[u8]| {
        varint::put(out, id);
        varint::put(out, value.len() as u64);
        out.extend_from_slice(value);
    };
    let mut integer = |id: u64, value: u64, default: u64| {
        if value != default {
            varint::put(out, id);
            varint::put(out, varint::size(value) as u64);
            varint::put(out, value);
        }
    };
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(varint::MAX).min(varint::MAX);
    integer(id::MAX_IDLE_TIMEOUT, millis(p.max_idle_timeout), 0);
    integer(id::MAX_UDP_PAYLOAD_SIZE, p.max_udp_payload_size, default.max_udp_payload_size);
    integer(id::INITIAL_MAX_DATA, p.initial_max_data, 0);
    integer(id::INITIAL_MAX_STREAM_DATA_BIDI_LOCAL, p.initial_max_stream_data_bidi_local, 0);
    integer(id::INITIAL_MAX_STREAM_DATA_BIDI_REMOTE, p.initial_max_stream_data_bidi_remote, 0);
    integer(id::INITIAL_MAX_STREAM_DATA_UNI, p.initial_max_stream_data_uni, 0);
    integer(id::INITIAL_MAX_STREAMS_BIDI, p.initial_max_streams_bidi, 0);
    integer(id::INITIAL_MAX_STREAMS_UNI, p.initial_max_streams_uni, 0);
    integer(id::ACK_DELAY_EXPONENT, u64::from(p.ack_delay_exponent), u64::from(default.ack_delay_exponent));
    integer(id::MAX_ACK_DELAY, millis(p.max_ack_delay), millis(default.max_ack_delay));
    integer(id::ACTIVE_CONNECTION_ID_LIMIT, p.active_connection_id_limit, default.active_connection_id_limit);
    integer(id::MAX_DATAGRAM_FRAME_SIZE, p.max_datagram_frame_size, 0);
    for (id, value) in [
        (id::ORIGINAL_DESTINATION_CONNECTION_ID, &p.original_destination_connection_id),
        (id::INITIAL_SOURCE_CONNECTION_ID, &p.initial_source_connection_id),
        (id::RETRY_SOURCE_CONNECTION_ID, &p.retry_source_connection_id),
    ] {
        if let Some(value) = value {
            bytes(out, id, value.as_bytes());
        }
    }
    if let Some(token) = &p.stateless_reset_token {
        bytes(out, id::STATELESS_RESET_TOKEN, token);
    }
    for (id, present) in [
        (id::DISABLE_ACTIVE_MIGRATION, p.disable_active_migration),
        (id::RESET_STREAM_AT, p.reset_stream_at),
        (id::RESET_STREAM_AT_LEGACY, p.reset_stream_at),
        (id::GREASE_QUIC_BIT, p.grease_quic_bit),
    ] {
        if present {
            bytes(out, id, &[]);
        }
    }
    if let Some(least) = p.min_ack_delay {
        let micros = u64::try_from(least.as_micros()).unwrap_or(varint::MAX).min(varint::MAX);
        varint::put(out, id::MIN_ACK_DELAY);
        varint::put(out, varint::size(micros) as u64);
        varint::put(out, micros);
    }
    if let Some(address) = &p.preferred_address {
        bytes(out, id::PREFERRED_ADDRESS, &encode_preferred_address(address));
    }
    if let Some(info) = &p.version_information {
        let versions: Vec<u8> =
            std::iter::once(&info.chosen).chain(&info.available).flat_map(|v| v.to_be_bytes()).collect();
        bytes(out, id::VERSION_INFORMATION, &versions);
    }
    if let Some((n, length)) = p.grease {
        bytes(out, 31 * u64::from(n) + 27, &vec![0x5a; usize::from(length)]);
    }
}

fn encode_preferred_address(address: &PreferredAddress) -> Vec<u8> {
    let v4 = address.v4.unwrap_or(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
    let v6 = address.v6.unwrap_or(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0));
    let mut value = v4.ip().octets().to_vec();
    value.extend(v4.port().to_be_bytes());
    value.extend(v6.ip().octets());
    value.extend(v6.port().to_be_bytes());
    value.push(address.connection_id.len() as u8);
    value.extend(address.connection_id.as_bytes());
    value.extend(address.token);
    value
}
