//! What a host knows of the application behind a connection.

use std::sync::Arc;

use quic_core::{Connection, base::Timestamp};

use crate::peer::Watch;

/// A connection and its application.
pub trait Party: Sized {
    /// What connections of a host have in common.
    type Role;

    /// The application of a connection that was made now.
    fn new(connection: Connection, now: Timestamp, role: &Self::Role) -> Self;

    /// The connection.
    fn connection(&self) -> &Connection;

    /// The connection.
    fn connection_mut(&mut self) -> &mut Connection;

    /// What the application does after each of the connection's calls, and at its deadline.
    fn work(&mut self, now: Timestamp);

    /// When the application wants to work although nothing came.
    fn deadline(&self) -> Option<Timestamp> {
        None
    }

    /// Who watches the connection, if anybody does.
    #[doc(hidden)]
    fn watch(&self) -> Option<Arc<Watch>> {
        None
    }
}
