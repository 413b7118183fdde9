//! The script of version negotiation (RFC 9368, RFC 9369 §4.1): the server chooses another version of a client, or
//! a client begins again because the server does not accept its first.

use super::{Connection, close::Failure, setup::first_destination};
use crate::{
    base::Timestamp,
    crypto::{Secret, TlsError, Unprotected, initial_secrets},
    error::{ConnectionError, DropReason},
    event::EarlyData,
    handshake::{Handshake, HandshakeError},
    ids::{Level, Side},
    packet::{Long, LongType},
    version::Version,
};

impl Connection {
    /// The secrets of Initial packets of `version`: of this end, and of the peer.
    fn initial_secrets(&self, version: Version) -> (Secret, Secret) {
        let (client, server) = initial_secrets(version, self.first_flight.initial_destination());
        if self.side.is_client() { (client, server) } else { (server, client) }
    }

    /// The version of an Initial packet, if it is another than the one in use.
    pub(super) fn other_version(&self, long: &Long) -> Option<Version> {
        let other = long.kind == LongType::Initial && long.version != self.first_flight.version();
        other.then_some(long.version)
    }

    /// Removes the header protection of an Initial packet of another version than the one in use.
    pub(super) fn unprotect_other(
        &mut self,
        version: Version,
        packet: &mut [u8],
        pn_offset: usize,
    ) -> Result<Unprotected, DropReason> {
        let (_, remote) = self.initial_secrets(version);
        self.keyring.prepare_other(version, || remote);
        self.keyring.unprotect_other(packet, pn_offset)
    }

    /// An Initial or Handshake packet is authentic. A client that sees the first one of another version knows by it
    /// which version the server has chosen.
    pub(super) fn on_authentic_version(&mut self, long: &Long) {
        self.client = None;
        let before = self.first_flight.versions_agreed().original;
        if self.side.is_client() && self.other_version(long).is_some_and(|version| version != before) {
            self.handshake.set_version(long.version);
            self.change_version(long.version);
        }
    }

    /// The server has chosen this version: Initial packets have other keys from now on.
    pub(super) fn change_version(&mut self, version: Version) {
        let before = self.first_flight.version();
        let (local, remote) = self.initial_secrets(version);
        self.keyring.change_version(before, &local, &remote);
        self.first_flight.set_version(version);
    }

    /// The server does not accept the version of this client's first packets, and offers these. The client begins
    /// again with the one that it prefers (RFC 9368 §2.1), or gives up.
    pub(super) fn begin_again(&mut self, offered: &[u32], now: Timestamp) {
        let Some(version) = self.first_flight.select(offered) else {
            let accepted = self.config.versions;
            return self.abandon(ConnectionError::VersionMismatch { offered: offered.into(), accepted }, now);
        };
        if let Err(error) = self.open_again(version, now) {
            self.abandon(ConnectionError::Tls { alert: error.alert, message: error.message }, now);
        }
    }

    /// Opens the connection in another version: with another first connection ID, other keys and another
    /// ClientHello. What the application has written stays; packet numbers go on, which no other end has seen.
    fn open_again(&mut self, version: Version, now: Timestamp) -> Result<(), TlsError> {
        let Some(start) = self.client.take() else { return Ok(()) };
        let destination = first_destination(self.entropy.as_mut());
        // What was sent early was for the first attempt: it is sent again when the handshake is complete.
        let (tls, token) = start.begin(version, &self.config, false, self.entropy.as_mut())?;
        self.restart_recovery(now);
        self.keyring.discard(Level::ZeroRtt);
        if self.early_data == EarlyData::Offered {
            self.give_up_early_data();
        }
        self.first_flight = self.first_flight.again(version, destination).with_token(token);
        self.cids.remote.replace_first(destination);
        let (local, remote) = self.initial_secrets(version);
        self.keyring.install(Level::Initial, &local, &remote);
        self.handshake = Handshake::new(Side::Client, tls);
        let progress = self.handshake.start().map_err(|error| match error {
            HandshakeError::Tls(error) => error,
            HandshakeError::Violation(violation) => TlsError::internal(violation.to_string()),
        })?;
        self.apply_progress(progress, now).map_err(|failure| match failure {
            Failure::Tls(error) => error,
            other => TlsError::internal(other.to_string()),
        })
    }
}
