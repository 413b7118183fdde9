//! Observers of connections, which hold what they see against a few rules.

use std::sync::Arc;

use wt_api::{
    Observer, ObserverFactory,
    protocol::{ConnectionStart, Timestamp, TraceEvent},
};

use crate::book::Book;

/// Observes every connection.
#[derive(Debug)]
pub(crate) struct Watchers(pub(crate) Arc<Book>);

struct Watcher {
    book: Arc<Book>,
    started: bool,
    sent: u64,
}

impl ObserverFactory for Watchers {
    fn observer(&self, _: &ConnectionStart) -> Option<Box<dyn Observer>> {
        Some(Box::new(Watcher { book: Arc::clone(&self.0), started: false, sent: 0 }))
    }
}

impl Observer for Watcher {
    fn on_event(&mut self, _: Timestamp, event: &TraceEvent<'_>) {
        match event {
            TraceEvent::Started(_) if std::mem::replace(&mut self.started, true) => {
                self.book.fail("a connection begins twice");
            }
            TraceEvent::PacketSent { datagram, .. } if *datagram != self.sent => {
                self.book.fail(format!("a packet is in datagram {datagram}, but {} were sent", self.sent));
            }
            TraceEvent::DatagramSent { .. } => self.sent += 1,
            event if !self.started => self.book.fail(format!("the first event is {event:?}")),
            _ => {}
        }
    }
}
