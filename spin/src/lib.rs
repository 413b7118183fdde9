//! Calls every public function of `wt-api` at random from many concurrent tasks.
//!
//! A run has a server and some clients on one network. At each end of each session, tasks call whatever can
//! be called there in any order. They await a future, poll it a few times and drop it, race it against a
//! timer, or move it to another task half-way. Limits are small, servers restart, hosts lose power, and links
//! lose datagrams.
//!
//! The invariants: once both ends have left, every call settles within a time that follows from the timeouts
//! in force. Readers get what was written. An abandoned stream returns its credit. Datagrams arrive once, in
//! the right session, and only if `send` accepted them. At the end the heap is what it was before.
//!
//! On the virtual network ([`virtual_run`]) a seed repeats its run, except for the bytes of keys. On tokio
//! ([`real_run`]) it decides the random choices, but not the order of threads.
//!
//! The crate is for tests only: no product crate depends on it. The heap is measured only in programs that
//! install `heap_meter::HeapMeter`.
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
mod pages;
mod pair;
mod place;
mod plan;
mod reader;
mod real;
mod server;
mod session;
mod simulated;
mod spin;
mod watcher;
mod writer;

pub use book::{Calls, Failure};
pub use calls::{CALLS, NOT_CALLED};
pub use real::real_run;
pub use simulated::virtual_run;
