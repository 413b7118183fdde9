//! Handles the streams of requests: opening, reading, writing, stop, reset, timeout, and removal.

use bytes::Bytes;
use quic_core::{Dir, StreamId, StreamMap, base::Timestamp, error::call::WriteError};

use super::{
    config::DEFAULT_MAX_FIELD_SECTION_SIZE,
    critical::Critical,
    ends::slim,
    event::Event,
    reading::{Fault, Progress, Shared},
    request::Request,
    send::Stage,
    state::Connection,
    unknown::Incoming,
};
use crate::{
    error::{H3Error, H3Violation, StreamViolation, code},
    transport::Transport,
};

impl Connection {
    /// Starts the stream's deadline: until then its kind must be known and a request's head complete.
    pub(super) fn wait_for_head(&mut self, id: StreamId) {
        let timeout = self.config.request_timeout.filter(|timeout| !timeout.is_zero());
        let Some(timeout) = timeout.filter(|_| !self.side.is_client()) else { return };
        let until = self.now + timeout;
        if let Some(request) = self.requests.get_mut(&id) {
            request.until = until;
        }
        let Self { waiting, incoming, requests, peer_settings, .. } = self;
        let settings = peer_settings.is_some();
        waiting.add(until, id, |at, id| is_half_open(incoming, requests, settings, at, id));
    }

    /// Drops the newest deadline if it is this stream's and no longer needed, as is usual after a read.
    pub(super) fn settle(&mut self, id: StreamId) {
        if self.waiting.is_last(id)
            && !is_half_open(
                &self.incoming,
                &self.requests,
                self.peer_settings.is_some(),
                Timestamp::from_nanos(u64::MAX),
                id,
            )
        {
            self.waiting.remove_last();
        }
    }

    /// Ends a stream whose deadline has passed.
    pub(super) fn give_up(&mut self, id: StreamId, transport: &mut impl Transport) -> Result<(), H3Error> {
        if let Some(request) = self.requests.get_mut(&id) {
            // The streams of a burst time out together; that does not count as abandoned requests.
            request.counted = true;
            return self.stream_error(id, StreamViolation::RequestTimeout, transport);
        }
        self.give_up_incoming(id, transport);
        Ok(())
    }

    /// Borrows the requests and, separately, the parts that a request uses.
    pub(super) fn split(&mut self) -> (&mut StreamMap<Request>, Shared<'_>) {
        let settings = &self.config.settings;
        let shared = Shared {
            side: self.side,
            extended: settings.enable_connect_protocol || settings.webtransport(),
            webtransport: settings.webtransport(),
            max_section: settings.max_field_section_size.unwrap_or(DEFAULT_MAX_FIELD_SECTION_SIZE),
            decoder: &mut self.decoder,
            budget: &mut self.budget,
            idle: &mut self.idle,
            now: self.now,
            events: &mut self.events,
        };
        (&mut self.requests, shared)
    }

    /// Whether a request may still arrive on a client-initiated stream (server).
    pub(super) fn may_come(&self, id: StreamId) -> bool {
        id.index() >= self.opened || self.implicit.contains(id.index()) || self.incoming.contains_key(&id)
    }

    pub(super) fn on_opened(&mut self, id: StreamId) -> Result<(), H3Error> {
        if id.initiator() == self.side {
            return Ok(());
        }
        if id.dir() == Dir::Bidi {
            // RFC 9114 §6.1: only an extension permits server-initiated bidirectional streams.
            if self.side.is_client() && !self.config.settings.webtransport() {
                return Err(H3Violation::ServerBidiStream.into());
            }
            if !self.side.is_client() {
                self.implicit.remove(id.index());
                self.implicit.add(self.opened, id.index());
                self.opened = self.opened.max(id.index() + 1);
            }
        }
        self.incoming.insert(id, Incoming::default());
        self.wait_for_head(id);
        Ok(())
    }

    pub(super) fn on_readable(
        &mut self,
        id: StreamId,
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        if self.requests.contains_key(&id) {
            return self.advance_request(id, transport);
        }
        if let Some(kind) =
            Critical::ALL.into_iter().find(|kind| self.critical_in[*kind as usize] == Some(id))
        {
            return self.read_critical(id, kind, Bytes::new(), transport);
        }
        self.read_preface(id, transport)
    }

    pub(super) fn on_writable(
        &mut self,
        id: StreamId,
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        if let Some(request) = self.requests.get_mut(&id) {
            // The event of the stop is still to come and needs the request.
            if let Err(WriteError::Stopped(_)) = request.send.flush(id, transport) {
                return Ok(());
            }
            if request.send.is_empty() && request.send.waiting && request.send.stage != Stage::Closed {
                request.send.waiting = false;
                self.events.push_back(Event::Writable { stream: id });
            }
            self.retire(id);
        } else if self.critical_out.iter().any(|critical| critical.id == Some(id)) {
            self.flush_critical(transport);
        }
        Ok(())
    }

    pub(super) fn on_stopped(&mut self, id: StreamId, code: u64) -> Result<(), H3Error> {
        // RFC 9114 §6.2.1, RFC 9204 §4.2: our critical streams must stay open too.
        if self.critical_out.iter().any(|critical| critical.id == Some(id)) {
            return Err(H3Violation::CriticalStreamClosed.into());
        }
        if let Some(incoming) = self.incoming.get_mut(&id) {
            // Reported once the stream's kind is known.
            incoming.stopped = Some(code);
            return Ok(());
        }
        let Some(request) = self.requests.get_mut(&id) else { return Ok(()) };
        let useless = request.send.stage != Stage::Closed && !request.counted;
        request.counted |= useless;
        request.send.close();
        if request.announced {
            self.events.push_back(Event::Stopped { stream: id, code });
        } else {
            request.stopped = Some(code);
        }
        if useless {
            self.count_useless()?;
        }
        self.retire(id);
        Ok(())
    }

    /// Reads a request stream until its content, its end, or until more bytes are needed.
    pub(super) fn advance_request(
        &mut self,
        id: StreamId,
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        let holding = self.held.holding;
        let (requests, mut shared) = self.split();
        let Some(request) = requests.get_mut(&id) else { return Ok(()) };
        if holding && !request.announced {
            self.held.streams.insert(id);
            return Ok(());
        }
        let progress = request.advance(id, &mut shared, transport);
        self.after_progress(id, progress, transport).map(|_| ())
    }

    /// Acts on the result of reading. Returns the violation if the stream failed.
    pub(super) fn after_progress(
        &mut self,
        id: StreamId,
        progress: Result<Progress, Fault>,
        transport: &mut impl Transport,
    ) -> Result<Option<StreamViolation>, H3Error> {
        match progress {
            Ok(Progress::Data) => self.events.push_back(Event::Data { stream: id }),
            Ok(Progress::Blocked) => {}
            Ok(Progress::Finished) => {
                self.events.push_back(Event::Finished { stream: id });
                self.retire(id);
            }
            Ok(Progress::Closed) => self.retire(id),
            Ok(Progress::Reset(code)) => self.on_reset(id, code, transport)?,
            Err(Fault::Stream(violation)) => {
                self.stream_error(id, violation, transport)?;
                return Ok(Some(violation));
            }
            Err(Fault::Connection(error)) => return Err(error),
        }
        Ok(None)
    }

    /// The peer reset its side of a request stream.
    pub(super) fn on_reset(
        &mut self,
        id: StreamId,
        code: u64,
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        let Some(request) = self.requests.get_mut(&id) else { return Ok(()) };
        self.decoder.cancel_stream(id.value());
        let useless = request.send.stage != Stage::Closed && !request.counted;
        request.counted |= useless;
        if request.announced {
            self.events.push_back(Event::Reset { stream: id, code });
        } else {
            self.events.push_back(Event::NoRequest { stream: id });
            // RFC 9114 §4.1: an incomplete request gets no response.
            let _ = transport.reset(id, code::H3_REQUEST_INCOMPLETE, 0);
            request.send.close();
        }
        self.retire(id);
        if useless { self.count_useless() } else { Ok(()) }
    }

    /// Answers a malformed or too large message (RFC 9114 §4.1.2).
    pub(super) fn stream_error(
        &mut self,
        id: StreamId,
        violation: StreamViolation,
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        let mut useless = true;
        if let Some(mut request) = self.requests.remove(&id) {
            slim(&mut self.requests);
            useless = !request.counted;
            if !request.announced {
                self.events.push_back(Event::NoRequest { stream: id });
            }
            request.end_receiving(&mut self.budget);
            self.decoder.cancel_stream(id.value());
            let answer = violation == StreamViolation::FieldSectionTooLarge
                && request.send.stage == Stage::Head
                && !request.announced;
            let _ = transport.stop_sending(id, if answer { code::H3_NO_ERROR } else { violation.code() });
            if answer {
                self.answer_too_large(id, request, transport);
            } else {
                let _ = transport.reset(id, violation.code(), 0);
            }
        }
        self.events.push_back(Event::StreamError { stream: id, violation });
        if useless { self.count_useless() } else { Ok(()) }
    }

    /// RFC 9114 §4.2.2: 431 (Request Header Fields Too Large).
    pub(super) fn answer_too_large(
        &mut self,
        id: StreamId,
        mut request: Request,
        transport: &mut impl Transport,
    ) {
        let section = self.encode_section(id, &[qpack::FieldRef::new(b":status", b"431")], transport);
        request.send.push_headers(&section);
        request.send.stage = Stage::Ended;
        let _ = request.send.flush(id, transport);
        self.requests.insert(id, request);
        self.retire(id);
    }

    /// RFC 9114 §10.5: abandoned requests cost work and count against a rate (server).
    pub(super) fn count_useless(&mut self) -> Result<(), H3Error> {
        if self.side.is_client() { Ok(()) } else { self.resets.count(self.now).map_err(H3Error::from) }
    }

    /// Removes a request stream when both directions are over.
    pub(super) fn retire(&mut self, id: StreamId) {
        if self
            .requests
            .get(&id)
            .is_some_and(|request| request.is_done() && request.send.stage == Stage::Closed)
        {
            self.requests.remove(&id);
            slim(&mut self.requests);
        }
    }
}

/// Whether the deadline `at` of a stream still applies: its kind is unknown, or its request is incomplete.
pub(super) fn is_half_open(
    incoming: &StreamMap<Incoming>,
    requests: &StreamMap<Request>,
    settings: bool,
    at: Timestamp,
    id: StreamId,
) -> bool {
    incoming.contains_key(&id)
        || requests.get(&id).is_some_and(|request| request.is_half_open(settings) && request.until <= at)
}
