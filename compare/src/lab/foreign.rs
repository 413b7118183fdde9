//! A library with quinn's interface, driven in virtual time.
//!
//! The two libraries have the same interface except for a few calls and all of their types. What they have in
//! common is therefore written once, as a macro. Each library's module expands it, and has to define
//! `endpoint`, `feed`, `fill` and `sent`.

/// How many bytes are written at once.
pub(super) const CHUNK: usize = 64 << 10;
/// The size of a stream's header, which is its start time.
pub(super) const HEADER: usize = 8;
/// The receive window: more than any scenario has in flight, so that the controller is the limit.
pub(super) const WINDOW: u32 = 256 << 20;
/// How many datagrams a connection may fill at once, as with a socket that supports segmentation offload.
pub(super) const BATCH: usize = 10;
/// The time between two reads of the counters, in nanoseconds. Reading them for every packet would be too
/// slow.
pub(super) const LOOK: u64 = 10 * netsim::MILLISECOND;

/// Both ends of a connection of `$proto`, and the stack that makes them.
macro_rules! foreign {
    ($proto:ident, $stack:ident, $prefix:literal) => {
        use std::{
            collections::VecDeque,
            net::SocketAddr,
            sync::{Arc, LazyLock},
            time::{Duration, Instant},
        };

        use benches::lab::node::{Ends, Load, Node, Place, Sent, Stack, Taken};
        use bytes::BytesMut;
        use netsim::{Datagram, Endpoint};
        use $proto::{
            ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Event, ServerConfig, StreamEvent,
            StreamId, TransportConfig, VarInt,
            crypto::rustls::{QuicClientConfig, QuicServerConfig},
        };

        use super::{foreign, tls::Tls};

        /// The library with one of its controllers.
        pub struct $stack {
            name: String,
            client: ClientConfig,
            server: Arc<ServerConfig>,
        }

        impl $stack {
            /// With this controller.
            ///
            /// # Panics
            /// If the library refuses TLS 1.3 with a certificate, which only a broken build causes.
            #[must_use]
            pub fn new(controller: Controller) -> Self {
                let tls = Tls::new();
                let server = QuicServerConfig::try_from(tls.server).expect("TLS 1.3 with AES-128-GCM");
                let client = QuicClientConfig::try_from(tls.client).expect("TLS 1.3 with AES-128-GCM");
                let mut server = ServerConfig::with_crypto(Arc::new(server));
                let mut client = ClientConfig::new(Arc::new(client));
                let transport = |of: &Controller| {
                    let mut transport = TransportConfig::default();
                    let window = VarInt::from_u32(foreign::WINDOW);
                    transport.receive_window(window).stream_receive_window(window);
                    transport.send_window(u64::from(foreign::WINDOW));
                    of.choose(&mut transport);
                    Arc::new(transport)
                };
                server.transport_config(transport(&controller));
                client.transport_config(transport(&controller));
                // Tokens of one run would change the first packets of the next.
                client.token_store(Arc::new($proto::NoneTokenStore));
                let name = format!(concat!($prefix, "-{}"), controller.name());
                Self { name, client, server: Arc::new(server) }
            }
        }

        impl Stack for $stack {
            fn name(&self) -> &str {
                &self.name
            }

            fn ends(&self, place: &Place, load: &Load) -> Ends {
                let end = |own, server, client, side| {
                    Box::new(End::new(own, server, client, place.seed ^ side, *load)) as Box<dyn Node>
                };
                (
                    end(place.sender, None, Some(self.client.clone()), 1),
                    end(place.receiver, Some(Arc::clone(&self.server)), None, 2),
                )
            }
        }

        /// The start of virtual time on the clock of the libraries. Only differences matter.
        static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

        fn instant(now: u64) -> Instant {
            *BASE + Duration::from_nanos(now)
        }

        struct End {
            own: SocketAddr,
            endpoint: $proto::Endpoint,
            connection: Option<(ConnectionHandle, Connection)>,
            client: Option<ClientConfig>,
            load: Load,
            started: u64,
            sending: Option<(StreamId, Vec<u8>, u64)>,
            head: Vec<u8>,
            taken: Taken,
            is_broken: bool,
            due: Option<u64>,
            /// The counters, and when to read them again.
            counted: (Sent, u64),
            out: VecDeque<Datagram>,
            buffer: Vec<u8>,
        }

        impl End {
            fn new(
                own: SocketAddr,
                server: Option<Arc<ServerConfig>>,
                client: Option<ClientConfig>,
                seed: u64,
                load: Load,
            ) -> Self {
                let mut bytes = [0; 32];
                bytes[..8].copy_from_slice(&seed.to_be_bytes());
                Self {
                    own,
                    endpoint: endpoint(server, bytes),
                    connection: None,
                    client,
                    load,
                    started: 0,
                    sending: None,
                    head: Vec::new(),
                    taken: Taken::default(),
                    is_broken: false,
                    due: None,
                    counted: (Sent::default(), 0),
                    out: VecDeque::new(),
                    buffer: Vec::new(),
                }
            }

            /// Handles the consequences of any event.
            fn settle(&mut self, now: u64) {
                self.exchange(now);
                let Some((_, connection)) = &mut self.connection else { return };
                let since = |due: Instant| due.saturating_duration_since(*BASE).as_nanos();
                self.due = connection.poll_timeout().map(|due| u64::try_from(since(due)).unwrap_or(u64::MAX));
                if self.counted.1 <= now {
                    self.counted = (sent(connection), now + foreign::LOOK);
                }
            }

            /// Passes events between the endpoint, the connection and the application.
            fn exchange(&mut self, now: u64) {
                loop {
                    let Some((handle, connection)) = &mut self.connection else { return };
                    while let Some(event) = connection.poll_endpoint_events() {
                        if let Some(answer) = self.endpoint.handle_event(*handle, event) {
                            connection.handle_event(answer);
                        }
                    }
                    match connection.poll() {
                        None => return,
                        Some(Event::Connected) if self.client.is_some() => self.begin(),
                        Some(Event::Stream(StreamEvent::Writable { .. })) => self.write(),
                        Some(Event::Stream(StreamEvent::Opened { .. } | StreamEvent::Readable { .. })) => {
                            self.read(now);
                        }
                        Some(Event::ConnectionLost { .. }) => self.is_broken = true,
                        Some(_) => {}
                    }
                }
            }

            fn begin(&mut self) {
                let Some((_, connection)) = &mut self.connection else { return };
                if let (Some(bytes), Some(id)) = (self.load.bytes, connection.streams().open(Dir::Uni)) {
                    self.sending = Some((id, self.started.to_be_bytes().to_vec(), bytes));
                    self.write();
                }
            }

            fn write(&mut self) {
                static FILLER: [u8; foreign::CHUNK] = [0x5a; foreign::CHUNK];
                let (Some((_, connection)), Some((id, head, left))) =
                    (&mut self.connection, &mut self.sending)
                else {
                    return;
                };
                let mut stream = connection.send_stream(*id);
                loop {
                    let rest = usize::try_from(*left).unwrap_or(foreign::CHUNK).min(foreign::CHUNK);
                    let data = if head.is_empty() { &FILLER[..rest] } else { head.as_slice() };
                    if data.is_empty() {
                        // The other end may have stopped the stream; then nothing is left to do either.
                        let _ = stream.finish();
                        self.sending = None;
                        return;
                    }
                    match stream.write(data) {
                        Ok(taken) if head.is_empty() => *left -= taken as u64,
                        Ok(taken) => drop(head.drain(..taken)),
                        Err(_) => return,
                    }
                }
            }

            fn read(&mut self, now: u64) {
                let Some((_, connection)) = &mut self.connection else { return };
                while connection.streams().accept(Dir::Uni).is_some() {}
                // The only stream.
                let id = StreamId::new($proto::Side::Client, Dir::Uni, 0);
                let mut stream = connection.recv_stream(id);
                let Ok(mut chunks) = stream.read(true) else { return };
                while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
                    self.taken.bytes += chunk.bytes.len() as u64;
                    let missing = foreign::HEADER.saturating_sub(self.head.len()).min(chunk.bytes.len());
                    self.head.extend_from_slice(&chunk.bytes[..missing]);
                }
                let _ = chunks.finalize();
                // The stream is gone, so it was read to its end.
                let is_whole = matches!(
                    connection.recv_stream(id).read(true).map(drop),
                    Err($proto::ReadableError::ClosedStream)
                );
                if let (true, Some(from)) = (is_whole, self.head.first_chunk()) {
                    self.taken.whole.get_or_insert(now.saturating_sub(u64::from_be_bytes(*from)));
                }
            }
        }

        impl Endpoint for End {
            fn handle_datagram(&mut self, now: u64, from: SocketAddr, to: SocketAddr, ecn: u8, data: &[u8]) {
                let (at, mut answer) = (instant(now), Vec::new());
                match feed(&mut self.endpoint, at, from, to, ecn, BytesMut::from(data), &mut answer) {
                    Some(DatagramEvent::ConnectionEvent(_, event)) => {
                        if let Some((_, connection)) = &mut self.connection {
                            connection.handle_event(event);
                        }
                    }
                    Some(DatagramEvent::NewConnection(incoming)) => {
                        self.connection = self.endpoint.accept(incoming, at, &mut answer, None).ok();
                    }
                    Some(DatagramEvent::Response(transmit)) => {
                        let (from, to) = (self.own, transmit.destination);
                        self.out.push_back(Datagram { from, to, ecn: 0, payload: answer });
                    }
                    None => {}
                }
                self.settle(now);
            }

            fn handle_timeout(&mut self, now: u64) {
                if let Some((_, connection)) = &mut self.connection {
                    connection.handle_timeout(instant(now));
                }
                self.settle(now);
            }

            fn poll_transmit(&mut self, now: u64) -> Option<Datagram> {
                if self.out.is_empty() {
                    self.settle(now);
                    if let Some((_, connection)) = &mut self.connection {
                        self.buffer.clear();
                        if let Some(transmit) = fill(connection, instant(now), &mut self.buffer) {
                            let size = transmit.segment_size.unwrap_or(transmit.size);
                            let ecn = transmit.ecn.map_or(0, |ecn| ecn as u8);
                            for segment in self.buffer[..transmit.size].chunks(size) {
                                let (from, to) = (self.own, transmit.destination);
                                let payload = segment.to_vec();
                                self.out.push_back(Datagram { from, to, ecn, payload });
                            }
                        }
                    }
                    self.settle(now);
                }
                self.out.pop_front()
            }

            fn poll_timeout(&self) -> Option<u64> {
                self.due
            }
        }

        impl Node for End {
            fn start(&mut self, now: u64, remote: SocketAddr) {
                let Some(client) = self.client.clone() else { return };
                self.started = now;
                self.connection = self.endpoint.connect(instant(now), client, remote, "localhost").ok();
            }

            fn taken(&self) -> Option<&Taken> {
                self.connection.as_ref().map(|_| &self.taken)
            }

            fn sent(&self) -> Option<Sent> {
                self.connection.as_ref()?;
                Some(Sent { is_broken: self.is_broken, ..self.counted.0.clone() })
            }
        }
    };
}

pub(super) use foreign;
