//! Where the endpoint counts a client's connection: among the handshakes under way, and among those of its address.

use crate::base::{HandshakeSlot, Place};

/// What is given back to the endpoint as the connection goes on, and the rest when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Membership {
    handshake: Option<HandshakeSlot>,
    place: Option<Place>,
}

impl Membership {
    /// Of a connection that a client asked for: its handshake counts until it is complete.
    pub(super) fn of_handshake(slot: HandshakeSlot) -> Self {
        Self { handshake: Some(slot), place: None }
    }

    /// The connection has a place among those of its client's address.
    pub(super) fn set_place(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// The handshake is complete.
    pub(super) fn on_complete(&mut self) {
        self.handshake = None;
        self.place.iter_mut().for_each(Place::on_complete);
    }

    /// The connection ended, perhaps before its handshake did.
    pub(super) fn on_end(&mut self) {
        self.handshake = None;
    }
}
