//! A connection: a dozen components, and the scripts that call them in order.
//!
//! No protocol rule lives here: the component that owns a frame decides what it means. [`state`] lists the
//! components; parts that only the scripts need are in this folder as well. The scripts: [`ingress`] takes
//! datagrams apart, [`dispatch`] passes frames to their owners, [`ack`] returns receipts, [`progress`]
//! follows the handshake, [`versions`] its version, [`plan`] decides what the next datagram carries, [`egress`]
//! writes it, [`timeout`] handles timers, [`watch`] shows everything to an observer, [`close`] ends
//! connections, [`memory`] charges held data, and [`api`] has the calls of the
//! application.

mod ack;
mod api;
mod charges;
mod close;
mod dispatch;
mod early;
mod egress;
mod events;
mod farewell;
mod flood;
mod grease;
mod ingress;
mod limited;
mod membership;
mod memory;
mod migrate;
mod numbers;
mod outgoing;
mod packets;
mod parameters;
mod plan;
mod probe;
mod progress;
mod rebind;
mod seen;
mod setup;
mod spin;
mod start;
mod state;
mod timeout;
mod tls;
mod versions;
mod watch;
mod zero_rtt;

pub use egress::Transmit;
pub(crate) use setup::{CONNECTION_COST, ServerSetup};
pub use state::Connection;
