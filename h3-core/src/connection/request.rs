//! One request stream: the receiving state machine (RFC 9114 §4.1) and the sending side beside it.
//!
//! It owns the partial frame, the partial header section and the content count. It must never know other
//! streams; it reports through the caller's queue of events.

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, StatusCode};
use qpack::{DecodeError, Decoded, FieldRef, Start};
use quic_core::{
    Priority, Side, StreamId,
    base::{Budget, Timestamp},
    error::call::{Read, ReadError},
};

use super::{
    event::Event,
    reading::{ContentRead, Fault, Progress, Shared},
    send::{Outgoing, Stage},
};
use crate::{
    error::{H3Error, H3Violation, StreamViolation},
    frame::{FrameHead, HeadReader, kind},
    message::{content_length, parse_request, parse_response, parse_trailers},
    priority::parse_priority,
    trace::{self, From},
    transport::Transport,
};

/// How much is read at once where frame heads are expected, in bytes. The bytes beyond a head are its
/// payload.
const READ_AHEAD: usize = 2048;

/// An interim response costs as much as this many frames without effect, beyond those of [`INTERIM_FREE`].
const INTERIM_COST: u64 = 16;
/// How many interim responses to a request cost nothing. This end has asked, and 100 and 103 are usual.
const INTERIM_FREE: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The header section (at a client: the final one) has not arrived.
    Head,
    /// The header section has arrived.
    Body,
    /// The header section of a CONNECT has arrived; only DATA may follow.
    Tunnel,
    /// The trailers have arrived.
    Trailed,
    /// Nothing more is read.
    Done,
}

#[derive(Debug)]
enum Frame {
    Head(HeadReader),
    Data { left: u64 },
    Section { left: usize, section: BytesMut, started: bool },
    Skip { left: u64 },
}

#[derive(Debug)]
pub(super) struct Request {
    phase: Phase,
    frame: Frame,
    /// Bytes read from the transport and not parsed yet; at most one chunk.
    buffered: Bytes,
    /// The section waits for insertions of the peer's encoder: the rest of the stream is not read.
    blocked: bool,
    /// The transport has told the end of the stream while it was not read.
    ended: bool,
    /// The declared length of the content.
    declared: Option<u64>,
    /// Content announced by DATA frames so far.
    content: u64,
    /// The request was a CONNECT.
    connect: bool,
    /// The request was a HEAD.
    head_only: bool,
    /// Interim responses so far, up to [`INTERIM_FREE`].
    interims: u8,
    /// The layer above knows the stream.
    pub(super) announced: bool,
    /// The code of a `STOP_SENDING` that arrived before the layer above knew the stream.
    pub(super) stopped: Option<u64>,
    /// The newest deadline of its head, if one was extended.
    pub(super) until: Timestamp,
    /// It was already counted as an abandoned request.
    pub(super) counted: bool,
    /// The priority of a `PRIORITY_UPDATE`; it overrides the `priority` field (RFC 9218 §7).
    pub(super) priority: Option<Priority>,
    pub(super) send: Outgoing,
}

impl Request {
    /// A stream that the peer opened for a request (server). Its first frame head was already read;
    /// [`Self::begin`] takes it.
    pub(super) fn incoming(priority: Option<Priority>) -> Self {
        Self {
            phase: Phase::Head,
            frame: Frame::Head(HeadReader::default()),
            buffered: Bytes::new(),
            blocked: false,
            ended: false,
            declared: None,
            interims: 0,
            content: 0,
            connect: false,
            head_only: false,
            announced: false,
            stopped: None,
            until: Timestamp::ORIGIN,
            counted: false,
            priority,
            send: Outgoing::new(Stage::Head),
        }
    }

    /// A stream on which this side sends a request of `method` (client).
    pub(super) fn outgoing(method: &Method) -> Self {
        Self {
            connect: method == Method::CONNECT,
            head_only: method == Method::HEAD,
            announced: true,
            send: Outgoing::new(Stage::Body),
            ..Self::incoming(None)
        }
    }

    /// True when reading the stream is over.
    pub(super) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// True when only content may follow the head.
    pub(super) fn is_tunnel(&self) -> bool {
        self.connect
    }

    /// True while its head is incomplete, or it asks for a session and the peer's `settings` have not arrived
    /// (server).
    pub(super) fn is_half_open(&self, settings: bool) -> bool {
        let waits_for_settings = self.connect && !settings && self.send.stage == Stage::Head;
        !self.is_done() && (!self.announced || waits_for_settings)
    }

    /// Stops reading and frees what was buffered.
    pub(super) fn end_receiving(&mut self, budget: &mut Budget) {
        if let Frame::Section { section, .. } = &self.frame {
            budget.release(section.len());
        }
        self.phase = Phase::Done;
        self.frame = Frame::Skip { left: 0 };
        self.buffered = Bytes::new();
    }

    /// Takes the first frame head, which was read before the stream's kind was known, and the bytes behind
    /// it.
    pub(super) fn begin(
        &mut self,
        head: FrameHead,
        rest: Bytes,
        shared: &mut Shared<'_>,
    ) -> Result<(), Fault> {
        self.buffered = rest;
        self.on_frame_head(head, shared)
    }

    /// Reads frames until content, the end, or until more bytes are needed.
    pub(super) fn advance(
        &mut self,
        id: StreamId,
        shared: &mut Shared<'_>,
        transport: &mut impl Transport,
    ) -> Result<Progress, Fault> {
        loop {
            let want = match &self.frame {
                _ if self.is_done() => return Ok(Progress::Closed),
                _ if self.blocked => return Ok(self.watch(id, shared, transport)),
                Frame::Data { left: 1.. } => return Ok(Progress::Data),
                Frame::Data { left: 0 } | Frame::Skip { left: 0 } => {
                    self.frame = Frame::Head(HeadReader::default());
                    continue;
                }
                Frame::Section { left: 0, .. } => {
                    self.finish_section(id, shared, transport)?;
                    continue;
                }
                Frame::Head(_) => READ_AHEAD,
                // The start of a section tells whether it must wait for insertions.
                Frame::Section { left, started: false, .. } => READ_AHEAD.min(*left),
                Frame::Section { left, .. } => *left,
                Frame::Skip { left } => usize::try_from(*left).unwrap_or(usize::MAX),
            };
            if self.buffered.is_empty() {
                let read = if self.ended { Ok(Read::Finished) } else { transport.read(id, want) };
                match read {
                    Ok(Read::Data(bytes)) => self.buffered = bytes,
                    Ok(Read::Blocked) => return Ok(Progress::Blocked),
                    Ok(Read::Finished) => return self.on_fin(shared),
                    Err(error) => return Ok(self.on_read_error(error, shared)),
                }
            }
            let begins = matches!(self.frame, Frame::Head(_));
            self.take_buffered(id, shared)?;
            if let (true, Frame::Data { left }) = (begins, &self.frame) {
                trace::data(transport, From::Peer, id, *left);
            }
        }
    }

    fn on_read_error(&mut self, error: ReadError, shared: &mut Shared<'_>) -> Progress {
        self.end_receiving(shared.budget);
        match error {
            ReadError::Reset(code) => Progress::Reset(code),
            _ => Progress::Closed,
        }
    }

    /// Looks whether a stream that is not read was reset. What is behind the section stays in the window of
    /// its stream (RFC 9204 §2.2.1).
    fn watch(&mut self, id: StreamId, shared: &mut Shared<'_>, transport: &mut impl Transport) -> Progress {
        if !self.ended {
            match transport.read(id, 0) {
                Ok(Read::Finished) => self.ended = true,
                Ok(_) => {}
                Err(error) => return self.on_read_error(error, shared),
            }
        }
        Progress::Blocked
    }

    /// The insertions that the section waits for have arrived.
    pub(super) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Parses the buffered bytes.
    fn take_buffered(&mut self, id: StreamId, shared: &mut Shared<'_>) -> Result<(), Fault> {
        match &mut self.frame {
            Frame::Head(reader) => {
                if let Some(head) = reader.take(&mut self.buffered) {
                    self.on_frame_head(head, shared)?;
                }
            }
            Frame::Section { left, section, started } => {
                let part = self.buffered.split_to((*left).min(self.buffered.len()));
                shared.budget.charge(part.len()).map_err(|_| StreamViolation::HeaderMemory)?;
                section.extend_from_slice(&part);
                *left -= part.len();
                if !*started {
                    let start = shared.decoder.start(id.value(), section).map_err(H3Error::Decompression)?;
                    *started = start != Start::Incomplete;
                    self.blocked = matches!(start, Start::Blocked { .. });
                }
            }
            Frame::Skip { left } => {
                let taken = self.buffered.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                self.buffered.advance(taken);
                *left -= taken as u64;
            }
            Frame::Data { .. } => {}
        }
        Ok(())
    }

    fn on_frame_head(
        &mut self,
        FrameHead { kind, length }: FrameHead,
        shared: &mut Shared<'_>,
    ) -> Result<(), Fault> {
        self.frame = match kind {
            kind::DATA => {
                // RFC 9114 §4.1: content lies between the header section and the trailers.
                if matches!(self.phase, Phase::Head | Phase::Trailed) {
                    return Err(H3Violation::FrameSequence.into());
                }
                if length == 0 {
                    shared.idle.count(1, shared.now)?;
                }
                self.content = self.content.saturating_add(length);
                // RFC 9114 §4.1.2: checked before an excess byte reaches the layer above.
                if self.declared.is_some_and(|declared| self.content > declared) {
                    return Err(StreamViolation::ContentLengthMismatch.into());
                }
                Frame::Data { left: length }
            }
            kind::HEADERS => self.on_headers_head(length, shared)?,
            kind::PUSH_PROMISE if shared.side.is_client() => {
                return Err(H3Violation::PushPromiseUnwanted.into());
            }
            kind::CANCEL_PUSH
            | kind::SETTINGS
            | kind::PUSH_PROMISE
            | kind::GOAWAY
            | kind::MAX_PUSH_ID
            | kind::PRIORITY_UPDATE_REQUEST
            | kind::PRIORITY_UPDATE_PUSH => return Err(H3Violation::FrameOnRequestStream.into()),
            kind::WT_STREAM if shared.webtransport => return Err(H3Violation::SignalNotFirst.into()),
            kind if kind::is_reserved(kind) => return Err(H3Violation::FrameReserved.into()),
            // RFC 9114 §9: unknown frames are skipped.
            _ => {
                shared.idle.count(1, shared.now)?;
                Frame::Skip { left: length }
            }
        };
        Ok(())
    }

    fn on_headers_head(&self, length: u64, shared: &Shared<'_>) -> Result<Frame, Fault> {
        match self.phase {
            Phase::Tunnel => return Err(H3Violation::FrameInTunnel.into()),
            Phase::Trailed => return Err(H3Violation::FrameSequence.into()),
            Phase::Head | Phase::Body | Phase::Done => {}
        }
        // A sensible encoding is never longer than the section's size, which counts 32 bytes per line beyond
        // the text. A longer one is refused before any of it is buffered.
        match usize::try_from(length) {
            Ok(left) if length <= shared.max_section.saturating_add(32) => {
                Ok(Frame::Section { left, section: BytesMut::new(), started: false })
            }
            _ => Err(StreamViolation::FieldSectionTooLarge.into()),
        }
    }

    fn finish_section(
        &mut self,
        id: StreamId,
        shared: &mut Shared<'_>,
        transport: &mut impl Transport,
    ) -> Result<(), Fault> {
        let Frame::Section { section, .. } =
            std::mem::replace(&mut self.frame, Frame::Head(HeadReader::default()))
        else {
            return Ok(());
        };
        shared.budget.release(section.len());
        // What was blocked at its start is not any more, unless the peer evicted what its section refers to.
        let decoded =
            shared.decoder.decode(id.value(), &section, shared.max_section).and_then(Decoded::fields);
        let fields = decoded.map_err(|error| match error {
            DecodeError::TooLarge { .. } => Fault::Stream(StreamViolation::FieldSectionTooLarge),
            error => Fault::Connection(H3Error::Decompression(error)),
        })?;
        trace::headers(transport, From::Peer, id, fields.iter().map(FieldRef::from));
        match (self.phase, shared.side) {
            (Phase::Head, Side::Server) => self.on_request(id, fields, shared, transport),
            (Phase::Head, Side::Client) => self.on_response(id, fields, shared),
            _ => {
                let trailers = Box::new(parse_trailers(fields)?);
                self.phase = Phase::Trailed;
                shared.events.push_back(Event::Trailers { stream: id, trailers });
                Ok(())
            }
        }
    }

    fn on_request(
        &mut self,
        id: StreamId,
        fields: Vec<qpack::Field>,
        shared: &mut Shared<'_>,
        transport: &mut impl Transport,
    ) -> Result<(), Fault> {
        let head = parse_request(fields, shared.extended)?;
        self.connect = head.is_connect();
        self.phase = if self.connect { Phase::Tunnel } else { Phase::Body };
        // RFC 9110 §9.3.6: a CONNECT has no content; the tunnel's data follows.
        self.declared = if self.connect { None } else { content_length(&head.headers)? };
        let field = head.headers.get("priority").map(|value| parse_priority(value.as_bytes()));
        let priority = self.priority.or(field).unwrap_or_else(|| parse_priority(b""));
        transport.set_priority(id, priority);
        self.announced = true;
        shared.events.push_back(Event::Request { stream: id, head: Box::new(head), priority });
        if let Some(code) = self.stopped.take() {
            shared.events.push_back(Event::Stopped { stream: id, code });
        }
        Ok(())
    }

    fn on_response(
        &mut self,
        id: StreamId,
        fields: Vec<qpack::Field>,
        shared: &mut Shared<'_>,
    ) -> Result<(), Fault> {
        let head = parse_response(fields)?;
        let status = head.status;
        let informational = status.is_informational();
        if informational {
            // Any number may come (RFC 9114 §4.1), and each makes an event.
            if self.interims < INTERIM_FREE {
                self.interims += 1;
            } else {
                shared.idle.count(INTERIM_COST, shared.now)?;
            }
        } else {
            self.phase = if self.connect && status.is_success() { Phase::Tunnel } else { Phase::Body };
            // RFC 9110 §8.6: in a response to HEAD, the length is that of the response to a GET.
            let declared = content_length(&head.headers)?;
            // RFC 9114 §4.1.2: responses that never have content may still declare a length.
            let never = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
            let empty = self.head_only || never;
            self.declared = match self.phase {
                Phase::Tunnel => None,
                _ if empty => Some(0),
                _ => declared,
            };
        }
        shared.events.push_back(Event::Response { stream: id, head: Box::new(head), informational });
        Ok(())
    }

    fn on_fin(&mut self, shared: &mut Shared<'_>) -> Result<Progress, Fault> {
        // RFC 9114 §7.1: a stream must not end inside a frame.
        if !matches!(&self.frame, Frame::Head(reader) if reader.is_empty()) {
            return Err(H3Violation::FrameTruncated.into());
        }
        match (self.phase, shared.side) {
            (Phase::Head, Side::Server) => return Err(StreamViolation::RequestIncomplete.into()),
            (Phase::Head, Side::Client) => return Err(StreamViolation::ResponseMissing.into()),
            _ if self.declared.is_some_and(|declared| declared != self.content) => {
                return Err(StreamViolation::ContentLengthMismatch.into());
            }
            _ => {}
        }
        self.end_receiving(shared.budget);
        Ok(Progress::Finished)
    }

    /// Reads the next piece of content, at most `max` bytes, without a copy. To be called after
    /// [`Progress::Data`].
    pub(super) fn read_content(
        &mut self,
        id: StreamId,
        max: usize,
        shared: &mut Shared<'_>,
        transport: &mut impl Transport,
    ) -> Result<ContentRead, Fault> {
        let Frame::Data { left } = &mut self.frame else { return Ok(ContentRead::Blocked) };
        let max = max.min(usize::try_from(*left).unwrap_or(usize::MAX));
        if self.buffered.is_empty() {
            match transport.read(id, max) {
                Ok(Read::Data(bytes)) => self.buffered = bytes,
                Ok(Read::Blocked) => return Ok(ContentRead::Blocked),
                Ok(Read::Finished) => return Err(H3Violation::FrameTruncated.into()),
                Err(error) => {
                    self.end_receiving(shared.budget);
                    return Ok(match error {
                        ReadError::Reset(code) => ContentRead::Reset(code),
                        _ => ContentRead::Closed,
                    });
                }
            }
        }
        let part = self.buffered.split_to(max.min(self.buffered.len()));
        *left -= part.len() as u64;
        Ok(ContentRead::Data(part))
    }
}
