//! Connecting: name resolution, address families (RFC 8305, simplified), the connect timeout.
//!
//! Lowest first: [`sockets`] has the sockets of a client, [`means`] its other resources, and [`addresses`]
//! the order of the addresses. [`connector`] races the addresses, and [`session`] establishes sessions.

mod addresses;
mod connector;
mod means;
mod session;
mod sockets;

pub(crate) use connector::{Connector, first_of};
pub(crate) use means::{Means, Resolver};
pub(crate) use session::{Begun, connect, pool_key};
pub(crate) use sockets::{Door, MEMORY, Sockets, bind};
