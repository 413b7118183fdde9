//! All sessions of one connection: where events go. What happens to a session is in `client`, `server` and `life`,
//! what happens to its streams in `streams`, how much they may carry in `flow`.
//!
//! [`Sessions`] owns the sessions, the names of their streams and what came early. It must never know packets,
//! frames or field sections; it reads no byte of a stream that it does not hand to the application.

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

/// The mark of streams that belong to sessions.
const TAG: StreamTag = StreamTag(0x5754);

/// Events that may stay allocated while none waits.
const KEPT_EVENTS: usize = 32;

/// What happens to a stream or datagram that names a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The session is open.
    Deliver,
    /// It may become so.
    Wait,
    /// It is over, or never was.
    Gone,
    /// The request is one of HTTP/3 only.
    Plain,
}

/// The sessions of one connection, client or server.
#[derive(Debug)]
pub struct Sessions {
    config: Config,
    side: Side,
    /// Apart from each other: a map has places for eleven where there is one.
    sessions: BTreeMap<SessionId, Box<Session>>,
    /// Client: what to ask for once the server's SETTINGS are there and QUIC grants streams, oldest first.
    asking: VecDeque<(RequestId, ConnectRequest)>,
    next_request: u64,
    /// Sessions have flow control (§5.1): known from the peer's SETTINGS on.
    flow: bool,
    /// The most sessions at once, as both sides permit: known from the peer's SETTINGS on.
    max_sessions: Option<u64>,
    /// Sessions that have something to tell their peer.
    dirty: Vec<SessionId>,
    streams: StreamMap<WtStream>,
    /// Streams that this side stopped and whose final size is to come: their sessions count it.
    discarding: StreamMap<(SessionId, Receiving)>,
    /// What the transport had dropped of all such streams when they were counted last.
    dropped: u64,
    /// Streams that this side reset while committed bytes had not left, charged for what is to be sent. The peer may still
    /// stop them before these leave.
    resetting: StreamMap<(SessionId, Sending)>,
    /// Streams whose preface is not out: while there are none, writing needs no look-up.
    unflushed: usize,
    early: Early,
    /// Capsules that bring nothing.
    idle: IdleMeter,
    /// The time of the event being handled.
    now: Timestamp,
    events: VecDeque<Event>,
    /// Client: the server's GOAWAY came.
    going_away: bool,
    /// Server: GOAWAY is to be sent when no session holds it back any more.
    goaway_held: bool,
    lost: bool,
}

impl Sessions {
    /// No session yet. `h3` of the later calls has to be made with [`Sessions::settings`] of the same `config`.
    #[must_use]
    pub fn new(config: Config, side: Side) -> Self {
        Self {
            side,
            sessions: BTreeMap::new(),
            asking: VecDeque::new(),
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
            goaway_held: false,
            lost: false,
            config,
        }
    }

    /// The settings that announce what `config` says: dialects, sessions, and the limits of session flow control if it
    /// is wanted. The caller may add to them.
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
            // What a burst took is given back.
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

    /// Streams that are remembered.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// Streams and datagrams that wait for their session.
    #[must_use]
    pub fn early(&self) -> (usize, usize) {
        self.early.len()
    }

    /// Handles an event of the transport at the time `now`, here or by handing it to `h3`. False: it is of a kind
    /// that neither has a use for, or of one that the caller wants to see as well, such as the connection's end.
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
            // The mark is that of the time when the peer's word came, perhaps together with the preface.
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
            self.ask(h3, t);
        }
        self.events.push_back(Event::StreamsAvailable { session: None, dir });
    }

    /// Handles what HTTP/3 has to tell; handling it may make more.
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
                // It is no session: who took it for one waits in vain.
                self.drop_early(SessionId(stream), WT_SESSION_GONE, t);
                self.on_preface(stream, SessionId(session_id), h3, t);
                if let Some(code) = stopped {
                    self.on_stream_stopped(stream, code, t);
                }
            }
            (Http::Datagram { stream, payload }, _) => self.on_datagram(stream, payload, h3),
            (Http::NoRequest { stream }, _) => self.drop_early(SessionId(stream), WT_SESSION_GONE, t),
            // RFC 9114 §5.2: as if the GOAWAY that is held back had come before it.
            (Http::Request { stream, .. }, _) if self.goaway_held => {
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

    /// An event about the CONNECT stream of a session.
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

    /// The session whose CONNECT stream an event is about.
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

    /// The connection's end ends everything.
    fn on_connection_lost(&mut self) {
        use crate::error::SessionError;
        if std::mem::replace(&mut self.lost, true) {
            return;
        }
        self.refuse_asking(&Refusal::ConnectionLost);
        for (id, session) in std::mem::take(&mut self.sessions) {
            match session.state {
                State::Requested => self.events.push_back(Event::Refused {
                    request: session.request,
                    session: Some(id),
                    reason: Refusal::ConnectionLost,
                }),
                State::Open | State::Asked => self
                    .events
                    .push_back(Event::Closed { session: id, result: Err(SessionError::ConnectionLost) }),
                State::Waiting(..) | State::Ended { .. } => {}
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
            // A client knows what it asked for.
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
