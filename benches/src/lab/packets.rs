//! A log of the packets that our connections sent and received, for comparing runs.

use std::sync::{Arc, Mutex, PoisonError};

use quic_core::{Observer, TraceEvent, base::Timestamp};

/// One line of a log; `at` is nanoseconds on the endpoints' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logged {
    /// A packet was sent.
    Sent {
        /// The time, in nanoseconds.
        at: u64,
        /// The size on the wire, in bytes.
        size: usize,
    },
    /// A frame was received.
    Frame {
        /// The time, in nanoseconds.
        at: u64,
        /// Its type (RFC 9000 §12.4).
        kind: u64,
    },
}

/// A log to which the connections of one run write. It has times, sizes and types, which are equal in two
/// runs of a seed; contents are not, because TLS draws its keys.
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
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            TraceEvent::PacketSent { size, .. } => lines.push(Logged::Sent { at, size: *size }),
            TraceEvent::PacketReceived { frames, .. } => {
                lines.extend(frames.iter().map(|frame| Logged::Frame { at, kind: frame.frame_type() }));
            }
            _ => {}
        }
    }
}
