//! One HTTP/3 connection, client or server (RFC 9114).
//!
//! [`Connection`] scripts its parts: the control stream's reader, the QPACK pair, the streams whose kind is not
//! known yet, the requests. Protocol rules live in the parts. It is told of QUIC's events and of the time, writes
//! into the transport, and queues events of its own; the caller polls them after each call.

mod api;
mod control;
mod event;
mod incoming;
mod limits;
mod peer;
mod queue;
mod request;
mod send;
#[cfg(test)]
mod tests;
mod unheard;
mod waiting;

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use qpack::{Decoder, Encoder};
use quic_core::{
    Dir, Priority, Side, StreamId, StreamMap, StreamTag,
    base::{Budget, Timestamp},
    error::call::{ReadError, WriteError},
};

pub use event::{Event, PrefaceKind, RequestState};

use crate::{
    error::{H3Error, H3Violation, StreamViolation, code},
    settings::Settings,
    transport::Transport,
};
use control::ControlReader;
use incoming::Incoming;
pub use limits::IdleMeter;
use limits::ResetMeter;
use queue::Events;
use request::{Fault, Progress, Request, Shared};
use send::{Outgoing, Stage};
use unheard::Unheard;
use waiting::Waiting;

/// The limit of field sections when the settings name none, in bytes.
const DEFAULT_MAX_FIELD_SECTION_SIZE: u64 = 64 * 1024;

/// How long the head of a request may take, unless the configuration says otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How a connection behaves, beside the settings it sends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// What is sent in SETTINGS. `max_field_section_size` becomes 64 KiB if it is not set, since what is not
    /// announced cannot be enforced; the two QPACK settings are taken as 0.
    pub settings: Settings,
    /// Bytes of unfinished header sections that all streams together may make this side hold. Default 256 KiB.
    pub header_memory: usize,
    /// Requests in one second that the peer may open and make useless, before the connection is closed with
    /// `H3_EXCESSIVE_LOAD` (server). Default 1000.
    pub resets_per_second: u32,
    /// How long a stream of the peer may take until it is known what it is and, if it is a request, its head is whole (server):
    /// so long after the first that is heard of it, whatever comes meanwhile. A session's request has the same time to be
    /// followed by SETTINGS. Beyond it the stream is given up, a request with `H3_REQUEST_INCOMPLETE` (RFC 9114 §4.1). It has
    /// the same time anew if this side [leaves it unread](Connection::hold_requests) then, or if
    /// [the application alone](crate::Transport::withholds_credit) leaves the peer no credit: not if the peer has filled
    /// that itself. Default 30 s; `None` and zero: no limit.
    pub request_timeout: Option<Duration>,
    /// Any number: picks the identifiers that are sent only to be ignored (RFC 9114 §7.2.8).
    pub grease: u64,
}

impl Config {
    /// The defaults with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            header_memory: 256 << 10,
            resets_per_second: 1000,
            request_timeout: Some(REQUEST_TIMEOUT),
            grease: 0x5eed,
        }
    }
}

/// The streams of which each side has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Critical {
    Control = 0,
    Encoder = 1,
    Decoder = 2,
}

impl Critical {
    const ALL: [Self; 3] = [Self::Control, Self::Encoder, Self::Decoder];

    /// The stream type (RFC 9114 §6.2.1, RFC 9204 §4.2).
    const fn stream_type(self) -> u8 {
        match self {
            Self::Control => 0x00,
            Self::Encoder => 0x02,
            Self::Decoder => 0x03,
        }
    }
}

/// A critical stream of ours.
#[derive(Debug)]
struct CriticalOut {
    id: Option<StreamId>,
    out: Outgoing,
}

/// Requests that are left unread for the time being (server).
#[derive(Debug, Default)]
struct HeldRequests {
    holding: bool,
    /// Those of which something came meanwhile.
    streams: BTreeSet<StreamId>,
}

/// One HTTP/3 connection.
#[derive(Debug)]
pub struct Connection {
    side: Side,
    config: Config,
    encoder: Encoder,
    decoder: Decoder,
    peer_settings: Option<Settings>,
    control: ControlReader,
    critical_in: [Option<StreamId>; 3],
    critical_out: [CriticalOut; 3],
    /// Peer's streams whose kind is not known yet.
    incoming: StreamMap<Incoming>,
    requests: StreamMap<Request>,
    /// Client-initiated bidirectional streams that were opened so far.
    opened: u64,
    /// Those of them that nothing came for (server).
    unheard: Unheard,
    held: HeldRequests,
    /// Those whose heads are waited for (server).
    waiting: Waiting,
    goaway_sent: Option<u64>,
    goaway_received: Option<u64>,
    max_push_id: Option<u64>,
    /// `PRIORITY_UPDATE` for streams that are not open yet.
    early_priorities: VecDeque<(StreamId, Priority)>,
    resets: ResetMeter,
    /// Frames that bring nothing.
    idle: IdleMeter,
    budget: Budget,
    events: Events,
    failed: Option<H3Error>,
    /// The time of the event being handled.
    now: Timestamp,
}

impl Connection {
    /// A connection for one side. Nothing is sent before [`Connection::start`].
    #[must_use]
    pub fn new(mut config: Config, side: Side) -> Self {
        let settings = &mut config.settings;
        settings.qpack_max_table_capacity = 0;
        settings.qpack_blocked_streams = 0;
        settings.max_field_section_size.get_or_insert(DEFAULT_MAX_FIELD_SECTION_SIZE);
        let webtransport = settings.webtransport();
        Self {
            side,
            encoder: Encoder::new(),
            decoder: Decoder::new(),
            peer_settings: None,
            control: ControlReader::new(side, webtransport),
            critical_in: [None; 3],
            critical_out: Critical::ALL.map(|_| CriticalOut { id: None, out: Outgoing::new(Stage::Body) }),
            incoming: StreamMap::default(),
            requests: StreamMap::default(),
            opened: 0,
            unheard: Unheard::default(),
            held: HeldRequests::default(),
            waiting: Waiting::default(),
            goaway_sent: None,
            goaway_received: None,
            max_push_id: None,
            early_priorities: VecDeque::new(),
            resets: ResetMeter::new(config.resets_per_second),
            idle: IdleMeter::default(),
            budget: Budget::alone(config.header_memory),
            events: Events::default(),
            failed: None,
            now: Timestamp::ORIGIN,
            config,
        }
    }

    /// Opens the control stream and the QPACK streams, and sends SETTINGS; what finds no credit now follows later.
    /// To be called once, as soon as the transport can open streams.
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

    /// The peer's settings, once they arrived.
    #[must_use]
    pub fn peer_settings(&self) -> Option<&Settings> {
        self.peer_settings.as_ref()
    }

    /// What this side sent in SETTINGS.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.config.settings
    }

    /// Why HTTP/3 closed the connection, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<H3Error> {
        self.failed
    }

    /// The ID from which on this side rejects the peer's requests or pushes, if it said so (RFC 9114 §5.2).
    #[must_use]
    pub fn goaway_sent(&self) -> Option<u64> {
        self.goaway_sent
    }

    /// Whether this side's critical streams are open (RFC 9114 §6.2.1, RFC 9204 §4.2): from then on HTTP/3 opens no stream
    /// but those of requests.
    #[must_use]
    pub fn has_critical_streams(&self) -> bool {
        self.critical_out.iter().all(|critical| critical.id.is_some())
    }

    /// Request streams that are remembered.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.requests.len()
    }

    /// What is known of the client-initiated bidirectional stream `id` (server).
    #[must_use]
    pub fn request_state(&self, id: StreamId) -> RequestState {
        match self.requests.get(&id) {
            Some(request) if request.announced => RequestState::Open,
            Some(_) => RequestState::Expected,
            // RFC 9114 §5.2: it would be rejected.
            None if self.goaway_sent.is_some_and(|limit| id.value() >= limit) => RequestState::Gone,
            None if self.may_come(id) => RequestState::Expected,
            None => RequestState::Gone,
        }
    }

    /// Whether something came on the client-initiated bidirectional stream `id`, and it is not over (server): what becomes of a
    /// request on it has a [deadline](Config::request_timeout), or is known. Not so of one that is
    /// [left unread](Self::hold_requests) now, which can last as long as the peer takes no responses.
    #[must_use]
    pub fn has_begun(&self, id: StreamId) -> bool {
        let begun = self.requests.contains_key(&id) || self.incoming.contains_key(&id);
        begun && !self.held.streams.contains(&id)
    }

    /// Handles an event of the transport at the time `now`. False: the event is about a stream that carries
    /// another layer's tag, or of a kind that HTTP/3 has no use for.
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
            _ => return false,
        };
        if let Err(error) = result {
            self.fail(error, transport);
        }
        true
    }

    /// Closes the connection because the peer broke a rule that the layer above watches over, such as [`H3Violation::Flood`]
    /// or [`H3Violation::SettingValue`]. `Failed` follows.
    pub fn close_for(&mut self, violation: H3Violation, transport: &mut impl Transport) {
        self.fail(violation.into(), transport);
    }

    /// Closes the connection and forgets everything, once.
    fn fail(&mut self, error: H3Error, transport: &mut impl Transport) {
        if self.failed.is_some() {
            return;
        }
        self.failed = Some(error);
        transport.close(error.code(), error.to_string().as_bytes());
        self.requests = StreamMap::default();
        self.incoming = StreamMap::default();
        self.unheard = Unheard::default();
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

    /// Gives up the streams whose heads are not whole in their time ([`Config::request_timeout`]); events follow.
    pub fn handle_timeout(&mut self, now: Timestamp, transport: &mut impl Transport) {
        self.now = now;
        // Asked once: it looks at every stream.
        let mut withheld = None;
        while let Some((at, id)) = self.waiting.pop_due(now) {
            if !is_half_open(&self.incoming, &self.requests, self.peer_settings.is_some(), at, id) {
                continue;
            }
            // Only who may send is late: time counts anew for whom this side did not let say more. Who has itself used up all
            // credit, with half-open requests or streams that nobody can read, was let.
            if self.held.streams.contains(&id)
                || *withheld.get_or_insert_with(|| transport.withholds_credit())
            {
                self.wait_for_head(id);
            } else if let Err(error) = self.give_up(id, transport) {
                self.fail(error, transport);
            }
        }
    }

    /// From now on, what the stream is has to become known in its time.
    fn wait_for_head(&mut self, id: StreamId) {
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

    /// The stream was read on: as a rule it is known now what it is.
    fn settle(&mut self, id: StreamId) {
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

    /// A stream took too long.
    fn give_up(&mut self, id: StreamId, transport: &mut impl Transport) -> Result<(), H3Error> {
        if let Some(request) = self.requests.get_mut(&id) {
            // All of a burst are late together: that is no flood.
            request.counted = true;
            return self.stream_error(id, StreamViolation::RequestTimeout, transport);
        }
        self.give_up_incoming(id, transport);
        Ok(())
    }

    /// The parts that a request stream needs, beside the request itself.
    fn split(&mut self) -> (&mut StreamMap<Request>, Shared<'_>) {
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

    fn flush_critical(&mut self, transport: &mut impl Transport) {
        for critical in &mut self.critical_out {
            if critical.id.is_none() && !critical.out.is_empty() {
                critical.id = transport.open(Dir::Uni);
                if let Some(id) = critical.id {
                    // Ahead of everything: settings and table updates unblock the rest.
                    transport.set_priority(id, Priority { urgency: 0, ..Priority::default() });
                }
            }
            if let Some(id) = critical.id {
                // A peer that stops these streams is met by its StreamStopped event.
                let _ = critical.out.flush(id, transport);
            }
        }
    }

    /// Whether a request may still come on a stream of the client's (server).
    fn may_come(&self, id: StreamId) -> bool {
        id.index() >= self.opened || self.unheard.holds(id.index()) || self.incoming.contains_key(&id)
    }

    fn on_opened(&mut self, id: StreamId) -> Result<(), H3Error> {
        if id.initiator() == self.side {
            return Ok(());
        }
        if id.dir() == Dir::Bidi {
            // RFC 9114 §6.1: without an extension that has a use for them.
            if self.side.is_client() && !self.config.settings.webtransport() {
                return Err(H3Violation::ServerBidiStream.into());
            }
            if !self.side.is_client() {
                self.unheard.hear(id.index());
                self.unheard.skip(self.opened, id.index());
                self.opened = self.opened.max(id.index() + 1);
            }
        }
        self.incoming.insert(id, Incoming::default());
        self.wait_for_head(id);
        Ok(())
    }

    fn on_readable(&mut self, id: StreamId, transport: &mut impl Transport) -> Result<(), H3Error> {
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

    fn on_writable(&mut self, id: StreamId, transport: &mut impl Transport) -> Result<(), H3Error> {
        if let Some(request) = self.requests.get_mut(&id) {
            // A stop that shows up here is told by its own event: the request is kept for that.
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

    fn on_stopped(&mut self, id: StreamId, code: u64) -> Result<(), H3Error> {
        // RFC 9114 §6.2.1, RFC 9204 §4.2: ours have to stay open too.
        if self.critical_out.iter().any(|critical| critical.id == Some(id)) {
            return Err(H3Violation::CriticalStreamClosed.into());
        }
        if let Some(incoming) = self.incoming.get_mut(&id) {
            // Told as soon as it is known whom it concerns.
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

    /// Reads a request stream as far as it goes without the layer above.
    fn advance_request(&mut self, id: StreamId, transport: &mut impl Transport) -> Result<(), H3Error> {
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

    /// What follows from where reading stands; false if the stream failed.
    fn after_progress(
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

    /// The peer gave its side of a request stream up.
    fn on_reset(&mut self, id: StreamId, code: u64, transport: &mut impl Transport) -> Result<(), H3Error> {
        let Some(request) = self.requests.get_mut(&id) else { return Ok(()) };
        let useless = request.send.stage != Stage::Closed && !request.counted;
        request.counted |= useless;
        if request.announced {
            self.events.push_back(Event::Reset { stream: id, code });
        } else {
            self.events.push_back(Event::NoRequest { stream: id });
            // RFC 9114 §4.1: no response to a request that never was whole.
            let _ = transport.reset(id, code::H3_REQUEST_INCOMPLETE, 0);
            request.send.close();
        }
        self.retire(id);
        if useless { self.count_useless() } else { Ok(()) }
    }

    /// Answers a malformed or too large message (RFC 9114 §4.1.2).
    fn stream_error(
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
    fn answer_too_large(&mut self, id: StreamId, mut request: Request, transport: &mut impl Transport) {
        let mut section = Vec::with_capacity(16);
        self.encoder.encode([qpack::FieldRef::new(b":status", b"431")], &mut section);
        request.send.push_headers(&section);
        request.send.stage = Stage::Ended;
        let _ = request.send.flush(id, transport);
        self.requests.insert(id, request);
        self.retire(id);
    }

    /// RFC 9114 §10.5: requests that cost work and want no answer are counted against a rate (server).
    fn count_useless(&mut self) -> Result<(), H3Error> {
        if self.side.is_client() { Ok(()) } else { self.resets.count(self.now).map_err(H3Error::from) }
    }

    /// Forgets a request stream when both directions are over.
    fn retire(&mut self, id: StreamId) {
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

/// Whether the deadline `at` of a stream still counts: it is not known what the stream is, or its request is not whole.
fn is_half_open(
    incoming: &StreamMap<Incoming>,
    requests: &StreamMap<Request>,
    settings: bool,
    at: Timestamp,
    id: StreamId,
) -> bool {
    incoming.contains_key(&id)
        || requests.get(&id).is_some_and(|request| request.is_half_open(settings) && request.until <= at)
}

/// After a burst of streams the table is to be small again: at most eight times as large as what is in it.
fn slim<V>(streams: &mut StreamMap<V>) {
    if streams.capacity() > 64 && streams.len() < streams.capacity() / 8 {
        streams.shrink_to(2 * streams.len());
    }
}

/// A write error as the caller hears it.
fn send_error(error: WriteError) -> crate::error::SendError {
    match error {
        WriteError::Stopped(code) => crate::error::SendError::Stopped(code),
        _ => crate::error::SendError::Closed,
    }
}

/// The code of a reset, if that is what ended the stream.
fn reset_code(error: ReadError) -> Option<u64> {
    match error {
        ReadError::Reset(code) => Some(code),
        _ => None,
    }
}
