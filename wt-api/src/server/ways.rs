//! From which of its sockets a server connects.

use std::{net::SocketAddr, sync::Arc};

use quic_core::base::EndpointBudget;

use crate::{
    connect::{Door, Sockets},
    jobs::Inbox,
};

/// The drivers that reach a family.
#[derive(Debug, Default)]
struct Reached {
    inboxes: Vec<Arc<Inbox>>,
    /// By a socket of all interfaces.
    from_all: bool,
}

/// The drivers that reach IPv4, and IPv6.
#[derive(Debug, Default)]
pub(super) struct Ways([Reached; 2]);

impl Ways {
    /// An address that is listened on, the families that its sockets reach, and their drivers.
    pub(super) fn add(&mut self, address: SocketAddr, families: [bool; 2], inboxes: &[Arc<Inbox>]) {
        let from_all = address.ip().is_unspecified();
        for (reached, _) in self.0.iter_mut().zip(families).filter(|(_, reaches)| *reaches) {
            if reached.inboxes.is_empty() || (from_all && !reached.from_all) {
                *reached = Reached { inboxes: inboxes.to_vec(), from_all };
            }
        }
    }

    /// The same for a client.
    pub(super) fn sockets(&self, budget: EndpointBudget) -> Arc<Sockets> {
        let door = |reached: &Reached| match reached.inboxes.is_empty() {
            true => Door::Shut,
            false => Door::Fixed(reached.inboxes.clone()),
        };
        Sockets::of_server(self.0.each_ref().map(door), budget)
    }
}
