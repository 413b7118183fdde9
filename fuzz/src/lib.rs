//! Fuzz targets for everything that parses bytes of a peer.
//!
//! A target not only checks that nothing panics, but asserts invariants: parsing, emitting and parsing again
//! gives the same value, and pieces of any size give the same result. It returns whether the input was
//! accepted, so that the generators of seed corpora can check that a seed reaches its purpose. The driver
//! decides the number and size of inputs.
#![forbid(unsafe_code)]

pub mod corpus;
pub mod mutate;
pub mod targets;
