//! State that the ledgers of all spaces use and change.

use std::time::Duration;

use super::{noted::Noted, thresholds::Thresholds, types::Counters};
use crate::{
    base::Timestamp,
    congestion::{LostPacket as Told, RateSampler},
    ids::PathId,
};

/// State that all spaces share while a frame or timer is handled.
pub(super) struct Shared<'a> {
    pub(super) now: Timestamp,
    /// The path in use, and the bytes in flight on it.
    pub(super) path: PathId,
    pub(super) in_flight: &'a mut u64,
    /// Bytes that are no longer in flight on other paths.
    pub(super) elsewhere: &'a mut Vec<(PathId, u64)>,
    pub(super) sampler: &'a mut RateSampler,
    pub(super) counters: &'a mut Counters,
    pub(super) thresholds: &'a mut Thresholds,
    /// Whether the endpoint's memory runs short: then only losses that are free of charge are remembered.
    pub(super) scarce: bool,
    /// The longest round trip of the paths that are not in use.
    pub(super) elsewhere_rtt: Duration,
    /// The highest newly acknowledged number that was sent on the path in use.
    pub(super) newest_here: Option<u64>,
    /// The lost packets that the controller is told of.
    pub(super) lost: &'a mut Vec<Told>,
    /// The lost packets that the observer is told of.
    pub(super) noted: &'a mut Noted,
}

impl Shared<'_> {
    pub(super) fn land_elsewhere(&mut self, path: PathId, bytes: u64) {
        match self.elsewhere.last_mut() {
            Some((last, sum)) if *last == path => *sum += bytes,
            _ => self.elsewhere.push((path, bytes)),
        }
    }
}

/// The newest packet that an ACK frame newly acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest {
    pub(super) pn: u64,
    pub(super) time: Timestamp,
    pub(super) path: PathId,
}
