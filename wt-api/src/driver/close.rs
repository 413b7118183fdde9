//! The end of a session, in its steps (WebTransport over HTTP/3 §6): data of finished streams is acknowledged, then the
//! capsule and FIN, then the peer's FIN, then the connection. The first step waits no longer than three probe timeouts or
//! 2 s, whichever is less; the later ones, for which nobody waits, as long as whichever is more.

use h3_core::transport::ConnTransport;
use quic_core::base::Timestamp;
use wt_session::SessionError;

use super::{
    connection::{Conn, H3_NO_ERROR},
    last_word, patience,
    session::Phase,
};
use crate::{
    error::{ErrorCause, WebTransportError},
    session::CloseInfo,
};

impl Conn {
    /// The application closes.
    pub(super) fn close_session(&mut self, info: CloseInfo, now: Timestamp) {
        let Some(live) = &mut self.live else { return };
        if !matches!(live.phase, Phase::Open) {
            return;
        }
        if !live.established {
            if self.is_server() {
                return self.finish_close(info, now);
            }
            return self.fail_session(ErrorCause::SessionClosed, now);
        }
        live.phase = Phase::Holding(info);
        self.alarm = Some(now + patience(&self.quic));
        self.close_when_acknowledged(now);
    }

    /// Closes if the application wants it and nothing is on its way any more.
    pub(super) fn close_when_acknowledged(&mut self, now: Timestamp) {
        let holding = self.live.as_ref().is_some_and(|live| matches!(live.phase, Phase::Holding(_)));
        if holding && !self.has_unacknowledged() {
            self.send_close(now);
        }
    }

    /// The alarm rang: the next step is due, whatever the peer does.
    pub(super) fn on_alarm(&mut self, now: Timestamp) {
        match self.live.as_ref().map(|live| &live.phase) {
            Some(Phase::Holding(_)) => self.send_close(now),
            Some(Phase::Closing | Phase::Closed) => self.end_connection(now),
            Some(Phase::Open) | None => {}
        }
    }

    fn send_close(&mut self, now: Timestamp) {
        let Some(live) = &mut self.live else { return };
        if let Phase::Holding(info) = std::mem::replace(&mut live.phase, Phase::Closing) {
            self.finish_close(info, now);
        }
    }

    fn finish_close(&mut self, info: CloseInfo, now: Timestamp) {
        let Some(live) = &mut self.live else { return };
        live.phase = Phase::Closing;
        self.alarm = Some(now + last_word(&self.quic));
        let Some(id) = live.id else { return };
        let mut transport = ConnTransport::new(&mut self.quic, now);
        let wire = wt_session::CloseInfo { code: info.close_code, reason: info.reason.clone() };
        self.sessions.close(id, wire, &mut self.h3, &mut transport);
        live.shared.set_stats(self.quic.stats());
        live.shared.set_end(Ok(info));
        let error = WebTransportError::session(ErrorCause::SessionClosed);
        self.end_streams(&error);
    }

    /// The session ended, by whichever side.
    pub(super) fn on_session_closed(
        &mut self,
        result: Result<wt_session::CloseInfo, SessionError>,
        now: Timestamp,
    ) {
        let Some(mut live) = self.live.take() else { return };
        let closing = matches!(live.phase, Phase::Closing);
        let (end, error) = match result {
            Ok(info) => {
                self.drain_streams(now);
                let info = CloseInfo { close_code: info.code, reason: info.reason };
                (Ok(info), WebTransportError::session(ErrorCause::SessionClosed))
            }
            Err(error) => {
                let cause = match (&self.failure, error) {
                    (Some(cause), _) => cause.clone(),
                    (None, error) => ErrorCause::SessionFailed(error.to_string().into()),
                };
                let error = WebTransportError::session(cause);
                (Err(error.clone()), error)
            }
        };
        self.end_streams(&error);
        let failed = end.is_err();
        live.phase = if closing { Phase::Closing } else { Phase::Closed };
        // The box hears of the end now; the session stays until the connection's end is agreed upon.
        let shared = std::sync::Arc::clone(&live.shared);
        let (id, phase) = (live.id, std::mem::replace(&mut live.phase, Phase::Closed));
        self.end_session(live, end);
        let mut rest = super::session::Live::new(shared);
        (rest.id, rest.phase) = (id, phase);
        self.live = Some(rest);
        let wait = if closing { last_word(&self.quic) } else { patience(&self.quic) * 2 };
        self.alarm = Some(now + wait);
        if failed && self.is_dedicated() {
            self.end_connection(now);
        }
    }

    /// The peer has ended its side, too: a client that closed the session ends its connection.
    pub(super) fn on_session_finished(&mut self, now: Timestamp) {
        if self.is_dedicated() && self.live.as_ref().is_some_and(|live| matches!(live.phase, Phase::Closing))
        {
            self.end_connection(now);
        }
    }

    /// The session was all there was to a client's connection. A server leaves the connection to its client, which
    /// may ask for more, and to the idle timeout: a CONNECTION_CLOSE right behind the capsule makes Chromium report a
    /// lost connection instead of the code and the reason. Only a server that goes away closes what has become idle.
    fn end_connection(&mut self, now: Timestamp) {
        self.live = None;
        self.alarm = None;
        if self.is_dedicated() {
            self.quic.close(now, H3_NO_ERROR, b"");
        } else {
            self.close_if_idle(now);
        }
    }
}
