//! A connection of a server with everything above it, in memory, and a client that has HTTP/3 alone: it acknowledges when it
//! likes. Only what the server's end allocates is counted.

mod burst;
mod claims;
mod early;
mod hostile;
mod late;
mod requests;
mod responses;
mod unwatched;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use h3_core::{Event, Protocol, RequestHead, transport::ConnTransport};
use heap_meter::{HeapMeter, Measure};
use http::Method;
use quic_core::{
    CidFactory, ClientConfig, Connection, ConnectionHandle, DatagramEvent, DatagramMeta, Endpoint,
    EndpointConfig, ServerConfig, Side, StreamId, StreamTag, TransportConfig,
    base::{EndpointBudget, SeededEntropy, Timestamp},
    congestion::{Algorithm, CongestionConfig, Controller, ControllerFactory, NewPath, Phase, Snapshot},
    error::call::Read,
    testing,
};

use super::state::conn::{Conn, Role};
use crate::{
    AcceptOptions, Request, WebTransport,
    congestion::{Congestion, CongestionControl},
    http3::{Body, IncomingBody, Response},
    reception::ServerShared,
    runtime,
    server::ServerBuilder,
    waiters::Place,
};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

const ALPN: &[u8] = b"h3";

/// A window without an end: the client's requests leave though nothing is acknowledged.
#[derive(Debug)]
struct Boundless;

impl Controller for Boundless {
    fn on_mtu_changed(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        1 << 40
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::new("boundless", 1 << 40, Phase::CongestionAvoidance)
    }
}

impl ControllerFactory for Boundless {
    fn build(&self, _: &NewPath) -> Box<dyn Controller> {
        Box::new(Self)
    }
}

/// Polls once, as a task does that is not woken in time and gives up.
pub(super) fn once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Content in the pieces of an iterator.
struct Pieces<I>(I);

impl<I: Iterator<Item = Bytes> + Unpin> http_body::Body for Pieces<I> {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(http_body::Frame::data(piece))))
    }
}

/// Content in pieces.
pub(super) fn pieces_of(pieces: impl Iterator<Item = Bytes> + Unpin + Send + 'static) -> Body {
    Body::new(Pieces(pieces))
}

/// A builder whose service answers at once.
pub(super) fn answering(
    answer: impl Fn(&http::Request<IncomingBody>) -> Response + Send + Sync + 'static,
) -> ServerBuilder {
    crate::Server::builder().http_service(move |request| std::future::ready(answer(&request)))
}

/// What the client got of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) bytes: usize,
    pub(super) finished: bool,
    /// The code of a reset.
    pub(super) reset: Option<u64>,
}

/// The server's end.
struct Server {
    endpoint: Endpoint,
    conn: Option<Conn>,
}

/// Both ends.
///
/// They are driven by hand and not with `quic_core::testing::Driver`. The server's connection belongs to a [`Conn`], and its heap
/// is counted call by call. The client's end is a single connection that tests call directly, and what it gets can be withheld.
pub(super) struct Rig {
    server: Server,
    pub(super) budget: EndpointBudget,
    endpoint: Endpoint,
    handle: ConnectionHandle,
    client: Connection,
    h3: h3_core::Connection,
    now: Timestamp,
    /// The client hears nothing, and so acknowledges nothing: it comes later.
    pub(super) deaf: bool,
    withheld: Vec<BytesMut>,
    /// The client reads no content.
    pub(super) leaves_content: bool,
    /// What the application asks for requests.
    shared: Arc<ServerShared>,
    /// Streams that the server opened for sessions.
    heard: Vec<StreamId>,
    /// By stream.
    pub(super) got: BTreeMap<StreamId, Got>,
    /// Responses in the order in which they were whole.
    pub(super) order: Vec<StreamId>,
    held: isize,
    idle: isize,
    peak: isize,
    runtime: Option<tokio::runtime::Runtime>,
}

fn address() -> std::net::SocketAddr {
    "192.0.2.1:4433".parse().unwrap()
}

fn meta(size: usize) -> DatagramMeta {
    DatagramMeta::new(address()).allocation(size)
}

fn endpoint(budget: EndpointBudget, seed: u8, server: Option<ServerConfig>) -> Endpoint {
    let mut config = EndpointConfig::new(CidFactory::new(8, 0, &[seed; 32]));
    config.budget = budget;
    Endpoint::new(config, server.map(Arc::new), Box::new(SeededEntropy::new(seed.into())))
}

impl Rig {
    /// Two ends whose handshake is confirmed; the client can have one session.
    pub(super) fn new(builder: ServerBuilder, transport: TransportConfig) -> Self {
        Self::with_sessions(builder, transport, &wt_session::Config::default())
    }

    /// The same with a client whose sessions are as it says: several need flow control.
    pub(super) fn with_sessions(
        mut builder: ServerBuilder,
        transport: TransportConfig,
        sessions: &wt_session::Config,
    ) -> Self {
        let (server_tls, certificate) = testing::tls_server_config(ALPN);
        let budget = EndpointBudget::new(1 << 30);
        let config = ServerConfig::new(server_tls, [9; 32]).transport(Arc::new(transport));
        let now = Timestamp::from_nanos(1_000_000_000);
        let mut endpoint_of_client = endpoint(EndpointBudget::unlimited(), 2, None);
        let client_config =
            ClientConfig::new(testing::tls_client_config(&certificate, ALPN)).transport(Arc::new(
                TransportConfig::new()
                    .congestion(CongestionConfig::new(Algorithm::Custom(Arc::new(Boundless)))),
            ));
        let (handle, client) =
            endpoint_of_client.connect(now, &client_config, "localhost", address()).unwrap();
        // A task at a time, so that few run between two turns of the connection.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.event_interval(1).enable_all().build().unwrap();
        let shared = Arc::new(builder.shared(1));
        let mut rig = Self {
            server: Server { endpoint: endpoint(budget.clone(), 1, Some(config)), conn: None },
            budget,
            endpoint: endpoint_of_client,
            handle,
            client,
            h3: h3_core::Connection::new(
                h3_core::Config::new(wt_session::Sessions::settings(sessions)),
                Side::Client,
            ),
            now,
            deaf: false,
            withheld: Vec::new(),
            leaves_content: false,
            shared: Arc::clone(&shared),
            heard: Vec::new(),
            got: BTreeMap::new(),
            order: Vec::new(),
            held: 0,
            idle: 0,
            peak: 0,
            runtime: Some(runtime),
        };
        let mut first = Some(shared);
        for _ in 0..8 {
            rig.turn_with(&mut first);
        }
        assert!(!rig.client.is_handshaking());
        rig.h3.start(&mut ConnTransport::new(&mut rig.client, rig.now));
        rig.turn();
        (rig.idle, rig.peak) = (rig.held, rig.held);
        rig
    }

    /// The tasks of the server's application run, each as often as it is woken, and the connection hears of
    /// what they made.
    fn work(&mut self) {
        let runtime = self.runtime.take().expect("it runs nothing else");
        loop {
            // More tasks than may make something between two looks of the connection.
            self.metered(|_, _| {
                runtime.block_on(async {
                    for _ in 0..16 {
                        tokio::task::yield_now().await;
                    }
                });
            });
            let more = self.metered(|server, _| {
                let Some(conn) = server.conn.as_mut().filter(|conn| conn.boxes().has_work()) else {
                    return false;
                };
                while conn.process() {}
                true
            });
            if !more {
                break;
            }
        }
        self.runtime = Some(runtime);
    }

    fn metered<R>(&mut self, act: impl FnOnce(&mut Server, Timestamp) -> R) -> R {
        let measure = Measure::start();
        if let Some(conn) = &mut self.server.conn {
            conn.stack.now = self.now;
        }
        let result = act(&mut self.server, self.now);
        self.peak = self.peak.max(self.held + measure.peak_growth());
        self.held += measure.growth();
        result
    }

    /// The most heap of the server's end since it was asked last, beyond what an idle connection holds, in bytes.
    pub(super) fn worst(&mut self) -> isize {
        std::mem::replace(&mut self.peak, self.held) - self.idle
    }

    /// What it holds now, in the same way.
    pub(super) fn growth(&self) -> isize {
        self.held - self.idle
    }

    pub(super) fn conn<R>(&mut self, act: impl FnOnce(&mut Conn) -> R) -> R {
        self.metered(|server, _| act(server.conn.as_mut().unwrap()))
    }

    pub(super) fn is_closed(&mut self) -> bool {
        self.client.is_closed() || self.conn(|conn| conn.stack.quic.is_closed())
    }

    /// A request without content.
    pub(super) fn get(&mut self, method: Method, path: &str, fields: &[(&'static str, String)]) -> StreamId {
        let mut head = RequestHead::new(method, "localhost".parse().unwrap(), path.parse().unwrap());
        for (name, value) in fields {
            head.headers.append(*name, value.parse().unwrap());
        }
        let mut transport = ConnTransport::new(&mut self.client, self.now);
        let stream = self.h3.send_request(&head, true, &mut transport).expect("the server permits it");
        self.got.insert(stream, Got::default());
        stream
    }

    /// A request for a session with these fields.
    pub(super) fn connect(
        &mut self,
        fields: &[(&'static str, String)],
    ) -> Result<StreamId, h3_core::SendError> {
        let mut head = RequestHead::new(Method::CONNECT, "localhost".parse().unwrap(), "/".parse().unwrap());
        head.protocol = Protocol::new(Bytes::from_static(b"webtransport-h3"));
        for (name, value) in fields {
            head.headers.append(*name, value.parse().unwrap());
        }
        let mut transport = ConnTransport::new(&mut self.client, self.now);
        self.h3.send_request(&head, false, &mut transport)
    }

    /// A session of the client's, as the application at the server has it.
    pub(super) fn session(&mut self) -> (WebTransport, StreamId) {
        let stream = self.connect(&[]).expect("the server permits it");
        self.turn();
        let request = self.take().expect("it has arrived");
        let session =
            once(request.accept(AcceptOptions::new())).expect("at once").expect("its client is there");
        self.turn();
        (session, stream)
    }

    /// A request that the application takes.
    pub(super) fn take(&mut self) -> Option<Request> {
        let shared = Arc::clone(&self.shared);
        self.metered(|_, _| {
            let cx = Context::from_waker(Waker::noop());
            match shared.poll_accept(&cx, &mut Place::default()) {
                Poll::Ready(offer) => offer.map(Request::new),
                Poll::Pending => None,
            }
        })
    }

    /// The client gives a response up.
    pub(super) fn stop(&mut self, stream: StreamId) {
        let mut transport = ConnTransport::new(&mut self.client, self.now);
        self.h3.stop(stream, h3_core::error::code::H3_REQUEST_CANCELLED, &mut transport);
    }

    /// Lets the client hear again, and what was withheld arrive.
    pub(super) fn listen(&mut self) {
        self.deaf = false;
        for datagram in std::mem::take(&mut self.withheld) {
            self.deliver_to_client(datagram);
        }
    }

    fn deliver_to_client(&mut self, datagram: BytesMut) {
        let meta = meta(datagram.len());
        if let DatagramEvent::Connection(_, data) = self.endpoint.handle_datagram(self.now, &meta, datagram) {
            self.client.handle_datagram(self.now, &meta, data);
        }
    }

    fn deliver_to_server(&mut self, datagram: &[u8], shared: &mut Option<Arc<ServerShared>>) {
        let guard = self.runtime.as_ref().map(|runtime| runtime.handle().clone()).expect("it is idle");
        self.metered(|server, now| {
            let meta = meta(datagram.len());
            match server.endpoint.handle_datagram(now, &meta, BytesMut::from(datagram)) {
                DatagramEvent::Connection(_, data) => {
                    let conn = server.conn.as_mut().unwrap();
                    conn.stack.quic.handle_datagram(now, &meta, data);
                }
                DatagramEvent::Incoming(incoming) => {
                    let _guard = guard.enter();
                    let (_, quic) = server.endpoint.accept(now, incoming).unwrap();
                    let runtime = runtime::current().unwrap();
                    let role = Role::Server(shared.take().unwrap());
                    let congestion = Congestion::new(CongestionControl::Default, CongestionConfig::default());
                    server.conn = Some(Conn::new(quic, role, congestion, runtime));
                }
                _ => {}
            }
        });
    }

    /// So many turns of the server's connection, each as the driver gives it, and what comes of them.
    pub(super) fn turns(&mut self, count: usize) {
        let mut buffer = vec![0; 64 << 10];
        while let Some(sent) = self.client.poll_transmit(self.now, &mut buffer) {
            buffer[..sent.size]
                .chunks(sent.segment_size)
                .for_each(|datagram| self.deliver_to_server(datagram, &mut None));
        }
        for _ in 0..count {
            self.conn(Conn::process);
            let runtime = self.runtime.take().expect("it is idle");
            self.metered(|_, _| {
                runtime.block_on(async {
                    for _ in 0..2 {
                        tokio::task::yield_now().await;
                    }
                });
            });
            self.runtime = Some(runtime);
            while let Some(sent) =
                self.conn(|conn| conn.stack.quic.poll_transmit(conn.stack.now, &mut buffer))
            {
                let sent: Vec<BytesMut> =
                    buffer[..sent.size].chunks(sent.segment_size).map(BytesMut::from).collect();
                sent.into_iter().for_each(|datagram| self.deliver_to_client(datagram));
            }
            self.process_client();
        }
    }

    /// Both ends say what they have to say, until neither has anything more.
    pub(super) fn turn(&mut self) {
        self.turn_with(&mut None);
    }

    fn turn_with(&mut self, shared: &mut Option<Arc<ServerShared>>) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let mut progress = false;
            while let Some(sent) = self.client.poll_transmit(self.now, &mut buffer) {
                progress = true;
                for datagram in buffer[..sent.size].chunks(sent.segment_size) {
                    self.deliver_to_server(datagram, shared);
                }
            }
            loop {
                self.metered(|server, _| {
                    let Some(conn) = &mut server.conn else { return };
                    while conn.process() {}
                });
                self.work();
                let sent = self.metered(|server, now| {
                    let conn = server.conn.as_mut()?;
                    while conn.process() {}
                    if conn.has_unannounced() {
                        conn.announce();
                    }
                    while let Some(change) = conn.stack.quic.poll_cid_change() {
                        server.endpoint.handle_cid_change(ConnectionHandle(0), change);
                    }
                    conn.stack.quic.poll_transmit(now, &mut buffer)
                });
                let Some(sent) = sent else { break };
                progress = true;
                for datagram in buffer[..sent.size].chunks(sent.segment_size) {
                    if self.deaf {
                        self.withheld.push(datagram.into());
                    } else {
                        self.deliver_to_client(datagram.into());
                    }
                }
            }
            self.process_client();
            if !progress {
                return;
            }
        }
    }

    fn process_client(&mut self) {
        while let Some(event) = self.client.poll_event() {
            let mut transport = ConnTransport::new(&mut self.client, self.now);
            self.h3.on_event(&event, self.now, &mut transport);
        }
        while let Some(change) = self.client.poll_cid_change() {
            self.endpoint.handle_cid_change(self.handle, change);
        }
        while let Some(event) = self.h3.poll_event() {
            match event {
                Event::Response { stream, head, .. } => {
                    self.got.entry(stream).or_default().status = head.status.as_u16();
                }
                Event::Data { .. } if self.leaves_content => {}
                Event::Data { stream } => {
                    let mut transport = ConnTransport::new(&mut self.client, self.now);
                    while let Ok(Read::Data(bytes)) = self.h3.read_data(stream, usize::MAX, &mut transport) {
                        self.got.entry(stream).or_default().bytes += bytes.len();
                    }
                }
                Event::Finished { stream } => {
                    self.got.entry(stream).or_default().finished = true;
                    self.order.push(stream);
                }
                Event::Reset { stream, code } => self.got.entry(stream).or_default().reset = Some(code),
                Event::StreamPreface { stream, .. } => {
                    self.client.set_tag(stream, StreamTag(1));
                    self.heard.push(stream);
                }
                _ => {}
            }
        }
    }

    /// The connection is over and forgotten; what is left of all that the server's end ever held, in bytes.
    pub(super) fn end(&mut self) -> isize {
        self.metered(|server, now| {
            if let Some(mut conn) = server.conn.take() {
                conn.stack.quic.close(now, 0, b"");
                while conn.process() {}
            }
            server.endpoint.forget(ConnectionHandle(0));
        });
        self.work();
        self.held
    }

    /// Time passes at both ends.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.turn();
            let of_server = self.conn(|conn| conn.poll_timeout());
            let Some(at) = [self.client.poll_timeout(), of_server].into_iter().flatten().min() else { break };
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            self.client.handle_timeout(self.now);
            self.conn(Conn::handle_timeout);
        }
        self.now = end;
    }
}
