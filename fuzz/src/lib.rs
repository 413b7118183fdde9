//! Fuzz targets of everything that takes bytes from a peer.
//!
//! A target asserts invariants (what was parsed, emitted and parsed again is the same; pieces of any size give the
//! same result), not only that nothing panics. It returns whether the input was accepted, so that the makers of
//! seed corpora can tell that a seed reaches what it was made for. Which sizes of input and how many, others decide.
#![forbid(unsafe_code)]

pub mod corpus;
pub mod mutate;
pub mod targets;
