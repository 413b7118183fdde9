//! The peer's streams whose kind is not known yet: their first bytes decide (RFC 9114 §6, WebTransport over
//! HTTP/3 §4.2, §4.3).
//!
//! For a WebTransport stream, HTTP/3 reads no byte beyond the preface.

use bytes::Bytes;
use quic_core::{Dir, Side, StreamId, error::call::Read};

use super::{
    critical::Critical,
    ends::{reset_code, slim},
    event::{Event, PrefaceKind},
    request::Request,
    state::Connection,
    unknown::Incoming,
};
use crate::{
    error::{H3Error, H3Violation, StreamViolation, code},
    frame::{FrameHead, kind},
    trace::{self, From},
    transport::Transport,
};

/// The type of WebTransport's unidirectional streams.
const WT_UNI: u64 = 0x54;
/// The type of push streams.
const PUSH: u64 = 0x01;
/// The length of the shortest WebTransport preface, in bytes: two of type, one of session ID. A stream with a
/// shorter type belongs to HTTP/3, which keeps the bytes read beyond it.
const FIRST_READ: usize = 3;

impl Connection {
    pub(super) fn read_preface(
        &mut self,
        id: StreamId,
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        let webtransport = self.config.settings.webtransport();
        loop {
            let Some(Incoming { reader, .. }) = self.incoming.get_mut(&id) else { return Ok(()) };
            let want = if reader.is_empty() { FIRST_READ } else { reader.missing().max(1) };
            let mut data = match transport.read(id, want) {
                Ok(Read::Data(data)) => data,
                Ok(Read::Blocked) => return Ok(()),
                Ok(Read::Finished) => return self.on_preface_fin(id, transport),
                Err(error) => return self.on_preface_reset(id, reset_code(error), transport),
            };
            if id.dir() == Dir::Uni {
                match reader.take_first(&mut data) {
                    None => continue,
                    Some(WT_UNI) if webtransport => {}
                    Some(stream_type) => return self.on_uni(id, stream_type, data, transport),
                }
            }
            if let Some(head) = reader.take(&mut data) {
                return self.on_preface(id, head, data, transport);
            }
        }
    }

    /// Two varints have arrived: a preface, or the first frame head of a request.
    fn on_preface(
        &mut self,
        id: StreamId,
        head: FrameHead,
        rest: Bytes,
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        let stopped = self.forget_incoming(id).and_then(|incoming| incoming.stopped);
        let kind = match id.dir() {
            Dir::Uni => PrefaceKind::Uni,
            Dir::Bidi if head.kind == kind::WT_STREAM && self.config.settings.webtransport() => {
                PrefaceKind::Bidi
            }
            Dir::Bidi => {
                self.on_first_frame(id, head, rest, transport)?;
                return stopped.map_or(Ok(()), |code| self.on_stopped(id, code));
            }
        };
        // WebTransport over HTTP/3 §4: a session is a client-initiated bidirectional stream.
        let session_id = StreamId::from_value(head.length)
            .filter(|session| session.initiator() == Side::Client && session.dir() == Dir::Bidi)
            .ok_or(H3Violation::SessionId)?;
        self.take_early_priority(id);
        self.events.push_back(Event::StreamPreface { stream: id, kind, session_id, stopped });
        Ok(())
    }

    fn on_first_frame(
        &mut self,
        id: StreamId,
        head: FrameHead,
        rest: Bytes,
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        if self.side.is_client() {
            return Err(H3Violation::ServerBidiStream.into());
        }
        trace::stream_type(transport, From::Peer, id, "request");
        let priority = self.take_early_priority(id);
        let mut request = Request::incoming(priority);
        // RFC 9114 §5.2: our GOAWAY said that this request is not processed.
        if self.goaway_sent.is_some_and(|limit| id.value() >= limit) {
            let _ = transport.reset(id, StreamViolation::RequestRejected.code(), 0);
            let _ = transport.stop_sending(id, StreamViolation::RequestRejected.code());
            self.decoder.cancel_stream(id.value());
            self.tell_no_request(id);
            return self.count_useless();
        }
        let (requests, mut shared) = self.split();
        let begun = request.begin(head, rest, &mut shared);
        requests.insert(id, request);
        match begun {
            Ok(()) => self.advance_request(id, transport),
            Err(fault) => self.after_progress(id, Err(fault), transport).map(|_| ()),
        }
    }

    fn on_uni(
        &mut self,
        id: StreamId,
        stream_type: u64,
        rest: Bytes,
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        self.forget_incoming(id);
        let critical = Critical::ALL.into_iter().find(|kind| u64::from(kind.stream_type()) == stream_type);
        let Some(kind) = critical else {
            if stream_type == PUSH {
                // RFC 9114 §6.2.2, §4.6: a client never pushes, and this client never permits a push.
                let server = self.side == Side::Server;
                let of_client =
                    if server { H3Violation::PushStreamOfClient } else { H3Violation::PushStreamUnwanted };
                return Err(of_client.into());
            }
            // RFC 9114 §6.2: an unknown type is never a connection error. `STOP_SENDING` returns the stream's
            // credit.
            let _ = transport.stop_sending(id, code::H3_STREAM_CREATION_ERROR);
            return Ok(());
        };
        let slot = &mut self.critical_in[kind as usize];
        if slot.is_some() {
            return Err(match kind {
                Critical::Control => H3Violation::ControlStreamTwice,
                _ => H3Violation::QpackStreamTwice,
            }
            .into());
        }
        *slot = Some(id);
        trace::stream_type(transport, From::Peer, id, kind.name());
        self.read_critical(id, kind, rest, transport)
    }

    /// The stream ended before its kind was known.
    fn on_preface_fin(&mut self, id: StreamId, transport: &mut impl Transport) -> Result<(), H3Error> {
        let Some(Incoming { reader, .. }) = self.forget_incoming(id) else { return Ok(()) };
        // RFC 9114 §6.2: a unidirectional stream that ends within its type is no error.
        if id.dir() == Dir::Uni {
            return Ok(());
        }
        self.take_early_priority(id);
        let preface = reader.first() == Some(kind::WT_STREAM) && self.config.settings.webtransport();
        // RFC 9114 §7.1: FIN inside a frame head.
        if !reader.is_empty() && !preface {
            return Err(H3Violation::FrameTruncated.into());
        }
        self.tell_no_request(id);
        let violation = StreamViolation::RequestIncomplete;
        let _ = transport.reset(id, violation.code(), 0);
        self.count_useless()
    }

    /// The stream was reset before its kind was known: removes it.
    fn on_preface_reset(
        &mut self,
        id: StreamId,
        code: Option<u64>,
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        self.forget_incoming(id);
        if id.dir() == Dir::Uni {
            return Ok(());
        }
        self.take_early_priority(id);
        self.decoder.cancel_stream(id.value());
        self.tell_no_request(id);
        let _ = transport.reset(id, code::H3_REQUEST_INCOMPLETE, 0);
        if code.is_some() { self.count_useless() } else { Ok(()) }
    }

    /// The stream's kind did not become known in time: removes the stream.
    pub(super) fn give_up_incoming(&mut self, id: StreamId, transport: &mut impl Transport) {
        self.forget_incoming(id);
        if id.dir() == Dir::Uni {
            // RFC 9114 §6.2: it is treated as one of an unknown type, which returns its credit.
            let _ = transport.stop_sending(id, code::H3_STREAM_CREATION_ERROR);
            return;
        }
        self.take_early_priority(id);
        self.decoder.cancel_stream(id.value());
        self.tell_no_request(id);
        let _ = transport.stop_sending(id, StreamViolation::RequestTimeout.code());
        let _ = transport.reset(id, StreamViolation::RequestTimeout.code(), 0);
    }

    /// Removes a stream whose kind is known, or that is over.
    fn forget_incoming(&mut self, id: StreamId) -> Option<Incoming> {
        let incoming = self.incoming.remove(&id);
        slim(&mut self.incoming);
        incoming
    }

    /// Emits [`Event::NoRequest`] if the stream could have carried a request.
    fn tell_no_request(&mut self, id: StreamId) {
        if id.dir() == Dir::Bidi && id.initiator() == Side::Client {
            self.events.push_back(Event::NoRequest { stream: id });
        }
    }
}
