//! Where records go.

use std::time::Duration;

use crate::{json::Fields, record::record};

/// The records of what happened at one time.
pub(super) struct Log<'a> {
    out: &'a mut Vec<u8>,
    time: Duration,
    written: u64,
}

impl<'a> Log<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, time: Duration) -> Self {
        Self { out, time, written: 0 }
    }

    pub(super) fn event(&mut self, name: &str, data: impl FnOnce(&mut Fields<'_>)) {
        record(self.out, self.time, name, data);
        self.written += 1;
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }
}
