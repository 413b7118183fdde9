//! A connection: a dozen components, and the scripts that call them in order.
//!
//! No protocol rule lives here; what a frame means is its owner's business. [`state`] has the components; those that only scripts need stand here as well. The scripts: [`ingress`]
//! takes datagrams apart, [`dispatch`] hands frames to their owners, [`ack`] routes receipts home, [`progress`] follows the
//! handshake, [`plan`] decides what the next datagram holds, [`egress`] writes it, [`timeout`] looks at the clocks, [`close`] ends
//! things, [`memory`] charges what is held, [`api`] is what the application calls.

mod ack;
mod api;
mod charges;
mod close;
mod dispatch;
mod early;
mod egress;
mod farewell;
mod flood;
mod grease;
mod ingress;
mod membership;
mod memory;
mod migrate;
mod numbers;
mod outgoing;
mod packets;
mod plan;
mod probe;
mod progress;
mod rebind;
mod setup;
mod state;
mod timeout;

pub use egress::Transmit;
pub(crate) use setup::{CONNECTION_COST, ServerSetup};
pub use state::Connection;
