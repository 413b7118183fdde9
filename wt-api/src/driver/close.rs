//! The end of a session, in its steps (WebTransport over HTTP/3 §6): data of finished streams is acknowledged, then the
//! capsule and FIN, then the FIN of the peer, then the connection if it was made for the session. Each step waits no longer than three
//! probe timeouts, at least 2 s and at most 6: the first one from the last acknowledgment that brought it on, and no longer than
//! a minute in all. After that the CONNECT stream is reset, and with it goes what waited for it.

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

/// The longest that a close waits for a peer that goes on acknowledging.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// What this side's close is to those who wait at the session.
fn closed_here(info: &CloseInfo) -> ErrorCause {
    ErrorCause::SessionClosed { by: ClosedBy::ThisSide, info: info.clone() }
}

impl Conn {
    /// The application closes.
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

    /// The application closes all sessions that it has accepted: each as its handle does it. What the handles have asked for
    /// before comes first, an answer to the request included.
    pub(super) fn close_sessions(&self, info: &CloseInfo) {
        let accepted = self.table.iter().filter(|entry| entry.shared.established().is_some());
        accepted.for_each(|entry| entry.shared.close(info.clone()));
    }

    /// The close waits for the peer to acknowledge what was finished, or to give credit for it. False: no longer.
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

    /// Closes if the application wants it and nothing is on its way any more.
    pub(super) fn close_when_acknowledged(&mut self, key: u32) {
        let holding = |entry: &SessionEntry| matches!(entry.phase, Phase::Holding(_)) && entry.finishing == 0;
        if self.table.get(key).is_some_and(holding) {
            self.send_close(key);
        }
    }

    /// A session's alarm rang: the next step is due, whatever the peer does.
    pub(super) fn on_alarm(&mut self, key: u32) {
        match self.table.get(key).map(|entry| &entry.phase) {
            Some(Phase::Holding(_)) => {
                if !self.hold(key) {
                    self.send_close(key);
                }
            }
            Some(Phase::Closing(_) | Phase::Closed | Phase::Ended) => {
                // The connection may go on with other sessions: what this one still holds there ends now.
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
        // The last counts. The end is told when the peer has answered, or will not.
        entry.shared.set_stats(self.stack.quic.stats(), std::mem::take(&mut entry.groups));
    }

    /// What became of this side's close is known.
    fn tell_close(&self, key: u32, outcome: CloseOutcome) {
        if let Some(entry) = self.table.get(key)
            && let Phase::Closing(info) = &entry.phase
        {
            entry.shared.set_closed(info.clone(), outcome);
        }
    }

    /// The session ended, by whichever side.
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
        // Something of the session stays until the end is agreed upon. The box hears of it now, unless this side has closed.
        let mut rest = SessionEntry::new(std::sync::Arc::clone(&entry.shared));
        rest.id = entry.id;
        rest.retired = true;
        let closing = matches!(entry.phase, Phase::Closing(_)) && !failed;
        rest.alarm = Some(now + last_word(&self.stack.quic));
        if closing {
            rest.phase = std::mem::replace(&mut entry.phase, Phase::Closed);
            self.retire_session(&mut entry);
        } else {
            // Also of one that failed just before this side closed it.
            (rest.phase, entry.phase) = (Phase::Closed, Phase::Closed);
            self.end_session(entry, end);
        }
        self.table.replace(key, rest);
        if failed {
            self.let_go(key);
        }
    }

    /// The peer has ended its side, too. Whoever closed the session lets go of it; the other side waits until the closer has
    /// its FIN, which a CONNECTION_CLOSE would overtake.
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

    /// Whether all that this side had to say on a CONNECT stream has arrived.
    fn has_sent(&mut self, session: SessionId) -> bool {
        self.stack.quic.send_stream_stats(session.0).is_none()
    }

    /// The peer has all that this side said on a stream, if that is a CONNECT stream, or wants no more of it.
    pub(super) fn on_connect_sent(&mut self, session: SessionId) {
        let Some(key) = self.table.key_of(session) else { return };
        let ended = self.table.get(key).is_some_and(|entry| matches!(entry.phase, Phase::Ended));
        if ended && self.has_sent(session) {
            self.let_go(key);
        }
    }

    /// Nothing is left of the session, and it may have been all there was to the connection. A server leaves that to its
    /// client, which may ask for more, and to the idle timeout: a CONNECTION_CLOSE right behind the capsule makes Chromium
    /// report a lost connection instead of the code and the reason. Only a server that goes away closes what has become
    /// idle.
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
