//! Every public function of `wt-api`, called at random by many tasks at once.
//!
//! A run is a server and some clients on one network. Each end of each session has tasks that call whatever can be called
//! there, in any order, with futures that are awaited, polled a few times and dropped, raced against a timer, or moved to
//! another task half-way. Limits are small, servers shut down and start again, hosts lose power, links lose datagrams.
//!
//! What must hold: once both ends have left, every call settles, within a bound of time that follows from the time-outs in
//! force; what is read is what was written; a stream that was given up gives its credit back; datagrams come once, in the
//! right session, and only those that `send` said yes to; at last the heap is what it was before.
//!
//! On the virtual network ([`virtual_run`]) a seed repeats its run, but for the bytes of keys. On tokio ([`real_run`]) it
//! decides what is drawn, not in which order the threads come to it.
//!
//! For tests only: no product crate depends on it. The heap is watched only in programs that install
//! `heap_meter::HeapMeter`.
#![forbid(unsafe_code)]

mod actor;
mod ask;
mod book;
mod calls;
mod client;
mod constructors;
mod course;
mod datagrams;
mod end;
mod ledger;
mod openers;
mod pair;
mod place;
mod plan;
mod reader;
mod real;
mod server;
mod session;
mod simulated;
mod spin;
mod writer;

pub use book::{Calls, Failure};
pub use calls::{CALLS, NOT_CALLED};
pub use real::real_run;
pub use simulated::virtual_run;
