//! All sessions of one connection; this file dispatches events. `client`, `server` and `life` handle
//! sessions, `streams` their streams, and `flow` their flow control.
//!
//! [`Sessions`] owns the sessions, the IDs of their streams and what arrived early. It must never know
//! packets, frames or field sections. Every byte that it reads from a stream goes to the application.

mod arriving;
mod client;
mod config;
mod datagrams;
mod flow;
mod life;
mod server;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

pub use config::{Config, FlowControl};
use h3_core::{Connection, IdleMeter, RequestState, Settings, error::code};
use quic_core::{Dir, Side, StreamId, StreamMap, StreamTag, base::Timestamp};

use crate::{
    codes::{WT_BUFFERED_STREAM_REJECTED, WT_SESSION_GONE},
    dialect::{self, Parameters},
    early::Early,
    event::{ConnectRequest, Event, RequestId, SessionId},
    refusal::Refusal,
    session::{Receiving, Sending, Session, State, WtStream},
    transport::SessionTransport,
};

/// The tag of streams that belong to sessions.
const TAG: StreamTag = StreamTag(0x5754);

/// The capacity, in events, that an empty queue keeps.
const KEPT_EVENTS: usize = 32;

/// What to do with a stream or datagram that names a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Deliver it: the session is open.
    Deliver,
    /// Keep it: the session may still open.
    Wait,
    /// Refuse it: the session is over, or never existed.
    Gone,
    /// Leave it to HTTP/3: the request is no session request.
    Plain,
}

/// The sessions of one connection, client or server.
#[derive(Debug)]
pub struct Sessions {
    config: Config,
    side: Side,
    /// The sessions are boxed, because a map node has room for eleven entries even if it has one.
    sessions: BTreeMap<SessionId, Box<Session>>,
    /// Client: the requests that wait for the server's SETTINGS or for a stream, oldest first.
    pending: VecDeque<(RequestId, ConnectRequest)>,
    next_request: u64,
    /// Whether session flow control is in force (§5.1); false until the peer's SETTINGS arrive.
    flow: bool,
    /// The most sessions at once that both sides permit; `None` until the peer's SETTINGS arrive.
    max_sessions: Option<u64>,
    /// The sessions that have something to send or must end.
    dirty: Vec<SessionId>,
    streams: StreamMap<WtStream>,
    /// Streams that this side stopped and whose final size is not known yet; their sessions will count it.
    discarding: StreamMap<(SessionId, Receiving)>,
    /// How many bytes the transport had dropped of all such streams when they were last counted.
    dropped: u64,
    /// Streams that this side reset while committed bytes were not sent, charged for the bytes still to send.
    /// The peer may still stop them before that.
    resetting: StreamMap<(SessionId, Sending)>,
    /// How many streams have an unsent preface. While it is 0, a write needs no look-up.
    unflushed: usize,
    early: Early,
    /// Counts capsules without effect.
    idle: IdleMeter,
    /// The time of the event being handled.
    now: Timestamp,
    events: VecDeque<Event>,
    /// Client: the server sent GOAWAY.
    going_away: bool,
    /// Server: a GOAWAY is pending until no session delays it.
    goaway_delayed: bool,
    lost: bool,
}

impl Sessions {
    /// A connection without sessions yet. The `h3` of later calls must be made with [`Sessions::settings`] of
    /// the same `config`.
    #[must_use]
    pub fn new(config: Config, side: Side) -> Self {
        Self {
            side,
            sessions: BTreeMap::new(),
            pending: VecDeque::new(),
            next_request: 0,
            flow: false,
            max_sessions: None,
            dirty: Vec::new(),
            streams: StreamMap::default(),
            discarding: StreamMap::default(),
            dropped: 0,
            resetting: StreamMap::default(),
            unflushed: 0,
            early: Early::new(
                config.max_early_streams,
                config.max_early_datagrams,
                config.early_datagram_bytes,
            ),
            idle: IdleMeter::default(),
            now: Timestamp::ORIGIN,
            events: VecDeque::new(),
            going_away: false,
            goaway_delayed: false,
            lost: false,
            config,
        }
    }

    /// The settings that announce `config`: dialects, number of sessions, and the limits of session flow
    /// control if it asks for that. The caller may add to them.
    #[must_use]
    pub fn settings(config: &Config) -> Settings {
        let mut settings =
            Settings::new().enable_connect_protocol(true).h3_datagram(true).h3_datagram_draft04(true);
        config.announce(&mut settings);
        settings
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        let Some(mut event) = self.events.pop_front() else {
            // This frees the memory of a burst.
            if self.events.capacity() > KEPT_EVENTS {
                self.events = VecDeque::new();
            }
            return None;
        };
        match &mut event {
            Event::Datagram { session, .. } => {
                if let Some(entry) = self.sessions.get_mut(session) {
                    entry.queued_datagrams -= 1;
                }
            }
            Event::Ranked { session, priority } => {
                let newest = self.sessions.get_mut(session).and_then(|entry| entry.ranked.take());
                *priority = newest.unwrap_or(*priority);
            }
            _ => {}
        }
        Some(event)
    }

    /// True while the session is established and not closed.
    #[must_use]
    pub fn is_open(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|session| session.is_open())
    }

    /// The session of a stream, while any side of the stream is in use.
    #[must_use]
    pub fn session_of(&self, stream: StreamId) -> Option<SessionId> {
        self.streams.get(&stream).map(|stream| stream.session)
    }

    /// How many streams of sessions are not over.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// How many streams and datagrams wait for their session.
    #[must_use]
    pub fn early(&self) -> (usize, usize) {
        self.early.len()
    }

    /// Handles an event of the transport at the time `now`, here or in `h3`. Returns false if neither uses
    /// the event, or if the caller must also handle it, such as the connection's end.
    pub fn on_event<T: SessionTransport>(
        &mut self,
        event: &quic_core::Event,
        now: Timestamp,
        h3: &mut Connection,
        t: &mut T,
    ) -> bool {
        self.now = now;
        let handled = self.handle(event, now, h3, t);
        self.flush(h3, t);
        handled
    }

    fn handle<T: SessionTransport>(
        &mut self,
        event: &quic_core::Event,
        now: Timestamp,
        h3: &mut Connection,
        t: &mut T,
    ) -> bool {
        use quic_core::Event as Quic;
        match *event {
            Quic::StreamReadable(stream, TAG) => self.on_readable(stream, t),
            Quic::StreamWritable(stream, TAG) => self.on_writable(stream, t),
            // The event has the tag of the time when the frame arrived, perhaps together with the preface.
            Quic::StreamStopped(stream, tag, code) if tag == TAG || self.knows(stream) => {
                self.on_stream_stopped(stream, code, t);
            }
            Quic::StreamSent(stream, TAG) => self.on_sent(stream),
            Quic::StreamDiscarded(stream, TAG, final_size) => self.on_discarded(stream, final_size),
            Quic::Closed(_) => {
                self.on_connection_lost();
                return false;
            }
            _ => {
                let handled = h3.on_event(event, now, t);
                self.take_http_events(h3, t);
                if let Quic::StreamsAvailable(dir) = *event {
                    self.on_streams_available(dir, h3, t);
                    return true;
                }
                return handled;
            }
        }
        true
    }

    fn knows(&self, stream: StreamId) -> bool {
        self.streams.contains_key(&stream) || self.early.holds(stream)
    }

    fn on_streams_available<T: SessionTransport>(&mut self, dir: Dir, h3: &mut Connection, t: &mut T) {
        if dir == Dir::Bidi {
            self.send_pending(h3, t);
        }
        self.events.push_back(Event::StreamsAvailable { session: None, dir });
    }

    /// Handles the events of HTTP/3, including those that this makes.
    fn take_http_events<T: SessionTransport>(&mut self, h3: &mut Connection, t: &mut T) {
        while let Some(event) = h3.poll_event() {
            self.on_http_event(event, h3, t);
        }
    }

    fn on_http_event<T: SessionTransport>(&mut self, event: h3_core::Event, h3: &mut Connection, t: &mut T) {
        use h3_core::Event as Http;
        let id = self.session_named(&event);
        match (event, id) {
            (Http::StreamPreface { stream, session_id, stopped, .. }, _) => {
                // This stream is no session, so what waits for it is refused.
                self.drop_early(SessionId(stream), WT_SESSION_GONE, t);
                self.on_preface(stream, SessionId(session_id), h3, t);
                if let Some(code) = stopped {
                    self.on_stream_stopped(stream, code, t);
                }
            }
            (Http::Datagram { stream, payload }, _) => self.on_datagram(stream, payload, h3),
            (Http::NoRequest { stream }, _) => self.drop_early(SessionId(stream), WT_SESSION_GONE, t),
            // RFC 9114 §5.2: it is rejected as if the delayed GOAWAY had already been sent.
            (Http::Request { stream, .. }, _) if self.goaway_delayed => {
                self.refuse(SessionId(stream), Refusal::GoingAway, code::H3_REQUEST_REJECTED, h3, t);
            }
            (Http::Request { stream, head, priority }, _) => {
                if head.protocol.as_ref().is_some_and(|protocol| dialect::is_token(protocol.as_str())) {
                    self.on_request(SessionId(stream), head, priority, h3, t);
                } else {
                    self.drop_early(SessionId(stream), WT_BUFFERED_STREAM_REJECTED, t);
                    self.events.push_back(Event::Http(Http::Request { stream, head, priority }));
                }
            }
            (Http::SettingsReceived(settings), _) => {
                self.events.push_back(Event::Http(Http::SettingsReceived(settings)));
                self.on_settings(h3, t);
            }
            (Http::GoAway { id }, _) => {
                self.on_goaway(id, h3, t);
                self.events.push_back(Event::Http(Http::GoAway { id }));
            }
            (Http::Failed(error), _) => {
                self.on_connection_lost();
                self.events.push_back(Event::ConnectionFailed(error));
            }
            (event, Some(id)) => self.on_session_event(id, event, h3, t),
            (event, None) => self.events.push_back(Event::Http(event)),
        }
    }

    /// Handles an event of a session's CONNECT stream.
    fn on_session_event<T: SessionTransport>(
        &mut self,
        id: SessionId,
        event: h3_core::Event,
        h3: &mut Connection,
        t: &mut T,
    ) {
        use h3_core::Event as Http;
        match event {
            Http::Response { informational: true, .. } => {}
            Http::Response { head, .. } => self.on_response(id, *head, h3, t),
            Http::Data { .. } => self.read_capsules(id, h3, t),
            Http::Finished { .. } => self.on_fin(id, h3, t),
            Http::Reset { code, .. } => self.on_reset(id, code, h3, t),
            Http::Stopped { code, .. } => self.on_stopped(id, code, h3, t),
            Http::StreamError { violation, .. } => self.on_stream_error(id, violation, t),
            Http::Writable { .. } => self.flush_capsules(id, h3, t),
            Http::PriorityUpdate { priority, .. } => self.on_priority(id, priority),
            event => self.events.push_back(Event::Http(event)),
        }
    }

    /// The session whose CONNECT stream an event concerns.
    fn session_named(&self, event: &h3_core::Event) -> Option<SessionId> {
        use h3_core::Event as Http;
        let stream = match event {
            Http::Response { stream, .. }
            | Http::Data { stream }
            | Http::Finished { stream }
            | Http::Reset { stream, .. }
            | Http::Stopped { stream, .. }
            | Http::StreamError { stream, .. }
            | Http::PriorityUpdate { stream, .. }
            | Http::Writable { stream } => SessionId(*stream),
            _ => return None,
        };
        self.sessions.contains_key(&stream).then_some(stream)
    }

    /// Ends everything with the connection.
    fn on_connection_lost(&mut self) {
        use crate::error::SessionError;
        if std::mem::replace(&mut self.lost, true) {
            return;
        }
        self.refuse_pending(&Refusal::ConnectionLost);
        for (id, session) in std::mem::take(&mut self.sessions) {
            match session.state {
                State::Requested => self.events.push_back(Event::Refused {
                    request: session.request,
                    session: Some(id),
                    reason: Refusal::ConnectionLost,
                }),
                State::Open | State::Undecided => self
                    .events
                    .push_back(Event::Closed { session: id, result: Err(SessionError::ConnectionLost) }),
                State::AwaitingSettings(..) | State::Ended { .. } => {}
            }
        }
        self.streams = StreamMap::default();
        self.discarding = StreamMap::default();
        self.resetting = StreamMap::default();
        self.unflushed = 0;
        self.early = Early::new(0, 0, 0);
    }

    fn fate(&self, id: SessionId, h3: &Connection) -> Fate {
        match self.sessions.get(&id).map(|session| &session.state) {
            Some(State::Open) => Fate::Deliver,
            Some(State::Ended { .. }) => Fate::Gone,
            Some(_) => Fate::Wait,
            // A client knows its requests.
            None if self.side.is_client() => Fate::Gone,
            None => match h3.request_state(id.0) {
                RequestState::Expected => Fate::Wait,
                RequestState::Open => Fate::Plain,
                RequestState::Gone => Fate::Gone,
            },
        }
    }
}

fn parameters<T: SessionTransport>(t: &T) -> Parameters {
    Parameters {
        datagrams: t.max_datagram_size().is_some(),
        reset_stream_at: t.peer_supports_reset_stream_at(),
    }
}
