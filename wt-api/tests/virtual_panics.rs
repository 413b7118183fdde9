//! The application's code panics where the driver calls it: this one connection ends, and both ends learn of
//! it.

mod virtual_common;

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Wake, Waker},
};

use quic_core::{
    base::Timestamp,
    congestion::{
        Algorithm, CongestionConfig, CongestionEvent, Controller, ControllerFactory, NewPath, NewReno,
        SentPacket, Snapshot,
    },
    error::{CloseReason, ConnectionError, TransportErrorCode},
};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::{
        ClientHello, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, SingleCertAndKey},
};
use virtual_common::{connect, echo_all, pattern, round_trip, seconds, session};
use wt_api::{
    AcceptOptions, ErrorCause, Identity, SendStreamOptions, Server, ServerBuilder, TransportConfig,
    WebTransport, WebTransportError, WebTransportOptions,
    testing::{Host, Network},
};

const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(quic_core::crypto::default_provider())
}

fn chain_and_key(identity: &Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = identity.certificate_chain().into_iter().map(CertificateDer::from).collect();
    (chain, PrivateKeyDer::from_pem_slice(identity.private_key_pem().as_bytes()).unwrap())
}

/// Accepts every certificate, except that it can be made to panic.
#[derive(Debug, Default)]
struct Judge {
    /// From now on a server's certificate makes it panic.
    panics: AtomicBool,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        assert!(!self.panics.load(Relaxed), "no verdict today");
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Judge {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        panic!("who is that?");
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Has one certificate, and panics at one server name.
#[derive(Debug)]
struct Resolver(SingleCertAndKey);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        assert_ne!(hello.server_name(), Some("broken"), "a name without a certificate");
        self.0.resolve(hello)
    }
}

/// The call in which the controller panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Build,
    Event,
    Sent,
    Deadline,
    Snapshot,
}

/// Creates controllers. The one with this number panics once it is armed.
struct Factory {
    call: Call,
    made: AtomicUsize,
    victim: usize,
    armed: Arc<AtomicBool>,
}

impl Factory {
    /// The faulty controller is that of the second connection.
    fn new(call: Call) -> Arc<Self> {
        Arc::new(Self { call, made: AtomicUsize::new(0), victim: 1, armed: Arc::default() })
    }

    fn transport(self: &Arc<Self>) -> TransportConfig {
        let algorithm = Algorithm::Custom(Arc::clone(self) as Arc<dyn ControllerFactory>);
        TransportConfig::new().congestion(CongestionConfig::new(algorithm))
    }
}

impl std::fmt::Debug for Factory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Factory({:?})", self.call)
    }
}

impl ControllerFactory for Factory {
    fn build(&self, path: &NewPath) -> Box<dyn Controller> {
        let victim = self.made.fetch_add(1, Relaxed) == self.victim;
        assert!(!victim || self.call != Call::Build, "no controller to be had");
        let armed = if victim { Arc::clone(&self.armed) } else { Arc::default() };
        Box::new(Faulty { call: self.call, armed, inner: NewReno::new(path.mtu) })
    }
}

#[derive(Debug)]
struct Faulty {
    call: Call,
    armed: Arc<AtomicBool>,
    inner: NewReno,
}

impl Faulty {
    fn called(&self, call: Call) {
        assert!(call != self.call || !self.armed.load(Relaxed), "the controller is lost in {call:?}");
    }
}

impl Controller for Faulty {
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket) {
        self.called(Call::Sent);
        self.inner.on_sent(now, packet);
    }

    fn on_congestion_event(&mut self, event: &CongestionEvent<'_>) {
        self.called(Call::Event);
        self.inner.on_congestion_event(event);
    }

    fn on_mtu_changed(&mut self, mtu: u16) {
        self.inner.on_mtu_changed(mtu);
    }

    fn window(&self) -> u64 {
        self.inner.window()
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.called(Call::Deadline);
        self.inner.deadline()
    }

    fn snapshot(&self) -> Snapshot {
        self.called(Call::Snapshot);
        self.inner.snapshot()
    }
}

/// A server with a limit of two connections and little memory, and a client's host.
fn build(network: &Network, builder: ServerBuilder) -> (Host, Arc<Server>, Host) {
    let (host, client) = (network.host("server"), network.host("client"));
    let server = host.enter(|| builder.max_connections(2).memory_budget(512 << 10).build().unwrap());
    (host, Arc::new(server), client)
}

fn options() -> WebTransportOptions {
    WebTransportOptions::new().dangerous().no_certificate_verification()
}

/// A client's own rustls configuration, with an identity to present.
fn own(judge: &Arc<Judge>, shown: Option<&Identity>) -> WebTransportOptions {
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(judge) as Arc<dyn ServerCertVerifier>);
    let mut config = match shown.map(chain_and_key) {
        Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
        None => config.with_no_client_auth(),
    };
    // A resumed TLS session does not call the verifier.
    config.resumption = rustls::client::Resumption::disabled();
    WebTransportOptions::new().rustls_config(Arc::new(config))
}

/// The peer learned of the failure, but not the panic's message.
fn is_told(error: &WebTransportError) {
    let ErrorCause::Connection(ConnectionError::PeerClosed(CloseReason::Transport { code, reason, .. })) =
        error.cause()
    else {
        panic!("{error}");
    };
    assert_eq!(*code, TransportErrorCode::INTERNAL_ERROR);
    assert!(reason.is_empty() || reason == "the application failed", "{error}");
}

/// The application learns that its own code panicked.
fn is_own_fault(error: &WebTransportError, message: &str) {
    assert!(matches!(error.cause(), ErrorCause::CallbackPanicked(text) if text.contains(message)), "{error}");
    assert!(error.to_string().contains("application code panicked in a callback"), "{error}");
    assert!(error.to_string().contains(message), "{error}");
}

async fn works(session: &WebTransport) {
    assert_eq!(round_trip(session, pattern(1, 50_000)).await.unwrap(), pattern(1, 50_000));
}

/// While one session goes on, another client fails again and again; then there is room for a third one.
fn fails_alone(
    network: &Network,
    (host, server, client): (Host, Arc<Server>, Host),
    good: &WebTransportOptions,
    fail: impl AsyncFn(),
) {
    let task = host.spawn(echo_all(host.clone(), server));
    client.run(async {
        let first = connect("server", good.clone()).await.unwrap();
        works(&first).await;
        // Together they would need more memory than there is.
        for _ in 0..20 {
            network.within(seconds(2), fail()).await.expect("heard at once");
        }
        works(&first).await;
        let third = network.within(seconds(2), connect("server", good.clone())).await.expect("room").unwrap();
        works(&third).await;
    });
    drop(task);
}

#[test]
fn a_certificate_resolver_that_panics_fails_only_that_client() {
    let network = Network::new(301);
    let (chain, key) = chain_and_key(&network.identity(["server"]));
    let key = CertifiedKey::from_der(chain, key, &provider()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Resolver(SingleCertAndKey::from(key))));
    let ends = build(&network, Server::builder().rustls_config(Arc::new(config)));
    network.name("broken", ends.0.addresses().iter().copied());
    fails_alone(&network, ends, &options(), async || {
        is_told(&connect("broken", options()).await.unwrap_err());
    });
}

#[test]
fn a_client_verifier_that_panics_fails_only_that_client() {
    let network = Network::new(302);
    let (chain, key) = chain_and_key(&network.identity(["server"]));
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .unwrap()
        .with_client_cert_verifier(Arc::new(Judge::default()))
        .with_single_cert(chain, key)
        .unwrap();
    let ends = build(&network, Server::builder().rustls_config(Arc::new(config)));
    let (judge, shown) = (Arc::new(Judge::default()), network.identity(["client"]));
    fails_alone(&network, ends, &own(&judge, None), async || {
        is_told(&connect("server", own(&judge, Some(&shown))).await.unwrap_err());
    });
}

#[test]
fn a_server_verifier_that_panics_fails_only_its_connection_and_the_server_learns_of_it() {
    let network = Network::new(303);
    let ends = build(&network, Server::builder().identity(network.identity(["server"])));
    let judge = Arc::new(Judge::default());
    let options = own(&judge, None);
    fails_alone(&network, ends, &options, async || {
        judge.panics.store(true, Relaxed);
        is_own_fault(&connect("server", options.clone()).await.unwrap_err(), "no verdict today");
        judge.panics.store(false, Relaxed);
        // Otherwise the server would have no room for the next client.
        network.sleep(seconds(1)).await;
    });
}

#[test]
fn a_controller_factory_that_panics_fails_only_its_connection() {
    for at_server in [true, false] {
        let network = Network::new(304);
        let builder = Server::builder().identity(network.identity(["server"]));
        let factory = Factory::new(Call::Build);
        let (builder, good) = if at_server {
            (builder.transport(factory.transport()), options())
        } else {
            (builder, options().transport(factory.transport()))
        };
        let ends = build(&network, builder);
        fails_alone(&network, ends, &good, async || {
            factory.made.store(1, Relaxed);
            let error = connect("server", good.clone()).await.unwrap_err();
            if at_server { is_told(&error) } else { is_own_fault(&error, "no controller to be had") }
        });
    }
}

/// Both ends of the session and its streams learn of it, and another connection continues.
#[test]
fn a_controller_that_panics_later_ends_only_its_connection() {
    for (at_server, call) in [true, false].into_iter().flat_map(|at_server| {
        [Call::Event, Call::Sent, Call::Deadline, Call::Snapshot].map(|call| (at_server, call))
    }) {
        let network = Network::new(305);
        let builder = Server::builder().identity(network.identity(["server"]));
        let factory = Factory::new(call);
        let (builder, good) = if at_server {
            (builder.transport(factory.transport()), options())
        } else {
            (builder, options().transport(factory.transport()))
        };
        let (_, server, client) = build(&network, builder);
        network.run(async {
            let first = session(&server, &client, good.clone()).await;
            let (ours, theirs) = session(&server, &client, good.clone()).await;
            let (faulty, peer) = if at_server { (&theirs, &ours) } else { (&ours, &theirs) };
            let mut stream = faulty.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
            let mut datagrams = faulty.datagrams();
            let datagram = pin!(datagrams.readable.recv());
            factory.armed.store(true, Relaxed);
            // This makes the connection call its controller.
            stream.writable.write_all(b"a few bytes").await.unwrap();
            let _ = network.within(seconds(1), faulty.get_stats()).await;
            let message = format!("the controller is lost in {call:?}");
            let end = network.within(seconds(2), faulty.closed()).await.expect("heard at once");
            is_own_fault(&end.unwrap_err(), &message);
            is_own_fault(&stream.readable.read_chunk(1).await.unwrap_err(), &message);
            is_own_fault(&stream.writable.finished().await.unwrap_err(), &message);
            assert!(datagram.await.is_err());
            let end = network.within(seconds(2), peer.closed()).await.expect("heard at once");
            is_told(&end.unwrap_err());
            both_talk(&first).await;
            both_talk(&session(&server, &client, good.clone()).await).await;
        });
    }
}

async fn both_talk((one, other): &(WebTransport, WebTransport)) {
    for (from, to) in [(one, other), (other, one)] {
        let mut stream = from.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
        stream.write_all(b"still there").await.unwrap();
        stream.finish().unwrap();
        let mut stream = to.incoming_unidirectional_streams().next().await.unwrap().unwrap();
        assert_eq!(stream.read_to_end(100).await.unwrap(), "still there");
    }
}

/// The waker of an executor, which panics when it is called.
struct Broken;

impl Wake for Broken {
    fn wake(self: Arc<Self>) {
        panic!("nobody to wake");
    }
}

#[test]
fn a_waker_that_panics_ends_only_its_connection() {
    let network = Network::new(306);
    let (_, server, client) = build(&network, Server::builder().identity(network.identity(["server"])));
    network.run(async {
        let first = session(&server, &client, options()).await;
        let (ours, theirs) = session(&server, &client, options()).await;
        let mut incoming = theirs.incoming_unidirectional_streams();
        let waker = Waker::from(Arc::new(Broken));
        // Kept, because a dropped future is not woken.
        let mut next = Box::pin(incoming.next());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let mut stream = ours.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
        stream.write_all(b"wake up").await.unwrap();
        let end = network.within(seconds(2), theirs.closed()).await.expect("heard at once");
        is_own_fault(&end.unwrap_err(), "nobody to wake");
        is_told(&network.within(seconds(2), ours.closed()).await.expect("heard at once").unwrap_err());
        both_talk(&first).await;
        both_talk(&session(&server, &client, options()).await).await;
    });
}

/// Sessions that share a connection end together with it; those on other connections do not. Then a new
/// connection can be shared.
#[test]
fn all_sessions_of_a_connection_learn_of_a_panic_in_it() {
    let network = Network::new(307);
    let (_, server, client) = build(&network, Server::builder().identity(network.identity(["server"])));
    let factory = Factory::new(Call::Event);
    let shared = || options().transport(factory.transport()).allow_pooling(true);
    network.run(async {
        let first = session(&server, &client, options().transport(factory.transport())).await;
        let pairs = [session(&server, &client, shared()).await, session(&server, &client, shared()).await];
        factory.armed.store(true, Relaxed);
        let mut stream = pairs[0].0.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
        stream.write_all(b"a few bytes").await.unwrap();
        for (ours, theirs) in &pairs {
            let end = network.within(seconds(2), ours.closed()).await.expect("heard at once");
            is_own_fault(&end.unwrap_err(), "the controller is lost");
            is_told(&network.within(seconds(2), theirs.closed()).await.expect("heard at once").unwrap_err());
        }
        both_talk(&first).await;
        let ours = client.enter(|| WebTransport::new("https://server/", shared()).unwrap());
        let request = network.within(seconds(2), server.accept()).await.expect("not the lost connection");
        let theirs = request.unwrap().accept(AcceptOptions::new()).await.unwrap();
        both_talk(&(ours, theirs)).await;
    });
}
