//! The end of a session, in steps (WebTransport over HTTP/3 §6): the peer acknowledges the data of finished
//! streams, then follow the capsule and FIN, then the peer's FIN, and then the connection ends if it was made
//! for this session. Each step waits for at most three probe timeouts, at least 2 s and at most 6 s. The
//! first step counts from the last acknowledgment that made progress, and lasts for at most a minute. After
//! that the CONNECT stream is reset, and whatever waited for it is dropped.

use std::time::Duration;

use wt_session::{SessionError, SessionId};

use super::state::{
    conn::Conn,
    patience::last_word,
    stack::Layers,
    table::{Phase, SessionEntry},
};
use crate::{
    close::{CloseInfo, CloseOutcome, ClosedBy},
    error::{ErrorCause, WebTransportError},
};

/// The longest time that a close waits for a peer that keeps acknowledging.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// The error that this side's close means for waiting calls of the session.
fn closed_here(info: &CloseInfo) -> ErrorCause {
    ErrorCause::SessionClosed { by: ClosedBy::ThisSide, info: info.clone() }
}

impl Conn {
    /// The application closes the session.
    pub(super) fn close_session(&mut self, key: u32, info: CloseInfo) {
        let now = self.stack.now;
        let (server, shares) = (self.is_server(), self.pooled().is_some());
        let Some(entry) = self.table.get_mut(key) else { return };
        if !matches!(entry.phase, Phase::Open) {
            return;
        }
        if !entry.established {
            if server {
                return self.finish_close(key, info);
            }
            if let (Some(request), true) = (entry.request, shares) {
                let Layers { sessions, h3, mut transport } = self.stack.layers();
                sessions.cancel_connect(request, h3, &mut transport);
            }
            return self.fail_session(key, closed_here(&info));
        }
        entry.shared.refuse_opens(&WebTransportError::session(closed_here(&info)));
        entry.phase = Phase::Holding(info);
        (entry.progressed, entry.hold_until) = (now, now + LONGEST_HOLD);
        self.hold(key);
        self.close_when_acknowledged(key);
    }

    /// The application closes all sessions that it has accepted, as if each handle did it. Earlier commands
    /// of the handles come first, including the response to the request.
    pub(super) fn close_sessions(&self, info: &CloseInfo) {
        let accepted = self.table.iter().filter(|entry| entry.shared.established().is_some());
        accepted.for_each(|entry| entry.shared.close(info.clone()));
    }

    /// Whether the close still waits for the peer to acknowledge finished data, or to grant credit for it.
    fn hold(&mut self, key: u32) -> bool {
        let now = self.stack.now;
        let progress = self.progress(key);
        let cut_off = self.is_cut_off();
        let Some(entry) = self.table.get_mut(key) else { return false };
        if progress != entry.progress {
            entry.progressed = now;
        }
        entry.progress = progress;
        let until = (entry.progressed + last_word(&self.stack.quic)).min(entry.hold_until);
        entry.alarm = Some(until);
        now < until && !cut_off
    }

    /// Closes if the application wants that and nothing is in flight any more.
    pub(super) fn close_when_acknowledged(&mut self, key: u32) {
        let holding = |entry: &SessionEntry| matches!(entry.phase, Phase::Holding(_)) && entry.finishing == 0;
        if self.table.get(key).is_some_and(holding) {
            self.send_close(key);
        }
    }

    /// A session's timer expired: the next step follows, whatever the peer does.
    pub(super) fn on_alarm(&mut self, key: u32) {
        match self.table.get(key).map(|entry| &entry.phase) {
            Some(Phase::Holding(_)) => {
                if !self.hold(key) {
                    self.send_close(key);
                }
            }
            Some(Phase::Closing(_) | Phase::Closed | Phase::Ended) => {
                // The connection may continue with other sessions: what this session still holds ends now.
                if let Some(id) = self.table.get(key).and_then(|entry| entry.id) {
                    let Layers { sessions, h3, mut transport } = self.stack.layers();
                    sessions.give_up(id, h3, &mut transport);
                }
                self.tell_close(key, CloseOutcome::Unanswered);
                self.let_go(key);
            }
            Some(Phase::Open) | None => {}
        }
    }

    fn send_close(&mut self, key: u32) {
        if let Some(Phase::Holding(info)) = self.table.get(key).map(|entry| &entry.phase) {
            let info = info.clone();
            self.finish_close(key, info);
        }
    }

    fn finish_close(&mut self, key: u32, info: CloseInfo) {
        let now = self.stack.now;
        let Some(entry) = self.table.get_mut(key) else { return };
        entry.phase = Phase::Closing(info.clone());
        entry.alarm = Some(now + last_word(&self.stack.quic));
        let Some(id) = entry.id else { return };
        let Layers { sessions, h3, mut transport } = self.stack.layers();
        let error = WebTransportError::session(closed_here(&info));
        let wire = wt_session::CloseInfo::new(info.close_code, info.reason);
        sessions.close(id, wire, h3, &mut transport);
        self.end_streams(Some(key), &error);
        let Some(entry) = self.table.get_mut(key) else { return };
        // The last counters. The end is reported when the peer has answered, or will not.
        entry.shared.set_stats(self.stack.quic.stats(), std::mem::take(&mut entry.groups));
    }

    /// Reports the outcome of this side's close.
    fn tell_close(&self, key: u32, outcome: CloseOutcome) {
        if let Some(entry) = self.table.get(key)
            && let Phase::Closing(info) = &entry.phase
        {
            entry.shared.set_closed(info.clone(), outcome);
        }
    }

    /// The session ended, by either side.
    pub(super) fn on_session_closed(
        &mut self,
        session: SessionId,
        result: Result<wt_session::CloseInfo, SessionError>,
    ) {
        let now = self.stack.now;
        let Some(key) = self.table.key_of(session) else { return };
        let (end, error) = match result {
            Ok(info) => {
                self.drain_streams(Some(key));
                let info = CloseInfo::new(info.code, info.reason);
                (Ok(info.clone()), WebTransportError::closed(ClosedBy::Peer, info))
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
        self.end_streams(Some(key), &error);
        let Some(mut entry) = self.table.remove(key) else { return };
        let failed = end.is_err();
        // Part of the session stays until both sides agree on the end. The mailbox learns of it now, unless
        // this side has closed.
        let mut rest = SessionEntry::new(std::sync::Arc::clone(&entry.shared));
        rest.id = entry.id;
        rest.retired = true;
        let closing = matches!(entry.phase, Phase::Closing(_)) && !failed;
        rest.alarm = Some(now + last_word(&self.stack.quic));
        if closing {
            rest.phase = std::mem::replace(&mut entry.phase, Phase::Closed);
            self.retire_session(&mut entry);
        } else {
            // Also if a session failed just before this side closed it.
            (rest.phase, entry.phase) = (Phase::Closed, Phase::Closed);
            self.end_session(entry, end);
        }
        self.table.replace(key, rest);
        if failed {
            self.let_go(key);
        }
    }

    /// The peer has ended its side, too. The side that closed the session releases it now. The other side
    /// waits until the closer has its FIN, because a CONNECTION_CLOSE would overtake it.
    pub(super) fn on_session_finished(&mut self, session: SessionId) {
        let Some(key) = self.table.key_of(session) else { return };
        let closing = self.table.get(key).is_some_and(|entry| matches!(entry.phase, Phase::Closing(_)));
        self.tell_close(key, CloseOutcome::Acknowledged);
        let arrived = self.has_sent(session);
        if closing || arrived {
            self.let_go(key);
        } else {
            self.table.get_mut(key).into_iter().for_each(|entry| entry.phase = Phase::Ended);
        }
    }

    /// Whether the peer has received everything that this side sent on a CONNECT stream.
    fn has_sent(&mut self, session: SessionId) -> bool {
        self.stack.quic.send_stream_stats(session.0).is_none()
    }

    /// The peer has received everything that this side sent on a stream, if that is a CONNECT stream, or
    /// wants no more of it.
    pub(super) fn on_connect_sent(&mut self, session: SessionId) {
        let Some(key) = self.table.key_of(session) else { return };
        let ended = self.table.get(key).is_some_and(|entry| matches!(entry.phase, Phase::Ended));
        if ended && self.has_sent(session) {
            self.let_go(key);
        }
    }

    /// Nothing is left of the session, which may have been the connection's only use. A server leaves the
    /// connection to its client, which may request more sessions, and to the idle timeout: a CONNECTION_CLOSE
    /// right after the capsule makes Chromium report a lost connection instead of the code and the reason.
    /// Only a server that shuts down closes an idle connection.
    fn let_go(&mut self, key: u32) {
        self.table.remove(key);
        if self.is_server() {
            self.close_if_idle();
        } else if self.pooled().is_some() {
            self.rest();
        } else if self.is_dedicated() {
            self.part_unused();
        }
    }
}
