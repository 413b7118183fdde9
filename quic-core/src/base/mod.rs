//! The lowest layer: integers on the wire, cursors over bytes, time, rates, ECN marks, entropy, budgets, and
//! where a datagram came from.
//!
//! Nothing here knows QUIC's state. Every other module of the crate may use it.

mod addresses;
pub(crate) mod algorithms;
mod budget;
mod clock;
mod cursor;
mod ecn;
mod entropy;
mod meta;
mod setters;
mod time;
pub mod varint;

pub(crate) use addresses::Place;
pub use addresses::{AddressLimits, Admission, AdmissionLimit};
pub(crate) use budget::HandshakeSlot;
pub use budget::{Budget, BudgetExceeded, EndpointBudget};
pub(crate) use clock::Clock;
pub use cursor::{Reader, UnexpectedEnd, Writer};
pub use ecn::Ecn;
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use meta::DatagramMeta;
pub(crate) use setters::setters;
pub use time::{Rate, Timestamp};
