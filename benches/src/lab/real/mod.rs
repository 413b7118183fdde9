//! The same scenarios over the kernel's network: a user-space link between two TUN devices in two network
//! namespaces.
//!
//! Lowest first: `kernel` has system calls, `place` makes a namespace with its device, `emulator` passes
//! packets between two devices through netsim's links, `flows` runs our endpoints over UDP and the kernel's
//! TCP, and [`run`] runs a scenario. The namespaces have no name, so they end with the process, however it
//! ends.

mod clock;
mod emulator;
mod flows;
mod kernel;
mod place;
mod rig;

pub use rig::{RealError, Rival, check, run};
