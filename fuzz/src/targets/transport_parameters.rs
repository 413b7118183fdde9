//! Transport parameters. The first byte selects the sender's role; the value of the TLS extension follows.

use quic_core::{Side, TransportParameters};

/// Parses, emits and parses again.
pub fn target(data: &[u8]) -> bool {
    super::bound::bounded(data, 0, check)
}

fn check(data: &[u8]) -> bool {
    let Some((first, bytes)) = data.split_first() else { return false };
    let side = if first & 1 == 0 { Side::Client } else { Side::Server };
    let Ok(params) = TransportParameters::parse(bytes, side) else { return false };
    // RFC 9000 §7.4, §18.2: values beyond these limits are never accepted.
    assert!(params.max_udp_payload_size >= 1200 && params.ack_delay_exponent <= 20);
    assert!(params.active_connection_id_limit >= 2 && params.max_ack_delay.as_millis() < 1 << 14);
    assert!(params.initial_max_streams_bidi.max(params.initial_max_streams_uni) <= 1 << 60);
    let mut out = Vec::new();
    params.write(&mut out);
    assert_eq!(TransportParameters::parse(&out, side).as_ref(), Ok(&params));
    // Parameters that only servers may send are refused from clients (RFC 9000 §18.2), and no others are.
    let by_server = TransportParameters::parse(bytes, Side::Server);
    assert_eq!(by_server, Ok(params));
    true
}
