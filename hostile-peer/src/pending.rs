//! Rows of the conformance table that wait for a feature.

/// Row and what it waits for.
pub const PENDING: &[(&str, &str)] = &[
    ("P15b", "grease_quic_bit is not negotiated: packets with a zero fixed bit are always dropped"),
    ("P20 (0-RTT part)", "0-RTT is not accepted: such packets are dropped for want of keys"),
    ("F05", "0-RTT is not accepted: no frame in a 0-RTT packet is ever looked at"),
    ("F29 (zero-length part)", "connection IDs of length zero are never issued by CidFactory"),
    ("X07", "version_information is parsed, never compared"),
    ("X13 (storage part)", "sessions are not resumed: tickets are TLS's own business"),
    ("M02", "connections do not migrate: packets from other addresses are dropped"),
    ("M06", "connections do not migrate: packets from other addresses are dropped"),
];
