//! What a client makes a TLS session from: for its first attempt, and for another one in another version.

use std::sync::Arc;

use bytes::Bytes;

use super::parameters::local_parameters;
use crate::{
    base::Entropy,
    config::{ClientConfig, TransportConfig},
    crypto::{Seat, TlsError, TlsSession},
    ids::ConnectionId,
    version::Version,
};

/// What a client makes a TLS session from.
#[derive(Debug)]
pub(super) struct ClientStart {
    pub(super) config: ClientConfig,
    pub(super) server_name: Box<str>,
    pub(super) port: u16,
    /// The client's own connection ID.
    pub(super) source: ConnectionId,
}

impl ClientStart {
    /// The version in which the client opens the connection (RFC 9368 §2.5). A session of another version would
    /// not resume (RFC 9369 §5).
    pub(super) fn first_version(&self) -> Version {
        let versions = self.config.transport.versions;
        let remembered = || self.seat()?.version().filter(|version| versions.accepts(*version));
        versions.explicit_first().or_else(remembered).unwrap_or_else(|| versions.first())
    }

    fn seat(&self) -> Option<Seat> {
        let sessions = self.config.sessions.as_ref();
        sessions.map(|sessions| sessions.seat(&self.server_name, self.port))
    }

    /// A TLS session of an attempt in `version`, and the address token for it.
    pub(super) fn begin(
        &self,
        version: Version,
        transport: &Arc<TransportConfig>,
        early_data: bool,
        entropy: &mut dyn Entropy,
    ) -> Result<(TlsSession, Option<Bytes>), TlsError> {
        let mut encoded = Vec::new();
        local_parameters(transport, version, self.source, entropy).write(&mut encoded);
        let seat = self.seat();
        let token = seat.as_ref().and_then(|seat| seat.take_token(version));
        let config = &self.config.tls;
        let tls = TlsSession::client_at(version, config, &self.server_name, encoded, seat, early_data)?;
        Ok((tls, token))
    }
}
