//! Transport parameters (RFC 9000 §18, RFC 9221 §3, RFC 9287 §3, RFC 9368 §3, reliable-stream-reset §3,
//! ack-frequency §3).

mod codec;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use values::{MAX_ACK_DELAY, MAX_STREAMS};
pub use values::{PreferredAddress, TransportParameters, VersionInformation};

use crate::ids::Side;

/// Parameters that only servers send (RFC 9000 §18.2).
fn has_server_only(params: &TransportParameters) -> bool {
    params.original_destination_connection_id.is_some()
        || params.stateless_reset_token.is_some()
        || params.preferred_address.is_some()
        || params.retry_source_connection_id.is_some()
}

impl TransportParameters {
    /// Parses the value of the `quic_transport_parameters` TLS extension that a peer on `side` sent. Checks
    /// every rule on single values (RFC 9000 §7.4, §18.2).
    pub fn parse(bytes: &[u8], side: Side) -> Result<Self, crate::error::Violation> {
        let params = codec::parse(bytes)?;
        if side.is_client() && has_server_only(&params) {
            return Err(crate::error::Violation::ParameterOfServer);
        }
        // RFC 9368 §4: a client's available versions include the chosen one; a server's need not.
        if let (true, Some(info)) = (side.is_client(), &params.version_information)
            && !info.available.contains(&info.chosen)
        {
            return Err(crate::error::Violation::VersionInformation);
        }
        // ack-frequency §3.
        if params.min_ack_delay.is_some_and(|least| least > params.max_ack_delay) {
            return Err(crate::error::Violation::ParameterValue);
        }
        Ok(params)
    }

    /// The limits that a server may not lower for a client that sends 0-RTT, in a fixed order (RFC 9000
    /// §7.4.1, RFC 9221 §3; reliable-stream-reset §3 for the last).
    pub(crate) fn early_limits(&self) -> [u64; 9] {
        [
            self.active_connection_id_limit,
            self.initial_max_data,
            self.initial_max_stream_data_bidi_local,
            self.initial_max_stream_data_bidi_remote,
            self.initial_max_stream_data_uni,
            self.initial_max_streams_bidi,
            self.initial_max_streams_uni,
            self.max_datagram_frame_size,
            u64::from(self.reset_stream_at),
        ]
    }

    /// What a client remembers of these parameters of a server for 0-RTT (RFC 9000 §7.4.1). The others belong
    /// to the connection that they were sent on, and have their defaults.
    pub(crate) fn remembered(&self) -> Self {
        let defaults = Self::default();
        Self {
            original_destination_connection_id: None,
            stateless_reset_token: None,
            ack_delay_exponent: defaults.ack_delay_exponent,
            max_ack_delay: defaults.max_ack_delay,
            preferred_address: None,
            initial_source_connection_id: None,
            retry_source_connection_id: None,
            version_information: None,
            // RFC 9287 §3.1: whether the fixed bit may be zero is not remembered.
            grease_quic_bit: false,
            min_ack_delay: None,
            grease: None,
            ..self.clone()
        }
    }

    /// Appends the encoding. Parameters that have their default value are left out.
    pub fn write(&self, out: &mut Vec<u8>) {
        codec::write(self, out);
    }
}
