//! A client with one socket for many connections, and how these affect each other.

mod virtual_common;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use quic_core::{
    congestion::{Algorithm, CongestionConfig, Controller, ControllerFactory, NewPath},
    error::ConnectionError,
};
use virtual_common::{echo_all, options, pattern, round_trip, seconds, serve};
use wt_api::{
    CertificateHash, Client, ClientBuilder, ClientError, CloseInfo, CongestionControl, ErrorCause, Server,
    SessionCache, TransportConfig, WebTransport, WebTransportError, WebTransportOptions,
    testing::{Host, LinkConfig, MILLISECOND, Network},
};

/// Echo servers, each on its own host, and a client's host that has a link to each of them.
struct World {
    network: Network,
    client: Host,
    servers: Vec<(Host, Arc<Server>, CertificateHash)>,
}

impl World {
    fn new(seed: u64, servers: usize) -> Self {
        let network = Network::new(seed);
        let client = network.host("client");
        let servers = (0..servers).map(|n| {
            let host = network.host(&format!("server{n}"));
            drop(network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND)));
            let (server, hash) = serve(&network, &host, TransportConfig::default());
            drop(host.spawn(echo_all(host.clone(), Arc::clone(&server))));
            (host, server, hash)
        });
        let servers = servers.collect();
        Self { network, client, servers }
    }

    fn build(&self, configure: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, ClientError> {
        self.client.enter(|| configure(Client::builder()).build())
    }

    fn address(&self, server: usize) -> SocketAddr {
        (self.servers[server].0.addresses()[0], 443).into()
    }

    fn options(&self, server: usize) -> WebTransportOptions {
        options(self.servers[server].2)
    }

    fn ask(&self, client: &Client, server: usize) -> WebTransport {
        client.connect_with(&format!("https://server{server}/"), self.options(server)).unwrap()
    }
}

async fn echoes(session: &WebTransport, salt: u64) {
    let data = pattern(salt, 20_000);
    assert!(round_trip(session, data.clone()).await.unwrap() == data);
}

fn at(port: u16) -> SocketAddr {
    ([0, 0, 0, 0], port).into()
}

/// Whether a socket is bound to the port.
fn is_in_use(world: &World, port: u16) -> bool {
    match world.build(|builder| builder.bind(at(port))) {
        Ok(_) => false,
        Err(ClientError::Bind { address, error }) => {
            assert_eq!((address, error.kind()), (at(port), io::ErrorKind::AddrInUse));
            true
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn one_socket_serves_connections_to_several_servers_each_with_its_own_options() {
    let world = World::new(1, 3);
    let client = world.build(|builder| builder.bind(at(7000))).unwrap();
    assert_eq!(client.local_addresses(), [at(7000)]);
    world.network.run(async {
        let sessions: Vec<_> = (0..12)
            .map(|n| {
                let kind = [CongestionControl::Default, CongestionControl::LowLatency][n % 2];
                let own =
                    world.options(n % 3).congestion_control(kind).idle_timeout(Some(seconds(n as u64 + 3)));
                client.connect_with(&format!("https://server{}/", n % 3), own).unwrap()
            })
            .collect();
        for (n, session) in sessions.iter().enumerate() {
            session.ready().await.unwrap();
            assert_eq!(session.local_address().unwrap().port(), 7000);
            let kind = [CongestionControl::Default, CongestionControl::LowLatency][n % 2];
            assert_eq!(session.congestion_control(), kind);
        }
        for (n, session) in sessions.iter().enumerate() {
            echoes(session, n as u64).await;
        }
        for (n, (_, server, _)) in world.servers.iter().enumerate() {
            let connections = server.connections().await;
            assert_eq!(connections.len(), 4);
            let mut timeouts: Vec<_> = connections
                .iter()
                .map(|connection| {
                    assert_eq!(connection.remote_address().port(), 7000, "of the one socket");
                    connection.parameters().unwrap().peer_idle_timeout.unwrap().as_secs() as usize - 3
                })
                .collect();
            timeouts.sort_unstable();
            assert_eq!(timeouts, [n, n + 3, n + 6, n + 9]);
        }
        let response = client.get_with("https://server1/", world.options(1)).await.unwrap();
        assert_eq!(response.status(), 404, "the server has no pages");
    });
}

#[test]
fn hundreds_of_connections_have_one_socket() {
    const SESSIONS: usize = 300;
    let world = World::new(2, 2);
    let client = world.build(|builder| builder).unwrap();
    world.network.run(async {
        let sessions: Vec<_> = (0..SESSIONS).map(|n| world.ask(&client, n % 2)).collect();
        let mut ports = Vec::new();
        for session in &sessions {
            session.ready().await.unwrap();
            ports.push(session.local_address().unwrap().port());
        }
        ports.dedup();
        assert_eq!(ports.len(), 1);
        for (n, session) in sessions.iter().enumerate() {
            echoes(session, n as u64).await;
        }
        // Every second session ends, and the others are not affected.
        for (n, session) in sessions.iter().enumerate().filter(|(n, _)| n % 2 == 0) {
            session.close(CloseInfo::new(n as u32, "enough"));
        }
        for (n, session) in sessions.iter().enumerate() {
            match n % 2 {
                0 => assert_eq!(session.closed().await.unwrap().close_code, n as u32),
                _ => echoes(session, n as u64).await,
            }
        }
    });
}

/// An ICMP error concerns one address: attempts to other addresses continue.
#[test]
fn a_port_unreachable_error_fails_only_the_attempt_to_that_port() {
    for named in [true, false] {
        let world = World::new(3, 2);
        let client = world.build(|builder| builder).unwrap();
        world.network.run(async {
            let standing = world.ask(&client, 0);
            standing.ready().await.unwrap();
            // Neither port of the second server's host has a listener.
            let new = |port: u16| {
                client.connect_with(&format!("https://server1:{port}/"), world.options(1)).unwrap()
            };
            let (one, other, third) = (new(1001), new(1002), world.ask(&client, 1));
            world.network.sleep(Duration::from_millis(5)).await;
            let refused = if named {
                SocketAddr::new(world.address(1).ip(), 1001)
            } else {
                ([192, 0, 2, 99], 7).into()
            };
            world.client.report_error(refused, io::ErrorKind::ConnectionRefused);
            let begin = world.network.now();
            third.ready().await.unwrap();
            let error = one.ready().await.unwrap_err();
            if named {
                assert!(
                    matches!(error.cause(), ErrorCause::ConnectionRefused { remote } if *remote == refused),
                    "{error}"
                );
                assert!(world.network.now() - begin < Duration::from_millis(100), "told at once");
            } else {
                assert!(matches!(error.cause(), ErrorCause::Timeout { .. }), "{error}");
            }
            let error = other.ready().await.unwrap_err();
            assert!(matches!(error.cause(), ErrorCause::Timeout { .. }), "{error}");
            // An established connection ignores such errors, because anybody could forge them.
            for server in 0..2 {
                for kind in [io::ErrorKind::ConnectionRefused, io::ErrorKind::HostUnreachable] {
                    world.client.report_error(world.address(server), kind);
                }
            }
            echoes(&standing, 1).await;
            echoes(&third, 2).await;
        });
    }
}

/// The system reports an error to the next send of the socket, again and again where many attempts are
/// refused.
#[test]
fn errors_of_other_attempts_fail_no_attempt() {
    let world = World::new(16, 1);
    let client = world.build(|builder| builder).unwrap();
    world.client.answer_sends(|send| match send.number {
        ..=4 => Err(io::ErrorKind::ConnectionRefused.into()),
        _ => Ok(()),
    });
    world.network.run(async {
        let session = world.ask(&client, 0);
        session.ready().await.unwrap();
        echoes(&session, 1).await;
    });
}

#[test]
fn an_unreachable_host_fails_only_the_attempts_to_it() {
    let world = World::new(4, 2);
    let client = world.build(|builder| builder).unwrap();
    world.network.run(async {
        let tries: Vec<_> = (0..3)
            .map(|port| {
                client.connect_with(&format!("https://server0:{}/", 99 + port), world.options(0)).unwrap()
            })
            .collect();
        let fine = world.ask(&client, 1);
        world.network.sleep(Duration::from_millis(5)).await;
        for port in 0..2 {
            let gone = SocketAddr::new(world.address(0).ip(), 99 + port);
            world.client.report_error(gone, io::ErrorKind::HostUnreachable);
        }
        fine.ready().await.unwrap();
        for (port, session) in tries.iter().enumerate() {
            let error = session.ready().await.unwrap_err();
            match (port, error.cause()) {
                (0 | 1, ErrorCause::Unreachable { remote, .. }) => {
                    assert_eq!(remote.port(), 99 + port as u16);
                }
                (2, ErrorCause::Timeout { .. }) => {}
                _ => panic!("{port}: {error}"),
            }
        }
    });
}

#[test]
fn a_peer_that_vanishes_takes_its_own_connections_alone() {
    let world = World::new(5, 3);
    let client = world.build(|builder| builder).unwrap();
    world.network.run(async {
        let sessions: Vec<_> = (0..9).map(|n| world.ask(&client, n % 3)).collect();
        for session in &sessions {
            session.ready().await.unwrap();
        }
        world.servers[1].0.vanish();
        for (n, session) in sessions.iter().enumerate() {
            if n % 3 == 1 {
                let error = session.closed().await.unwrap_err();
                let silent = matches!(error.cause(), ErrorCause::Connection(ConnectionError::IdleTimeout));
                assert!(silent, "{error}");
            }
        }
        for (n, session) in sessions.iter().enumerate().filter(|(n, _)| n % 3 != 1) {
            echoes(session, n as u64).await;
        }
    });
}

/// The handles of a client with two sessions are dropped in different orders.
#[test]
fn the_socket_closes_with_the_last_handle() {
    const PORT: u16 = 7000;
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (seed, order) in orders.into_iter().enumerate() {
        let world = World::new(seed as u64, 1);
        world.network.run(async {
            let client = world.build(|builder| builder.bind(at(PORT))).unwrap();
            let (one, other) = (world.ask(&client, 0), world.ask(&client, 0));
            one.ready().await.unwrap();
            other.ready().await.unwrap();
            let mut handles: [Option<Box<dyn std::any::Any>>; 3] =
                [Some(Box::new((client.clone(), client))), Some(Box::new(one)), Some(Box::new(other))];
            for handle in order {
                assert!(is_in_use(&world, PORT), "seed {seed}: before {handle} goes");
                handles[handle] = None;
                world.network.sleep(seconds(5)).await;
            }
            assert!(!is_in_use(&world, PORT), "seed {seed}: all are gone");
        });
    }
}

/// One client is dropped while its session connects, and one before it has connected anything.
#[test]
fn dropping_a_client_early_ends_no_session() {
    let world = World::new(6, 1);
    world.network.run(async {
        drop(world.build(|builder| builder.bind(at(7000))).unwrap());
        world.network.sleep(Duration::from_millis(1)).await;
        let client = world.build(|builder| builder.bind(at(7000))).unwrap();
        let session = world.ask(&client, 0);
        drop(client);
        session.ready().await.unwrap();
        echoes(&session, 1).await;
        assert!(is_in_use(&world, 7000));
        // An attempt that is given up while it connects leaves nothing behind either.
        let client = world.build(|builder| builder.bind(at(7001))).unwrap();
        let session = world.ask(&client, 0);
        drop(client);
        world.network.sleep(Duration::from_millis(3)).await;
        drop(session);
        world.network.sleep(seconds(5)).await;
        assert!(!is_in_use(&world, 7001));
    });
}

/// All callers of `WebTransport::new` share a socket, which opens with the first connection and closes with
/// the last. A caller that connects at that very moment still has a socket.
#[test]
fn sessions_without_a_client_share_a_socket_that_opens_on_demand() {
    let world = World::new(7, 2);
    let new = |server: usize| {
        world
            .client
            .enter(|| WebTransport::new(&format!("https://server{server}/"), world.options(server)).unwrap())
    };
    world.network.run(async {
        let port = |session: &WebTransport| session.local_address().unwrap().port();
        let sessions = [new(0), new(1), new(0)];
        for session in &sessions {
            session.ready().await.unwrap();
            assert_eq!(port(session), port(&sessions[0]));
        }
        let first = port(&sessions[0]);
        assert!(is_in_use(&world, first));
        drop(sessions);
        world.network.sleep(seconds(5)).await;
        assert!(!is_in_use(&world, first));
        let mut before = new(0);
        before.ready().await.unwrap();
        for round in 0..400 {
            before.close(CloseInfo::default());
            // The rounds cover each order of the socket's close and the next connection.
            world.network.sleep(Duration::from_micros(round * 150)).await;
            let next = new(0);
            next.ready().await.unwrap_or_else(|error| panic!("round {round}: {error}"));
            before = next;
        }
    });
}

#[test]
fn a_vanished_host_connects_again_after_its_restart() {
    let world = World::new(8, 1);
    let new = || world.client.enter(|| WebTransport::new("https://server0/", world.options(0)).unwrap());
    world.network.run(async {
        let before = new();
        before.ready().await.unwrap();
        let client = world.build(|builder| builder).unwrap();
        world.ask(&client, 0).ready().await.unwrap();
        world.client.vanish();
        assert!(matches!(before.closed().await.unwrap_err().cause(), ErrorCause::RuntimeGone));
        let after = new();
        after.ready().await.unwrap();
        echoes(&after, 1).await;
    });
}

#[test]
fn sessions_share_a_connection_with_those_of_their_own_client() {
    let world = World::new(9, 1);
    let pooled = || WebTransportOptions::new().dangerous().no_certificate_verification().allow_pooling(true);
    world.network.run(async {
        let clients = [(); 2].map(|()| world.build(|builder| builder.options(pooled())).unwrap());
        let mut numbers = Vec::new();
        for client in clients.iter().chain(&clients) {
            let session = client.connect("https://server0/").unwrap();
            session.ready().await.unwrap();
            numbers.push((session.connection().unwrap().id(), session));
        }
        let [one, other, again, other_again] = [0, 1, 2, 3].map(|n: usize| numbers[n].0);
        assert!(one == again && other == other_again && one != other);
    });
}

/// Panics when a connection is created, or later.
#[derive(Debug)]
struct Broken;

impl ControllerFactory for Broken {
    fn build(&self, _: &NewPath) -> Box<dyn Controller> {
        panic!("a test's controller")
    }
}

#[test]
fn code_that_panics_ends_its_own_connection_alone() {
    let world = World::new(10, 2);
    let client = world.build(|builder| builder).unwrap();
    world.network.run(async {
        let standing = world.ask(&client, 0);
        standing.ready().await.unwrap();
        let broken =
            TransportConfig::new().congestion(CongestionConfig::new(Algorithm::Custom(Arc::new(Broken))));
        for server in [0, 1] {
            let options = world.options(server).transport(broken.clone());
            let session = client.connect_with(&format!("https://server{server}/"), options).unwrap();
            let error = session.ready().await.unwrap_err();
            let ErrorCause::CallbackPanicked(message) = error.cause() else { panic!("{error}") };
            assert!(message.contains("a test's controller"), "{message}");
        }
        echoes(&standing, 1).await;
        let next = world.ask(&client, 1);
        next.ready().await.unwrap();
        assert_eq!(next.local_address(), standing.local_address(), "the socket is the same");
    });
}

#[test]
fn connections_draw_on_the_memory_of_their_client() {
    let world = World::new(11, 1);
    let client = world.build(|builder| builder.memory_budget(256 << 10)).unwrap();
    world.network.run(async {
        let (mut sessions, mut failed) = (Vec::new(), None);
        while failed.is_none() && sessions.len() < 20 {
            let session = world.ask(&client, 0);
            failed = session.ready().await.err();
            sessions.push(session);
        }
        let error = failed.expect("there is not room for twenty");
        assert!(error.to_string().contains("memory"), "{error}");
        assert!(sessions.len() > 3, "{} and then {error}", sessions.len());
        // Established connections are not affected.
        echoes(&sessions[0], 1).await;
        // Other clients have a budget of their own.
        let other = world.build(|builder| builder).unwrap();
        let session = world.ask(&other, 0);
        session.ready().await.unwrap();
        echoes(&session, 3).await;
    });
}

type Answer = io::Result<Vec<SocketAddr>>;

/// A session of a client with this resolver.
async fn resolved<R>(
    world: &World,
    url: &str,
    resolve: impl Fn(String, u16) -> R + Send + Sync + 'static,
) -> Result<WebTransport, WebTransportError>
where
    R: Future<Output = Answer> + Send + 'static,
{
    let client = world.build(|builder| builder.resolver(resolve).options(world.options(0))).unwrap();
    let session = client.connect(url).unwrap();
    session.ready().await?;
    Ok(session)
}

#[test]
fn the_applications_resolver_chooses_the_addresses() {
    let world = World::new(12, 1);
    let (there, silent) = (world.address(0), SocketAddr::from(([192, 0, 2, 77], 443)));
    world.network.run(async {
        // The resolver also chooses the port. A duplicate address is tried once, an unusable one never.
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        let zero = SocketAddr::new(there.ip(), 0);
        let found = resolved(&world, "https://elsewhere.example:77/", move |host, port| {
            heard.lock().unwrap().push((host, port));
            async move { Ok(vec![zero, there, there, silent, there]) }
        });
        let session = found.await.unwrap();
        assert_eq!(session.remote_address(), Some(there));
        echoes(&session, 1).await;
        assert_eq!(session.authority(), "elsewhere.example:77", "the server hears the URL's");
        assert_eq!(*asked.lock().unwrap(), [("elsewhere.example".to_owned(), 77)]);
        assert_eq!(world.servers[0].1.connections().await.len(), 1, "one attempt");

        // The first address is silent, so the next one gets its turn.
        let begin = world.network.now();
        let found =
            resolved(&world, "https://x.example/", move |_, _| async move { Ok(vec![silent, there]) });
        assert_eq!(found.await.unwrap().remote_address(), Some(there));
        assert!(world.network.now() - begin < Duration::from_millis(400));

        // A literal address does not reach the resolver.
        let literal = format!("https://{}/", there.ip());
        resolved(&world, &literal, |_, _| async { panic!("asked") }).await.unwrap();
        let error =
            resolved(&world, "https://localhost/", |_, _| async { panic!("asked") }).await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::Timeout { .. }), "{error}");
    });
}

#[test]
fn a_resolver_that_fails_gives_a_typed_error() {
    let world = World::new(13, 1);
    world.network.run(async {
        let failed =
            resolved(&world, "https://a.example/", |_, _| async { Err(io::Error::other("no such thing")) });
        let error = failed.await.unwrap_err();
        let ErrorCause::NameResolution { host, message } = error.cause() else { panic!("{error}") };
        assert_eq!((host.as_str(), &**message), ("a.example", "no such thing"));
        for none in [vec![], vec![SocketAddr::from(([192, 0, 2, 1], 0))]] {
            let error = resolved(&world, "https://b.example/", move |_, _| {
                let none = none.clone();
                async move { Ok(none) }
            });
            let error = error.await.unwrap_err();
            assert!(matches!(error.cause(), ErrorCause::NameResolution { .. }), "{error}");
        }
        // This resolver never completes. Giving up drops its future.
        struct Held(Arc<AtomicUsize>);
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.fetch_add(1, Relaxed);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&dropped);
        let error = resolved(&world, "https://c.example/", move |_, _| {
            let held = Held(Arc::clone(&counts));
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Ok(Vec::new())
            }
        });
        let error = error.await.unwrap_err();
        assert!(error.to_string().contains("not resolved"), "{error}");
        assert_eq!(dropped.load(Relaxed), 1);
        // It panics in the call, and later in its future.
        #[expect(unreachable_code, reason = "the closure's type")]
        let error = resolved(&world, "https://d.example/", |_, _| {
            panic!("at once");
            async { Ok(Vec::new()) }
        });
        let error = error.await.unwrap_err();
        assert!(
            matches!(error.cause(), ErrorCause::CallbackPanicked(text) if &**text == "at once"),
            "{error}"
        );
        let error = resolved(&world, "https://e.example/", |_, _| async { panic!("while it is waited for") });
        let error = error.await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::CallbackPanicked(_)), "{error}");
    });
}

/// The host has both address families, and the client has a socket of only one.
#[test]
fn a_family_without_a_socket_is_not_tried() {
    let network = Network::new(14);
    let both = |n: u8| {
        let (four, six) = (format!("192.0.2.{n}"), format!("2001:db8::{n}"));
        [six.parse().unwrap(), four.parse().unwrap()]
    };
    let (host, client) = (network.host_at("server", both(1)), network.host_at("client", both(2)));
    drop(network.link(&host, &client, &LinkConfig::new()));
    let (server, hash) = serve(&network, &host, TransportConfig::default());
    drop(host.spawn(echo_all(host.clone(), Arc::clone(&server))));
    let four = || SocketAddr::from(([0, 0, 0, 0], 0));
    let six = || SocketAddr::from(([0_u16; 8], 0));
    network.run(async {
        let build = |bound: &[SocketAddr]| {
            let all = bound.iter().fold(Client::builder(), |builder, address| builder.bind(*address));
            client.enter(|| all.options(options(hash)).build())
        };
        for (bound, v6) in
            [(vec![four()], false), (vec![six()], true), (vec![four(), six()], true), (vec![], true)]
        {
            let own = build(&bound).unwrap();
            assert_eq!(own.local_addresses().len(), bound.len());
            let session = own.connect("https://server/").unwrap();
            session.ready().await.unwrap();
            assert_eq!(session.remote_address().unwrap().is_ipv6(), v6, "{bound:?}");
            echoes(&session, 1).await;
        }
        for (bound, url) in [(four(), "https://[2001:db8::1]/"), (six(), "https://192.0.2.1/")] {
            let session = build(&[bound]).unwrap().connect(url).unwrap();
            let error = session.ready().await.unwrap_err();
            let ErrorCause::NoSocket { remote } = error.cause() else { panic!("{error}") };
            assert_eq!(remote.is_ipv6(), bound.is_ipv4());
        }
        for bound in [four(), six()] {
            let error = build(&[bound, bound]).unwrap_err();
            assert!(matches!(error, ClientError::SecondSocket { .. }), "{error}");
        }
        let foreign = SocketAddr::from(([203, 0, 113, 5], 0));
        let error = build(&[foreign]).unwrap_err();
        assert!(matches!(error, ClientError::Bind { address, .. } if address == foreign), "{error}");
    });
}

#[test]
fn a_client_is_built_on_a_runtime_and_connects_from_anywhere() {
    assert!(matches!(Client::builder().build().unwrap_err(), ClientError::NoRuntime));
    let world = World::new(15, 1);
    let client = world.build(|builder| builder.options(world.options(0))).unwrap();
    // Outside the virtual host.
    let session = client.connect("https://server0/").unwrap();
    world.network.run(async {
        session.ready().await.unwrap();
        let accepted = world.servers[0].1.connections().await;
        assert_eq!(accepted[0].remote_address().ip(), world.client.addresses()[0]);
        let error = client.connect("http://server0/").unwrap_err();
        assert!(matches!(error, wt_api::ConnectOptionsError::NotHttps { .. }));
    });
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let error = world.build(|builder| builder.socket(socket)).unwrap_err();
    assert!(matches!(error, ClientError::Socket(_)), "{error}");
}

/// Hosts that serve and connect on the same sockets.
mod peers {
    use std::num::NonZeroUsize;

    use super::*;

    struct Peer {
        host: Host,
        server: Arc<Server>,
        client: Client,
    }

    fn peers(network: &Network, shards: usize) -> [Peer; 2] {
        let hosts = ["one", "other"].map(|name| network.host(name));
        drop(network.link(&hosts[0], &hosts[1], &LinkConfig::new().delay(10 * MILLISECOND)));
        hosts.map(|host| {
            let builder = Server::builder()
                .identity(network.identity([host.name()]))
                .shards(NonZeroUsize::new(shards).unwrap());
            let server = Arc::new(host.enter(|| builder.build().unwrap()));
            drop(host.spawn(echo_all(host.clone(), Arc::clone(&server))));
            let options = WebTransportOptions::new().dangerous().no_certificate_verification();
            let client = server.client().options(options).build().unwrap();
            Peer { host, server, client }
        })
    }

    #[test]
    fn a_socket_serves_and_connects_whichever_shard_gets_the_responses() {
        for (seed, shards, scattered) in [(21, 1, false), (22, 3, false), (23, 3, true), (24, 5, true)] {
            let network = Network::new(seed);
            let peers = peers(&network, shards);
            if scattered {
                peers.iter().for_each(|peer| peer.host.scatter_datagrams());
            }
            network.run(async {
                let (mut sessions, urls) = (Vec::new(), ["https://other/", "https://one/"]);
                for _ in 0..7 {
                    for (peer, url) in peers.iter().zip(urls) {
                        sessions.push(peer.client.connect(url).unwrap());
                    }
                }
                for (n, session) in sessions.iter().enumerate() {
                    session.ready().await.unwrap_or_else(|error| panic!("seed {seed}, session {n}: {error}"));
                    assert_eq!(session.local_address().unwrap().port(), 443);
                    echoes(session, n as u64).await;
                }
                for peer in &peers {
                    let connections = peer.server.connections().await;
                    assert_eq!(connections.len(), 7, "those that it accepted");
                    assert!(connections.iter().all(|connection| connection.remote_address().port() == 443));
                    let stats = peer.server.stats().await;
                    assert_eq!((stats.connections, stats.handshakes.done, stats.sessions), (7, 7, 7));
                    assert_eq!(stats.endpoint.stateless_resets, 0, "seed {seed}");
                }
            });
        }
    }

    #[test]
    fn a_retry_reaches_the_shard_that_connects() {
        let network = Network::new(25);
        let peers = peers(&network, 4);
        let strict = network.host("strict");
        drop(network.link(&strict, &peers[0].host, &LinkConfig::new().delay(10 * MILLISECOND)));
        let builder = Server::builder().identity(network.identity(["strict"])).retry_threshold(0);
        let server = Arc::new(strict.enter(|| builder.build().unwrap()));
        drop(strict.spawn(echo_all(strict.clone(), Arc::clone(&server))));
        peers[0].host.scatter_datagrams();
        // One that remembers would have to prove its address only once.
        let options = WebTransportOptions::new().dangerous().no_certificate_verification();
        let forgetful = peers[0].server.client().options(options).session_cache(SessionCache::new(0));
        let client = forgetful.build().unwrap();
        network.run(async {
            for n in 0..8 {
                let session = client.connect("https://strict/").unwrap();
                session.ready().await.unwrap();
                echoes(&session, n).await;
            }
            assert_eq!(server.stats().await.endpoint.retries, 8);
        });
    }

    #[test]
    fn the_clients_connections_end_with_the_servers_at_its_shutdown() {
        let network = Network::new(26);
        let [one, other] = peers(&network, 2);
        network.run(async {
            let out = one.client.connect("https://other/").unwrap();
            let back = other.client.connect("https://one/").unwrap();
            out.ready().await.unwrap();
            back.ready().await.unwrap();
            // The server asks its clients to leave, but not the peer that it connected to itself.
            let draining = back.draining();
            let server = Arc::clone(&one.server);
            let shutdown = one.host.spawn(async move { server.shutdown(seconds(10)).await });
            draining.await;
            echoes(&out, 1).await;
            let late = one.client.connect("https://other/").unwrap();
            late.ready().await.unwrap();
            echoes(&late, 2).await;
            shutdown.await;
            for session in [&out, &late, &back] {
                let error = session.closed().await.unwrap_err();
                assert!(matches!(error.cause(), ErrorCause::ConnectionClosed { .. }), "{error}");
            }
            let error = one.client.connect("https://other/").unwrap().ready().await.unwrap_err();
            assert!(matches!(error.cause(), ErrorCause::Socket(_)), "{error}");
            assert!(error.to_string().contains("server"), "{error}");
            let again = one.host.enter(|| Server::builder().identity(network.identity(["one"])).build());
            again.expect("the port is free");
        });
    }

    /// Dropping a server's handle keeps its sessions, and those of its client as well.
    #[test]
    fn a_client_works_as_long_as_its_servers_sockets() {
        let network = Network::new(27);
        let (host, there) = (network.host("one"), network.host("other"));
        drop(network.link(&host, &there, &LinkConfig::new()));
        let (far, hash) = serve(&network, &there, TransportConfig::default());
        drop(there.spawn(echo_all(there.clone(), far)));
        network.run(async {
            let (server, _) = serve(&network, &host, TransportConfig::default());
            let client = server.client().options(options(hash)).build().unwrap();
            let session = client.connect("https://other/").unwrap();
            session.ready().await.unwrap();
            drop(server);
            network.sleep(seconds(1)).await;
            echoes(&session, 1).await;
            let another = client.connect("https://other/").unwrap();
            another.ready().await.unwrap();
            drop((session, another));
            network.sleep(seconds(5)).await;
            let late = client.connect("https://other/").unwrap();
            let error = late.ready().await.unwrap_err();
            assert!(matches!(error.cause(), ErrorCause::Socket(_)), "{error}");
        });
    }

    #[test]
    fn a_servers_client_has_its_sockets_and_no_others() {
        let network = Network::new(28);
        let [one, _] = peers(&network, 1);
        assert_eq!(one.client.local_addresses(), one.server.local_addresses());
        let error = one.server.client().bind(at(1)).build().unwrap_err();
        assert!(matches!(error, ClientError::SecondSocket { .. }), "{error}");
        network.run(async {
            // It connects to itself.
            let session = one.client.connect("https://one/").unwrap();
            session.ready().await.unwrap();
            echoes(&session, 1).await;
        });
    }
}
