//! Tracing: an observer sees what happens inside a connection. Without an observer it costs nothing.

use std::fmt;

use crate::{
    base::Timestamp,
    error::{ConnectionError, DropReason},
    frame::Frame,
    ids::Level,
};

/// An event that happened, with borrowed data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TraceEvent<'a> {
    /// A packet was sealed.
    PacketSent {
        /// The packet's level, which determines its packet number space ([`Level::space`]).
        level: Level,
        /// Its packet number.
        number: u64,
        /// Its size on the wire in bytes.
        size: usize,
        /// Whether the peer must acknowledge it.
        ack_eliciting: bool,
    },
    /// A packet was authenticated.
    PacketReceived {
        /// The packet's level, which determines its packet number space ([`Level::space`]).
        level: Level,
        /// Its packet number.
        number: u64,
        /// Its size on the wire in bytes.
        size: usize,
    },
    /// A frame of a received packet is about to be processed.
    FrameReceived {
        /// The packet's number.
        number: u64,
        /// The frame.
        frame: &'a Frame<'a>,
    },
    /// A packet, or the rest of a datagram, was ignored.
    PacketDropped {
        /// The reason.
        reason: DropReason,
        /// The size in bytes.
        size: usize,
    },
    /// Packets were declared lost.
    PacketsLost {
        /// The number of packets.
        count: u64,
        /// Their size in bytes.
        bytes: u64,
    },
    /// Congestion state after an event.
    Metrics {
        /// Congestion window in bytes.
        window: u64,
        /// Bytes in flight.
        in_flight: u64,
        /// Smoothed round-trip time.
        smoothed_rtt: std::time::Duration,
    },
    /// The keys of 1-RTT packets were updated.
    KeyUpdated {
        /// The new key phase bit.
        phase: bool,
    },
    /// The connection ended.
    Closed(&'a ConnectionError),
}

/// Observes a connection. qlog and `tracing` are observers.
pub trait Observer: Send {
    /// Called for each event, in order, from inside the connection's calls.
    fn on_event(&mut self, now: Timestamp, event: &TraceEvent<'_>);
}

/// A place for an observer. Events are built only when there is one.
#[derive(Default)]
pub(crate) struct Trace(Option<Box<dyn Observer>>);

impl Trace {
    pub(crate) fn set(&mut self, observer: Box<dyn Observer>) {
        self.0 = Some(observer);
    }

    #[inline]
    pub(crate) fn emit<'a>(&mut self, now: Timestamp, event: impl FnOnce() -> TraceEvent<'a>) {
        if let Some(observer) = &mut self.0 {
            observer.on_event(now, &event());
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.0.is_some()).finish()
    }
}
