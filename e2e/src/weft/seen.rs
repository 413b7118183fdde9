//! What the server sees.

use wt_api::CloseInfo;

/// What the server saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A session was accepted: its origin and dialect.
    Session(Option<String>, &'static str),
    /// A session ended, by a close or in another way.
    Closed(Result<CloseInfo, String>),
    /// The peer reset a stream, with the code if it has one.
    Reset(Option<u32>),
    /// The peer asked to stop sending, with the code if it has one.
    Stopped(Option<u32>),
}
