//! The connection as such: requests of its handles, and the reasons for which this end closes it.
//!
//! Owns the reasons of this end. QUIC only knows that it was told to close.

use std::sync::Arc;

use quic_core::error::{CloseReason, ConnectionError};

use super::state::conn::{Conn, H3_NO_ERROR};
use crate::{
    connection::Connection,
    error::{ConnectionCloser, ErrorCause},
    mailbox::ConnectionChanges,
    parameters::ConnectionParameters,
};

/// The reason that clients get when a server shuts down.
const SHUTDOWN: &str = "the server shuts down";

impl Conn {
    /// The connection's handle for an application.
    pub(super) fn handle(&self) -> Connection {
        Connection::new(Arc::clone(&self.boxes))
    }

    /// Closes the connection. The first reason counts; that is the peer's if it came before.
    fn part(&mut self, by: ConnectionCloser, code: u64, reason: &str) {
        let now = self.stack.now;
        if self.stack.quic.is_closed() {
            return;
        }
        let cause = ErrorCause::ConnectionClosed { by, code, reason: reason.into() };
        self.parting = Some(cause.clone());
        // Data that arrived before can still be read. QUIC drops it.
        self.drain_streams(None);
        self.deliver_datagrams();
        self.stack.quic.close(now, code, reason.as_bytes());
        // Before any caller finds the streams gone without a reason.
        self.conclude(&cause);
    }

    /// Closes a connection that has no other use.
    pub(super) fn part_unused(&mut self) {
        self.part(ConnectionCloser::Unused, H3_NO_ERROR, "");
    }

    /// The server shuts down.
    pub(super) fn part_for_shutdown(&mut self) {
        self.part(ConnectionCloser::Shutdown, H3_NO_ERROR, SHUTDOWN);
    }

    /// Processes the requests of the connection's handles.
    pub(super) fn process_changes(&mut self) {
        let now = self.stack.now;
        let ConnectionChanges { congestion, close, counts } = self.boxes.about().take_changes();
        if let Some(controllers) = congestion.and_then(|wanted| self.congestion.change(wanted)) {
            self.stack.quic.set_congestion(now, controllers);
        }
        if !counts.is_empty() {
            let stats = self.stack.quic.stats();
            // A caller that gave up does not learn of it.
            for reply in counts {
                let _ = reply.send(stats);
            }
        }
        if let Some(close) = close {
            self.part(ConnectionCloser::ThisApplication, close.code, &close.reason);
        }
    }

    /// Whether an application of this end has closed the connection: no session of it tries another one.
    pub(super) fn is_closed_by_application(&self) -> bool {
        let by = match &self.parting {
            Some(ErrorCause::ConnectionClosed { by, .. }) => Some(*by),
            _ => None,
        };
        by == Some(ConnectionCloser::ThisApplication)
    }

    /// Who closed, and why, if it was an application or this end itself.
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

    /// Reports what the handshake negotiated, once it is complete.
    pub(super) fn tell_parameters(&self) {
        let peer = self.stack.quic.peer_parameters();
        self.boxes.about().set_parameters(ConnectionParameters {
            alpn: String::from_utf8_lossy(self.stack.quic.alpn_protocol().unwrap_or_default()).into_owned(),
            server_name: self.stack.quic.server_name().map(str::to_owned),
            version: self.stack.quic.version(),
            resumed: self.stack.quic.is_resumed(),
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
