//! The ways in which a connection ends.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::Connection;
use crate::{
    base::Timestamp,
    crypto::TlsError,
    error::{CloseReason, ConnectionError, TransportErrorCode, Violation},
    event::Event,
    handshake::HandshakeError,
    schedule::Schedule,
    trace::TraceEvent,
};

/// Why the connection has to be closed by this end.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{violation}")]
    Violation { violation: Violation, frame_type: u64 },
    #[error("{0}")]
    Tls(TlsError),
    /// The peer sent its application close too early. The peer is told so; the application learns what the
    /// peer meant.
    #[error("{0}")]
    EarlyApplicationClose(CloseReason),
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Violation { violation, frame_type: 0 }
    }
}

impl From<HandshakeError> for Failure {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Violation(violation) => violation.into(),
            HandshakeError::Tls(error) => Self::Tls(error),
        }
    }
}

impl Failure {
    /// Names the frame that broke the rule.
    pub(super) fn in_frame(self, frame_type: u64) -> Self {
        match self {
            Self::Violation { violation, .. } => Self::Violation { violation, frame_type },
            other => other,
        }
    }

    fn into_parts(self) -> (CloseReason, ConnectionError) {
        let transport = |code, frame_type, reason: &str| CloseReason::Transport {
            code,
            frame_type,
            reason: Bytes::copy_from_slice(reason.as_bytes()),
        };
        match self {
            Self::Violation { violation, frame_type } => (
                transport(violation.code(), frame_type, violation.text()),
                ConnectionError::Violation { violation, frame_type },
            ),
            Self::Tls(TlsError { alert, message, .. }) => (
                transport(TransportErrorCode::crypto(alert), crate::frame::types::CRYPTO, &message),
                ConnectionError::Tls { alert, message: Arc::clone(&message) },
            ),
            Self::EarlyApplicationClose(reason) => {
                let violation = Violation::CloseOfApplicationTooEarly;
                let frame_type = crate::frame::types::APPLICATION_CLOSE;
                (
                    transport(violation.code(), frame_type, violation.text()),
                    ConnectionError::PeerClosed(reason),
                )
            }
        }
    }
}

impl Connection {
    /// Three probe timeouts: how long closing and draining last, and how long old keys are kept (RFC 9000
    /// §10.2, RFC 9001 §6.5).
    #[inline]
    pub(super) fn three_pto(&self) -> Duration {
        self.paths.active.rtt.pto_base().saturating_add(self.requests.max_delay()).saturating_mul(3)
    }

    /// Closes the connection because of an error of the peer.
    pub(super) fn fail(&mut self, failure: Failure, now: Timestamp) {
        let (reason, error) = failure.into_parts();
        self.end(now, |life, three_pto| life.close(reason, error, now, three_pto));
    }

    /// Closes on behalf of the application with CONNECTION_CLOSE of type 0x1d (RFC 9000 §10.2). `code` is
    /// below 2^62. Data that is unsent or unread is lost.
    pub fn close(&mut self, now: Timestamp, code: u64, reason: &[u8]) {
        let now = self.clock.read(now);
        let code = code.min(crate::base::varint::MAX);
        let reason = CloseReason::Application { code, reason: Bytes::copy_from_slice(reason) };
        self.end(now, |life, three_pto| life.close(reason, ConnectionError::LocallyClosed, now, three_pto));
        self.release();
    }

    /// The path no longer carries datagrams of 1200 bytes, and there is no other path (RFC 9000 §14).
    pub(super) fn leave_path(&mut self, now: Timestamp) {
        let reason = CloseReason::Transport {
            code: TransportErrorCode::NO_VIABLE_PATH,
            frame_type: 0,
            reason: Bytes::from_static(b"datagrams of 1200 bytes do not pass"),
        };
        self.end(now, |life, three_pto| life.close(reason, ConnectionError::NoViablePath, now, three_pto));
    }

    /// The peer has closed the connection.
    pub(super) fn on_peer_close(&mut self, reason: CloseReason, now: Timestamp) {
        self.end(now, |life, three_pto| life.drain(ConnectionError::PeerClosed(reason), now, three_pto));
    }

    /// A stateless reset arrived: the peer has lost the state of the connection (RFC 9000 §10.3.1).
    pub fn handle_stateless_reset(&mut self, now: Timestamp) {
        let now = self.clock.read(now);
        self.on_stateless_reset(now);
    }

    pub(super) fn on_stateless_reset(&mut self, now: Timestamp) {
        self.end(now, |life, three_pto| life.drain(ConnectionError::StatelessReset, now, three_pto));
    }

    /// The connection cannot go on, and the peer cannot be told.
    pub(super) fn abandon(&mut self, error: ConnectionError, now: Timestamp) {
        self.end(now, |life, _| life.abandon(error));
    }

    /// Runs `change`, which may end the open phase. If it does, frees what is no longer needed and tells the
    /// application.
    pub(super) fn end(&mut self, now: Timestamp, change: impl FnOnce(&mut crate::life::Life, Duration)) {
        let three_pto = self.three_pto();
        change(&mut self.life, three_pto);
        self.note_end(now);
    }

    /// Tells the application once that the connection is no longer open. Data received before stays readable
    /// until the application has seen that, see [`release`](Self::release).
    pub(super) fn note_end(&mut self, now: Timestamp) {
        if self.life.is_open() || self.out.close_told {
            return;
        }
        self.out.close_told = true;
        self.limited.end(now);
        self.membership.on_end();
        self.handshake.clear(&mut self.memory.fed);
        self.early.take(&mut self.memory.fed);
        if let Some(error) = self.life.error().cloned() {
            self.out.trace.emit(now, || TraceEvent::Closed(&error));
            self.out.events.push_back(Event::Closed(error));
            self.trace_changes(now);
        }
    }

    /// Frees the data that the application might have read. The application knows of the end and has read
    /// what it wanted, or has closed the connection itself.
    pub(super) fn release(&mut self) {
        if self.out.close_told && !std::mem::replace(&mut self.out.released, true) {
            self.streams.clear(&mut self.memory.streams);
            self.schedule = Schedule::default();
            self.charge_buffered();
            self.datagrams.clear(&mut self.memory.fed);
        }
    }
}
