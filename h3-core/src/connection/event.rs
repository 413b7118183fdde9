//! What an HTTP/3 connection tells the layer above.

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

/// What is known of a request stream at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "before, meanwhile and after")]
pub enum RequestState {
    /// Its request may still come.
    Expected,
    /// `Event::Request` was told, and the stream is not over.
    Open,
    /// It is over.
    Gone,
}

/// An event, in the order in which it happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The peer's SETTINGS arrived. Once.
    SettingsReceived(Box<Settings>),
    /// A request (server).
    Request {
        /// Its stream.
        stream: StreamId,
        /// Its head.
        head: Box<RequestHead>,
        /// The rank that its `priority` field or an earlier `PRIORITY_UPDATE` asks for; already applied.
        priority: Priority,
    },
    /// A response (client).
    Response {
        /// The request's stream.
        stream: StreamId,
        /// Its head.
        head: Box<ResponseHead>,
        /// An interim response (1xx): the final one is still to come.
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
    /// No request will come on this stream of the client (server): it is over before one was told, or was rejected by GOAWAY.
    /// What waits for a request on it waits in vain. So it does on one that turns out to be of another kind, which
    /// [`StreamPreface`](Event::StreamPreface) tells.
    NoRequest {
        /// The stream.
        stream: StreamId,
    },
    /// The message is whole and valid; nothing more comes on the stream.
    Finished {
        /// The stream.
        stream: StreamId,
    },
    /// The peer's message was malformed or too large. The stream was reset (a request whose fields are too large
    /// was answered with 431 instead) and is gone.
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
    /// The peer asked to stop; this side of the stream was reset.
    Stopped {
        /// The stream.
        stream: StreamId,
        /// The peer's code.
        code: u64,
    },
    /// Content that did not find room before can be sent.
    Writable {
        /// The stream.
        stream: StreamId,
    },
    /// The peer goes away. Client: requests on streams of this ID and above were not and will not be processed.
    GoAway {
        /// A stream ID (client) or a push ID (server).
        id: u64,
    },
    /// The rank of a request changed (server); already applied.
    PriorityUpdate {
        /// The stream.
        stream: StreamId,
        /// The new rank.
        priority: Priority,
    },
    /// An HTTP datagram for a request stream that is open or, at a server, may still be opened.
    Datagram {
        /// The request stream.
        stream: StreamId,
        /// The payload.
        payload: Bytes,
    },
    /// The peer opened a WebTransport stream. HTTP/3 does not touch it any more: the layer above sets its own tag
    /// and reads the rest.
    StreamPreface {
        /// The stream.
        stream: StreamId,
        /// Its kind.
        kind: PrefaceKind,
        /// The session: a stream ID that a request can have, of a session known or not.
        session_id: StreamId,
        /// The peer has asked to stop before, with this code; this side of the stream was reset.
        stopped: Option<u64>,
    },
    /// HTTP/3 closed the connection; the last event.
    Failed(H3Error),
}

// Most events are of streams, and each is moved several times: what is large and rare lies behind a pointer.
const _: () = assert!(size_of::<Event>() <= 48);
