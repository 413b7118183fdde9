//! Deterministic simulated networks on virtual time.
//!
//! Links that delay, drop, mark, reorder, duplicate and damage datagrams connect endpoints that do no I/O and
//! read no clock. Time is a number of nanoseconds that jumps from event to event. One seed decides
//! everything: the same program with the same seed gives exactly the same events.
//!
//! ```
//! use netsim::{Datagram, Endpoint, LinkConfig, MILLISECOND, Simulation};
//! use std::net::SocketAddr;
//!
//! /// Answers every datagram of more than one byte with all but its first byte.
//! struct Echo(Vec<Datagram>);
//! impl Endpoint for Echo {
//!     fn handle_datagram(&mut self, _now: u64, from: SocketAddr, to: SocketAddr, ecn: u8, data: &[u8]) {
//!         if data.len() > 1 {
//!             self.0.push(Datagram { from: to, to: from, ecn, payload: data[1..].to_vec() });
//!         }
//!     }
//!     fn handle_timeout(&mut self, _now: u64) {}
//!     fn poll_transmit(&mut self, _now: u64) -> Option<Datagram> { self.0.pop() }
//!     fn poll_timeout(&self) -> Option<u64> { None }
//! }
//!
//! let (a, b) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
//! let mut sim = Simulation::new(7);
//! let left = sim.add_node(Echo(Vec::new()), a);
//! let right = sim.add_node(Echo(Vec::new()), b);
//! sim.connect(left, right, &LinkConfig::new().delay(10 * MILLISECOND));
//! sim.endpoint_mut(left).0.push(Datagram { from: a, to: b, ecn: 0, payload: vec![0; 5] });
//! sim.run_until(|_| false, 1_000 * MILLISECOND);
//! assert_eq!(sim.delivered(), 5);
//! assert_eq!(sim.now(), 50 * MILLISECOND, "nothing happened after the last datagram");
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]

/// The code of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod config;
mod endpoint;
mod histogram;
mod lane;
mod link;
mod log;
mod media;
mod queue;
mod random;
mod seeds;
mod simulation;
mod stats;
pub mod tcp;
#[cfg(test)]
mod tests;
mod trace;
mod units;

pub use config::{Discipline, Ecn, LinkConfig, Loss, Policer, Reorder};
pub use endpoint::{Datagram, Endpoint};
pub use histogram::Histogram;
pub use lane::Lane;
pub use link::{Arrival, Departure, Link};
pub use log::{DropCause, Entry, Happened};
pub use media::{MediaConfig, MediaReceiver, MediaSender};
pub use random::Random;
pub use seeds::{SEED_VARIABLE, for_seeds, with_seed};
pub use simulation::{LinkId, NodeId, Outcome, Simulation};
pub use stats::LinkStats;
pub use trace::{Trace, TraceError};
pub use units::{MICROSECOND, MILLISECOND, SECOND};
