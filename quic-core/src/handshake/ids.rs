//! Authentication of connection IDs (RFC 9000 §7.3): the transport parameters must confirm the IDs of the
//! packets.

use crate::{
    error::Violation,
    ids::{ConnectionId, Side},
    params::TransportParameters,
};

/// The connection IDs that the first packets of the handshake carried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpectedIds {
    /// The peer's source connection ID.
    pub(crate) peer: ConnectionId,
    /// The destination connection ID of the client's first Initial.
    pub(crate) original_destination: ConnectionId,
    /// The source connection ID of the Retry packet, if there was one.
    pub(crate) retry_source: Option<ConnectionId>,
}

/// Compares the packets with the parameters that a peer sent to an end on `side`.
pub(crate) fn check_connection_ids(
    side: Side,
    parameters: &TransportParameters,
    expected: &ExpectedIds,
) -> Result<(), Violation> {
    let mut matches = parameters.initial_source_connection_id == Some(expected.peer);
    if side.is_client() {
        matches &= parameters.original_destination_connection_id == Some(expected.original_destination)
            && parameters.retry_source_connection_id == expected.retry_source;
        // RFC 9000 §18.2: a server with a zero-length connection ID must not send a preferred address.
        matches &= parameters.preferred_address.is_none() || !expected.peer.is_empty();
    }
    if matches { Ok(()) } else { Err(Violation::ParameterConnectionId) }
}
