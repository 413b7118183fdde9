//! What a server needs to begin TLS: it makes its session when the ClientHello has told which versions the client
//! offers, because its own transport parameters name the version that it chooses (RFC 9368 §2.3).
//!
//! Owns the beginning of the ClientHello until then. Never judges it: what does not parse offers nothing, and TLS
//! reports the fault.

use std::sync::Arc;

use crate::{
    crypto::{EarlyTerms, TlsError, TlsServerConfig, TlsSession},
    ids::Side,
    params::{TransportParameters, VersionInformation},
    version::{Version, Versions},
};

/// What a server needs to begin TLS.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) tls: TlsServerConfig,
    /// The server's parameters, without version information.
    pub(crate) parameters: TransportParameters,
    /// What the application promises to clients that send 0-RTT.
    pub(crate) promise: Arc<[u8]>,
    pub(crate) versions: Versions,
    /// The version in which the client opens the connection.
    pub(crate) original: Version,
    /// A reserved version to name among the server's own.
    pub(crate) reserved: u32,
    /// The beginning of the ClientHello.
    pub(crate) held: Vec<u8>,
}

impl Opening {
    /// Begins TLS with a client that has sent these transport parameters. Returns the version of the connection,
    /// too.
    pub(crate) fn open(&self, client: &[u8]) -> Result<(TlsSession, Version), TlsError> {
        let offer = TransportParameters::parse(client, Side::Client).ok();
        let offer = offer.and_then(|parameters| parameters.version_information);
        let version = match &offer {
            // RFC 9368 §4: a client that contradicts its packets is refused later on, in its own version.
            Some(info) if info.chosen == self.original.number() => {
                self.versions.negotiate(self.original, &info.available)
            }
            _ => self.original,
        };
        // RFC 9368 §3: the list names what all servers accept that the client may take for this one.
        let available = self.versions.deployed().iter().map(|version| version.number());
        let parameters = TransportParameters {
            version_information: Some(VersionInformation {
                chosen: version.number(),
                available: available.chain([self.reserved]).collect(),
            }),
            ..self.parameters.clone()
        };
        let mut encoded = Vec::new();
        parameters.write(&mut encoded);
        let terms = || EarlyTerms {
            limits: parameters.early_limits().to_vec(),
            application: Arc::clone(&self.promise),
        };
        let session = TlsSession::server_under(version, self.original, &self.tls, encoded, terms)?;
        Ok((session, version))
    }
}
