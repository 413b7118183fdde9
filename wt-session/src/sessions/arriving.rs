//! Assigns streams of the peer to their sessions (§4.2, §4.3), also before the session exists (§4.6).

use h3_core::Connection;
use quic_core::{Dir, Side, StreamId, base::Timestamp};

use super::{Fate, Sessions, TAG};
use crate::{
    codes::{WT_BUFFERED_STREAM_REJECTED, WT_SESSION_GONE},
    early::EarlyArrivals,
    event::{Event, SessionId},
    session::{Receiving, Sending, State, WtStream},
    transport::SessionTransport,
};

impl Sessions {
    /// The peer opened a stream and named a session.
    pub(super) fn on_preface<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        session: SessionId,
        h3: &Connection,
        t: &mut T,
    ) {
        t.set_tag(stream, TAG);
        match self.fate(session, h3) {
            Fate::Deliver => self.attach(stream, session, t),
            // The client may not open that stream, so no request can be in flight on it.
            Fate::Wait if session.0.index() >= t.stream_limit(Side::Client, Dir::Bidi) => {
                refuse_stream(stream, WT_SESSION_GONE, t);
            }
            Fate::Wait if self.early.keep_stream(session, stream, self.early_until()) => {
                // The application decides how long it waits.
                if self
                    .sessions
                    .get(&session)
                    .is_some_and(|session| matches!(session.state, State::Undecided))
                {
                    t.hand_over(stream);
                }
            }
            // §4.6: there is no room for it.
            Fate::Wait => self.refuse_counted(stream, session, t),
            // The request is no session request.
            Fate::Plain => refuse_stream(stream, WT_BUFFERED_STREAM_REJECTED, t),
            Fate::Gone => {
                // Perhaps this end closed the session and the peer does not know yet: see `hold_streams`. If
                // the stream names no session, nothing is held back.
                if self.sessions.contains_key(&session) {
                    t.hold_back(stream, session.0);
                }
                refuse_stream(stream, WT_SESSION_GONE, t);
            }
        }
    }

    /// Refuses a stream for which there is no room. Its session's flow control still counts it.
    pub(super) fn refuse_counted<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        session: SessionId,
        t: &mut T,
    ) {
        // Only its preface was read.
        let receiving = Receiving { header: t.bytes_read(stream).unwrap_or(0), ..Receiving::default() };
        let _ = self.discard(stream, session, receiving, WT_BUFFERED_STREAM_REJECTED, t);
        if stream.dir() == Dir::Bidi {
            let _ = t.reset(stream, WT_BUFFERED_STREAM_REJECTED, 0);
        }
    }

    pub(super) fn attach<T: SessionTransport>(&mut self, stream: StreamId, session: SessionId, t: &mut T) {
        let dir = stream.dir();
        if self.flow && !self.count_opened(session, dir) {
            return refuse_stream(stream, WT_SESSION_GONE, t);
        }
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        if entry.peer_streams >= self.config.max_open_streams {
            self.count_refused(session, dir, true);
            return self.refuse_counted(stream, session, t);
        }
        entry.peer_streams += 1;
        t.hand_over(stream);
        let sending = (dir == Dir::Bidi).then(Sending::default);
        // Only its preface was read.
        let receiving = Receiving { header: t.bytes_read(stream).unwrap_or(0), ..Receiving::default() };
        self.streams.insert(stream, WtStream { session, sending, receiving: Some(receiving) });
        if self.flow {
            self.count_received(stream, t);
        }
        self.events.push_back(Event::StreamOpened { session, stream, dir });
        // The transport's event for this data went to HTTP/3.
        self.events.push_back(Event::Readable { stream });
    }

    /// The application gets the request, and with it the decision how long early streams wait.
    pub(super) fn hand_over_early<T: SessionTransport>(&self, session: SessionId, t: &mut T) {
        self.early.streams_of(session).for_each(|stream| t.hand_over(stream));
    }

    /// The session is established: delivers what arrived before it.
    pub(super) fn deliver_early<T: SessionTransport>(&mut self, session: SessionId, t: &mut T) {
        let EarlyArrivals { streams, datagrams, refused, dropped } = self.early.take(session);
        for early in streams {
            self.attach(early.stream, session, t);
            if let Some(code) = early.stopped {
                self.on_stream_stopped(early.stream, code, t);
            }
        }
        for dir in [Dir::Bidi, Dir::Uni] {
            (0..refused[dir as usize]).for_each(|_| self.count_refused(session, dir, false));
        }
        self.count_dropped(session, dropped);
        for payload in datagrams {
            self.queue_datagram(session, payload);
        }
        self.touch(session);
    }

    /// How long early streams and datagrams wait for a request that has not begun. None at a client, which
    /// knows its requests.
    pub(super) fn early_until(&self) -> Option<Timestamp> {
        let timeout =
            self.config.early_timeout.filter(|timeout| !timeout.is_zero() && !self.side.is_client());
        timeout.map(|timeout| self.now + timeout)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due: early streams or datagrams may have waited too
    /// long.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.early.deadline()
    }

    /// Refuses streams and drops datagrams that waited too long for their session
    /// ([`Config::early_timeout`](super::Config::early_timeout)).
    pub fn handle_timeout<T: SessionTransport>(&mut self, now: Timestamp, h3: &Connection, t: &mut T) {
        self.now = now;
        let later = self.early_until();
        if self.early.deadline().is_none_or(|at| at > now) {
            return;
        }
        // The peer is not late while the application withholds all credit. The streams kept here do not count
        // for that.
        let withheld = t.withholds_credit();
        let known = &self.sessions;
        // A request that has begun has its own deadline, or the application has it.
        let more = |session: SessionId| {
            later.filter(|_| withheld || known.contains_key(&session) || h3.has_begun(session.0))
        };
        for (session, early) in self.early.expire(now, more) {
            // If the request still arrives, its session counts them.
            self.early.count_refused(session, early.stream.dir());
            self.refuse_counted(early.stream, session, t);
        }
    }

    /// There will be no such session: refuses and drops what waits for it.
    pub(super) fn drop_early<T: SessionTransport>(&mut self, session: SessionId, code: u64, t: &mut T) {
        if self.early.is_empty() {
            return;
        }
        let waited = self.early.take(session);
        waited.streams.iter().for_each(|early| refuse_stream(early.stream, code, t));
    }

    /// GOAWAY rejects requests from this ID on (RFC 9114 §5.2): refuses what waits for them.
    pub(super) fn drop_early_from<T: SessionTransport>(&mut self, first: u64, t: &mut T) {
        let Some(first) = StreamId::from_value(first) else { return };
        for early in self.early.take_from(SessionId(first)) {
            refuse_stream(early.stream, WT_SESSION_GONE, t);
        }
    }
}

/// Refuses a stream of the peer.
pub(super) fn refuse_stream<T: SessionTransport>(stream: StreamId, code: u64, t: &mut T) {
    let _ = t.stop_sending(stream, code);
    if stream.dir() == Dir::Bidi {
        let _ = t.reset(stream, code, 0);
    }
}
