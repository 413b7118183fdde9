//! The interface between a host and the application of a connection.

use std::sync::Arc;

use quic_core::{Connection, base::Timestamp, testing::HasConnection};

use crate::watch::Watch;

/// A connection and its application.
pub trait Party: HasConnection + Sized {
    /// What the connections of a host share.
    type Role;

    /// The application of a new connection.
    fn new(connection: Connection, now: Timestamp, role: &Self::Role) -> Self;

    /// Runs the application; called after each call of the connection, and at its deadline.
    fn work(&mut self, now: Timestamp);

    /// When the application wants to run although nothing arrived.
    fn deadline(&self) -> Option<Timestamp> {
        None
    }

    /// The observer of the connection, if there is one.
    #[doc(hidden)]
    fn watch(&self) -> Option<Arc<Watch>> {
        None
    }
}
