//! Words of the schema.

use quic_core::{
    ConnectionState, Dir, Level, SendLimit, Space, base::Ecn, congestion::Phase, error::TransportErrorCode,
};

pub(super) fn state(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Attempted => "attempted",
        ConnectionState::HandshakeStarted => "handshake_started",
        ConnectionState::HandshakeComplete => "handshake_complete",
        ConnectionState::HandshakeConfirmed => "handshake_confirmed",
        ConnectionState::Closing => "closing",
        ConnectionState::Draining => "draining",
        _ => "closed",
    }
}

pub(super) const fn packet_type(level: Level) -> &'static str {
    match level {
        Level::Initial => "initial",
        Level::ZeroRtt => "0RTT",
        Level::Handshake => "handshake",
        Level::OneRtt => "1RTT",
    }
}

pub(super) const fn space(space: Space) -> &'static str {
    match space {
        Space::Initial => "initial",
        Space::Handshake => "handshake",
        Space::Data => "application_data",
    }
}

pub(super) const fn ecn(ecn: Ecn) -> &'static str {
    match ecn {
        Ecn::NotEct => "Not-ECT",
        Ecn::Ect1 => "ECT(1)",
        Ecn::Ect0 => "ECT(0)",
        Ecn::Ce => "CE",
    }
}

pub(super) const fn direction(dir: Dir) -> &'static str {
    match dir {
        Dir::Bidi => "bidirectional",
        Dir::Uni => "unidirectional",
    }
}

/// The schema leaves these words to the implementation.
pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::SlowStart => "slow_start",
        Phase::ConservativeSlowStart => "conservative_slow_start",
        Phase::Recovery => "recovery",
        Phase::CongestionAvoidance => "congestion_avoidance",
        Phase::Drain => "drain",
        Phase::ProbeRtt => "probe_rtt",
        _ => "other",
    }
}

/// Whether the connection is blocked, and by what.
pub(super) fn limit(limit: SendLimit) -> (&'static str, Option<&'static str>) {
    let reason = match limit {
        SendLimit::Application => "application",
        SendLimit::CongestionWindow => "congestion_control",
        SendLimit::Pacing => "pacing",
        SendLimit::ConnectionFlowControl => "connection_flow_control",
        SendLimit::StreamFlowControl => "stream_flow_control",
        SendLimit::Amplification => "amplification_protection",
        // Nothing waits: the peer has to answer first.
        _ => return ("unblocked", None),
    };
    ("blocked", Some(reason))
}

/// The name of a code of the transport (RFC 9000 §20.1); `None` if the schema has none.
pub(super) fn transport_error(code: u64) -> Option<String> {
    let code = TransportErrorCode(code);
    if let Some(alert) = code.alert() {
        return Some(format!("crypto_error_0x1{alert:02x}"));
    }
    // The schema does not know the code of RFC 9368.
    let name = code.name().filter(|_| code != TransportErrorCode::VERSION_NEGOTIATION_ERROR)?;
    Some(name.to_ascii_lowercase())
}

/// The name of a code of HTTP/3 (RFC 9114 §8.1); `None` if the schema has none.
pub(super) fn http3_error(code: u64) -> Option<&'static str> {
    Some(match code {
        0x100 => "http_no_error",
        0x101 => "http_general_protocol_error",
        0x102 => "http_internal_error",
        0x103 => "http_stream_creation_error",
        0x104 => "http_closed_critical_stream",
        0x105 => "http_frame_unexpected",
        0x106 => "http_frame_error",
        0x107 => "http_excessive_load",
        0x108 => "http_id_error",
        0x109 => "http_settings_error",
        0x10a => "http_missing_settings",
        0x10b => "http_request_rejected",
        0x10c => "http_request_cancelled",
        0x10d => "http_request_incomplete",
        0x10f => "http_connect_error",
        0x110 => "http_version_fallback",
        _ => return None,
    })
}
