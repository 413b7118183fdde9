//! Transport parameters (qlog QUIC events §4.10, §4.11). Reset tokens are secrets, and are not written.

use quic_core::{PreferredAddress, TransportParameters};

use crate::json::Fields;

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// All parameters that one end sent.
pub(super) fn all(data: &mut Fields<'_>, parameters: &TransportParameters) {
    for (name, id) in [
        ("original_destination_connection_id", parameters.original_destination_connection_id),
        ("initial_source_connection_id", parameters.initial_source_connection_id),
        ("retry_source_connection_id", parameters.retry_source_connection_id),
    ] {
        if let Some(id) = id {
            data.hex(name, id.as_bytes());
        }
    }
    data.number("ack_delay_exponent", u64::from(parameters.ack_delay_exponent));
    data.number("max_ack_delay", millis(parameters.max_ack_delay));
    restored(data, parameters);
    if let Some(address) = &parameters.preferred_address {
        data.object("preferred_address", |data| preferred(data, address));
    }
    data.flag("reset_stream_at", parameters.reset_stream_at);
}

/// Those that a client remembers for 0-RTT.
pub(super) fn restored(data: &mut Fields<'_>, parameters: &TransportParameters) {
    data.flag("disable_active_migration", parameters.disable_active_migration);
    data.number("max_idle_timeout", millis(parameters.max_idle_timeout));
    data.number("max_udp_payload_size", parameters.max_udp_payload_size);
    data.number("active_connection_id_limit", parameters.active_connection_id_limit);
    data.number("initial_max_data", parameters.initial_max_data);
    data.number("initial_max_stream_data_bidi_local", parameters.initial_max_stream_data_bidi_local);
    data.number("initial_max_stream_data_bidi_remote", parameters.initial_max_stream_data_bidi_remote);
    data.number("initial_max_stream_data_uni", parameters.initial_max_stream_data_uni);
    data.number("initial_max_streams_bidi", parameters.initial_max_streams_bidi);
    data.number("initial_max_streams_uni", parameters.initial_max_streams_uni);
    data.number("max_datagram_frame_size", parameters.max_datagram_frame_size);
    data.flag("grease_quic_bit", parameters.grease_quic_bit);
}

fn preferred(data: &mut Fields<'_>, address: &PreferredAddress) {
    if let Some(v4) = address.v4 {
        data.text("ip_v4", &v4.ip().to_string());
        data.number("port_v4", u64::from(v4.port()));
    }
    if let Some(v6) = address.v6 {
        data.text("ip_v6", &v6.ip().to_string());
        data.number("port_v6", u64::from(v6.port()));
    }
    data.hex("connection_id", address.connection_id.as_bytes());
    // The schema asks for the token. It is a secret as long as the connection lasts.
    data.hex("stateless_reset_token", &[0; 16]);
}
