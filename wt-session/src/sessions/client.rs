//! The client's way to sessions (§3.1, §3.2): wait for SETTINGS, agree, ask, read the answers.

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
    /// Asks for a session (client). The CONNECT goes out once the server's SETTINGS are there (§3.1) and QUIC grants a
    /// stream, in the order of the calls: `Requested`, then `Established`; or `Refused`.
    ///
    /// With session flow control there can be several sessions, open or asked for. Before SETTINGS tell whether it
    /// is in force, as many may be asked for as this side permits; if it is not, all but the first are refused then.
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
        // §5.1: without flow control, one at a time.
        match self.max_sessions.unwrap_or_else(|| self.config.sessions()) {
            max if self.wanted() < max => {}
            1 => return Err(ConnectError::SessionExists),
            max => return Err(ConnectError::TooManySessions { max }),
        }
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.asking.push_back((id, request));
        self.ask(h3, t);
        Ok(id)
    }

    /// Whether one more session may share this connection now (client): there is flow control, the server does not go
    /// away, and there are fewer sessions than both sides permit. False before the server's SETTINGS.
    #[must_use]
    pub fn can_connect(&self) -> bool {
        self.side.is_client()
            && self.flow
            && !self.lost
            && !self.going_away
            && self.max_sessions.is_some_and(|max| self.wanted() < max)
    }

    /// Sessions that are there or asked for.
    fn wanted(&self) -> u64 {
        (self.session_count() + self.asking.len()) as u64
    }

    /// Gives up a session that was asked for and not answered; `Refused` with `Cancelled` follows. Nothing happens
    /// after the answer.
    pub fn cancel_connect<T: SessionTransport>(
        &mut self,
        request: RequestId,
        h3: &mut Connection,
        t: &mut T,
    ) {
        if let Some(at) = self.asking.iter().position(|(id, _)| *id == request) {
            self.asking.remove(at);
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

    /// Sends the CONNECTs for which all that they have to wait for is there.
    pub(super) fn ask<T: SessionTransport>(&mut self, h3: &mut Connection, t: &mut T) {
        while let Some((_, request)) = self.asking.front() {
            let Some(peer) = h3.peer_settings() else { return };
            let agreed = negotiate(h3.settings(), peer, parameters(t), self.side, self.config.strict);
            let max = self.max_sessions.unwrap_or(1);
            let sent = match agreed {
                // §5.1: they were asked for before it was known how many there can be.
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
            let Some((request, _)) = self.asking.pop_front() else { return };
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

    /// None of what was still to be asked for will be.
    pub(super) fn refuse_asking(&mut self, reason: &Refusal) {
        for (request, _) in std::mem::take(&mut self.asking) {
            self.events.push_back(Event::Refused {
                request: Some(request),
                session: None,
                reason: reason.clone(),
            });
        }
    }

    /// The final response.
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
        // §3.3: either ends the session. Before draft 15 an answer that was not offered is no answer, and there is no code.
        let (since_15, reason) = match (session.dialect == Dialect::Draft16, answer) {
            (true, Some(name)) if protocol.is_none() => (true, Some(Refusal::Protocol(name))),
            (since_15, _) => (since_15, (required && protocol.is_none()).then_some(Refusal::NoProtocol)),
        };
        if let Some(reason) = reason {
            let code = if since_15 { codes::WT_ALPN_ERROR } else { code::H3_REQUEST_CANCELLED };
            return self.refuse(id, reason, code, h3, t);
        }
        session.state = State::Open;
        // Nobody asks for these any more.
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
            // §4.7: GOAWAY came before the response.
            self.on_drain(id);
        }
        self.deliver_early(id, t);
        self.read_capsules(id, h3, t);
        if let Some(code) = stopped {
            self.on_stopped(id, code, h3, t);
        }
    }

    /// There is no session: tells why, resets the CONNECT stream with `code`, and what came early with it.
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
        self.refuse_asking(&Refusal::GoingAway);
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            let requested =
                self.sessions.get(&id).is_some_and(|session| matches!(session.state, State::Requested));
            // RFC 9114 §5.2: it was not, and will not be, processed.
            if requested && id.0.value() >= limit {
                self.refuse(id, Refusal::GoingAway, code::H3_REQUEST_CANCELLED, h3, t);
            } else {
                // §4.7: a signal to wind up; the session lives on.
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
