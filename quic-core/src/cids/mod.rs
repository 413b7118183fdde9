//! Connection IDs: those issued to the peer and those the peer issued (RFC 9000 §5.1, §19.15, §19.16).
//!
//! Two halves that share nothing: [`LocalCids`] names this end, [`RemoteCids`] the other. Neither knows paths nor
//! the endpoint; new IDs come from a [`CidFactory`] and changes for the endpoint's table go out as [`CidChange`].

mod factory;
mod local;
mod remote;
#[cfg(test)]
mod tests;

pub(crate) use local::LocalCids;
pub(crate) use remote::RemoteCids;

pub use factory::CidFactory;

use crate::{frame::ResetToken, ids::ConnectionId};

/// How many connection IDs each end stores of the other (`active_connection_id_limit`), and how many it issues.
pub(crate) const ACTIVE_LIMIT: u64 = 4;

/// A change of the endpoint's routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidChange {
    /// Packets to this ID belong to the connection.
    Added(ConnectionId),
    /// They do not any more.
    Removed(ConnectionId),
    /// The peer will use this token, sent from the current remote address, if it loses its state.
    ResetTokenAdded(ResetToken),
    /// That token is not valid any more.
    ResetTokenRemoved(ResetToken),
}
