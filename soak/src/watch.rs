//! What an observer sees of a connection.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use quic_core::{Observer, TraceEvent, base::Timestamp};

use crate::clock::time;

/// What an observer saw of a connection that no statistic tells.
#[derive(Debug, Default)]
pub struct Watch {
    /// Whether a Handshake packet was authenticated: at a server, the client's address is proved (RFC 9000 §8.1).
    pub(crate) handshake_packet: AtomicBool,
    /// When a packet was authenticated last, in nanoseconds of the endpoint's clock.
    pub(crate) heard: AtomicU64,
}

pub(crate) struct Watcher {
    pub(crate) watch: Arc<Watch>,
    /// Who prints what happens, if it is to be told.
    pub(crate) tell: Option<&'static str>,
}

/// Whether new connections print what happens to them.
pub(crate) static TELL: AtomicBool = AtomicBool::new(false);

/// From now on new connections print all that happens to them, for reading a run that failed.
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
