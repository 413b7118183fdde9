//! Network paths: addresses, amplification credit, bytes in flight, round-trip time, congestion control,
//! pacing, ECN (RFC 9000 §8, §9, §13.4, §14; RFC 9002 §5, §7).
//!
//! A [`Path`] owns what is known of one way through the network; its [`Route`] owns what is known of the pair
//! of addresses; [`Paths`] owns all paths. This module never knows packets' contents, keys or streams.

mod ecn;
mod mtu;
mod paths;
mod route;
mod single;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_mtu;
#[cfg(test)]
mod tests_paths;
mod validation;

pub(crate) use ecn::AckedMarks;
pub(crate) use mtu::{SizeChange, SizeEvidence};
pub(crate) use paths::{Expired, Paths};
pub(crate) use route::Route;
pub(crate) use single::Path;
pub(crate) use validation::Proof;
