//! The connection IDs that a connection issues, and the changes that the endpoint's table has to follow.

use std::net::SocketAddr;

use crate::{frame::ResetToken, ids::ConnectionId};

/// How many connection IDs each end stores of the other (`active_connection_id_limit`), and how many each end
/// issues.
pub(crate) const ACTIVE_LIMIT: u64 = 4;

/// A change of the endpoint's routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CidChange {
    /// Packets to this ID now belong to the connection.
    Added(ConnectionId),
    /// Packets to this ID no longer belong to the connection.
    Removed(ConnectionId),
    /// If the peer loses its state, it will send this token from the current remote address.
    ResetTokenAdded(ResetToken),
    /// This token is no longer valid.
    ResetTokenRemoved(ResetToken),
    /// The peer's address has changed: reset tokens now count if they come from this address.
    Moved(SocketAddr),
}
