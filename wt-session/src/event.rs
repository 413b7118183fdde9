//! The events of sessions for the layer above, and the types of requests and answers.

use bytes::Bytes;
use h3_core::error::H3Error;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    uri::{Authority, PathAndQuery},
};
use quic_core::{Dir, Priority, StreamId};

use crate::{
    dialect::Dialect,
    error::SessionError,
    protocols::{self, Form},
    refusal::Refusal,
};

/// The ID of a session: the stream of its extended CONNECT (§2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "an identifier")]
pub struct SessionId(pub StreamId);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "session {}", self.0.value())
    }
}

/// The ID of a session request of this client, from [`connect`](crate::sessions::Sessions::connect) on. The
/// [`SessionId`] is known once the CONNECT was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "request {}", self.0)
    }
}

/// The code and reason with which an application closes a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseInfo {
    /// The application's code.
    pub code: u32,
    /// The application's reason. At most 1024 bytes are sent, cut at a character boundary (§6).
    pub reason: String,
}

impl CloseInfo {
    /// A close with this code and reason.
    pub fn new(code: u32, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// A client's request for a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// `:authority`.
    pub authority: Authority,
    /// `:path`.
    pub path: PathAndQuery,
    /// `origin`; browsers send it, other clients may.
    pub origin: Option<HeaderValue>,
    /// Further fields. Application protocols are offered here: see [`crate::protocols::offer`].
    pub headers: HeaderMap,
}

impl ConnectRequest {
    /// A request without an origin and further fields.
    #[must_use]
    pub fn new(authority: Authority, path: PathAndQuery) -> Self {
        Self { authority, path, origin: None, headers: HeaderMap::new() }
    }

    /// Sets the origin.
    #[must_use]
    pub fn with_origin(self, origin: Option<HeaderValue>) -> Self {
        Self { origin, ..self }
    }

    /// Sets the further fields.
    #[must_use]
    pub fn with_headers(self, headers: HeaderMap) -> Self {
        Self { headers, ..self }
    }
}

/// A session request that this server received.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionRequest {
    /// `:authority`.
    pub authority: Authority,
    /// `:path`.
    pub path: PathAndQuery,
    /// `origin`, if the client sent it as text. The application must verify it (§3.2).
    pub origin: Option<String>,
    /// All fields.
    pub headers: HeaderMap,
    /// The application protocols that the client offers, best first (§3.3).
    pub protocols: Vec<String>,
    /// The form in which the client wrote them.
    pub protocol_form: Form,
    /// The priority from the `priority` field or an earlier `PRIORITY_UPDATE` (RFC 9218 §4): `urgency` 0
    /// (first) to 7 (last) and `incremental`. The default is urgency 3, not incremental. The client means it
    /// for the whole session, but it is applied only to the CONNECT stream; the caller sets that of streams
    /// and datagrams.
    pub priority: Priority,
    /// The dialect whose rules apply.
    pub dialect: Dialect,
    /// Why this dialect was chosen.
    pub why: String,
}

impl SessionRequest {
    /// The value of `WT-Protocol` that chooses `protocol`, in the form the client used; `None` if the client
    /// did not offer it.
    #[must_use]
    pub fn choice(&self, protocol: &str) -> Option<HeaderValue> {
        self.protocols.iter().find(|offered| *offered == protocol)?;
        protocols::choice_in(self.protocol_form, protocol)
    }
}

/// The response with which a server accepts a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionResponse {
    /// A 2xx status.
    pub status: StatusCode,
    /// All fields.
    pub headers: HeaderMap,
    /// The application protocol that the server chose from the offered ones (§3.3).
    pub protocol: Option<String>,
    /// The dialect whose rules apply.
    pub dialect: Dialect,
    /// Why this dialect was chosen.
    pub why: String,
}

/// An event. Events are queued in the order in which they happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client requests a session (server): accept or reject it. It is emitted only after the client's
    /// SETTINGS (§3.1).
    Incoming {
        /// The session.
        session: SessionId,
        /// The request.
        request: Box<SessionRequest>,
    },
    /// The CONNECT for a session was sent (client). `Established` or `Refused` follows.
    Requested {
        /// The ID that [`connect`](crate::sessions::Sessions::connect) returned.
        request: RequestId,
        /// The session.
        session: SessionId,
    },
    /// The server accepted the session (client). At a server, a successful `accept` establishes it.
    Established {
        /// The session.
        session: SessionId,
        /// The server's answer.
        response: Box<SessionResponse>,
    },
    /// A session was not established. At a server, the request was refused before `Incoming`.
    Refused {
        /// Client: the ID that [`connect`](crate::sessions::Sessions::connect) returned.
        request: Option<RequestId>,
        /// The request's stream; `None` if no CONNECT was sent.
        session: Option<SessionId>,
        /// The cause and the remedy.
        reason: Refusal,
    },
    /// The peer opened a stream of a session. `Readable` follows.
    StreamOpened {
        /// The session.
        session: SessionId,
        /// The stream.
        stream: StreamId,
        /// The direction.
        dir: Dir,
    },
    /// The stream has data, its end or a reset to read.
    Readable {
        /// The stream.
        stream: StreamId,
    },
    /// A blocked write can continue.
    Writable {
        /// The stream.
        stream: StreamId,
    },
    /// The peer sent `STOP_SENDING`; the stream's sending side was reset.
    Stopped {
        /// The stream.
        stream: StreamId,
        /// The application's code; `None` if the code is no application code (§4.4).
        code: Option<u32>,
    },
    /// All data and the end of a finished stream are acknowledged.
    Sent {
        /// The stream.
        stream: StreamId,
    },
    /// A stream of this kind can be opened again.
    StreamsAvailable {
        /// The session whose limit was raised; `None` if QUIC's limit was raised, for all sessions.
        session: Option<SessionId>,
        /// The direction.
        dir: Dir,
    },
    /// A datagram.
    Datagram {
        /// The session.
        session: SessionId,
        /// The payload.
        payload: Bytes,
    },
    /// The client changed the priority of a session with `PRIORITY_UPDATE` (server, RFC 9218 §7.2). The first
    /// priority is [`SessionRequest::priority`].
    Ranked {
        /// The session, which is open or waits for the application's decision.
        session: SessionId,
        /// The new priority.
        priority: Priority,
    },
    /// The peer asks to wind up the session, which stays open (§4.7). Emitted once.
    Draining {
        /// The session.
        session: SessionId,
    },
    /// A session ended that was established or waited for the application's decision. Emitted once, also
    /// after a close by this side. Its streams are gone, except those that had arrived completely before a
    /// clean close by the peer: their data stays until it is read or stopped.
    Closed {
        /// The session.
        session: SessionId,
        /// The close information of the closing side, or why the session failed.
        result: Result<CloseInfo, SessionError>,
    },
    /// After `Closed`: the peer has also ended its side of the CONNECT stream. It has the close information,
    /// so the connection can be closed without loss (§6).
    Finished {
        /// The session.
        session: SessionId,
    },
    /// An unchanged event of HTTP/3 that concerns no session; also the settings and GOAWAY.
    Http(h3_core::Event),
    /// HTTP/3 closed the connection. The events of all sessions came before.
    ConnectionFailed(H3Error),
}

// Events are moved several times, and most are small stream events, so what occurs once per session is boxed.
const _: () = assert!(size_of::<Event>() <= 80);
