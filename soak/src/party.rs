//! What a host knows of the application behind a connection.

use std::sync::Arc;

use quic_core::{Connection, base::Timestamp, testing::HasConnection};

use crate::watch::Watch;

/// A connection and its application.
pub trait Party: HasConnection + Sized {
    /// What connections of a host have in common.
    type Role;

    /// The application of a connection that was made now.
    fn new(connection: Connection, now: Timestamp, role: &Self::Role) -> Self;

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
