//! What connections of ours sent and received, packet by packet, for comparing runs.

use std::sync::{Arc, Mutex, PoisonError};

use quic_core::{Observer, TraceEvent, base::Timestamp};

/// One line of a log; `at` is nanoseconds on the endpoints' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logged {
    /// A packet of so many bytes was sent.
    Sent {
        /// When.
        at: u64,
        /// Bytes on the wire.
        size: usize,
    },
    /// A frame came.
    Frame {
        /// When.
        at: u64,
        /// Its type (RFC 9000 §12.4).
        kind: u64,
    },
}

/// A log that connections of one run write to. Contents differ between two runs of a seed, for TLS draws its keys; times, sizes and types do
/// not.
#[derive(Clone, Debug, Default)]
pub struct PacketLog(Arc<Mutex<Vec<Logged>>>);

impl PacketLog {
    /// All lines so far, in order.
    #[must_use]
    pub fn lines(&self) -> Vec<Logged> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for PacketLog {
    fn on_event(&mut self, now: Timestamp, event: &TraceEvent<'_>) {
        let at = now.as_nanos();
        let line = match event {
            TraceEvent::PacketSent { size, .. } => Logged::Sent { at, size: *size },
            TraceEvent::FrameReceived { frame, .. } => Logged::Frame { at, kind: frame.frame_type() },
            _ => return,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}
