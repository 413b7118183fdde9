//! Tests over the in-memory transport. `Duo` has two ends; `Rig` has one end and a peer with real HTTP/3,
//! whose WebTransport the test plays. Test names start with the row of the conformance table.

mod bursts;
mod early;
mod exchange;
mod flow;
mod flow_drawn;
mod flow_rules;
mod going_away;
mod hostile;
mod negotiation;
mod priority;
mod several;
mod transport;

use std::time::Duration;

use bytes::Bytes;
use h3_core::{
    Connection, RequestHead, ResponseHead, Settings, Transport as _,
    capsule::put_capsule,
    transport::mock::{End, Pair},
};
use heap_meter::{HeapMeter, Measure};
use http::{HeaderMap, StatusCode};
use quic_core::{Dir, Side, StreamId, base::varint, error::call::Read};

use super::*;
use crate::{CloseInfo, Dialect, Dialects};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

const BOTH: [Side; 2] = [Side::Client, Side::Server];
const DIALECTS: [Dialect; 4] = Dialect::ALL;
const CLOSE: u64 = 0x2843;
const DRAIN: u64 = 0x78ae;
const MESSAGE_ERROR: u64 = 0x10e;
const GONE: u64 = crate::codes::WT_SESSION_GONE;

fn id(index: u64) -> SessionId {
    SessionId(StreamId::new(Side::Client, Dir::Bidi, index))
}

fn settings_of(dialect: Dialect) -> Settings {
    Sessions::settings(&config_of(dialect))
}

/// A configuration that announces one dialect only.
fn config_of(dialect: Dialect) -> Config {
    Config { dialects: Dialects::only(dialect), ..Config::default() }
}

fn request() -> ConnectRequest {
    ConnectRequest::new("a.test:4433".parse().unwrap(), "/chat?x=1".parse().unwrap())
        .with_origin(Some("https://a.test".parse().unwrap()))
}

fn capsule(kind: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_capsule(kind, value, &mut out);
    out
}

fn close_capsule(code: u32, reason: &[u8]) -> Vec<u8> {
    capsule(CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

fn preface(dir: Dir, session: SessionId) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(&mut out, if dir == Dir::Bidi { 0x41 } else { 0x54 });
    varint::put(&mut out, session.0.value());
    out
}

/// The names of events, to compare their order.
fn names(events: &[Event]) -> Vec<&'static str> {
    events
        .iter()
        .map(|event| match event {
            Event::Incoming { .. } => "incoming",
            Event::Requested { .. } => "requested",
            Event::Established { .. } => "established",
            Event::Refused { .. } => "refused",
            Event::StreamOpened { .. } => "opened",
            Event::Readable { .. } => "readable",
            Event::Writable { .. } => "writable",
            Event::Stopped { .. } => "stopped",
            Event::Sent { .. } => "sent",
            Event::StreamsAvailable { .. } => "available",
            Event::Datagram { .. } => "datagram",
            Event::Ranked { .. } => "ranked",
            Event::Draining { .. } => "draining",
            Event::Closed { .. } => "closed",
            Event::Finished { .. } => "finished",
            Event::Http(_) => "http",
            Event::ConnectionFailed(_) => "failed",
        })
        .collect()
}

/// One end: HTTP/3, sessions and their events.
struct Node {
    side: Side,
    h3: Connection,
    sessions: Sessions,
    events: Vec<Event>,
    /// The `Requested` events, apart from the others.
    requested: Vec<(RequestId, SessionId)>,
}

impl Node {
    fn new(side: Side, config: &Config, end: &mut End) -> Self {
        let mut h3 = Connection::new(h3_core::Config::new(Sessions::settings(config)), side);
        h3.start(end);
        Self {
            side,
            h3,
            sessions: Sessions::new(config.clone(), side),
            events: Vec::new(),
            requested: Vec::new(),
        }
    }

    fn pump(&mut self, end: &mut End) {
        while let Some(event) = end.events.pop_front() {
            self.sessions.on_event(&event, Timestamp::ORIGIN, &mut self.h3, end);
            self.poll();
        }
        self.poll();
    }

    /// Flushes, as a driver does before the transport sends.
    fn flush(&mut self, end: &mut End) {
        self.sessions.flush(&mut self.h3, end);
        self.poll();
    }

    fn poll(&mut self) {
        while let Some(event) = self.sessions.poll_event() {
            match event {
                Event::Http(h3_core::Event::SettingsReceived(_)) => {}
                Event::Requested { request, session } => self.requested.push((request, session)),
                event => self.events.push(event),
            }
        }
    }

    fn read_all(&mut self, stream: StreamId, end: &mut End) -> (Vec<u8>, Result<Read, StreamError>) {
        let mut all = Vec::new();
        loop {
            match self.sessions.read(stream, 7, end) {
                Ok(Read::Data(bytes)) => all.extend_from_slice(&bytes),
                last => return (all, last),
            }
        }
    }

    fn opened(&self) -> Vec<StreamId> {
        let opened = |event: &Event| match event {
            Event::StreamOpened { stream, .. } => Some(*stream),
            _ => None,
        };
        self.events.iter().filter_map(opened).collect()
    }

    fn datagrams(&self) -> Vec<Bytes> {
        let datagram = |event: &Event| match event {
            Event::Datagram { payload, .. } => Some(payload.clone()),
            _ => None,
        };
        self.events.iter().filter_map(datagram).collect()
    }

    fn closed(&self) -> Option<&Result<CloseInfo, crate::SessionError>> {
        self.events.iter().find_map(|event| match event {
            Event::Closed { result, .. } => Some(result),
            _ => None,
        })
    }

    fn refusal(&self) -> Option<&crate::Refusal> {
        self.events.iter().find_map(|event| match event {
            Event::Refused { reason, .. } => Some(reason),
            _ => None,
        })
    }

    fn has(&self, name: &str) -> bool {
        names(&self.events).contains(&name)
    }
}

use crate::StreamError;

/// Two ends.
struct Duo {
    pair: Pair,
    client: Node,
    server: Node,
    piece: usize,
}

impl Duo {
    fn new(client: &Config, server: &Config) -> Self {
        let mut pair = Pair::new();
        let client = Node::new(Side::Client, client, &mut pair.client);
        let server = Node::new(Side::Server, server, &mut pair.server);
        Self { pair, client, server, piece: usize::MAX }
    }

    fn run(&mut self) {
        loop {
            self.client.flush(&mut self.pair.client);
            self.server.flush(&mut self.pair.server);
            let moved = self.pair.deliver(self.piece);
            self.client.pump(&mut self.pair.client);
            self.server.pump(&mut self.pair.server);
            if !moved {
                break;
            }
        }
    }

    fn connect(&mut self) {
        self.client.sessions.connect(request(), &mut self.client.h3, &mut self.pair.client).unwrap();
        self.run();
    }

    /// Two ends with an established session of one dialect and no events.
    fn established(dialect: Dialect) -> Self {
        let mut duo = Self::new(&config_of(dialect), &config_of(dialect));
        duo.connect();
        let (node, end) = (&mut duo.server, &mut duo.pair.server);
        node.sessions.accept(id(0), HeaderMap::new(), &mut node.h3, end).unwrap();
        duo.run();
        assert!(duo.client.sessions.is_open(id(0)) && duo.server.sessions.is_open(id(0)));
        duo.client.events.clear();
        duo.server.events.clear();
        duo
    }

    /// Both ends, that of `side` first.
    fn ends(&mut self, side: Side) -> ((&mut Node, &mut End), (&mut Node, &mut End)) {
        let client = (&mut self.client, &mut self.pair.client);
        let server = (&mut self.server, &mut self.pair.server);
        if side.is_client() { (client, server) } else { (server, client) }
    }
}

/// One end, and a peer that the test plays.
struct Rig {
    node: Node,
    pair: Pair,
    peer: Connection,
    peer_events: Vec<h3_core::Event>,
    piece: usize,
}

impl Rig {
    fn new(side: Side, config: &Config, peer_settings: Settings) -> Self {
        let mut pair = Pair::new();
        let (end, peer_end) = pair.ends(side);
        let node = Node::new(side, config, end);
        let mut peer = Connection::new(h3_core::Config::new(peer_settings), side.peer());
        peer.start(peer_end);
        let mut rig = Self { node, pair, peer, peer_events: Vec::new(), piece: usize::MAX };
        rig.run();
        rig
    }

    /// A session that is requested and not answered yet. The peer answers if `side` is the client.
    fn pending(side: Side, dialect: Dialect) -> Self {
        let mut rig = Self::new(side, &config_of(dialect), settings_of(dialect));
        match side {
            Side::Client => rig.connect(),
            Side::Server => {
                rig.ask(dialect.token());
            }
        }
        rig
    }

    /// An established session and no events.
    fn ready(side: Side, dialect: Dialect) -> Self {
        let mut rig = Self::pending(side, dialect);
        rig.establish();
        rig.node.events.clear();
        rig
    }

    fn establish(&mut self) {
        match self.node.side {
            Side::Client => self.answer(200),
            Side::Server => self.accept().unwrap(),
        }
        self.run();
        assert!(self.node.sessions.is_open(id(0)));
    }

    fn accept(&mut self) -> Result<(), crate::AcceptError> {
        let Node { sessions, h3, .. } = &mut self.node;
        sessions.accept(id(0), HeaderMap::new(), h3, &mut self.pair.server)
    }

    fn connect(&mut self) {
        let Node { sessions, h3, .. } = &mut self.node;
        sessions.connect(request(), h3, &mut self.pair.client).unwrap();
        self.run();
    }

    /// The peer is a client and requests a session.
    fn ask(&mut self, token: &'static str) -> StreamId {
        self.ask_with(token, HeaderMap::new())
    }

    fn ask_with(&mut self, token: &'static str, headers: HeaderMap) -> StreamId {
        let mut head =
            RequestHead::new(http::Method::CONNECT, "a.test".parse().unwrap(), "/".parse().unwrap());
        head.headers = headers;
        head.protocol = h3_core::Protocol::new(Bytes::from_static(token.as_bytes()));
        let stream = self.peer.send_request(&head, false, &mut self.pair.client).unwrap();
        self.run();
        stream
    }

    /// The peer is a server and answers.
    fn answer(&mut self, status: u16) {
        let head = ResponseHead::new(StatusCode::from_u16(status).unwrap());
        self.peer.send_response(id(0).0, &head, false, &mut self.pair.server).unwrap();
        self.run();
    }

    fn peer_end(&mut self) -> &mut End {
        self.pair.ends(self.node.side).1
    }

    /// The peer sends bytes on the CONNECT stream in DATA frames.
    fn send(&mut self, bytes: &[u8]) {
        let mut bytes = Bytes::copy_from_slice(bytes);
        let end = self.pair.ends(self.node.side).1;
        self.peer.send_data(id(0).0, &mut bytes, end).unwrap();
        assert!(bytes.is_empty());
    }

    fn fin(&mut self) {
        let end = self.pair.ends(self.node.side).1;
        self.peer.finish(id(0).0, end).unwrap();
    }

    /// The peer opens a stream with a preface and some data.
    fn push_stream(&mut self, dir: Dir, session: SessionId, data: &[u8]) -> StreamId {
        let end = self.peer_end();
        let stream = end.open(dir).unwrap();
        end.push(stream, &[&preface(dir, session)[..], data].concat());
        stream
    }

    fn run(&mut self) {
        loop {
            self.node.flush(self.pair.ends(self.node.side).0);
            let moved = self.pair.deliver(self.piece);
            let (end, peer) = self.pair.ends(self.node.side);
            self.node.pump(end);
            while let Some(event) = peer.events.pop_front() {
                self.peer.on_event(&event, Timestamp::ORIGIN, peer);
            }
            while let Some(event) = self.peer.poll_event() {
                self.peer_events.push(event);
            }
            if !moved {
                break;
            }
        }
    }

    fn alive(&mut self) {
        let side = self.node.side;
        assert_eq!(self.pair.ends(side).0.closed, None);
        assert_eq!(self.peer_end().closed, None);
    }

    /// Asserts that the CONNECT stream was reset with this code.
    fn assert_reset(&mut self, stream: StreamId, code: u64) {
        self.alive();
        let end = self.peer_end();
        assert_eq!((end.reset_received(stream), end.stop_received(stream)), (Some(code), Some(code)));
    }
}

/// Repeats a step and asserts that the heap does not grow. After the last round it is within 64 KiB of its
/// size after a tenth of the rounds, and it never exceeds that by 1 MiB. The mock's memory counts.
#[track_caller]
fn flood<T>(ends: &mut T, rounds: u64, mut step: impl FnMut(&mut T, u64)) {
    let mut mark = Measure::start();
    for round in 0..rounds {
        if round == rounds / 10 {
            mark = Measure::start();
        }
        step(ends, round);
    }
    let (growth, peak) = (mark.growth(), mark.peak_growth());
    assert!(growth.abs() <= 64 << 10 && peak <= 1 << 20, "the heap grew by {growth}, at most by {peak}");
}
