//! The sockets from which a server connects.

use std::{net::SocketAddr, sync::Arc};

use quic_core::base::EndpointBudget;

use crate::{
    connect::{Door, Sockets},
    jobs::Inbox,
};

/// The drivers that reach an address family.
#[derive(Debug, Default)]
struct Reached {
    inboxes: Vec<Arc<Inbox>>,
    /// Whether their socket is bound to the wildcard address.
    from_all: bool,
}

/// The drivers that reach IPv4, and those that reach IPv6.
#[derive(Debug, Default)]
pub(super) struct Ways([Reached; 2]);

impl Ways {
    /// Adds an address on which the server listens, the families that its sockets reach, and their drivers.
    pub(super) fn add(&mut self, address: SocketAddr, families: [bool; 2], inboxes: &[Arc<Inbox>]) {
        let from_all = address.ip().is_unspecified();
        for (reached, _) in self.0.iter_mut().zip(families).filter(|(_, reaches)| *reaches) {
            if reached.inboxes.is_empty() || (from_all && !reached.from_all) {
                *reached = Reached { inboxes: inboxes.to_vec(), from_all };
            }
        }
    }

    /// The sockets for a client.
    pub(super) fn sockets(&self, budget: EndpointBudget) -> Arc<Sockets> {
        let door = |reached: &Reached| match reached.inboxes.is_empty() {
            true => Door::Shut,
            false => Door::Fixed(reached.inboxes.clone()),
        };
        Sockets::of_server(self.0.each_ref().map(door), budget)
    }
}
