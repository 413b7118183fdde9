//! The connection as such: what its handles want, and why this end closes it.
//!
//! Owns the reasons of this end. QUIC knows only that it was told to close.

use std::sync::Arc;

use quic_core::error::{CloseReason, ConnectionError};

use super::state::conn::{Conn, H3_NO_ERROR};
use crate::{
    connection::Connection,
    error::{ConnectionCloser, ErrorCause},
    mailbox::ConnectionWishes,
    parameters::ConnectionParameters,
};

/// What a server that shuts down tells its clients.
const SHUTDOWN: &str = "the server shuts down";

impl Conn {
    /// The connection for an application.
    pub(super) fn handle(&self) -> Connection {
        Connection::new(Arc::clone(&self.boxes))
    }

    /// Closes the connection; the first reason counts, and that of the peer if it came before.
    fn part(&mut self, by: ConnectionCloser, code: u64, reason: &str) {
        let now = self.stack.now;
        if self.stack.quic.is_closed() {
            return;
        }
        let cause = ErrorCause::ConnectionClosed { by, code, reason: reason.into() };
        self.parting = Some(cause.clone());
        // What came before can still be read. QUIC forgets it.
        self.drain_streams(None);
        self.deliver_datagrams();
        self.stack.quic.close(now, code, reason.as_bytes());
        // Before anybody finds the streams gone and nothing said why.
        self.conclude(&cause);
    }

    /// The connection has no other use.
    pub(super) fn part_unused(&mut self) {
        self.part(ConnectionCloser::Unused, H3_NO_ERROR, "");
    }

    /// The server shuts down.
    pub(super) fn part_for_shutdown(&mut self) {
        self.part(ConnectionCloser::Shutdown, H3_NO_ERROR, SHUTDOWN);
    }

    /// What the handles of the connection want.
    pub(super) fn process_wishes(&mut self) {
        let now = self.stack.now;
        let ConnectionWishes { congestion, close, counts } = self.boxes.about().take_wishes();
        if let Some(controllers) = congestion.and_then(|wanted| self.congestion.change(wanted)) {
            self.stack.quic.set_congestion(now, controllers);
        }
        if !counts.is_empty() {
            let stats = self.stack.quic.stats();
            // Whoever gave up waiting is not there to hear it.
            for reply in counts {
                let _ = reply.send(stats);
            }
        }
        if let Some(close) = close {
            self.part(ConnectionCloser::ThisApplication, close.code, &close.reason);
        }
    }

    /// An application of this end has closed the connection: no session of it goes elsewhere.
    pub(super) fn is_closed_by_application(&self) -> bool {
        let by = match &self.parting {
            Some(ErrorCause::ConnectionClosed { by, .. }) => Some(*by),
            _ => None,
        };
        by == Some(ConnectionCloser::ThisApplication)
    }

    /// Who closed, and why, if it was an application or this end of its own accord.
    pub(super) fn closed_cause(&self, error: &ConnectionError) -> Option<ErrorCause> {
        match error {
            ConnectionError::LocallyClosed => self.parting.clone(),
            ConnectionError::PeerClosed(CloseReason::Application { code, reason }) => {
                let reason = String::from_utf8_lossy(reason).into();
                Some(ErrorCause::ConnectionClosed { by: ConnectionCloser::Peer, code: *code, reason })
            }
            _ => None,
        }
    }

    /// The handshake is complete: what was agreed upon in it.
    pub(super) fn tell_parameters(&self) {
        let peer = self.stack.quic.peer_parameters();
        self.boxes.about().set_parameters(ConnectionParameters {
            alpn: String::from_utf8_lossy(self.stack.quic.alpn_protocol().unwrap_or_default()).into_owned(),
            server_name: self.stack.quic.server_name().map(str::to_owned),
            peer_idle_timeout: Some(peer.max_idle_timeout).filter(|timeout| !timeout.is_zero()),
            peer_max_udp_payload_size: peer.max_udp_payload_size,
            peer_initial_max_data: peer.initial_max_data,
            peer_initial_max_streams_bidi: peer.initial_max_streams_bidi,
            peer_initial_max_streams_uni: peer.initial_max_streams_uni,
            peer_max_datagram_frame_size: peer.max_datagram_frame_size,
            peer_max_ack_delay: peer.max_ack_delay,
            peer_reset_stream_at: peer.reset_stream_at,
        });
    }
}
