//! Tracing: an observer sees what happens inside a connection. Without an observer it costs nothing.
//!
//! Owns the place of the observer and the values that it is shown. It never knows files or formats: qlog is one
//! observer among others.

mod event;
mod packet;
mod start;

use std::fmt;

pub use event::{
    ConnectionState, FieldValue, KeyUpdate, LayerEvent, LossTrigger, MigrationState, PathMetrics,
    RecoveryTimer, StreamChange, TimerChange, TraceEvent,
};
pub use packet::{PacketFrames, TracedHeader};
pub use start::ConnectionStart;

use crate::base::Timestamp;

/// Observes a connection. qlog and `tracing` are observers.
pub trait Observer: Send {
    /// Called for each event, in order, from inside the connection's calls. It should not block: nothing is sent and
    /// nothing received meanwhile. `now` is the connection's own time. It may be earlier than that of the event
    /// before: a packet that waited for its keys has the time when it arrived.
    fn on_event(&mut self, now: Timestamp, event: &TraceEvent<'_>);
}

/// Makes observers, one for each connection ([`TransportConfig::observers`](crate::TransportConfig::observers)). A
/// panic in it, or in an observer, leaves the connection unusable, as a panic in a congestion controller does.
pub trait ObserverFactory: Send + Sync + fmt::Debug {
    /// The observer of a connection that begins; `None` if nobody wants to see it.
    fn observer(&self, start: &ConnectionStart) -> Option<Box<dyn Observer>>;
}

/// A place for observers. Events are built only when there is one.
#[derive(Default)]
pub(crate) struct Trace(Vec<Box<dyn Observer>>);

impl Trace {
    pub(crate) fn add(&mut self, observer: Box<dyn Observer>) {
        self.0.push(observer);
    }

    /// Whether anybody sees the events.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        !self.0.is_empty()
    }

    #[inline]
    pub(crate) fn emit<'a>(&mut self, now: Timestamp, event: impl FnOnce() -> TraceEvent<'a>) {
        if self.is_on() {
            self.show(now, event);
        }
    }

    /// Apart, so that scripts stay small where nobody watches.
    #[cold]
    #[inline(never)]
    fn show<'a>(&mut self, now: Timestamp, event: impl FnOnce() -> TraceEvent<'a>) {
        let event = event();
        self.0.iter_mut().for_each(|observer| observer.on_event(now, &event));
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.0.len()).finish()
    }
}
