//! The events of an HTTP/3 connection for the layer above.

use bytes::Bytes;
use http::HeaderMap;
use quic_core::{Priority, StreamId};

use crate::{
    error::{H3Error, StreamViolation},
    message::{RequestHead, ResponseHead},
    settings::Settings,
};

/// Which kind of stream starts with a WebTransport preface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two kinds of streams")]
pub enum PrefaceKind {
    /// A bidirectional stream with the signal 0x41.
    Bidi,
    /// A unidirectional stream of type 0x54.
    Uni,
}

/// The state of a request stream at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a stream has no other state")]
pub enum RequestState {
    /// A request may still arrive on it.
    Expected,
    /// `Event::Request` was emitted, and the stream is not over.
    Open,
    /// The stream is over.
    Gone,
}

/// An event. Events are queued in the order in which they happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The peer's SETTINGS arrived; emitted once.
    SettingsReceived(Box<Settings>),
    /// A request (server).
    Request {
        /// Its stream.
        stream: StreamId,
        /// Its head.
        head: Box<RequestHead>,
        /// The priority that its `priority` field or an earlier `PRIORITY_UPDATE` asks for; already applied.
        priority: Priority,
    },
    /// A response (client).
    Response {
        /// The request's stream.
        stream: StreamId,
        /// Its head.
        head: Box<ResponseHead>,
        /// Whether this is an interim response (1xx); the final one follows.
        informational: bool,
    },
    /// Content can be read: call `read_data` until it blocks or ends.
    Data {
        /// The stream.
        stream: StreamId,
    },
    /// Trailers, after all content was read.
    Trailers {
        /// The stream.
        stream: StreamId,
        /// The fields.
        trailers: Box<HeaderMap>,
    },
    /// No request will arrive on this client-initiated stream (server): the stream ended before its request
    /// was complete, or GOAWAY rejected it. Drop what waits for that request.
    /// [`StreamPreface`](Event::StreamPreface) means the same for a stream that turns out to be of another
    /// kind.
    NoRequest {
        /// The stream.
        stream: StreamId,
    },
    /// The message is complete and valid; nothing more arrives on the stream.
    Finished {
        /// The stream.
        stream: StreamId,
    },
    /// The peer's message was malformed or too large. The stream was reset and is gone; a request with too
    /// large fields was answered with 431 instead.
    StreamError {
        /// The stream.
        stream: StreamId,
        /// What was wrong.
        violation: StreamViolation,
    },
    /// The peer reset its side of the stream.
    Reset {
        /// The stream.
        stream: StreamId,
        /// The peer's code.
        code: u64,
    },
    /// The peer sent `STOP_SENDING`; this side of the stream was reset.
    Stopped {
        /// The stream.
        stream: StreamId,
        /// The peer's code.
        code: u64,
    },
    /// Content can be sent again after `send_data` took none.
    Writable {
        /// The stream.
        stream: StreamId,
    },
    /// The peer sent GOAWAY. At a client: the server has not processed, and will not process, requests on
    /// streams of this ID and above.
    GoAway {
        /// A stream ID (client) or a push ID (server).
        id: u64,
    },
    /// The priority of a request changed (server); already applied.
    PriorityUpdate {
        /// The stream.
        stream: StreamId,
        /// The new priority.
        priority: Priority,
    },
    /// An HTTP datagram for a request stream that is open or, at a server, may still open.
    Datagram {
        /// The request stream.
        stream: StreamId,
        /// The payload.
        payload: Bytes,
    },
    /// The peer opened a WebTransport stream. HTTP/3 does not touch it any more: the layer above sets its own
    /// tag and reads the rest.
    StreamPreface {
        /// The stream.
        stream: StreamId,
        /// Its kind.
        kind: PrefaceKind,
        /// The session ID: a valid request stream ID, whether the session is known or not.
        session_id: StreamId,
        /// The code of a `STOP_SENDING` that arrived before the preface; this side of the stream was reset.
        stopped: Option<u64>,
    },
    /// HTTP/3 closed the connection. This is the last event.
    Failed(H3Error),
}

// Events are moved several times, and most are small stream events, so the large and rare contents are boxed.
const _: () = assert!(size_of::<Event>() <= 48);
