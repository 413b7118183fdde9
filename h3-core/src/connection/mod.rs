//! One HTTP/3 connection, client or server (RFC 9114).
//!
//! [`Connection`] calls its parts in order: the control stream's reader, the QPACK encoder and decoder, the
//! streams whose kind is not known yet, and the requests. Protocol rules live in the parts. The caller passes
//! in QUIC's events and the time; the connection writes into the transport and queues its own events, which
//! the caller polls after each call. `state` holds the parts, `requests` handles request streams, and this
//! file dispatches events and timers.

mod api;
mod compression;
mod config;
mod control;
mod critical;
mod ends;
mod event;
mod implicit;
mod incoming;
mod limits;
mod peer;
mod queue;
mod reading;
mod remembered;
mod request;
mod requests;
mod send;
mod state;
#[cfg(test)]
mod tests;
mod unknown;
mod waiting;

use std::collections::VecDeque;

use bytes::BytesMut;
use quic_core::{Dir, Priority, StreamId, StreamMap, StreamTag, base::Timestamp};

pub use config::Config;
use critical::Critical;
pub use event::{Event, PrefaceKind, RequestState};
use implicit::ImplicitStreams;
pub use limits::IdleMeter;
use requests::is_half_open;
pub use state::Connection;
use state::HeldRequests;
use waiting::Waiting;

use crate::{
    error::{H3Error, H3Violation},
    settings::Settings,
    trace::{self, From},
    transport::Transport,
};

impl Connection {
    /// Opens the control stream and the QPACK streams, and sends SETTINGS. What the peer's credit does not
    /// permit now follows later. Call it once, as soon as the transport can open streams.
    pub fn start(&mut self, transport: &mut impl Transport) {
        for kind in Critical::ALL {
            let mut out = BytesMut::with_capacity(160);
            match kind {
                Critical::Control => {
                    control::put_preamble(&self.config.settings, self.config.grease, &mut out);
                }
                _ => out.extend_from_slice(&[kind.stream_type()]),
            }
            self.critical_out[kind as usize].out.push(out.freeze());
        }
        self.flush_critical(transport);
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The peer's settings, once they have arrived.
    #[must_use]
    pub fn peer_settings(&self) -> Option<&Settings> {
        self.peer_settings.as_ref()
    }

    /// The settings of this side.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.config.settings
    }

    /// Why HTTP/3 closed the connection, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<H3Error> {
        self.failed
    }

    /// The ID in the last GOAWAY that this side sent: it rejects the peer's requests or pushes from this ID
    /// on (RFC 9114 §5.2).
    #[must_use]
    pub fn goaway_sent(&self) -> Option<u64> {
        self.goaway_sent
    }

    /// Whether this side's critical streams are open (RFC 9114 §6.2.1, RFC 9204 §4.2). From then on HTTP/3
    /// opens only request streams.
    #[must_use]
    pub fn has_critical_streams(&self) -> bool {
        self.critical_out.iter().all(|critical| critical.id.is_some())
    }

    /// How many request streams are not over.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.requests.len()
    }

    /// The state of the client-initiated bidirectional stream `id` (server).
    #[must_use]
    pub fn request_state(&self, id: StreamId) -> RequestState {
        match self.requests.get(&id) {
            Some(request) if request.announced => RequestState::Open,
            Some(_) => RequestState::Expected,
            // RFC 9114 §5.2: a request on it would be rejected.
            None if self.goaway_sent.is_some_and(|limit| id.value() >= limit) => RequestState::Gone,
            None if self.may_come(id) => RequestState::Expected,
            None => RequestState::Gone,
        }
    }

    /// Whether the client-initiated bidirectional stream `id` has received something and is not over
    /// (server). Then its request has arrived or must arrive before a [deadline](Config::request_timeout).
    /// False for a stream that is [left unread](Self::hold_requests) now, since it may stay so as long as the
    /// peer reads no responses.
    #[must_use]
    pub fn has_begun(&self, id: StreamId) -> bool {
        let begun = self.requests.contains_key(&id) || self.incoming.contains_key(&id);
        begun && !self.held.streams.contains(&id)
    }

    /// Handles an event of the transport at the time `now`. Returns false if the event concerns a stream with
    /// another layer's tag, or is of a kind that HTTP/3 does not use.
    pub fn on_event(
        &mut self,
        event: &quic_core::Event,
        now: Timestamp,
        transport: &mut impl Transport,
    ) -> bool {
        use quic_core::Event as Quic;
        if self.failed.is_some() {
            return false;
        }
        self.now = now;
        let result = match *event {
            Quic::StreamOpened(id) => self.on_opened(id),
            Quic::StreamReadable(id, StreamTag(0)) => {
                let result = self.on_readable(id, transport);
                self.settle(id);
                result
            }
            Quic::StreamWritable(id, StreamTag(0)) => self.on_writable(id, transport),
            Quic::StreamStopped(id, StreamTag(0), code) => self.on_stopped(id, code),
            Quic::StreamsAvailable(Dir::Uni) => {
                self.flush_critical(transport);
                // The layer above may wait for streams of this kind as well.
                return false;
            }
            Quic::DatagramReadable => self.on_datagrams(transport),
            Quic::EarlyDataDecided { accepted: false } => {
                self.forget_settings();
                // The layer above may want to know.
                return false;
            }
            _ => return false,
        };
        if let Err(error) = result.and_then(|()| self.send_answers(transport)) {
            self.fail(error, transport);
        }
        true
    }

    /// Closes the connection because the peer broke a rule that the layer above checks, such as
    /// [`H3Violation::Flood`] or [`H3Violation::SettingValue`]. `Failed` follows.
    pub fn close_for(&mut self, violation: H3Violation, transport: &mut impl Transport) {
        self.fail(violation.into(), transport);
    }

    /// Closes the connection and drops its state, once.
    fn fail(&mut self, error: H3Error, transport: &mut impl Transport) {
        if self.failed.is_some() {
            return;
        }
        self.failed = Some(error);
        transport.close(error.code(), error.to_string().as_bytes());
        self.requests = StreamMap::default();
        self.incoming = StreamMap::default();
        self.implicit = ImplicitStreams::default();
        self.held = HeldRequests::default();
        self.waiting = Waiting::default();
        self.early_priorities = VecDeque::new();
        self.events.push_back(Event::Failed(error));
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due: a request may have taken too long.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.waiting.deadline()
    }

    /// Resets the streams whose heads were not complete in time ([`Config::request_timeout`]); events follow.
    pub fn handle_timeout(&mut self, now: Timestamp, transport: &mut impl Transport) {
        self.now = now;
        // The transport is asked at most once, because the answer looks at every stream.
        let mut withheld = None;
        while let Some((at, id)) = self.waiting.pop_due(now) {
            if !is_half_open(&self.incoming, &self.requests, self.peer_settings.is_some(), at, id) {
                continue;
            }
            // The peer is late only if it could send. The time starts anew if this side held the stream, or
            // if the application withholds all credit. A peer that used up the credit itself, with half-open
            // requests or unidentified streams, is late.
            if self.held.streams.contains(&id)
                || *withheld.get_or_insert_with(|| transport.withholds_credit())
            {
                self.wait_for_head(id);
            } else if let Err(error) = self.give_up(id, transport) {
                self.fail(error, transport);
            }
        }
        self.settle_answers(transport);
    }

    fn flush_critical(&mut self, transport: &mut impl Transport) {
        for (kind, critical) in Critical::ALL.into_iter().zip(&mut self.critical_out) {
            if critical.id.is_none() && !critical.out.is_empty() {
                critical.id = transport.open(Dir::Uni);
                if let Some(id) = critical.id {
                    // These streams go first: settings and table updates unblock the others.
                    transport.set_priority(id, Priority::new().urgency(0));
                    trace::stream_type(transport, From::Here, id, kind.name());
                    if kind == Critical::Control {
                        trace::settings(transport, From::Here, id, &self.config.settings);
                    }
                }
            }
            if let Some(id) = critical.id {
                // `on_stopped` handles a peer that stops these streams.
                let _ = critical.out.flush(id, transport);
            }
        }
    }
}
