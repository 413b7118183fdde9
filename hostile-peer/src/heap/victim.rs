//! The end under test: QUIC, HTTP/3, sessions, an application; and what they have allocated.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use h3_core::transport::ConnTransport;
use netsim::Random;
use quic_core::{
    CidFactory, ClientConfig, Connection, ConnectionHandle, ConnectionId, DatagramEvent, DatagramMeta, Dir,
    Endpoint, EndpointConfig, Event, ServerConfig, Side, TransportConfig,
    base::{EndpointBudget, SeededEntropy, Timestamp},
    error::ConnectionError,
    testing,
};
use wt_session::{Config, Dialect, Dialects, FlowControl, Sessions};

use super::app::App;
use crate::{
    meter::Meter,
    peer::{EncodeParams, Peer, Tls, encode},
};

const ALPN: &[u8] = b"h3";
/// How many events the application handles in one turn, as in the driver of `wt-api`.
const EVENTS_A_TURN: usize = 1024;
/// The most timers in one period of time: more would be an endless loop.
const MAX_TIMERS: u32 = 20_000;

fn peer_address() -> SocketAddr {
    "192.0.2.66:4433".parse().expect("an address")
}

/// What the peer knows of the end: the limits in its transport parameters, and what it has granted since.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// How many bytes all streams of the peer may carry.
    pub(super) max_data: u64,
    /// How many streams the peer may open, bidirectional and unidirectional.
    pub(super) max_streams: [u64; 2],
    /// How many of the end's own streams the peer has heard of.
    pub(super) heard: [u64; 2],
    /// The highest sequence number of the end's connection IDs that the peer has heard of.
    pub(super) issued: u64,
}

/// A connection and the layers above it.
struct Stack {
    handle: ConnectionHandle,
    quic: Connection,
    h3: h3_core::Connection,
    sessions: Sessions,
}

/// Everything whose allocations are counted. It drives quic-core by hand and not with
/// `quic_core::testing::Driver`, whose buffer would be counted too.
struct Inner {
    side: Side,
    now: Timestamp,
    endpoint: Endpoint,
    config: Config,
    stack: Option<Stack>,
    app: App,
    tls: Option<Tls>,
    /// Why the connection ended.
    why: Option<ConnectionError>,
}

/// The end under test, and its heap.
pub(super) struct Victim {
    inner: Option<Inner>,
    budget: EndpointBudget,
    transport: TransportConfig,
    buffer: Vec<u8>,
    meter: Meter,
    /// The heap when the handshake was complete.
    idle: isize,
}

/// Sometimes uses small windows, so that their limits are reached.
fn transport(random: &mut Random) -> TransportConfig {
    let window = [16 << 10, 64 << 10, 256 << 10][random.below(3) as usize];
    let streams = [10, 100, 1000][random.below(3) as usize];
    TransportConfig::new()
        .max_streams_bidi(streams)
        .max_streams_uni(streams)
        .stream_receive_window(window)
        .max_stream_receive_window(window * 4)
        .receive_window(window * 4)
        .max_receive_window(window * 16)
        .max_send_memory(1 << 20)
}

fn sessions(random: &mut Random) -> Config {
    let mut config = Config::default();
    config.max_sessions = [1, 4, 100][random.below(3) as usize];
    if random.chance(0.3) {
        config.flow_control = Some(FlowControl::default());
    }
    if random.chance(0.4) {
        config.dialects = Dialects::only(Dialect::ALL[random.below(4) as usize]);
    }
    config.max_early_streams = [24, 4096][random.below(2) as usize];
    config
}

fn params() -> EncodeParams {
    Box::new(|honest| encode(&honest))
}

impl Inner {
    fn new(side: Side, config: Config, transport: TransportConfig, budget: EndpointBudget, app: App) -> Self {
        let mut endpoint_config = EndpointConfig::new(CidFactory::new(8, 0, &[7; 32]));
        endpoint_config.budget = budget;
        let mut endpoint = Endpoint::new(endpoint_config, None, Box::new(SeededEntropy::new(1)));
        let (server_tls, certificate) = testing::tls_server_config(ALPN);
        let client_tls = testing::tls_client_config(&certificate, ALPN);
        let now = Timestamp::from_nanos(1_000_000_000);
        let transport = Arc::new(transport);
        let mut inner = if side == Side::Server {
            endpoint.set_server(Some(Arc::new(ServerConfig::new(server_tls, [9; 32]).transport(transport))));
            Self {
                side,
                now,
                endpoint,
                config,
                stack: None,
                app,
                tls: Some(Tls::Client(client_tls)),
                why: None,
            }
        } else {
            let connecting = ClientConfig::new(client_tls).transport(transport);
            let opened =
                endpoint.connect(now, &connecting, "localhost", peer_address()).expect("a connection");
            let tls = Some(Tls::Server(server_tls));
            let mut inner = Self { side, now, endpoint, config, stack: None, app, tls, why: None };
            inner.adopt(opened);
            inner
        };
        inner.config.max_queued_datagrams = 64;
        inner
    }

    fn adopt(&mut self, (handle, quic): (ConnectionHandle, Connection)) {
        let settings = Sessions::settings(&self.config);
        let h3 = h3_core::Connection::new(h3_core::Config::new(settings), self.side);
        let sessions = Sessions::new(self.config.clone(), self.side);
        self.stack = Some(Stack { handle, quic, h3, sessions });
    }

    fn receive(&mut self, datagram: &[u8]) {
        let meta = DatagramMeta::new(peer_address()).allocation(datagram.len());
        match self.endpoint.handle_datagram(self.now, &meta, BytesMut::from(datagram)) {
            DatagramEvent::Connection(_, data) => {
                if let Some(stack) = &mut self.stack {
                    stack.quic.handle_datagram(self.now, &meta, data);
                }
            }
            DatagramEvent::Incoming(incoming) if self.stack.is_none() => {
                if let Ok(accepted) = self.endpoint.accept(self.now, incoming) {
                    self.adopt(accepted);
                }
            }
            _ => {}
        }
    }

    /// Runs one turn of the layers above QUIC.
    fn process(&mut self) {
        let Some(stack) = &mut self.stack else { return };
        let mut t = ConnTransport::new(&mut stack.quic, self.now);
        for _ in 0..EVENTS_A_TURN {
            let Some(event) = t.conn.poll_event() else { break };
            if event == Event::HandshakeComplete {
                stack.h3.start(&mut t);
            }
            if let Event::Closed(error) = &event {
                self.why = Some(error.clone());
            }
            stack.sessions.on_event(&event, self.now, &mut stack.h3, &mut t);
            self.app.take_events(&mut stack.sessions, &mut stack.h3, &mut t);
        }
        stack.sessions.flush(&mut stack.h3, &mut t);
        self.app.take_events(&mut stack.sessions, &mut stack.h3, &mut t);
        while let Some(change) = stack.quic.poll_cid_change() {
            self.endpoint.handle_cid_change(stack.handle, change);
        }
    }

    fn act(&mut self) {
        let Some(stack) = &mut self.stack else { return };
        let mut t = ConnTransport::new(&mut stack.quic, self.now);
        self.app.act(&mut stack.sessions, &mut stack.h3, &mut t);
        stack.sessions.flush(&mut stack.h3, &mut t);
    }

    /// The earliest timer of the layers above QUIC.
    fn timer(&self) -> Option<Timestamp> {
        let stack = self.stack.as_ref()?;
        [stack.quic.poll_timeout(), stack.h3.poll_timeout(), stack.sessions.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    fn on_timer(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        let Some(stack) = &mut self.stack else { return };
        stack.quic.handle_timeout(self.now);
        let transport = &mut ConnTransport::new(&mut stack.quic, self.now);
        stack.h3.handle_timeout(self.now, transport);
        stack.sessions.handle_timeout(self.now, &stack.h3, transport);
    }

    fn quic(&mut self) -> Option<&mut Connection> {
        self.stack.as_mut().map(|stack| &mut stack.quic)
    }
}

impl Victim {
    /// An end whose handshake with a peer is confirmed.
    pub(super) fn connected(side: Side, random: &mut Random) -> (Self, Peer) {
        let (transport, config) = (transport(random), sessions(random));
        let app = App::new(Random::new(random.next_u64()));
        let budget = EndpointBudget::new(1 << 30);
        let mut victim = Self {
            inner: None,
            budget: budget.clone(),
            transport: transport.clone(),
            buffer: vec![0; 64 << 10],
            meter: Meter::default(),
            idle: 0,
        };
        victim.inner = Some(victim.meter.count(|| Inner::new(side, config, transport, budget, app)));
        let tls = victim.inner().tls.take().expect("there is TLS for the peer");
        let mut peer = Peer::new(tls, params(), ConnectionId::new(b"hostile!").expect("eight bytes"));
        peer.forgets = true;
        if side == Side::Server {
            peer.start(ConnectionId::new(b"original-dst").expect("twelve bytes"));
        }
        for _ in 0..6 {
            victim.turn(&mut peer);
            peer.flight().iter().for_each(|datagram| victim.receive(datagram));
        }
        victim.turn(&mut peer);
        assert!(peer.is_complete() && !victim.is_closed(), "the handshake is over");
        victim.idle = victim.meter.held();
        victim.meter.take_peak();
        (victim, peer)
    }

    fn inner(&mut self) -> &mut Inner {
        self.inner.as_mut().expect("the end is there until its end")
    }

    fn metered<R>(&mut self, act: impl FnOnce(&mut Inner) -> R) -> R {
        let inner = self.inner.as_mut().expect("the end is there until its end");
        self.meter.count(|| act(inner))
    }

    pub(super) fn receive(&mut self, datagram: &[u8]) {
        self.metered(|inner| inner.receive(datagram));
    }

    /// Gives the layers above their turn, and sends the resulting datagrams to the peer.
    pub(super) fn turn(&mut self, peer: &mut Peer) {
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            self.metered(Inner::process);
            let transmit = self.metered(|inner| {
                let now = inner.now;
                inner.quic().and_then(|quic| quic.poll_transmit(now, &mut buffer))
            });
            let Some(transmit) = transmit else { break };
            buffer[..transmit.size].chunks(transmit.segment_size).for_each(|segment| peer.receive(segment));
        }
        self.buffer = buffer;
    }

    pub(super) fn act(&mut self) {
        self.metered(Inner::act);
    }

    /// Lets time pass, and timers fire. The peer sends nothing.
    pub(super) fn run(&mut self, time: Duration, peer: &mut Peer) {
        let end = self.inner().now + time;
        for timer in 0.. {
            assert!(timer < MAX_TIMERS, "{timer} timers in {time:?}: it hangs");
            self.turn(peer);
            let at = self.inner().timer().filter(|at| *at <= end);
            let Some(at) = at else { break };
            self.metered(|inner| inner.on_timer(at));
        }
        let inner = self.inner();
        inner.now = inner.now.max(end);
    }

    pub(super) fn is_closed(&mut self) -> bool {
        self.inner().quic().is_none_or(|quic| quic.is_closed())
    }

    /// Why the connection ended, if it did.
    pub(super) fn why(&mut self) -> Option<String> {
        let inner = self.inner();
        let http =
            inner.stack.as_ref().and_then(|stack| stack.h3.failure()).map(|failure| failure.to_string());
        http.or_else(|| inner.why.as_ref().map(ToString::to_string))
    }

    /// The initial receive windows of a stream and of the connection, in bytes.
    pub(super) fn windows(&self) -> (u64, u64) {
        (self.transport.stream_receive_window, self.transport.receive_window)
    }

    pub(super) fn view(&mut self, peer: &Peer) -> View {
        let first = self.transport.receive_window;
        let quic = self.inner().quic().expect("asked while there is a connection");
        let max_streams = [Dir::Bidi, Dir::Uni].map(|dir| quic.stream_limit(peer.side, dir));
        View { max_data: peer.max_data.max(first), max_streams, heard: peer.heard, issued: peer.issued }
    }

    /// The peak of the heap since the last call, without what an idle connection holds, in bytes.
    pub(super) fn worst(&self) -> isize {
        self.meter.take_peak() - self.idle
    }

    /// What the connection has charged to its endpoint's budget, in bytes.
    pub(super) fn charged(&self) -> usize {
        self.budget.used()
    }

    /// The number of objects of each kind, for failure messages.
    pub(super) fn describe(&mut self) -> String {
        let Some(stack) = self.inner().stack.as_ref() else { return String::new() };
        let Stack { quic, h3, sessions, .. } = stack;
        let (requests, count, streams) =
            (h3.open_requests(), sessions.session_count(), sessions.open_streams());
        let early = sessions.early();
        format!(
            "{requests} requests, {count} sessions with {streams} streams, {early:?} early, {:?}",
            quic.stats()
        )
    }

    /// Ends the connection, with a close of this side if needed, and drops it.
    pub(super) fn end(&mut self, peer: &mut Peer) {
        self.metered(|inner| {
            let now = inner.now;
            if let Some(quic) = inner.quic().filter(|quic| !quic.is_closed()) {
                quic.close(now, 0x100, b"");
            }
        });
        self.run(Duration::from_secs(60), peer);
        self.metered(|inner| {
            let stack = inner.stack.take().expect("there was a connection");
            assert!(stack.quic.is_drained(), "drained at last");
            inner.endpoint.forget(stack.handle);
        });
        assert_eq!(self.budget.used(), 0, "all charges were given back");
    }

    /// How many bytes are still allocated when everything is dropped.
    pub(super) fn left(&mut self) -> isize {
        let inner = self.inner.take();
        self.meter.count(|| drop(inner));
        self.meter.held()
    }
}
