//! An observer of a connection.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use quic_core::{Observer, TraceEvent, base::Timestamp};

use crate::clock::time;

/// What the observer saw of a connection, as far as no statistic has it.
#[derive(Debug, Default)]
pub struct Watch {
    /// Whether a Handshake packet was authenticated, which validates the client's address at a server
    /// (RFC 9000 §8.1).
    pub(crate) handshake_packet: AtomicBool,
    /// When a packet was authenticated last, in nanoseconds of the endpoint's clock.
    pub(crate) heard: AtomicU64,
}

pub(crate) struct Watcher {
    pub(crate) watch: Arc<Watch>,
    /// The name under which events are printed, if they are.
    pub(crate) tell: Option<&'static str>,
}

/// Whether new connections print their events.
pub(crate) static TELL: AtomicBool = AtomicBool::new(false);

/// From now on new connections print all their events, for reading a failed run.
pub fn tell_everything() {
    TELL.store(true, Ordering::Relaxed);
}

impl Observer for Watcher {
    fn on_event(&mut self, now: Timestamp, event: &TraceEvent<'_>) {
        if let Some(who) = self.tell {
            println!("{:>12} us {who}: {event:?}", (now - time(0)).as_micros());
        }
        if let TraceEvent::PacketReceived { level, .. } = event {
            self.watch.heard.store(now.as_nanos(), Ordering::Relaxed);
            if *level == quic_core::Level::Handshake {
                self.watch.handshake_packet.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl Watch {
    pub(crate) fn saw_handshake_packet(&self) -> bool {
        self.handshake_packet.load(Ordering::Relaxed)
    }
}
