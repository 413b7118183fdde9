//! The script of 0-RTT (RFC 9001 §4.6): what a client may send before the handshake, and what follows from
//! the server's decision. Besides it, the tokens that make a later connection begin faster (RFC 9000 §8.1.3).

#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::{Connection, close::Failure};
use crate::{
    base::Timestamp,
    crypto::{MAX_APPLICATION, Secret, TlsSession},
    event::{EarlyData, Event},
    handshake::check_early_limits,
    ids::{Level, Side, Space, StreamId},
    params::TransportParameters,
    streams::PeerLimits,
};

impl Connection {
    /// The level at which this end sends the packets of a space now: a client without 1-RTT keys sends 0-RTT
    /// packets, if it may.
    #[inline]
    pub(super) fn sending_level(&self, space: Space) -> Level {
        let level = space.level();
        if level == Level::OneRtt && !self.keyring.has(level) && self.early_data == EarlyData::Offered {
            return Level::ZeroRtt;
        }
        level
    }

    /// TLS has the keys of 0-RTT packets: a client offers 0-RTT under the limits that it remembers, a server
    /// has accepted it.
    pub(super) fn begin_early_data(
        &mut self,
        secret: &Secret,
        remembered: Option<TransportParameters>,
        now: Timestamp,
    ) {
        self.keyring.install_early(secret);
        let Some(remembered) = remembered else {
            self.early_data = EarlyData::Accepted;
            return;
        };
        self.early_data = EarlyData::Offered;
        let limits = peer_limits(&remembered);
        self.streams.set_peer_limits(limits, &mut self.schedule, &mut self.out.events);
        self.datagrams.set_peer_max_frame(remembered.max_datagram_frame_size);
        self.paths.active.limit_datagram_size(remembered.max_udp_payload_size, now);
        self.peer = remembered;
    }

    /// The handshake of a client that offered 0-RTT is complete, with these parameters of the server.
    pub(super) fn settle_early_data(
        &mut self,
        parameters: &TransportParameters,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let accepted = self.handshake.tls().is_some_and(TlsSession::is_early_data_accepted);
        if accepted {
            check_early_limits(&self.peer, parameters)?;
            self.early_data = EarlyData::Accepted;
        } else {
            self.early_data = EarlyData::Rejected;
            self.repeat_early_data(&peer_limits(parameters), now);
        }
        self.out.events.push_back(Event::EarlyDataDecided { accepted });
        Ok(())
    }

    /// A server gives its client a token for later connections from the address that it has now.
    pub(super) fn give_token(&mut self, now: Timestamp) {
        let Some(tokens) = self.tokens.as_ref().filter(|_| self.handshake.is_confirmed()) else { return };
        let ip = self.paths.active.route.remote.ip();
        // RFC 9369 §5: it is of the negotiated version.
        let version = self.first_flight.version();
        let token = tokens.seal_new(version, ip, self.clock.show(now), self.entropy.as_mut());
        self.control.send_token(token);
    }
}

/// 0-RTT and resumption, as the application sees them.
impl Connection {
    /// What became of 0-RTT. A client offers it if [`ClientConfig::early_data`](crate::ClientConfig) is set
    /// and a session of the cache permits it.
    pub fn early_data(&self) -> EarlyData {
        self.early_data
    }

    /// Whether any data of this stream of the client came in 0-RTT packets, which may have been sent before,
    /// or long ago, by somebody who has a copy of them, until the handshake is complete (RFC 9001 §9.2).
    /// Servers only; false once the stream is gone.
    pub fn arrived_early(&mut self, id: StreamId) -> bool {
        self.streams.arrived_early(id)
    }

    /// Keeps `application` beside the sessions that this client gets from the server, those that came and
    /// those that will, for the connection that resumes one. What it may assume in 0-RTT, such as the
    /// settings of HTTP/3 (RFC 9114 §7.2.4.2), belongs there. More than 1024 bytes are not kept. Without
    /// [`ClientConfig::sessions`](crate::ClientConfig) nothing is.
    pub fn remember(&mut self, application: Bytes) {
        if let Some(tls) = self.handshake.tls().filter(|_| self.side == Side::Client)
            && application.len() <= MAX_APPLICATION
        {
            tls.remember(application);
        }
    }

    /// What an earlier connection has [kept](Self::remember) beside the session that this one resumes, or
    /// tries to. It holds for 0-RTT alone.
    pub fn remembered(&self) -> Option<&Bytes> {
        self.handshake.tls()?.remembered()
    }
}

pub(super) fn peer_limits(parameters: &TransportParameters) -> PeerLimits {
    PeerLimits {
        max_data: parameters.initial_max_data,
        max_stream_data_bidi_local: parameters.initial_max_stream_data_bidi_local,
        max_stream_data_bidi_remote: parameters.initial_max_stream_data_bidi_remote,
        max_stream_data_uni: parameters.initial_max_stream_data_uni,
        max_streams_bidi: parameters.initial_max_streams_bidi,
        max_streams_uni: parameters.initial_max_streams_uni,
        reset_stream_at: parameters.reset_stream_at,
    }
}
