//! Small errors of single calls.

/// Why a read gave no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The peer reset the stream with this application code (RFC 9000 §19.4).
    #[error("the peer reset the stream with code {0:#x}")]
    Reset(u64),
    /// The stream is not there: never opened, finished and read to its end, stopped, or send-only.
    #[error("the stream has no readable side any more")]
    Closed,
}

/// Why a write, finish or reset was not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The peer asked to stop with this application code (RFC 9000 §19.5); the stream was reset in answer.
    #[error("the peer stopped reading with code {0:#x}")]
    Stopped(u64),
    /// The stream is not there: never opened, finished, reset, or receive-only.
    #[error("the stream has no writable side any more")]
    Closed,
}

/// What a read gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller that overlooks one does the wrong thing")]
pub enum Read {
    /// The next bytes in order, never empty.
    Data(bytes::Bytes),
    /// All data was read and the stream is finished.
    Finished,
    /// Nothing now; a readable event follows.
    Blocked,
}

/// How far a read of many chunks came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a read ends in one of these ways, and a reader has to handle each"
)]
pub enum ReadProgress {
    /// As many bytes as were asked for; there may be more.
    Full,
    /// All that is there now; a readable event follows.
    Blocked,
    /// All data was read and the stream is finished.
    Finished,
}

/// Why a connection was not moved to another address of this host (RFC 9000 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A server does not move: its clients would not follow.
    #[error("only a client moves")]
    NotAClient,
    /// The handshake is not confirmed yet, or the connection is closed.
    #[error("the connection is not established")]
    NotEstablished,
    /// The server does not permit it (`disable_active_migration`, RFC 9000 §18.2).
    #[error("the server does not permit clients to move")]
    Forbidden,
    /// The server has left no connection ID that was not used before, or uses none at all (RFC 9000 §9.5).
    #[error("there is no unused connection ID of the server's")]
    NoConnectionId,
}

/// Why a datagram could not be sent (RFC 9221).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// The peer does not take datagrams.
    #[error("the peer does not accept datagrams")]
    Unsupported,
    /// Larger than the path and the peer allow.
    #[error("the datagram exceeds the current maximum of {max} bytes")]
    TooLarge {
        /// The largest payload now, in bytes.
        max: usize,
    },
    /// The send queue is full.
    #[error("the datagram queue is full")]
    Full,
}
