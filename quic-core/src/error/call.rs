//! Small errors of single calls.

/// Why a read returned no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The peer reset the stream with this application code (RFC 9000 §19.4).
    #[error("the peer reset the stream with code {0:#x}")]
    Reset(u64),
    /// The stream has no receiving half: it was never opened, was read to its end, was stopped, or is
    /// send-only.
    #[error("the stream has no readable side any more")]
    Closed,
}

/// Why a write, finish or reset was not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The peer asked to stop with this application code (RFC 9000 §19.5); the stream was reset in response.
    #[error("the peer stopped reading with code {0:#x}")]
    Stopped(u64),
    /// The stream has no sending half: it was never opened, is finished or reset, or is receive-only.
    #[error("the stream has no writable side any more")]
    Closed,
}

/// The result of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller that overlooks one does the wrong thing")]
pub enum Read {
    /// The next bytes in order, never empty.
    Data(bytes::Bytes),
    /// All data was read and the stream is finished.
    Finished,
    /// There is no data now; a readable event follows.
    Blocked,
}

/// How far a read of many chunks got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a read ends in one of these ways, and a reader has to handle each"
)]
pub enum ReadProgress {
    /// As many bytes as requested; there may be more.
    Full,
    /// All data that is there now; a readable event follows.
    Blocked,
    /// All data was read and the stream is finished.
    Finished,
}

/// Why a connection was not moved to another address of this host (RFC 9000 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A server does not move, because its clients would not follow.
    #[error("only a client moves")]
    NotAClient,
    /// The handshake is not confirmed yet, or the connection is closed.
    #[error("the connection is not established")]
    NotEstablished,
    /// The server does not permit it (`disable_active_migration`, RFC 9000 §18.2).
    #[error("the server does not permit clients to move")]
    Forbidden,
    /// Every connection ID that the server has issued was used before, or the server uses none at all (RFC
    /// 9000 §9.5).
    #[error("the server has issued no connection ID that is still unused")]
    NoConnectionId,
}

/// Why a datagram could not be sent (RFC 9221).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// The peer does not accept datagrams.
    #[error("the peer does not accept datagrams")]
    Unsupported,
    /// The datagram is larger than the path or the peer permits.
    #[error("the datagram exceeds the current maximum of {max} bytes")]
    TooLarge {
        /// The largest payload now, in bytes.
        max: usize,
    },
    /// The send queue is full.
    #[error("the datagram queue is full")]
    Full,
}
