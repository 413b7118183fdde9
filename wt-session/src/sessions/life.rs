//! Established sessions: capsules (§4.7, §5.6), draining, and every way to end one (§6).

use bytes::Bytes;
use h3_core::{
    Connection,
    capsule::Capsule,
    error::{StreamViolation, code},
};
use quic_core::error::call::Read;

use super::Sessions;
use crate::{
    capsules::{self, Content},
    codes::{WT_FLOW_CONTROL_ERROR, WT_SESSION_GONE},
    error::{SessionError, SessionGone},
    event::{CloseInfo, Event, SessionId},
    refusal::Refusal,
    session::{Session, State},
    transport::SessionTransport,
};

/// How much of the CONNECT stream is read at once, in bytes.
const READ: usize = 16 * 1024;

impl Sessions {
    /// Closes a session with a code and a reason, which is cut to 1024 bytes at a character boundary. Its
    /// streams are reset at once, but the resets are sent only after the peer has acknowledged the close. To
    /// make sure that finished data arrives, wait for `Sent` first. `Closed` follows, then `Finished`.
    pub fn close<T: SessionTransport>(
        &mut self,
        session: SessionId,
        info: CloseInfo,
        h3: &mut Connection,
        t: &mut T,
    ) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        match entry.state {
            State::Open => {
                entry.out.push_back(capsules::close(&info));
                // §6: FIN follows at once.
                entry.fin = true;
                self.hold_streams(session, t);
                self.end(session, Ok(info), false, false, t);
                self.flush_capsules(session, h3, t);
            }
            State::Requested => {
                self.refuse(session, Refusal::Cancelled, code::H3_REQUEST_CANCELLED, h3, t);
            }
            State::Undecided => {
                self.end(session, Ok(info), false, false, t);
                self.reset_connect_stream(session, code::H3_REQUEST_REJECTED, h3, t);
            }
            State::AwaitingSettings(..) | State::Ended { .. } => {}
        }
        self.take_http_events(h3, t);
    }

    /// Ends a session without close information: resets its CONNECT stream with an HTTP/3 code, such as
    /// [`crate::codes::WT_ALPN_ERROR`].
    pub fn abort<T: SessionTransport>(
        &mut self,
        session: SessionId,
        code: u64,
        h3: &mut Connection,
        t: &mut T,
    ) {
        if self.is_open(session) {
            self.fail(session, SessionError::Aborted(code), code, h3, t);
            self.take_http_events(h3, t);
        }
    }

    /// Asks the peer to wind up the session (§4.7). Nothing else changes.
    pub fn drain<T: SessionTransport>(
        &mut self,
        session: SessionId,
        h3: &mut Connection,
        t: &mut T,
    ) -> Result<(), SessionGone> {
        let entry = self.sessions.get_mut(&session).filter(|session| session.is_open()).ok_or(SessionGone)?;
        if !std::mem::replace(&mut entry.drain_sent, true) {
            entry.out.push_back(capsules::drain());
            self.flush_capsules(session, h3, t);
        }
        Ok(())
    }

    /// Sends GOAWAY (server): new sessions are rejected, and the peers of existing ones are asked to wind up
    /// (§4.7).
    ///
    /// A peer of draft 02 gets `WT_DRAIN_SESSION` for its sessions instead, and GOAWAY when the last of them
    /// is over on both sides: see [`flush`](Self::flush). Until then requests of all kinds are refused with
    /// `H3_REQUEST_REJECTED` and [`Event::Refused`].
    pub fn go_away<T: SessionTransport>(&mut self, h3: &mut Connection, t: &mut T) {
        self.goaway_delayed = true;
        self.release_goaway(h3, t);
        if self.goaway_delayed {
            for id in self.sessions.keys().copied().collect::<Vec<_>>() {
                // A session that is not open yet drains when it opens.
                let _ = self.drain(id, h3, t);
            }
        }
        self.take_http_events(h3, t);
    }

    /// Sends a pending GOAWAY if no session delays it.
    pub(super) fn release_goaway<T: SessionTransport>(&mut self, h3: &mut Connection, t: &mut T) {
        let holds = |session: &Session| !self.side.is_client() && session.delays_goaway();
        if !self.goaway_delayed || self.sessions.values().any(|session| holds(session)) {
            return;
        }
        self.goaway_delayed = false;
        h3.go_away(t);
        if let Some(limit) = h3.goaway_sent() {
            self.drop_early_from(limit, t);
        }
    }

    /// Reads all available bytes of the CONNECT stream. It stays unread until the session is established
    /// (§3.2).
    pub(super) fn read_capsules<T: SessionTransport>(
        &mut self,
        id: SessionId,
        h3: &mut Connection,
        t: &mut T,
    ) {
        while self.sessions.get(&id).is_some_and(|session| session.is_open() || session.is_ended()) {
            // The end and errors come as events.
            let Ok(Read::Data(bytes)) = h3.read_data(id.0, READ, t) else { return };
            self.on_bytes(id, bytes, h3, t);
        }
    }

    fn on_bytes<T: SessionTransport>(
        &mut self,
        id: SessionId,
        mut bytes: Bytes,
        h3: &mut Connection,
        t: &mut T,
    ) {
        loop {
            let Some(session) = self.sessions.get_mut(&id) else { return };
            match session.state {
                State::Open => {}
                // §6: nothing may follow the close capsule.
                State::Ended { by_peer: true } if !bytes.is_empty() => {
                    return self.reset_connect_stream(id, code::H3_MESSAGE_ERROR, h3, t);
                }
                _ => return,
            }
            let flow = session.flow.is_some();
            let next = session.reader.next(&mut bytes, |kind| capsules::policy(kind, flow));
            let idle = session.reader.take_skipped()
                + u64::from(matches!(&next, Ok(Some(capsule)) if counts_as_idle(capsule)));
            if let Err(violation) = self.idle.count(idle, self.now) {
                return h3.close_for(violation, t);
            }
            let said = match next {
                Ok(None) => return,
                Ok(Some(capsule)) => capsules::read(capsule),
                Err(error) => Err(error.into()),
            };
            match said {
                Ok(Content::Datagram(payload)) => self.queue_datagram(id, payload),
                Ok(Content::Drain) => self.on_drain(id),
                Ok(Content::Flow(message)) => {
                    if let Err(error) = self.on_flow_message(id, message) {
                        self.fail(id, error.into(), WT_FLOW_CONTROL_ERROR, h3, t);
                    }
                }
                Ok(Content::Close(info)) => {
                    self.end(id, Ok(info), true, true, t);
                    if bytes.is_empty() {
                        self.answer_with_fin(id, h3, t);
                    }
                }
                // RFC 9297 §3.3: malformed.
                Err(error) => self.fail(id, error, code::H3_MESSAGE_ERROR, h3, t),
            }
        }
    }

    /// The peer asks to wind up. The event is emitted once.
    pub(super) fn on_drain(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.is_open()) else { return };
        if !std::mem::replace(&mut session.drain_reported, true) {
            self.events.push_back(Event::Draining { session: id });
        }
    }

    /// The peer's side of the CONNECT stream ended.
    pub(super) fn on_fin<T: SessionTransport>(&mut self, id: SessionId, h3: &mut Connection, t: &mut T) {
        let Some(session) = self.sessions.get(&id) else { return };
        match session.state {
            State::Open => match session.reader.finish() {
                // §6: this is the same as code 0 without a reason.
                Ok(()) => {
                    self.end(id, Ok(CloseInfo::default()), true, true, t);
                    self.answer_with_fin(id, h3, t);
                    self.forget(id);
                }
                Err(error) => self.fail(id, error.into(), code::H3_MESSAGE_ERROR, h3, t),
            },
            State::Ended { .. } => self.forget(id),
            State::Requested => self.refuse(id, Refusal::NoResponse, code::H3_REQUEST_CANCELLED, h3, t),
            State::Undecided | State::AwaitingSettings(..) => {
                self.end(id, Ok(CloseInfo::default()), false, true, t);
                self.reset_connect_stream(id, code::H3_REQUEST_CANCELLED, h3, t);
            }
        }
    }

    /// The peer reset its side of the CONNECT stream.
    pub(super) fn on_reset<T: SessionTransport>(
        &mut self,
        id: SessionId,
        code: u64,
        h3: &mut Connection,
        t: &mut T,
    ) {
        match self.sessions.get(&id).map(|session| &session.state) {
            Some(State::Requested) => {
                self.refuse(id, Refusal::Reset(code), code::H3_REQUEST_CANCELLED, h3, t);
            }
            Some(State::Ended { .. }) => self.forget(id),
            Some(_) => self.fail(id, SessionError::Reset(code), WT_SESSION_GONE, h3, t),
            None => {}
        }
    }

    /// The peer stopped reading the CONNECT stream.
    pub(super) fn on_stopped<T: SessionTransport>(
        &mut self,
        id: SessionId,
        code: u64,
        h3: &mut Connection,
        t: &mut T,
    ) {
        // Capsules that arrived before may explain it.
        self.read_capsules(id, h3, t);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.stopped = Some(code);
        match session.state {
            // §6: a peer that closes may stop first; its capsule, FIN or reset follows.
            State::Open if code == WT_SESSION_GONE => {}
            // A response, or the peer's end, follows.
            State::Requested | State::Ended { .. } => {}
            State::Open | State::Undecided | State::AwaitingSettings(..) => {
                self.fail(id, SessionError::Stopped(code), WT_SESSION_GONE, h3, t);
            }
        }
    }

    /// HTTP/3 found the peer's message malformed and reset the stream.
    pub(super) fn on_stream_error<T: SessionTransport>(
        &mut self,
        id: SessionId,
        violation: StreamViolation,
        t: &mut T,
    ) {
        match self.sessions.get(&id).map(|session| &session.state) {
            Some(State::Requested) => {
                let request = self.sessions.remove(&id).and_then(|session| session.request);
                self.drop_early(id, WT_SESSION_GONE, t);
                let reason = Refusal::NoResponse;
                self.events.push_back(Event::Refused { request, session: Some(id), reason });
            }
            Some(_) => {
                self.end(id, Err(SessionError::Http(violation)), false, false, t);
                self.forget(id);
            }
            None => {}
        }
    }

    /// Passes capsules to HTTP/3, then the messages of flow control, then FIN. A message is made only when
    /// HTTP/3 can take it, so that it has the newest value.
    pub(super) fn flush_capsules<T: SessionTransport>(
        &mut self,
        id: SessionId,
        h3: &mut Connection,
        t: &mut T,
    ) {
        self.grow_window(id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        loop {
            if session.out.is_empty() {
                let message = session.take_message();
                session.out.extend(message.map(capsules::flow));
            }
            let Some(front) = session.out.front_mut() else { break };
            match h3.send_data(id.0, front, t) {
                Ok(_) if front.is_empty() => {
                    session.out.pop_front();
                }
                // `Writable` follows.
                Ok(_) => return,
                Err(_) => {
                    session.out.clear();
                    break;
                }
            }
        }
        if std::mem::take(&mut session.fin) {
            let _ = h3.finish(id.0, t);
        }
    }

    fn answer_with_fin<T: SessionTransport>(&mut self, id: SessionId, h3: &mut Connection, t: &mut T) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.fin = true;
            self.flush_capsules(id, h3, t);
        }
    }

    /// Ends the session: ends its streams and emits `Closed`, once.
    fn end<T: SessionTransport>(
        &mut self,
        id: SessionId,
        result: Result<CloseInfo, SessionError>,
        clean: bool,
        by_peer: bool,
        t: &mut T,
    ) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.is_ended()) else { return };
        let was = std::mem::replace(&mut session.state, State::Ended { by_peer });
        // Flow control no longer counts what is read from its streams.
        (session.flow, session.fault) = (None, None);
        self.end_streams(id, clean, t);
        if matches!(was, State::AwaitingSettings(..)) {
            // The application has not seen it.
            self.sessions.remove(&id);
        } else {
            self.events.push_back(Event::Closed { session: id, result });
        }
    }

    /// Fails the session: resets both sides of its CONNECT stream with `code`.
    pub(super) fn fail<T: SessionTransport>(
        &mut self,
        id: SessionId,
        error: SessionError,
        code: u64,
        h3: &mut Connection,
        t: &mut T,
    ) {
        self.end(id, Err(error), false, false, t);
        self.reset_connect_stream(id, code, h3, t);
    }

    fn reset_connect_stream<T: SessionTransport>(
        &mut self,
        id: SessionId,
        code: u64,
        h3: &mut Connection,
        t: &mut T,
    ) {
        h3.reset(id.0, code, t);
        // HTTP/3 does not reset a side that it has finished, but the transport may still have to send.
        let _ = t.reset(id.0, code, 0);
        h3.stop(id.0, code, t);
        self.forget(id);
    }

    /// Stops waiting for the peer after a session was closed, by either side: resets its CONNECT stream and
    /// releases what was held back for it. So the streams also end if the peer gives no credit for the close
    /// or never answers it. `Finished` follows. Does nothing while the session is open, or after its end.
    pub fn give_up<T: SessionTransport>(&mut self, session: SessionId, h3: &mut Connection, t: &mut T) {
        if self.sessions.get(&session).is_some_and(|session| session.is_ended()) {
            self.reset_connect_stream(session, WT_SESSION_GONE, h3, t);
            self.take_http_events(h3, t);
            self.release_goaway(h3, t);
        }
    }

    /// Removes the session, since nothing more arrives on the CONNECT stream.
    fn forget(&mut self, id: SessionId) {
        if self.sessions.remove(&id).is_some() {
            self.events.push_back(Event::Finished { session: id });
        }
    }
}

/// Whether a capsule counts as one without effect. All do but a datagram with content and the close, which
/// comes once.
fn counts_as_idle(capsule: &Capsule) -> bool {
    match capsule.kind {
        capsules::WT_CLOSE_SESSION => false,
        capsules::DATAGRAM => capsule.value.is_empty(),
        _ => true,
    }
}
