//! How a client establishes sessions (§3.1, §3.2): wait for SETTINGS, negotiate, send the request, read the
//! response.

use h3_core::{
    Connection, Protocol, RequestHead, ResponseHead,
    error::{SendError, code},
};
use http::{HeaderName, HeaderValue, Method, header};

use super::{Sessions, parameters};
use crate::{
    codes,
    dialect::{Dialect, Negotiated, REQUEST_HEADER_02, negotiate},
    error::ConnectError,
    event::{ConnectRequest, Event, RequestId, SessionId, SessionResponse},
    protocols,
    refusal::Refusal,
    session::{Session, State},
    transport::SessionTransport,
};

impl Sessions {
    /// Requests a session (client). The CONNECT is sent once the server's SETTINGS have arrived (§3.1) and
    /// QUIC grants a stream, in the order of the calls. `Requested` and then `Established` follow, or
    /// `Refused`.
    ///
    /// With session flow control there can be several sessions, open or requested. Until SETTINGS show
    /// whether it is in force, as many may be requested as this side permits; if it is not, all but the first
    /// are then refused.
    pub fn connect<T: SessionTransport>(
        &mut self,
        request: ConnectRequest,
        h3: &mut Connection,
        t: &mut T,
    ) -> Result<RequestId, ConnectError> {
        if !self.side.is_client() {
            return Err(ConnectError::NotClient);
        }
        if self.lost || h3.failure().is_some() {
            return Err(ConnectError::ConnectionLost);
        }
        // §4.7: no new session after GOAWAY.
        if self.going_away {
            return Err(ConnectError::GoingAway);
        }
        // §5.1: without flow control there is one session at a time.
        match self.max_sessions.unwrap_or_else(|| self.config.sessions()) {
            max if self.wanted() < max => {}
            1 => return Err(ConnectError::SessionExists),
            max => return Err(ConnectError::TooManySessions { max }),
        }
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.pending.push_back((id, request));
        self.send_pending(h3, t);
        Ok(id)
    }

    /// Whether one more session may share this connection now (client): flow control is in force, the server
    /// has sent no GOAWAY, and there are fewer sessions than both sides permit. False before the server's
    /// SETTINGS.
    #[must_use]
    pub fn can_connect(&self) -> bool {
        self.side.is_client()
            && self.flow
            && !self.lost
            && !self.going_away
            && self.max_sessions.is_some_and(|max| self.wanted() < max)
    }

    /// How many sessions exist or are requested.
    fn wanted(&self) -> u64 {
        (self.session_count() + self.pending.len()) as u64
    }

    /// Cancels a session request that has no answer yet; `Refused` with `Cancelled` follows. Does nothing
    /// after the answer.
    pub fn cancel_connect<T: SessionTransport>(
        &mut self,
        request: RequestId,
        h3: &mut Connection,
        t: &mut T,
    ) {
        if let Some(at) = self.pending.iter().position(|(id, _)| *id == request) {
            self.pending.remove(at);
            self.events.push_back(Event::Refused {
                request: Some(request),
                session: None,
                reason: Refusal::Cancelled,
            });
        }
        let asked =
            |session: &Session| matches!(session.state, State::Requested) && session.request == Some(request);
        if let Some(id) = self.sessions.iter().find(|(_, session)| asked(session)).map(|(id, _)| *id) {
            self.refuse(id, Refusal::Cancelled, code::H3_REQUEST_CANCELLED, h3, t);
        }
    }

    /// Sends the pending CONNECTs, as far as SETTINGS and QUIC's credit permit.
    pub(super) fn send_pending<T: SessionTransport>(&mut self, h3: &mut Connection, t: &mut T) {
        while let Some((_, request)) = self.pending.front() {
            let Some(peer) = h3.peer_settings() else { return };
            let agreed = negotiate(h3.settings(), peer, parameters(t), self.side, self.config.strict);
            let max = self.max_sessions.unwrap_or(1);
            let sent = match agreed {
                // §5.1: it was requested before the number of sessions was known.
                Ok(_) if self.session_count() as u64 >= max => Err(Refusal::TooManySessions { max }),
                Ok(agreed) => match h3.send_request(&head(request, agreed.dialect), false, t) {
                    // Tried again at `StreamsAvailable`.
                    Err(SendError::NoStream) => return,
                    Ok(stream) => Ok((SessionId(stream), agreed, protocols::offered(&request.headers))),
                    Err(SendError::Unavailable) => Err(Refusal::GoingAway),
                    Err(error) => Err(Refusal::Send(error)),
                },
                Err(reason) => Err(reason),
            };
            let Some((request, _)) = self.pending.pop_front() else { return };
            match sent {
                Ok((id, agreed, offered)) => self.on_requested(request, id, agreed, offered, h3),
                Err(reason) => {
                    self.events.push_back(Event::Refused { request: Some(request), session: None, reason });
                }
            }
        }
    }

    fn on_requested(
        &mut self,
        request: RequestId,
        id: SessionId,
        Negotiated { dialect, why }: Negotiated,
        offered: Vec<String>,
        h3: &Connection,
    ) {
        let mut session = Session::new(id, State::Requested, dialect, why);
        session.offered = offered;
        session.request = Some(request);
        session.flow = self.new_flow(dialect, h3);
        self.sessions.insert(id, Box::new(session));
        self.events.push_back(Event::Requested { request, session: id });
    }

    /// Refuses all requests that have not been sent.
    pub(super) fn refuse_pending(&mut self, reason: &Refusal) {
        for (request, _) in std::mem::take(&mut self.pending) {
            self.events.push_back(Event::Refused {
                request: Some(request),
                session: None,
                reason: reason.clone(),
            });
        }
    }

    /// Handles the final response.
    pub(super) fn on_response<T: SessionTransport>(
        &mut self,
        id: SessionId,
        head: ResponseHead,
        h3: &mut Connection,
        t: &mut T,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if !matches!(session.state, State::Requested) {
            return;
        }
        // §3.2: any 2xx accepts; a redirect is not followed.
        if !head.status.is_success() {
            let reason = Refusal::Status { status: head.status.as_u16(), headers: head.headers.into() };
            return self.refuse(id, reason, code::H3_REQUEST_CANCELLED, h3, t);
        }
        let answer = protocols::chosen(&head.headers);
        let protocol = answer.clone().filter(|name| session.offered.contains(name));
        let required = self.config.require_protocol && !session.offered.is_empty();
        // §3.3: either ends the session. Before draft 15, an answer that was not offered counts as none, and
        // there is no code for it.
        let (since_15, reason) = match (session.dialect == Dialect::Draft16, answer) {
            (true, Some(name)) if protocol.is_none() => (true, Some(Refusal::Protocol(name))),
            (since_15, _) => (since_15, (required && protocol.is_none()).then_some(Refusal::NoProtocol)),
        };
        if let Some(reason) = reason {
            let code = if since_15 { codes::WT_ALPN_ERROR } else { code::H3_REQUEST_CANCELLED };
            return self.refuse(id, reason, code, h3, t);
        }
        session.state = State::Open;
        // The offers are no longer needed.
        session.offered = Vec::new();
        let response = SessionResponse {
            status: head.status,
            headers: head.headers,
            protocol,
            dialect: session.dialect,
            why: std::mem::take(&mut session.why),
        };
        self.events.push_back(Event::Established { session: id, response: Box::new(response) });
        let stopped = session.stopped;
        if self.going_away {
            // §4.7: GOAWAY arrived before the response.
            self.on_drain(id);
        }
        self.deliver_early(id, t);
        self.read_capsules(id, h3, t);
        if let Some(code) = stopped {
            self.on_stopped(id, code, h3, t);
        }
    }

    /// Refuses the session: emits the reason and resets the CONNECT stream, with `code`, and the session's
    /// early streams.
    pub(super) fn refuse<T: SessionTransport>(
        &mut self,
        id: SessionId,
        reason: Refusal,
        code: u64,
        h3: &mut Connection,
        t: &mut T,
    ) {
        let request = self.sessions.remove(&id).and_then(|session| session.request);
        self.drop_early(id, codes::WT_SESSION_GONE, t);
        h3.reset(id.0, code, t);
        h3.stop(id.0, code, t);
        self.events.push_back(Event::Refused { request, session: Some(id), reason });
    }

    pub(super) fn on_goaway<T: SessionTransport>(&mut self, limit: u64, h3: &mut Connection, t: &mut T) {
        if !self.side.is_client() {
            return;
        }
        self.going_away = true;
        self.refuse_pending(&Refusal::GoingAway);
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            let requested =
                self.sessions.get(&id).is_some_and(|session| matches!(session.state, State::Requested));
            // RFC 9114 §5.2: the server has not processed, and will not process, the request.
            if requested && id.0.value() >= limit {
                self.refuse(id, Refusal::GoingAway, code::H3_REQUEST_CANCELLED, h3, t);
            } else {
                // §4.7: GOAWAY asks to wind up; the session stays open.
                self.on_drain(id);
            }
        }
    }
}

fn head(request: &ConnectRequest, dialect: Dialect) -> RequestHead {
    let mut head = RequestHead::new(Method::CONNECT, request.authority.clone(), request.path.clone());
    head.protocol = Protocol::new(bytes::Bytes::from_static(dialect.token().as_bytes()));
    head.headers = request.headers.clone();
    if let Some(origin) = &request.origin {
        head.headers.insert(header::ORIGIN, origin.clone());
    }
    if dialect == Dialect::Draft02 {
        head.headers.insert(HeaderName::from_static(REQUEST_HEADER_02), HeaderValue::from_static("1"));
    }
    head
}
