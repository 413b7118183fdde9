//! The admission hook: the application decides about clients before their handshake.

mod virtual_common;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use virtual_common::{options, seconds, session};
use wt_api::{
    Admission, CertificateHash, ConnectionAttempt, ErrorCause, Server, ServerBuilder, ServerLoad,
    WebTransport, WebTransportError,
    protocol::{CloseReason, ConnectionError, TransportErrorCode},
    testing::{Host, LinkConfig, MILLISECOND, Network},
};

struct World {
    network: Network,
    client: Host,
    server: Arc<Server>,
    hash: CertificateHash,
}

fn world(
    seed: u64,
    hook: impl Fn(&ConnectionAttempt<'_>) -> Admission + Send + Sync + 'static,
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> World {
    let network = Network::new(seed);
    let (host, client) = (network.host("server"), network.host("client"));
    drop(network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND)));
    let identity = network.identity(["server"]);
    let hash = identity.certificate_hash();
    let builder = configure(Server::builder().identity(identity).admission(hook));
    let server = Arc::new(host.enter(|| builder.build().unwrap()));
    World { network, client, server, hash }
}

impl World {
    fn ask(&self) -> WebTransport {
        let options = options(self.hash).connect_timeout(seconds(5));
        self.client.enter(|| WebTransport::new("https://server/", options).unwrap())
    }
}

/// Whether the server refused the connection as busy, before the handshake.
fn is_busy(error: &WebTransportError) -> bool {
    matches!(error.cause(), ErrorCause::ServerBusy { .. })
}

/// What the hook saw.
#[derive(Clone, Debug)]
struct Seen {
    remote: SocketAddr,
    local: Option<SocketAddr>,
    name: Option<String>,
    validated: bool,
    load: ServerLoad,
}

/// A hook that records what it sees.
fn noting(
    answer: Admission,
) -> (Arc<Mutex<Vec<Seen>>>, impl Fn(&ConnectionAttempt<'_>) -> Admission + Send + Sync + 'static) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let hook = move |attempt: &ConnectionAttempt<'_>| {
        noted.lock().unwrap().push(Seen {
            remote: attempt.remote_address(),
            local: attempt.local_address(),
            name: attempt.server_name(),
            validated: attempt.is_validated(),
            load: attempt.load(),
        });
        answer
    };
    (seen, hook)
}

#[test]
fn the_hook_sees_the_clients_name_and_the_servers_load() {
    let (seen, hook) = noting(Admission::Accept);
    let world = world(1, hook, |builder| builder);
    world.network.run(async {
        let (one, _one) = session(&world.server, &world.client, options(world.hash)).await;
        let (_two, _two_server) = session(&world.server, &world.client, options(world.hash)).await;
        let seen = seen.lock().unwrap().clone();
        let [first, second] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!(first.remote.port(), one.local_address().unwrap().port());
        assert_eq!(first.local, one.remote_address());
        assert_eq!((first.name.as_deref(), first.validated), (Some("server"), false));
        assert_eq!((first.load.connections, second.load.connections), (0, 1));
        assert_eq!(first.load.pending_handshakes, 0);
        assert!(second.load.memory_used > 0 && second.load.memory_used < second.load.memory_limit);
    });
}

#[test]
fn a_client_that_proves_its_address_is_admitted() {
    let (seen, hook) = noting(Admission::Retry);
    let world = world(2, hook, |builder| builder);
    world.network.run(async {
        let _sessions = session(&world.server, &world.client, options(world.hash)).await;
        let seen = seen.lock().unwrap().clone();
        // The hook answers Retry to a client that has proved its address as well; that admits the client.
        assert_eq!(seen.iter().map(|seen| seen.validated).collect::<Vec<_>>(), [false, true]);
        assert_eq!(seen[1].name.as_deref(), Some("server"));
        assert_eq!(world.server.stats().await.endpoint.retries, 1);
    });
}

#[test]
fn a_refused_client_learns_of_it_at_once() {
    let (_, hook) = noting(Admission::Refuse);
    let world = world(3, hook, |builder| builder);
    world.network.run(async {
        let error =
            world.network.within(seconds(1), world.ask().ready()).await.expect("at once").unwrap_err();
        assert!(is_busy(&error), "{error}");
        let stats = world.server.stats().await;
        assert_eq!((stats.admission.refused_hook, stats.connections_total), (1, 0));
    });
}

#[test]
fn an_ignored_client_gets_no_answer_and_costs_nothing() {
    let (seen, hook) = noting(Admission::Ignore);
    let world = world(4, hook, |builder| builder);
    world.network.run(async {
        let error = world.ask().ready().await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::Timeout { .. }), "{error}");
        let stats = world.server.stats().await;
        let asked = seen.lock().unwrap().len() as u64;
        assert!(asked > 1, "it tries again");
        assert_eq!((stats.admission.ignored_hook, stats.connections_total), (asked, 0));
        assert_eq!(stats.memory_used, 0);
    });
}

#[test]
fn a_hook_that_panics_fails_only_that_connection() {
    let hook = |attempt: &ConnectionAttempt<'_>| {
        assert!(attempt.load().connections > 0, "the hook panics");
        Admission::Accept
    };
    let good = Arc::new(Mutex::new(true));
    let first = Arc::clone(&good);
    let hook = move |attempt: &ConnectionAttempt<'_>| {
        // It admits the first client.
        if std::mem::take(&mut *first.lock().unwrap()) { Admission::Accept } else { hook(attempt) }
    };
    let world = world(5, hook, |builder| builder);
    world.network.run(async {
        let (ours, theirs) = session(&world.server, &world.client, options(world.hash)).await;
        ours.close(Default::default());
        theirs.closed().await.unwrap();
        world.network.sleep(seconds(10)).await;
        let error =
            world.network.within(seconds(1), world.ask().ready()).await.expect("at once").unwrap_err();
        let ErrorCause::Connection(ConnectionError::PeerClosed(CloseReason::Transport { code, .. })) =
            error.cause()
        else {
            panic!("{error}")
        };
        assert_eq!(*code, TransportErrorCode::INTERNAL_ERROR);
        assert_eq!(world.server.stats().await.admission.refused_panic, 1);
        *good.lock().unwrap() = true;
        let _sessions = session(&world.server, &world.client, options(world.hash)).await;
    });
}

/// The hook can only be stricter than the limits: it does not see the clients that the limits refuse.
#[test]
fn limits_apply_whatever_the_hook_decides() {
    let (seen, hook) = noting(Admission::Accept);
    let world = world(6, hook, |builder| builder.max_connections(1).retry_threshold(0));
    world.network.run(async {
        let _sessions = session(&world.server, &world.client, options(world.hash)).await;
        assert_eq!(seen.lock().unwrap().len(), 2, "the threshold asks for proof all the same");
        let error = world.ask().ready().await.unwrap_err();
        assert!(is_busy(&error), "{error}");
        assert_eq!(seen.lock().unwrap().len(), 2);
        let stats = world.server.stats().await;
        assert_eq!((stats.admission.refused_connections, stats.admission.refused_hook), (1, 0));
    });
}
