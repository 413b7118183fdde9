//! The calls of the layer above: requests, responses, content, resets, datagrams, shutdown.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use qpack::FieldRef;
use quic_core::{
    DatagramOptions, Dir, Priority, Side, StreamId,
    base::Timestamp,
    error::call::{DatagramError, Read},
};

use super::{
    Connection,
    critical::Critical,
    ends::send_error,
    reading::{ContentRead, Progress},
    request::Request,
    send::Stage,
};
use crate::{
    datagram,
    error::{BodyError, SendError},
    frame::{self, kind},
    message::{self, RequestHead, ResponseHead},
    priority::parse_priority,
    trace::{self, From},
    transport::Transport,
};

impl Connection {
    /// Sends a request (client). `fin` says that there is no content.
    ///
    /// Fails for an extended CONNECT until the peer's SETTINGS have offered it (RFC 9220 §3).
    pub fn send_request(
        &mut self,
        head: &RequestHead,
        fin: bool,
        transport: &mut impl Transport,
    ) -> Result<StreamId, SendError> {
        // RFC 9114 §5.2: no new request after GOAWAY.
        if self.failed.is_some() || self.goaway_received.is_some() || !self.side.is_client() {
            return Err(SendError::Unavailable);
        }
        if head.protocol.is_some() && !self.peer_takes_extended_connect() {
            return Err(SendError::NotOffered);
        }
        let lines = message::request_lines(head).map_err(SendError::Invalid)?;
        self.check_section(&lines)?;
        let id = transport.open(Dir::Bidi).ok_or(SendError::NoStream)?;
        trace::stream_type(transport, From::Here, id, "request");
        trace::headers(transport, From::Here, id, lines.iter().copied());
        let section = self.encode_section(id, &lines, transport);
        self.opened = self.opened.max(id.index() + 1);
        if let Some(value) = head.headers.get("priority") {
            transport.set_priority(id, parse_priority(value.as_bytes()));
        }
        let mut request = Request::outgoing(&head.method);
        request.send.push_headers(&section);
        if fin {
            request.send.stage = Stage::Ended;
        }
        let flushed = request.send.flush(id, transport);
        self.requests.insert(id, request);
        flushed.map_err(send_error)?;
        Ok(id)
    }

    /// Whether the peer's SETTINGS have arrived and offer extended CONNECT. Old drafts of WebTransport imply
    /// it.
    #[must_use]
    pub fn peer_takes_extended_connect(&self) -> bool {
        self.peer_settings.as_ref().is_some_and(|peer| peer.enable_connect_protocol || peer.webtransport())
    }

    /// Sends a response (server): any number of interim (1xx) ones, then the final one. `fin` says that there
    /// is no content.
    pub fn send_response(
        &mut self,
        stream: StreamId,
        head: &ResponseHead,
        fin: bool,
        transport: &mut impl Transport,
    ) -> Result<(), SendError> {
        let request = self.requests.get(&stream).ok_or(SendError::Closed)?;
        if request.send.stage != Stage::Head {
            return Err(SendError::Closed);
        }
        let lines = message::response_lines(head).map_err(SendError::Invalid)?;
        self.check_section(&lines)?;
        let next = match (head.status.is_informational(), fin) {
            // RFC 9114 §4.1: an interim response does not end the message.
            (true, true) => return Err(SendError::Closed),
            (true, false) => Stage::Head,
            (false, true) => Stage::Ended,
            (false, false) => Stage::Body,
        };
        trace::headers(transport, From::Here, stream, lines.iter().copied());
        let section = self.encode_section(stream, &lines, transport);
        self.send_with(stream, transport, |request| {
            request.send.push_headers(&section);
            request.send.stage = next;
            Ok(())
        })
    }

    /// Sends a prefix of `data` as content, removes it from `data` and returns its length in bytes. It
    /// returns 0 for non-empty `data` while the transport has not taken earlier content;
    /// [`super::Event::Writable`] follows.
    pub fn send_data(
        &mut self,
        stream: StreamId,
        data: &mut Bytes,
        transport: &mut impl Transport,
    ) -> Result<usize, SendError> {
        let mut taken = 0;
        let room = transport.writable(stream);
        self.send_with(stream, transport, |request| {
            if request.send.stage != Stage::Body {
                return Err(SendError::Closed);
            }
            taken = request.send.push_data(data, room);
            request.send.waiting |= taken == 0 && !data.is_empty();
            Ok(())
        })?;
        if taken > 0 {
            trace::data(transport, From::Here, stream, taken as u64);
        }
        Ok(taken)
    }

    /// Sends trailers and ends the message. A CONNECT stream has none (RFC 9114 §4.4).
    pub fn send_trailers(
        &mut self,
        stream: StreamId,
        trailers: &HeaderMap,
        transport: &mut impl Transport,
    ) -> Result<(), SendError> {
        let request = self.requests.get(&stream).ok_or(SendError::Closed)?;
        if request.send.stage != Stage::Body || request.is_tunnel() {
            return Err(SendError::Closed);
        }
        let lines = message::trailer_lines(trailers).map_err(SendError::Invalid)?;
        self.check_section(&lines)?;
        trace::headers(transport, From::Here, stream, lines.iter().copied());
        let section = self.encode_section(stream, &lines, transport);
        self.send_with(stream, transport, |request| {
            request.send.push_headers(&section);
            request.send.stage = Stage::Ended;
            Ok(())
        })
    }

    /// Ends the message after the content sent so far.
    pub fn finish(&mut self, stream: StreamId, transport: &mut impl Transport) -> Result<(), SendError> {
        self.send_with(stream, transport, |request| {
            if request.send.stage != Stage::Body {
                return Err(SendError::Closed);
            }
            request.send.stage = Stage::Ended;
            Ok(())
        })
    }

    /// True when the transport has taken everything that was sent on the stream.
    #[must_use]
    pub fn is_flushed(&self, stream: StreamId) -> bool {
        self.requests.get(&stream).is_none_or(|request| request.send.is_empty())
    }

    /// Resets the sending side. Does nothing if it is over.
    pub fn reset(&mut self, stream: StreamId, code: u64, transport: &mut impl Transport) {
        if let Some(request) = self.requests.get_mut(&stream)
            && request.send.stage != Stage::Closed
        {
            request.send.close();
            let _ = transport.reset(stream, code, 0);
            self.retire(stream);
        }
    }

    /// Asks the peer to stop sending; no events of the receiving side follow. Does nothing if it is over.
    pub fn stop(&mut self, stream: StreamId, code: u64, transport: &mut impl Transport) {
        if let Some(request) = self.requests.get_mut(&stream)
            && !request.is_done()
        {
            request.end_receiving(&mut self.budget);
            let _ = transport.stop_sending(stream, code);
            self.decoder.cancel_stream(stream.value());
            self.retire(stream);
            self.settle_answers(transport);
        }
    }

    /// Reads content: at most `max` bytes (at least 1), without a copy. Trailers and the end also come as
    /// events; this call returns `Finished` if it finds the end.
    pub fn read_data(
        &mut self,
        stream: StreamId,
        max: usize,
        transport: &mut impl Transport,
    ) -> Result<Read, BodyError> {
        let read = self.read_some(stream, max, transport);
        self.settle_answers(transport);
        read
    }

    fn read_some(
        &mut self,
        stream: StreamId,
        max: usize,
        transport: &mut impl Transport,
    ) -> Result<Read, BodyError> {
        loop {
            let (requests, mut shared) = self.split();
            let request = requests.get_mut(&stream).ok_or(BodyError::Closed)?;
            let progress = request.advance(stream, &mut shared, transport);
            let progress = match progress {
                Ok(Progress::Data) => {
                    match request.read_content(stream, max.max(1), &mut shared, transport) {
                        Ok(ContentRead::Data(part)) => return Ok(Read::Data(part)),
                        Ok(ContentRead::Blocked) => return Ok(Read::Blocked),
                        Ok(ContentRead::Reset(code)) => Ok(Progress::Reset(code)),
                        Ok(ContentRead::Closed) => Ok(Progress::Closed),
                        Err(fault) => Err(fault),
                    }
                }
                other => other,
            };
            let told = progress.as_ref().ok().copied();
            match self.after_progress(stream, progress, transport) {
                Ok(Some(violation)) => return Err(BodyError::Malformed(violation)),
                Ok(None) => {}
                Err(error) => {
                    self.fail(error, transport);
                    return Err(BodyError::Closed);
                }
            }
            return match told {
                Some(Progress::Finished) => Ok(Read::Finished),
                Some(Progress::Blocked) => Ok(Read::Blocked),
                Some(Progress::Reset(code)) => Err(BodyError::Reset(code)),
                Some(Progress::Data) => continue,
                Some(Progress::Closed) | None => Err(BodyError::Closed),
            };
        }
    }

    /// Leaves requests with incomplete heads unread (server), until
    /// [`read_held_request`](Self::read_held_request) has read the last of them. Meanwhile their bytes stay
    /// in the transport, whose flow control bounds them. A layer calls this when it has enough requests for
    /// now.
    pub fn hold_requests(&mut self) {
        self.held.holding = !self.side.is_client() && self.failed.is_none();
    }

    /// Resumes reading the oldest held request and returns whether there was one; events follow. When none is
    /// left, new requests are read as they arrive.
    pub fn read_held_request(&mut self, now: Timestamp, transport: &mut impl Transport) -> bool {
        self.now = now;
        let Some(id) = self.held.streams.pop_first() else {
            self.held.holding = false;
            return false;
        };
        self.held.holding = false;
        let read = self.advance_request(id, transport);
        self.held.holding = !self.held.streams.is_empty();
        if self.requests.get(&id).is_some_and(|request| !request.announced) {
            // Its deadline starts anew, because this side did not read it until now.
            self.wait_for_head(id);
        }
        if let Err(error) = read.and_then(|()| self.send_answers(transport)) {
            self.fail(error, transport);
        }
        true
    }

    /// Sets the priority of a stream. At a server it replaces the client's (RFC 9218 §8).
    pub fn set_priority(&mut self, stream: StreamId, priority: Priority, transport: &mut impl Transport) {
        if self.requests.contains_key(&stream) {
            transport.set_priority(stream, priority);
        }
    }

    /// Sends an HTTP datagram for a request whose sending side is open (RFC 9297 §2). `options` sets its
    /// priority and maximum age.
    pub fn send_datagram(
        &mut self,
        stream: StreamId,
        payload: &[u8],
        options: DatagramOptions,
        transport: &mut impl Transport,
    ) -> Result<(), DatagramError> {
        // RFC 9297: only after both sides sent the setting (§2.1.1), and only while the stream is open
        // (§2.1).
        let agreed = self.config.settings.datagrams()
            && self.known_settings().is_some_and(crate::settings::Settings::datagrams);
        let open = self
            .requests
            .get(&stream)
            .is_some_and(|request| !matches!(request.send.stage, Stage::Ended | Stage::Closed));
        if !agreed || !open {
            return Err(DatagramError::Unsupported);
        }
        transport.send_datagram(datagram::encode(stream, payload), options)?;
        trace::datagram(transport, From::Here, stream, payload.len());
        Ok(())
    }

    /// The largest payload that a datagram for `stream` can carry now, in bytes.
    #[must_use]
    pub fn max_datagram_size(&self, stream: StreamId, transport: &impl Transport) -> Option<usize> {
        transport.max_datagram_size()?.checked_sub(datagram::overhead(stream))
    }

    /// Announces that this side will soon accept no requests; it still accepts those in flight (server,
    /// RFC 9114 §5.2).
    pub fn announce_shutdown(&mut self, transport: &mut impl Transport) {
        let last = StreamId::new(Side::Client, Dir::Bidi, u64::MAX).value();
        self.send_goaway(if self.side.is_client() { 0 } else { last }, transport);
    }

    /// Sends GOAWAY: a server accepts the requests whose streams are open now and rejects later ones; a
    /// client accepts no push.
    pub fn go_away(&mut self, transport: &mut impl Transport) {
        let next = StreamId::new(Side::Client, Dir::Bidi, self.opened).value();
        self.send_goaway(if self.side.is_client() { 0 } else { next }, transport);
    }

    fn send_goaway(&mut self, id: u64, transport: &mut impl Transport) {
        // RFC 9114 §5.2: an identifier never exceeds an earlier one, and repeating one has no effect.
        if self.failed.is_some() || self.goaway_sent.is_some_and(|earlier| id >= earlier) {
            return;
        }
        self.goaway_sent = Some(id);
        let mut out = BytesMut::with_capacity(16);
        frame::put_varint_frame(kind::GOAWAY, id, &mut out);
        self.critical_out[Critical::Control as usize].out.push(out.freeze());
        if let Some(control) = self.critical_out[Critical::Control as usize].id {
            trace::control(transport, From::Here, control, kind::GOAWAY, id);
        }
        self.flush_critical(transport);
    }

    /// Fails if the field section exceeds the peer's limit (RFC 9114 §4.2.2).
    fn check_section(&self, lines: &[FieldRef<'_>]) -> Result<(), SendError> {
        let size = message::size(lines);
        let limit = self.known_settings().and_then(|peer| peer.max_field_section_size);
        if let Some(limit) = limit.filter(|limit| size > *limit) {
            return Err(SendError::TooLarge { size, limit });
        }
        Ok(())
    }

    /// Applies `change` to a request, flushes it to the transport, and removes the request if it is over.
    fn send_with(
        &mut self,
        stream: StreamId,
        transport: &mut impl Transport,
        change: impl FnOnce(&mut Request) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let request = self.requests.get_mut(&stream).ok_or(SendError::Closed)?;
        change(request)?;
        let flushed = request.send.flush(stream, transport);
        self.retire(stream);
        flushed.map_err(send_error)
    }
}
