//! What sessions tell the layer above, and the values that go both ways.

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

/// A session: the request stream whose extended CONNECT made it (§2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a name")]
pub struct SessionId(pub StreamId);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "session {}", self.0.value())
    }
}

/// A session that this client asks for, from [`connect`](crate::sessions::Sessions::connect) on; the session's own name is
/// known when the CONNECT has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "request {}", self.0)
    }
}

/// How a session ended, as its application says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseInfo {
    /// The application's code.
    pub code: u32,
    /// The application's reason; at most 1024 bytes travel, cut at a character boundary (§6).
    pub reason: String,
}

impl CloseInfo {
    /// This code and this reason.
    pub fn new(code: u32, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// A session that a client asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// `:authority`.
    pub authority: Authority,
    /// `:path`.
    pub path: PathAndQuery,
    /// `origin`, which browsers send and others may.
    pub origin: Option<HeaderValue>,
    /// Further fields. Application protocols are offered here: see [`crate::protocols::offer`].
    pub headers: HeaderMap,
}

impl ConnectRequest {
    /// Without an origin and further fields.
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

/// A session that a client asked this server for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionRequest {
    /// `:authority`.
    pub authority: Authority,
    /// `:path`.
    pub path: PathAndQuery,
    /// `origin`, if it came and is text. The application verifies it (§3.2).
    pub origin: Option<String>,
    /// All fields.
    pub headers: HeaderMap,
    /// The application protocols that the client offers, best first (§3.3).
    pub protocols: Vec<String>,
    /// How the client wrote them.
    pub protocol_form: Form,
    /// The rank that the client asks for by a `priority` field or an earlier `PRIORITY_UPDATE` (RFC 9218 §4): `urgency` 0
    /// (first) to 7 (last) and `incremental`; urgency 3, not incremental if it asks for none. It is meant for the whole
    /// session, and applied to the CONNECT stream only: streams and datagrams are the caller's to rank.
    pub priority: Priority,
    /// The rules that apply.
    pub dialect: Dialect,
    /// Why these.
    pub why: String,
}

impl SessionRequest {
    /// The value of `WT-Protocol` that chooses a protocol, written as the client wrote it; `None` if it did not offer it.
    #[must_use]
    pub fn choice(&self, protocol: &str) -> Option<HeaderValue> {
        self.protocols.iter().find(|offered| *offered == protocol)?;
        protocols::choice_in(self.protocol_form, protocol)
    }
}

/// The server's answer to a client whose session it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionResponse {
    /// A 2xx status.
    pub status: StatusCode,
    /// All fields.
    pub headers: HeaderMap,
    /// The application protocol that the server chose among those offered (§3.3).
    pub protocol: Option<String>,
    /// The rules that apply.
    pub dialect: Dialect,
    /// Why these.
    pub why: String,
}

/// An event, in the order in which it happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client asks for a session (server): accept or reject it. Told only after the client's SETTINGS (§3.1).
    Incoming {
        /// The session.
        session: SessionId,
        /// What it asks for.
        request: Box<SessionRequest>,
    },
    /// The CONNECT for a session has left (client). `Established` or `Refused` follows.
    Requested {
        /// What [`connect`](crate::sessions::Sessions::connect) returned.
        request: RequestId,
        /// The session.
        session: SessionId,
    },
    /// The server accepted (client). At a server, a successful `accept` is the establishment.
    Established {
        /// The session.
        session: SessionId,
        /// The server's answer.
        response: Box<SessionResponse>,
    },
    /// There is no session. Server: a request was refused before the application heard of it.
    Refused {
        /// Client: what [`connect`](crate::sessions::Sessions::connect) returned.
        request: Option<RequestId>,
        /// The request's stream; `None` if no CONNECT was sent.
        session: Option<SessionId>,
        /// The cause, which names the remedy.
        reason: Refusal,
    },
    /// The peer opened a stream of a session. `Readable` follows.
    StreamOpened {
        /// The session.
        session: SessionId,
        /// The stream.
        stream: StreamId,
        /// One way or both.
        dir: Dir,
    },
    /// The stream has data, its end or a reset to read.
    Readable {
        /// The stream.
        stream: StreamId,
    },
    /// A write that was blocked can go on.
    Writable {
        /// The stream.
        stream: StreamId,
    },
    /// The peer asked to stop sending; the stream's sending side was reset.
    Stopped {
        /// The stream.
        stream: StreamId,
        /// The application's code; `None` if it was none (§4.4).
        code: Option<u32>,
    },
    /// All data and the end of a finished stream are acknowledged.
    Sent {
        /// The stream.
        stream: StreamId,
    },
    /// Opening a stream of this kind, refused before, is possible again.
    StreamsAvailable {
        /// The session whose own limit was raised; `None`: QUIC's was, for all sessions.
        session: Option<SessionId>,
        /// One way or both.
        dir: Dir,
    },
    /// A datagram.
    Datagram {
        /// The session.
        session: SessionId,
        /// The payload.
        payload: Bytes,
    },
    /// The client ranks a session anew (server), as [`SessionRequest::priority`] did first: by `PRIORITY_UPDATE`
    /// (RFC 9218 §7.2).
    Ranked {
        /// The session: one that the application is to decide on, or an open one.
        session: SessionId,
        /// The rank.
        priority: Priority,
    },
    /// The peer asks to wind the session up; it lives on (§4.7). Once.
    Draining {
        /// The session.
        session: SessionId,
    },
    /// An established session, or one that the application was still to decide on, ended. Once, also after a close
    /// by this side. Its streams are gone, except those that had come as a whole before a clean close of the peer: their
    /// data stays until it is read or stopped.
    Closed {
        /// The session.
        session: SessionId,
        /// What the closing side said, or why it failed.
        result: Result<CloseInfo, SessionError>,
    },
    /// After `Closed`: the peer has ended its side of the CONNECT stream too, so it has the close information and the
    /// connection can be closed without loss (§6).
    Finished {
        /// The session.
        session: SessionId,
    },
    /// An event of HTTP/3 that is about no session, untouched; also its settings and GOAWAY.
    Http(h3_core::Event),
    /// HTTP/3 closed the connection; all sessions were told.
    ConnectionFailed(H3Error),
}

// Events of streams are many, and each is moved several times: what is told once a session lies behind a pointer.
const _: () = assert!(size_of::<Event>() <= 80);
