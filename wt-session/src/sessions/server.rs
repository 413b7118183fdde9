//! How a server establishes a session (§3.1, §3.2): hold the request until the client's SETTINGS, negotiate,
//! let the application decide.

use h3_core::{
    Connection, RequestHead, ResponseHead,
    error::{SendError, code},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, uri::Scheme};
use quic_core::Priority;

use super::{Sessions, parameters};
use crate::{
    codes,
    dialect::{Dialect, Negotiated, RESPONSE_HEADER_02, RESPONSE_VALUE_02, impossible, negotiate},
    error::AcceptError,
    event::{Event, SessionId, SessionRequest},
    protocols::{self, Form},
    refusal::Refusal,
    session::{Session, State},
    transport::SessionTransport,
};

/// The bound, in bytes, for the heads of requests that wait for the client's SETTINGS; further ones are
/// refused. A single head may exceed it.
const MAX_HEADS_WAITING: usize = 256 << 10;
/// The memory that a field takes in addition to its text, in bytes.
const FIELD_COST: usize = 256;

/// The memory that a head takes, in bytes.
fn cost_of(head: &RequestHead) -> usize {
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_COST);
    fields.sum::<usize>() + head.path.as_ref().map_or(0, |path| path.as_str().len()) + FIELD_COST
}

impl Sessions {
    /// The memory, in bytes, of the heads of requests that wait for the client's SETTINGS (§3.1), which a
    /// client may send late or never. At most 256 KiB, or one head.
    #[must_use]
    pub fn heads_waiting(&self) -> usize {
        let waiting = self.sessions.values().map(|session| match &session.state {
            State::AwaitingSettings(head, _) => cost_of(head),
            _ => 0,
        });
        waiting.sum()
    }

    /// An extended CONNECT for WebTransport arrived.
    pub(super) fn on_request<T: SessionTransport>(
        &mut self,
        id: SessionId,
        head: Box<RequestHead>,
        priority: Priority,
        h3: &mut Connection,
        t: &mut T,
    ) {
        // §5.2: the client's SETTINGS may later permit even fewer.
        let max = self.config.sessions();
        if self.session_count() as u64 >= max {
            return self.refuse(id, Refusal::TooManySessions { max }, code::H3_REQUEST_REJECTED, h3, t);
        }
        let waiting = self.heads_waiting();
        if waiting > 0 && waiting + cost_of(&head) > MAX_HEADS_WAITING {
            return self.refuse(id, Refusal::FieldsWaiting, code::H3_REQUEST_REJECTED, h3, t);
        }
        let state = State::AwaitingSettings(head, priority);
        let session = Session::new(id, state, Dialect::Draft16, String::new());
        self.sessions.insert(id, Box::new(session));
        self.decide(id, h3, t);
    }

    pub(super) fn on_settings<T: SessionTransport>(&mut self, h3: &mut Connection, t: &mut T) {
        if let Some(reason) = h3.peer_settings().and_then(|peer| impossible(peer, self.side)) {
            // §3.1, §5.6.2: an invalid setting closes the connection. Pending requests still get the reason.
            t.close(code::H3_SETTINGS_ERROR, reason.to_string().as_bytes());
            return self.send_pending(h3, t);
        }
        self.agree(h3, t);
        self.send_pending(h3, t);
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.decide(id, h3, t);
        }
    }

    /// Passes a waiting request to the application once the client's SETTINGS have arrived (§3.1).
    fn decide<T: SessionTransport>(&mut self, id: SessionId, h3: &mut Connection, t: &mut T) {
        let Some(peer) = h3.peer_settings() else { return };
        if !self.sessions.get(&id).is_some_and(|session| matches!(session.state, State::AwaitingSettings(..)))
        {
            return;
        }
        // §5.1: without flow control there is one session at a time.
        let max = self.max_sessions.unwrap_or(1);
        let states = self.sessions.values().map(|session| &session.state);
        if states.filter(|state| matches!(state, State::Undecided | State::Open)).count() as u64 >= max {
            return self.refuse(id, Refusal::TooManySessions { max }, code::H3_REQUEST_REJECTED, h3, t);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let State::AwaitingSettings(head, priority) = std::mem::replace(&mut session.state, State::Undecided)
        else {
            return;
        };
        let agreed = negotiate(h3.settings(), peer, parameters(t), self.side, self.config.strict);
        let agreed = agreed.and_then(|agreed| check_head(&head, agreed, self.config.strict));
        match agreed {
            Ok(Negotiated { dialect, why }) => {
                (session.dialect, session.why) = (dialect, why.clone());
                let flow = self.new_flow(dialect, h3);
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.flow = flow;
                }
                self.hand_over_early(id, t);
                let request = Box::new(session_request(*head, priority, dialect, why));
                self.events.push_back(Event::Incoming { session: id, request });
            }
            // §3.1, §7.1: malformed.
            Err(reason) => self.refuse(id, reason, code::H3_MESSAGE_ERROR, h3, t),
        }
    }

    /// Handles a `PRIORITY_UPDATE` for a CONNECT stream; HTTP/3 has already applied it. It follows SETTINGS
    /// on the control stream, so the application already knows the session or never will.
    pub(super) fn on_priority(&mut self, id: SessionId, priority: Priority) {
        let known = |session: &&mut Box<Session>| matches!(session.state, State::Undecided | State::Open);
        if let Some(session) = self.sessions.get_mut(&id).filter(known)
            && session.ranked.replace(priority).is_none()
        {
            self.events.push_back(Event::Ranked { session: id, priority });
        }
    }

    /// Accepts a session with status 200 and these fields (server). Then it is open, and early streams and
    /// datagrams follow.
    pub fn accept<T: SessionTransport>(
        &mut self,
        session: SessionId,
        headers: HeaderMap,
        h3: &mut Connection,
        t: &mut T,
    ) -> Result<(), AcceptError> {
        self.accept_with(session, StatusCode::OK, headers, h3, t)
    }

    /// As [`accept`](Self::accept), with another 2xx status; no other status accepts a session (§3.2).
    pub fn accept_with<T: SessionTransport>(
        &mut self,
        session: SessionId,
        status: StatusCode,
        headers: HeaderMap,
        h3: &mut Connection,
        t: &mut T,
    ) -> Result<(), AcceptError> {
        if !status.is_success() {
            return Err(AcceptError::Status(status));
        }
        let asked = self.undecided(session).ok_or(AcceptError::Gone)?;
        let mut head = ResponseHead::new(status).with_headers(headers);
        if asked.dialect == Dialect::Draft02 {
            let value = HeaderValue::from_static(RESPONSE_VALUE_02);
            head.headers.insert(HeaderName::from_static(RESPONSE_HEADER_02), value);
        }
        match h3.send_response(session.0, &head, false, t) {
            Ok(()) => {}
            // The client cancelled the request; the event of that follows.
            Err(SendError::Closed | SendError::Stopped(_)) => return Err(AcceptError::Gone),
            Err(error) => return Err(error.into()),
        }
        asked.state = State::Open;
        if self.goaway_delayed {
            let _ = self.drain(session, h3, t);
        }
        self.deliver_early(session, t);
        // §3.2: capsules are processed only after the 2xx response.
        self.read_capsules(session, h3, t);
        self.take_http_events(h3, t);
        self.flush(h3, t);
        Ok(())
    }

    /// Refuses a session with a status that is not 2xx (server), such as 403 or 404. Does nothing if the
    /// request is gone.
    pub fn reject<T: SessionTransport>(
        &mut self,
        session: SessionId,
        status: StatusCode,
        headers: HeaderMap,
        h3: &mut Connection,
        t: &mut T,
    ) {
        if self.undecided(session).is_none() {
            return;
        }
        self.sessions.remove(&session);
        // §3.2: what arrived before is discarded.
        self.drop_early(session, codes::WT_SESSION_GONE, t);
        let head = ResponseHead::new(status).with_headers(headers);
        if status.is_success() || h3.send_response(session.0, &head, true, t).is_err() {
            h3.reset(session.0, code::H3_REQUEST_REJECTED, t);
        }
        h3.stop(session.0, code::H3_NO_ERROR, t);
        self.take_http_events(h3, t);
    }

    fn undecided(&mut self, session: SessionId) -> Option<&mut Session> {
        let session = self.sessions.get_mut(&session)?;
        matches!(session.state, State::Undecided).then_some(session)
    }
}

/// §3.2: the scheme must be https; in strict mode the token must be that of the dialect.
fn check_head(head: &RequestHead, agreed: Negotiated, strict: bool) -> Result<Negotiated, Refusal> {
    if head.scheme != Some(Scheme::HTTPS) || head.authority.is_none() || head.path.is_none() {
        return Err(Refusal::Header { name: ":scheme", expected: "https" });
    }
    let token = head.protocol.as_ref().map(h3_core::Protocol::as_str);
    if strict && token != Some(agreed.dialect.token()) {
        return Err(Refusal::Header { name: ":protocol", expected: agreed.dialect.token() });
    }
    Ok(agreed)
}

fn session_request(head: RequestHead, priority: Priority, dialect: Dialect, why: String) -> SessionRequest {
    let origin = head.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let (protocol_form, protocols) = offer_of(&head, dialect);
    SessionRequest {
        origin: origin.map(str::to_owned),
        protocols,
        protocol_form,
        // `check_head` made sure of both.
        authority: head.authority.unwrap_or_else(|| http::uri::Authority::from_static("")),
        path: head.path.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/")),
        headers: head.headers,
        priority,
        dialect,
        why,
    }
}

/// The application protocols that a client offers. Drafts 10 to 12 wrote tokens.
fn offer_of(head: &RequestHead, dialect: Dialect) -> (Form, Vec<String>) {
    let strings = protocols::offered(&head.headers);
    if dialect == Dialect::Draft07 && strings.is_empty() {
        return (Form::Token, protocols::offered_in(Form::Token, &head.headers));
    }
    (Form::String, strings)
}
