//! The transport parameters that an end sends (RFC 9000 §18.2).

use std::time::Duration;

use crate::{
    base::Entropy,
    cids::ACTIVE_LIMIT,
    config::{AckFrequency, TransportConfig},
    ids::ConnectionId,
    params::{TransportParameters, VersionInformation},
    version::Version,
};

/// The `ack_delay_exponent` of this stack: acknowledgment delays are in units of 8 microseconds.
pub(super) const ACK_DELAY_EXPONENT: u8 = 3;

/// The shortest delay of acknowledgments that a peer may ask for: timers are no finer.
const LEAST_ACK_DELAY: Duration = Duration::from_millis(1);

/// The `min_ack_delay` of this end, if peers may ask for other acknowledgments than the usual.
pub(super) fn least_ack_delay(config: &TransportConfig) -> Option<Duration> {
    // The longest delay is told in whole milliseconds, and this one may not exceed it.
    let whole = Duration::from_millis(u64::try_from(config.max_ack_delay.as_millis()).unwrap_or(u64::MAX));
    (config.ack_frequency != AckFrequency::Off).then(|| LEAST_ACK_DELAY.min(whole))
}

/// What this end tells its peer. A client offers its versions; a server adds its own once it has chosen one.
pub(super) fn local_parameters(
    config: &TransportConfig,
    version: Version,
    source: ConnectionId,
    entropy: &mut dyn Entropy,
) -> TransportParameters {
    let random = entropy.next_u64();
    let mut parameters = fixed_parameters(config, version, source);
    if let Some(information) = &mut parameters.version_information {
        // RFC 9368 §3: a reserved version keeps peers used to versions that they do not know.
        information.available.push(Version::reserved((random >> 32) as u32));
    }
    TransportParameters { grease: Some(((random >> 8) as u32, random as u8 % 17)), ..parameters }
}

/// [`local_parameters`] as far as they do not depend on chance.
pub(super) fn fixed_parameters(
    config: &TransportConfig,
    version: Version,
    source: ConnectionId,
) -> TransportParameters {
    let accepted = config.versions.accepted().iter();
    TransportParameters {
        max_idle_timeout: config.idle_timeout.unwrap_or(Duration::ZERO),
        max_udp_payload_size: u64::from(config.max_udp_payload_size),
        initial_max_data: config.receive_window,
        initial_max_stream_data_bidi_local: config.stream_receive_window,
        initial_max_stream_data_bidi_remote: config.stream_receive_window,
        initial_max_stream_data_uni: config.stream_receive_window,
        initial_max_streams_bidi: config.max_streams_bidi,
        initial_max_streams_uni: config.max_streams_uni,
        ack_delay_exponent: ACK_DELAY_EXPONENT,
        max_ack_delay: config.max_ack_delay,
        min_ack_delay: least_ack_delay(config),
        active_connection_id_limit: ACTIVE_LIMIT,
        initial_source_connection_id: Some(source),
        reset_stream_at: true,
        grease_quic_bit: config.grease_quic_bit,
        version_information: Some(VersionInformation {
            chosen: version.number(),
            available: accepted.map(|version| version.number()).collect(),
        }),
        max_datagram_frame_size: config.max_datagram_frame_size,
        disable_active_migration: !config.allows_migration,
        ..TransportParameters::default()
    }
}
