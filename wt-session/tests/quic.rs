//! Sessions over two real QUIC connections that exchange datagrams in virtual time.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use h3_core::{Transport as _, transport::ConnTransport};
use http::HeaderMap;
use quic_core::{
    CidFactory, ClientConfig, DatagramMeta, Dir, Endpoint, EndpointConfig, ServerConfig, Side, StreamId,
    TransportConfig,
    base::{SeededEntropy, Timestamp},
    error::call::Read,
    testing::{self, Driver, Received},
};
use wt_session::{
    CloseInfo, Config, ConnectRequest, Dialect, Dialects, Event, FlowControl, SessionId, Sessions,
    StreamError, codes,
};

struct Peer {
    driver: Driver,
    h3: h3_core::Connection,
    sessions: Sessions,
    events: Vec<Event>,
    address: SocketAddr,
}

impl Peer {
    fn new(side: Side, config: &Config, server: Option<Arc<ServerConfig>>) -> Self {
        let seed = if side.is_client() { 1 } else { 2 };
        let cids = CidFactory::new(8, 0, &[seed; 32]);
        let entropy = Box::new(SeededEntropy::new(seed.into()));
        Self {
            driver: Driver::new(Endpoint::new(EndpointConfig::new(cids), server, entropy)),
            h3: h3_core::Connection::new(h3_core::Config::new(Sessions::settings(config)), side),
            sessions: Sessions::new(config.clone(), side),
            events: Vec::new(),
            address: SocketAddr::from(([127, 0, 0, seed], 4433)),
        }
    }

    fn receive(&mut self, now: Timestamp, remote: SocketAddr, data: &[u8]) {
        let meta = DatagramMeta::new(remote).allocation(data.len());
        match self.driver.receive(now, &meta, BytesMut::from(data)) {
            Received::Connection(_) => {}
            Received::Incoming(incoming) => {
                self.driver.accept(now, incoming).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }

    fn transmit(&mut self, now: Timestamp) -> Vec<Vec<u8>> {
        self.driver.handle_timeouts(now);
        for connection in self.driver.connections.values_mut() {
            while let Some(event) = connection.poll_event() {
                let mut t = ConnTransport::new(connection, now);
                if event == quic_core::Event::HandshakeComplete {
                    self.h3.start(&mut t);
                }
                self.sessions.on_event(&event, now, &mut self.h3, &mut t);
                self.events.extend(std::iter::from_fn(|| self.sessions.poll_event()));
            }
        }
        let mut out = Vec::new();
        self.driver.transmit(now, |_, datagram| out.push(datagram.to_vec()));
        out
    }

    fn with<R>(
        &mut self,
        now: Timestamp,
        act: impl FnOnce(&mut Sessions, &mut h3_core::Connection, &mut ConnTransport<'_>) -> R,
    ) -> R {
        let mut t = ConnTransport::new(self.driver.first_mut(), now);
        let result = act(&mut self.sessions, &mut self.h3, &mut t);
        self.sessions.flush(&mut self.h3, &mut t);
        while let Some(event) = self.sessions.poll_event() {
            self.events.push(event);
        }
        result
    }

    fn read_all(&mut self, now: Timestamp, stream: StreamId) -> (Vec<u8>, Result<Read, StreamError>) {
        let mut all = Vec::new();
        loop {
            match self.with(now, |sessions, _, t| sessions.read(stream, usize::MAX, t)) {
                Ok(Read::Data(bytes)) => all.extend_from_slice(&bytes),
                last => return (all, last),
            }
        }
    }

    fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }
}

fn request() -> ConnectRequest {
    ConnectRequest::new("localhost".parse().unwrap(), "/".parse().unwrap())
}

struct World {
    client: Peer,
    server: Peer,
    now: Timestamp,
}

impl World {
    fn run(&mut self) {
        self.rounds(40);
    }

    fn short_run(&mut self) {
        self.rounds(3);
    }

    fn rounds(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.now += Duration::from_millis(5);
            let there = self.client.transmit(self.now);
            let back = self.server.transmit(self.now);
            self.now += Duration::from_millis(5);
            there.iter().for_each(|data| self.server.receive(self.now, self.client.address, data));
            back.iter().for_each(|data| self.client.receive(self.now, self.server.address, data));
        }
    }

    fn established(client: &Config, server: &Config) -> (Self, SessionId) {
        let (tls, certificate) = testing::tls_server_config(b"h3");
        let transport = Arc::new(TransportConfig::default());
        let accepting = ServerConfig::new(tls, [7; 32]).transport(Arc::clone(&transport));
        let connecting =
            ClientConfig::new(testing::tls_client_config(&certificate, b"h3")).transport(transport);
        let mut world = Self {
            client: Peer::new(Side::Client, client, None),
            server: Peer::new(Side::Server, server, Some(Arc::new(accepting))),
            now: Timestamp::from_nanos(1_000_000_000),
        };
        let (now, remote) = (world.now, world.server.address);
        world.client.driver.connect(now, &connecting, remote).unwrap();
        // Called at once, so it waits for the server's SETTINGS.
        world.client.with(now, |sessions, h3, t| sessions.connect(request(), h3, t)).unwrap();
        world.run();
        let session = SessionId(StreamId::new(Side::Client, Dir::Bidi, 0));
        assert!(world.server.has(|event| matches!(event, Event::Incoming { .. })));
        let now = world.now;
        world.server.with(now, |sessions, h3, t| sessions.accept(session, HeaderMap::new(), h3, t)).unwrap();
        world.run();
        assert!(world.client.has(|event| matches!(event, Event::Established { .. })));
        (world, session)
    }
}

#[test]
fn a_session_from_connect_to_close() {
    for dialect in Dialect::ALL {
        let mut client = Config::default();
        client.dialects = Dialects::only(dialect);
        let (mut world, session) = World::established(&client, &Config::default());
        let now = world.now;
        let data = Bytes::from(vec![7; 250_000]);
        let (stream, short) = world.client.with(now, |sessions, h3, t| {
            let stream = sessions.open(session, Dir::Bidi, t).unwrap().unwrap();
            assert_eq!(sessions.write(stream, &mut data.clone(), t), Ok(250_000));
            sessions.finish(stream, t).unwrap();
            let short = sessions.open(session, Dir::Uni, t).unwrap().unwrap();
            sessions.reset(short, 4321, t).unwrap();
            sessions.send_datagram(session, Bytes::from_static(b"datagram"), h3, t).unwrap();
            (stream, short)
        });
        let mut received = Vec::new();
        let mut last = Ok(Read::Blocked);
        for _ in 0..20 {
            world.run();
            if last != Ok(Read::Finished) {
                let (part, end) = world.server.read_all(world.now, stream);
                received.extend(part);
                last = end;
            }
        }
        assert_eq!((received.len(), &last), (250_000, &Ok(Read::Finished)));
        let server = &mut world.server;
        assert!(
            server.has(|event| matches!(event, Event::Datagram { payload, .. } if payload == "datagram"))
        );
        // Reset before any payload: only the preface tells whose it was.
        let opened = |event: &Event| matches!(event, Event::StreamOpened { stream, .. } if *stream == short);
        assert!(server.has(opened));
        assert_eq!(server.read_all(world.now, short), (vec![], Err(StreamError::Reset(Some(4321)))));
        assert!(world.client.has(|event| matches!(event, Event::Sent { stream: sent } if *sent == stream)));
        let info = CloseInfo::new(9, "done");
        let now = world.now;
        world.server.with(now, |sessions, h3, t| sessions.close(session, info.clone(), h3, t));
        world.run();
        // The server never ended its side of the stream, so the close reset it; the client can still read the
        // reset.
        assert_eq!(world.client.read_all(world.now, stream), (vec![], Err(StreamError::SessionGone)));
        for peer in [&world.client, &world.server] {
            assert_eq!(peer.sessions.open_streams(), 0);
            assert!(
                peer.has(|event| matches!(event, Event::Closed { result: Ok(told), .. } if *told == info))
            );
            assert!(peer.has(|event| matches!(event, Event::Finished { .. })));
            assert!(!peer.driver.first().is_closed());
        }
    }
}

/// Firefox sends the capsule, FIN and CONNECTION_CLOSE together, and a driver handles them at once.
#[test]
fn the_close_of_a_session_is_reported_before_that_of_its_connection() {
    let (mut world, session) = World::established(&Config::default(), &Config::default());
    let (now, info) = (world.now, CloseInfo::new(77, "gone"));
    let client = &mut world.client;
    client.with(now, |sessions, h3, t| sessions.close(session, info.clone(), h3, t));
    let capsule = client.transmit(now);
    client.driver.first_mut().close(now, 0x100, b"");
    let close = client.transmit(now);
    assert!(!capsule.is_empty() && !close.is_empty());
    capsule.iter().chain(&close).for_each(|data| world.server.receive(now, client.address, data));
    world.run();
    let server = &world.server;
    assert!(server.driver.first().is_closed());
    let ends: Vec<&Event> =
        server.events.iter().filter(|event| matches!(event, Event::Closed { .. })).collect();
    assert!(matches!(ends[..], [Event::Closed { result: Ok(told), .. }] if *told == info), "{ends:?}");
}

/// A browser that creates a stream and aborts it at once sends its preface and a plain reset together, and a
/// driver handles both at once. The application gets the stream, and then its end with the code, also if the
/// connection ends with it.
#[test]
fn a_stream_that_ends_in_its_first_burst_is_reported() {
    for (dir, stopped, closed) in [
        (Dir::Uni, false, false),
        (Dir::Uni, false, true),
        (Dir::Bidi, false, false),
        (Dir::Bidi, true, false),
        (Dir::Bidi, true, true),
    ] {
        for (from, payload) in [(Side::Client, ""), (Side::Client, "payload"), (Side::Server, "payload")] {
            let (mut world, session) = World::established(&Config::default(), &Config::default());
            let now = world.now;
            let (sender, receiver) = match from {
                Side::Client => (&mut world.client, &mut world.server),
                Side::Server => (&mut world.server, &mut world.client),
            };
            let stream = sender.with(now, |sessions, _, t| {
                let stream = sessions.open(session, dir, t).unwrap().unwrap();
                sessions.flush_preface(stream, t).unwrap();
                assert_eq!(sessions.write(stream, &mut payload.into(), t), Ok(payload.len()));
                stream
            });
            let mut burst = sender.transmit(now);
            let connection = sender.driver.first_mut();
            connection.reset(stream, codes::to_http(77), 0).unwrap();
            if stopped {
                connection.stop_sending(stream, codes::to_http(78)).unwrap();
            }
            burst.extend(sender.transmit(now));
            if closed {
                sender.driver.first_mut().close(now, 0x100, b"");
                burst.extend(sender.transmit(now));
            }
            assert!(burst.len() >= 2);
            burst.iter().for_each(|data| receiver.receive(now, sender.address, data));
            receiver.transmit(now);
            let case = (dir, stopped, closed, from, payload);
            let told: Vec<&Event> = receiver
                .events
                .iter()
                .filter(|event| match event {
                    Event::StreamOpened { stream: of, .. }
                    | Event::Readable { stream: of }
                    | Event::Stopped { stream: of, .. } => *of == stream,
                    _ => false,
                })
                .collect();
            let stop = |event: Option<&&Event>| matches!(event, Some(Event::Stopped { code: Some(78), .. }));
            assert!(matches!(told[..2], [Event::StreamOpened { .. }, Event::Readable { .. }]), "{case:?}");
            assert_eq!((told.len(), stop(told.get(2))), (2 + usize::from(stopped), stopped), "{case:?}");
            assert_eq!(receiver.has(|event| matches!(event, Event::Closed { .. })), closed, "{case:?}");
            if !closed {
                let (_, end) = receiver.read_all(now, stream);
                assert_eq!(end, Err(StreamError::Reset(Some(77))), "{case:?}");
            }
        }
    }
}

/// The same for a CONNECT stream: the capsules before its reset count, here the close of the session.
#[test]
fn the_close_of_a_session_is_reported_even_if_its_stream_is_reset_with_it() {
    for from in [Side::Client, Side::Server] {
        let (mut world, session) = World::established(&Config::default(), &Config::default());
        let now = world.now;
        let (sender, receiver) = match from {
            Side::Client => (&mut world.client, &mut world.server),
            Side::Server => (&mut world.server, &mut world.client),
        };
        let mut capsule = Vec::new();
        h3_core::capsule::put_capsule(0x2843, b"\0\0\0\x09done", &mut capsule);
        sender.with(now, |_, h3, t| h3.send_data(session.0, &mut capsule.into(), t)).unwrap();
        let mut burst = sender.transmit(now);
        sender.driver.first_mut().reset(session.0, 0x10c, 0).unwrap();
        burst.extend(sender.transmit(now));
        burst.iter().for_each(|data| receiver.receive(now, sender.address, data));
        receiver.transmit(now);
        let info = CloseInfo::new(9, "done");
        let ends: Vec<&Event> =
            receiver.events.iter().filter(|event| matches!(event, Event::Closed { .. })).collect();
        assert!(matches!(ends[..], [Event::Closed { result: Ok(told), .. }] if *told == info), "{ends:?}");
        assert!(receiver.has(|event| matches!(event, Event::Finished { .. })));
    }
}

#[test]
fn two_sessions_share_a_connection_under_small_limits() {
    let mut flow = FlowControl::default();
    (flow.max_data, flow.max_data_ceiling, flow.max_streams_bidi, flow.max_streams_uni) =
        (4000, 16_000, 2, 2);
    for dialect in [Dialect::Draft16, Dialect::Draft14, Dialect::Draft07] {
        let mut config = Config::default();
        config.dialects = Dialects::only(dialect);
        config.max_sessions = 2;
        config.flow_control = Some(flow);
        let (mut world, first) = World::established(&config, &config);
        let second = SessionId(StreamId::new(Side::Client, Dir::Bidi, 1));
        let now = world.now;
        world.client.with(now, |sessions, h3, t| sessions.connect(request(), h3, t)).unwrap();
        world.run();
        let now = world.now;
        world.server.with(now, |sessions, h3, t| sessions.accept(second, HeaderMap::new(), h3, t)).unwrap();
        world.run();
        // Each side sends ten streams of 9000 bytes in each session, at most two at once, which takes many
        // windows.
        let mut loads = Vec::new();
        for session in [first, second] {
            loads.push(Load::new(session, Side::Client));
            loads.push(Load::new(session, Side::Server));
        }
        for _ in 0..400 {
            for load in &mut loads {
                load.step(&mut world);
            }
            if loads.iter().all(Load::is_done) {
                break;
            }
            world.short_run();
        }
        // The last acknowledgments arrive.
        world.run();
        for load in &loads {
            assert_eq!((load.finished, load.received), (10, 10 * 9000), "{dialect} {:?}", load.session);
            // A stream opens only if the session's limit has room for it.
            assert!(load.refused > 0);
        }
        for peer in [&world.client, &world.server] {
            assert!(peer.sessions.is_open(first) && peer.sessions.is_open(second));
            assert_eq!(peer.sessions.open_streams(), 0);
            assert!(!peer.has(|event| matches!(event, Event::Closed { .. })));
        }
    }
}

/// The streams of one session in one direction, transferred in steps.
struct Load {
    session: SessionId,
    from: Side,
    opened: usize,
    refused: usize,
    sending: Vec<(StreamId, Bytes)>,
    received: usize,
    finished: usize,
}

impl Load {
    fn new(session: SessionId, from: Side) -> Self {
        Self { session, from, opened: 0, refused: 0, sending: Vec::new(), received: 0, finished: 0 }
    }

    fn is_done(&self) -> bool {
        self.finished == 10
    }

    fn step(&mut self, world: &mut World) {
        let now = world.now;
        let (sender, receiver) = match self.from {
            Side::Client => (&mut world.client, &mut world.server),
            Side::Server => (&mut world.server, &mut world.client),
        };
        sender.with(now, |sessions, _, t| {
            while self.opened < 10 {
                let Some(stream) = sessions.open(self.session, Dir::Uni, t).unwrap() else {
                    self.refused += 1;
                    break;
                };
                self.opened += 1;
                self.sending.push((stream, Bytes::from(vec![5; 9000])));
            }
            self.sending.retain_mut(|(stream, data)| {
                while !data.is_empty() && sessions.write(*stream, data, t).unwrap() > 0 {}
                if data.is_empty() {
                    sessions.finish(*stream, t).unwrap();
                }
                !data.is_empty()
            });
        });
        let session = self.session;
        let opened: Vec<StreamId> = receiver
            .events
            .iter()
            .filter_map(|event| match event {
                Event::StreamOpened { session: of, stream, .. } if *of == session => Some(*stream),
                _ => None,
            })
            .filter(|stream| receiver.sessions.session_of(*stream).is_some())
            .collect();
        for stream in opened {
            let (data, end) = receiver.read_all(now, stream);
            self.received += data.len();
            self.finished += usize::from(end == Ok(Read::Finished));
        }
    }
}

#[test]
fn sessions_continue_after_many_abandoned_streams() {
    let mut flow = FlowControl::default();
    (flow.max_data, flow.max_data_ceiling, flow.max_streams_uni) = (40_000, 40_000, 2);
    let mut config = Config::default();
    config.flow_control = Some(flow);
    let (mut world, session) = World::established(&config, &config);
    for round in 0..60 {
        let now = world.now;
        let stream = world.client.with(now, |sessions, _, t| {
            let stream = sessions.open(session, Dir::Uni, t).unwrap().unwrap();
            let mut data = Bytes::from(vec![1; 100_000]);
            let written = sessions.write(stream, &mut data, t).unwrap();
            // The credit is at least the window less what does not make a capsule yet, and at most the
            // window. Both ends count final sizes, whether data was written and not sent, or sent and not
            // read.
            assert!((20_001..=40_000).contains(&written), "{round}: {written}");
            stream
        });
        // Either the first packets have arrived and the rest is unsent or in flight, or everything has
        // arrived and nothing is read.
        world.rounds(2 + round / 4);
        let now = world.now;
        if round % 2 == 0 {
            world.server.with(now, |sessions, _, t| sessions.stop(stream, 5, t)).unwrap();
        } else {
            world.client.with(now, |sessions, _, t| sessions.reset(stream, 5, t)).unwrap();
        }
        world.run();
        if round % 2 != 0 {
            let (_, end) = world.server.read_all(world.now, stream);
            assert_eq!(end, Err(StreamError::Reset(Some(5))));
        }
        world.run();
        assert_eq!((world.client.sessions.open_streams(), world.server.sessions.open_streams()), (0, 0));
    }
    assert!(world.client.sessions.is_open(session) && world.server.sessions.is_open(session));
}

/// Streams that are reset before their session is known are removed, their credit returns, and no session
/// sees them. Three times as many as may be open at once are reset, slower than a rapid reset.
#[test]
fn w21_streams_reset_before_the_session_id_return_their_credit() {
    for side in [Side::Client, Side::Server] {
        for (dir, start) in [(Dir::Bidi, &[0x40, 0x41][..]), (Dir::Uni, &[0x40, 0x54]), (Dir::Uni, &[])] {
            let (mut world, session) = World::established(&Config::default(), &Config::default());
            let mut opened = 0;
            for _ in 0..60 {
                let now = world.now;
                let misbehaving = if side.is_client() { &mut world.client } else { &mut world.server };
                let streams: Vec<StreamId> = misbehaving.with(now, |_, _, t| {
                    let streams: Vec<StreamId> = std::iter::from_fn(|| t.open(dir)).take(60).collect();
                    for stream in &streams {
                        t.write(*stream, &mut Bytes::from_static(start)).unwrap();
                    }
                    streams
                });
                opened += streams.len();
                // The bytes arrive first.
                world.rounds(2);
                let now = world.now;
                let misbehaving = if side.is_client() { &mut world.client } else { &mut world.server };
                misbehaving.with(now, |_, _, t| {
                    for stream in streams {
                        t.reset(stream, 9, 0).unwrap();
                        if dir == Dir::Bidi {
                            t.stop_sending(stream, 9).unwrap();
                        }
                    }
                });
                world.rounds(7);
            }
            assert!(opened >= 3_000, "{side:?} {dir:?}: {opened}");
            for peer in [&world.client, &world.server] {
                assert!(peer.sessions.is_open(session));
                assert_eq!(peer.sessions.open_streams(), 0);
                assert!(
                    !peer.has(|event| matches!(event, Event::StreamOpened { .. } | Event::Closed { .. }))
                );
                assert!(!peer.driver.first().is_closed());
            }
        }
    }
}
