//! What a connection issues and what the endpoint's table has to follow.

use std::net::SocketAddr;

use crate::{frame::ResetToken, ids::ConnectionId};

/// How many connection IDs each end stores of the other (`active_connection_id_limit`), and how many it issues.
pub(crate) const ACTIVE_LIMIT: u64 = 4;

/// A change of the endpoint's routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CidChange {
    /// Packets to this ID belong to the connection.
    Added(ConnectionId),
    /// They do not any more.
    Removed(ConnectionId),
    /// The peer will use this token, sent from the current remote address, if it loses its state.
    ResetTokenAdded(ResetToken),
    /// That token is not valid any more.
    ResetTokenRemoved(ResetToken),
    /// The peer's address is another one now: reset tokens count if they come from there.
    Moved(SocketAddr),
}
