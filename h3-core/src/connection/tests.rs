//! Tests over the in-memory transport. `Rig` has one connection and a peer played by the test, `Two` has two
//! connections.

mod compression;
mod exchange;
mod hostile;
mod late;
mod messages;
mod qpack_rows;
mod remembered;
mod webtransport;

use std::time::Duration;

use bytes::Bytes;
use heap_meter::{HeapMeter, Measure};
use qpack::{Encoder, FieldRef};
use quic_core::{Dir, Side, StreamId, StreamTag, base::Timestamp, error::call::Read};

use super::*;
use crate::{
    error::code,
    frame::{put_head, put_varint_frame},
    message::{RequestHead, ResponseHead},
    transport::mock::{End, Pair},
};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

pub(super) const BOTH: [Side; 2] = [Side::Client, Side::Server];

pub(super) fn webtransport_settings() -> Settings {
    Settings { enable_connect_protocol: true, h3_datagram: true, wt_enabled: 1, ..Settings::default() }
}

pub(super) fn plain_settings() -> Settings {
    Settings { h3_datagram: true, max_field_section_size: Some(16 * 1024), ..Settings::default() }
}

/// Passes an end's events to its connection and collects the connection's events.
pub(super) fn pump(connection: &mut Connection, end: &mut End, now: Timestamp, events: &mut Vec<Event>) {
    while let Some(event) = end.events.pop_front() {
        connection.on_event(&event, now, end);
        while let Some(event) = connection.poll_event() {
            events.push(event);
        }
    }
    while let Some(event) = connection.poll_event() {
        events.push(event);
    }
}

pub(super) fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_head(kind, payload.len() as u64, &mut out);
    out.extend_from_slice(payload);
    out
}

pub(super) fn varint_frame(kind: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint_frame(kind, value, &mut out);
    out
}

pub(super) fn headers(lines: &[(&str, &str)]) -> Vec<u8> {
    let mut section = Vec::new();
    let lines = lines.iter().map(|(name, value)| FieldRef::new(name.as_bytes(), value.as_bytes()));
    Encoder::new().encode(0, lines, &mut section);
    frame(1, &section)
}

pub(super) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")];
pub(super) const OK: [(&str, &str); 1] = [(":status", "200")];

pub(super) fn get_with(extra: &[(&str, &str)]) -> Vec<u8> {
    headers(&[&GET[..], extra].concat())
}

pub(super) fn request_head() -> RequestHead {
    RequestHead::new(http::Method::GET, "a.test".parse().unwrap(), "/".parse().unwrap())
}

/// One connection, and a peer that the test plays.
pub(super) struct Rig {
    pub(super) side: Side,
    pub(super) connection: Connection,
    pub(super) pair: Pair,
    pub(super) events: Vec<Event>,
    pub(super) now: Timestamp,
    /// How many bytes of a stream one delivery moves.
    pub(super) piece: usize,
}

impl Rig {
    pub(super) fn new(side: Side, settings: Settings) -> Self {
        Self::with_config(side, Config::new(settings))
    }

    pub(super) fn with_config(side: Side, config: Config) -> Self {
        let mut pair = Pair::new();
        let mut connection = Connection::new(config, side);
        connection.start(pair.ends(side).0);
        let mut rig =
            Self { side, connection, pair, events: Vec::new(), now: Timestamp::ORIGIN, piece: usize::MAX };
        rig.run();
        rig
    }

    /// A rig whose peer has sent its settings; returns the peer's control stream.
    pub(super) fn ready(side: Side, settings: Settings) -> (Self, StreamId) {
        Self::ready_with(side, Config::new(settings))
    }

    pub(super) fn ready_with(side: Side, config: Config) -> (Self, StreamId) {
        let mut rig = Self::with_config(side, config);
        let control = rig.peer().open(Dir::Uni).unwrap();
        let mut payload = Vec::new();
        webtransport_settings().encode(1, &mut payload);
        rig.peer().push(control, &[&[0][..], &frame(4, &payload)].concat());
        rig.run();
        (rig, control)
    }

    pub(super) fn peer(&mut self) -> &mut End {
        self.pair.ends(self.side).1
    }

    pub(super) fn end(&mut self) -> &mut End {
        self.pair.ends(self.side).0
    }

    pub(super) fn run(&mut self) {
        loop {
            let moved = self.pair.deliver(self.piece);
            let (end, peer) = self.pair.ends(self.side);
            pump(&mut self.connection, end, self.now, &mut self.events);
            peer.events.clear();
            if !moved {
                break;
            }
        }
    }

    pub(super) fn later(&mut self, time: Duration) {
        self.now += time;
    }

    /// A request stream for the peer to write on. At a client, the request has been sent and the peer
    /// answers.
    pub(super) fn request(&mut self) -> StreamId {
        match self.side {
            Side::Server => self.peer().open(Dir::Bidi).unwrap(),
            Side::Client => {
                let id = self.connection.send_request(&request_head(), true, &mut self.pair.client).unwrap();
                self.run();
                id
            }
        }
    }

    /// The header section with which the peer's part of a request stream begins.
    pub(super) fn first_headers(&self, extra: &[(&str, &str)]) -> Vec<u8> {
        match self.side {
            Side::Server => get_with(extra),
            Side::Client => headers(&[&OK[..], extra].concat()),
        }
    }

    pub(super) fn push(&mut self, id: StreamId, bytes: &[u8]) {
        self.peer().push(id, bytes);
        self.run();
    }

    /// What the connection has written on its decoder stream since the last call, without the type.
    pub(super) fn answers(&mut self) -> Vec<u8> {
        let id = StreamId::new(self.side, Dir::Uni, 2);
        let bytes = self.peer().pull(id);
        bytes.strip_prefix(&[0x03]).unwrap_or(&bytes).to_vec()
    }

    pub(super) fn fin(&mut self, id: StreamId) {
        self.peer().finish(id).unwrap();
        self.run();
    }

    /// Reads a body until it blocks or ends.
    pub(super) fn read_body(&mut self, id: StreamId) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let (end, _) = self.pair.ends(self.side);
            let read = self.connection.read_data(id, 1000, end);
            while let Some(event) = self.connection.poll_event() {
                self.events.push(event);
            }
            match read {
                Ok(Read::Data(bytes)) => body.extend_from_slice(&bytes),
                _ => break,
            }
        }
        self.run();
        body
    }

    /// Asserts that the connection was closed once, with this code.
    #[track_caller]
    pub(super) fn assert_failed(&mut self, code: u64) {
        let end = self.end();
        assert_eq!(end.closed.as_ref().map(|(code, _)| *code), Some(code), "the close code");
        assert_eq!(end.closes, 1);
        assert!(matches!(self.events.last(), Some(Event::Failed(error)) if error.code() == code));
        assert_eq!(self.connection.open_requests(), 0);
    }

    /// Asserts that the stream failed with this code and the connection lives on.
    #[track_caller]
    pub(super) fn assert_stream_error(&mut self, id: StreamId, code: u64) {
        self.run();
        assert_eq!(self.end().closed, None);
        let failed = |event: &Event| matches!(event, Event::StreamError { stream, violation } if *stream == id && violation.code() == code);
        assert!(self.events.iter().any(failed), "{:?}", self.events);
        if self.side == Side::Server {
            assert_eq!(self.peer().reset_received(id), Some(code));
        }
        assert_eq!(self.connection.open_requests(), 0);
    }

    /// Asserts that the connection works.
    #[track_caller]
    pub(super) fn assert_alive(&mut self) {
        assert_eq!(self.end().closed, None);
        assert!(
            !self.events.iter().any(|event| matches!(event, Event::StreamError { .. })),
            "{:?}",
            self.events
        );
    }

    /// Repeats a step and asserts that the heap does not grow. After the last round it is within 64 KiB of
    /// its size after a tenth of the rounds, and it never exceeds that by 1 MiB. Both ends' memory counts.
    #[track_caller]
    pub(super) fn flood(&mut self, rounds: u64, mut step: impl FnMut(&mut Self, u64)) {
        let mut mark = Measure::start();
        for round in 0..rounds {
            if round == rounds / 10 {
                mark = Measure::start();
            }
            step(self, round);
            self.events.clear();
            self.end().forget_closed();
            self.peer().forget_closed();
        }
        let (growth, peak) = (mark.growth(), mark.peak_growth());
        assert!(growth.abs() <= 64 << 10 && peak <= 1 << 20, "the heap grew by {growth}, at most by {peak}");
    }

    pub(super) fn requests_seen(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Request { .. })).count()
    }
}

/// Two connections.
pub(super) struct Two {
    pub(super) client: Connection,
    pub(super) server: Connection,
    pub(super) pair: Pair,
    pub(super) client_events: Vec<Event>,
    pub(super) server_events: Vec<Event>,
    pub(super) piece: usize,
}

impl Two {
    pub(super) fn new(settings: &Settings, piece: usize) -> Self {
        Self::with_configs(Config::new(settings.clone()), Config::new(settings.clone()), piece)
    }

    pub(super) fn with_configs(client: Config, server: Config, piece: usize) -> Self {
        let mut pair = Pair::new();
        let mut client = Connection::new(client, Side::Client);
        let mut server = Connection::new(server, Side::Server);
        client.start(&mut pair.client);
        server.start(&mut pair.server);
        let mut two = Self { client, server, pair, client_events: vec![], server_events: vec![], piece };
        two.run();
        two
    }

    pub(super) fn run(&mut self) {
        loop {
            let moved = self.pair.deliver(self.piece);
            pump(&mut self.client, &mut self.pair.client, Timestamp::ORIGIN, &mut self.client_events);
            pump(&mut self.server, &mut self.pair.server, Timestamp::ORIGIN, &mut self.server_events);
            if !moved {
                break;
            }
        }
    }

    /// Transfers a whole body; `from_client` is the direction.
    pub(super) fn transfer(&mut self, id: StreamId, body: &[u8], from_client: bool) -> Vec<u8> {
        let mut data = Bytes::copy_from_slice(body);
        let mut received = Vec::new();
        for _ in 0..100_000 {
            let (sender, out) = if from_client {
                (&mut self.client, &mut self.pair.client)
            } else {
                (&mut self.server, &mut self.pair.server)
            };
            if !data.is_empty() {
                sender.send_data(id, &mut data, out).unwrap();
            }
            self.run();
            let (receiver, inward) = if from_client {
                (&mut self.server, &mut self.pair.server)
            } else {
                (&mut self.client, &mut self.pair.client)
            };
            while let Ok(Read::Data(bytes)) = receiver.read_data(id, 700, inward) {
                received.extend_from_slice(&bytes);
            }
            if received.len() >= body.len() {
                break;
            }
        }
        received
    }
}
