//! The same scenarios on real endpoints of the kernel's network: a user-space link between two TUN devices in two network
//! namespaces.
//!
//! Lowest first: `kernel` is what the system is asked for, `place` makes a namespace with its device, `emulator` passes packets
//! between two devices through netsim's links, `flows` are our endpoints over UDP and the kernel's TCP, and [`run`] does it.
//! The namespaces have no name: they are gone with the process, however it ends.

mod clock;
mod emulator;
mod flows;
mod kernel;
mod place;
mod rig;

pub use rig::{RealError, Rival, check, run};
