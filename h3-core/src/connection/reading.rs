//! What reading a request stream uses and what comes of it.

use bytes::Bytes;
use qpack::Decoder;
use quic_core::{
    Side,
    base::{Budget, Timestamp},
};

use super::{limits::IdleMeter, queue::Events};
use crate::error::{H3Error, H3Violation, StreamViolation};

/// The parts of the connection that a request stream uses.
pub(super) struct Shared<'a> {
    pub(super) side: Side,
    /// This side offered extended CONNECT.
    pub(super) extended: bool,
    pub(super) webtransport: bool,
    /// The advertised limit of field sections, in bytes.
    pub(super) max_section: u64,
    pub(super) decoder: &'a mut Decoder,
    pub(super) budget: &'a mut Budget,
    pub(super) idle: &'a mut IdleMeter,
    pub(super) now: Timestamp,
    pub(super) events: &'a mut Events,
}

/// An error that ends the connection or the stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Connection(H3Error),
    Stream(StreamViolation),
}

impl From<H3Violation> for Fault {
    fn from(violation: H3Violation) -> Self {
        Self::Connection(violation.into())
    }
}

impl From<H3Error> for Fault {
    fn from(error: H3Error) -> Self {
        Self::Connection(error)
    }
}

impl From<StreamViolation> for Fault {
    fn from(violation: StreamViolation) -> Self {
        Self::Stream(violation)
    }
}

/// The state of reading a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Content is next.
    Data,
    /// More bytes are needed.
    Blocked,
    /// The message ended and is valid.
    Finished,
    /// The peer reset the stream.
    Reset(u64),
    /// The stream ended before this call.
    Closed,
}

/// The result of reading content.
#[derive(Debug)]
pub(super) enum ContentRead {
    Data(Bytes),
    Blocked,
    Reset(u64),
    Closed,
}
