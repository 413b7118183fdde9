//! The counts of the endpoint that include a client's connection: pending handshakes, and connections of its
//! address.

use crate::base::{HandshakeSlot, Place};

/// What the connection returns to the endpoint as it goes on; the rest is returned when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Membership {
    handshake: Option<HandshakeSlot>,
    place: Option<Place>,
}

impl Membership {
    /// For a connection that a client requested: its handshake counts until it is complete.
    pub(super) fn of_handshake(slot: HandshakeSlot) -> Self {
        Self { handshake: Some(slot), place: None }
    }

    /// Gives the connection a place among those of its client's address.
    pub(super) fn set_place(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// The handshake is complete.
    pub(super) fn on_complete(&mut self) {
        self.handshake = None;
        self.place.iter_mut().for_each(Place::on_complete);
    }

    /// The connection has ended, perhaps before its handshake was complete.
    pub(super) fn on_end(&mut self) {
        self.handshake = None;
    }
}
