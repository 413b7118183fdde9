//! Whole endpoints on simulated networks.
//!
//! The crate owns the only adapter from quic-core's endpoints to netsim ([`Host`], [`Peer`], [`World`]), the
//! meaning of a seed ([`Scenario`]), the runs ([`transfer()`], [`handshake()`], [`losing`]) and their
//! invariants ([`Failure`]). It is for tests only: no product crate depends on it. The heap is measured only
//! in programs that install `heap_meter::HeapMeter`.
#![forbid(unsafe_code)]

/// The tests of this crate measure the heap, as its programs do.
#[cfg(test)]
#[global_allocator]
static HEAP: heap_meter::HeapMeter = heap_meter::HeapMeter;

mod clock;
mod failure;
mod handshake;
mod host;
mod party;
mod peer;
mod run;
mod scenario;
mod sweep;
mod transfer;
mod watch;
mod world;

pub use clock::time;
pub use failure::{Ends, Failure, Kind, is_closed_by_client, is_silent_end, is_token_refused};
pub use handshake::{HANDSHAKE_LIMIT, HANDSHAKE_LOSS, Pattern, handshake, losing, patterns};
pub use host::{Host, Policy, Traffic};
pub use party::Party;
pub use peer::Peer;
pub use run::{Ending, Report};
pub use scenario::{BULK, Change, DATAGRAMS, SMALL_STREAMS, Scenario, Workload};
pub use sweep::{Summary, run, sweep};
pub use transfer::{play, transfer};
pub use watch::tell_everything;
pub use world::{ALPN, Setup, World, content, lan, pattern};
