//! The virtual network itself: it needs no tokio, one seed decides everything, and no run hangs.

mod virtual_common;

use std::{
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use virtual_common::{connect, echo_all, options, pattern, round_trip, seconds, serve};
use wt_api::{
    CertificateError, ConnectOptionsError, ErrorCause, Identity, Server, ServerError, WebTransport,
    WebTransportOptions, http3,
    testing::{self, Entry, Host, LinkConfig, MILLISECOND, Network},
};

/// The message of a panic.
fn panic_of(work: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(work)).expect_err("a panic");
    let constant = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    payload.downcast_ref::<String>().cloned().or(constant).unwrap_or_default()
}

#[test]
fn applications_run_without_tokio_and_without_waiting() {
    assert!(tokio::runtime::Handle::try_current().is_err());
    let network = Network::new(1);
    let (server_host, client) = (network.host("server"), network.host("client"));
    network.link(&server_host, &client, &LinkConfig::new().delay(50 * MILLISECOND));
    let (server, hash) = serve(&network, &server_host, Default::default());
    assert_eq!(server.local_addresses()[0].port(), 443);
    drop(server_host.spawn(echo_all(server_host.clone(), server)));
    client.run(async {
        let session = connect("server", options(hash)).await.unwrap();
        assert_eq!(
            network.now(),
            Duration::from_millis(200),
            "the handshake, with the settings in it, and the request"
        );
        let data = pattern(1, 300_000);
        assert_eq!(round_trip(&session, data.clone()).await.unwrap(), data);
    });
    // Outside the virtual network the constructors say that there is no runtime.
    let error = WebTransport::new("https://server/", options(hash)).unwrap_err();
    assert_eq!(error, ConnectOptionsError::NoRuntime);
    let identity = network.identity(["server"]);
    assert!(matches!(Server::builder().identity(identity).build(), Err(ServerError::NoRuntime)));
}

/// What a run recorded.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    digest: u64,
    took: Duration,
    log: Vec<Entry>,
    /// The order in which the readers learned of the end.
    ends: Vec<usize>,
}

/// Reads from streams that carry nothing, and records the order in which the readers learn of the end.
async fn wait_for_ends(client: &Host, session: &WebTransport, ends: &Arc<Mutex<Vec<usize>>>) {
    for index in 0..8 {
        let mut stream = session.create_bidirectional_stream(Default::default()).await.unwrap();
        stream.writable.write_all(b"first").await.unwrap();
        let mut first = [0; 5];
        assert_eq!(stream.readable.read(&mut first).await.unwrap(), 5);
        let ends = Arc::clone(ends);
        drop(client.spawn(async move {
            stream.readable.read(&mut first).await.unwrap_err();
            ends.lock().unwrap().push(index);
        }));
    }
}

/// A run with every kind of fault.
fn eventful_run(seed: u64) -> Run {
    let network = Network::new(seed);
    network.keep_log();
    let (server_host, client) = (network.host("server"), network.host("client"));
    let faults = LinkConfig::new().rate(10_000_000).delay(20 * MILLISECOND).jitter(5 * MILLISECOND);
    let faults = faults.bernoulli(0.05).duplicate(0.05).corrupt(0.02).reorder(0.05, 30 * MILLISECOND);
    let link = network.link(&server_host, &client, &faults);
    let (server, hash) = serve(&network, &server_host, Default::default());
    drop(server_host.spawn(echo_all(server_host.clone(), server)));
    let ends = Arc::default();
    client.run(async {
        let session = connect("server", options(hash)).await.unwrap();
        let data = pattern(seed, 200_000);
        let (one, two) = tokio::join!(round_trip(&session, data.clone()), round_trip(&session, data.clone()));
        assert!(one.unwrap() == data && two.unwrap() == data);
        link.outage(seconds(1));
        session.datagrams().writable.send("lost".into()).await.unwrap();
        assert!(round_trip(&session, data.clone()).await.unwrap() == data);
        wait_for_ends(&client, &session, &ends).await;
        session.close(Default::default());
        session.closed().await.unwrap();
    });
    network.run(network.sleep(seconds(60)));
    let ends = std::mem::take(&mut *ends.lock().unwrap());
    Run { digest: network.digest(), took: network.now(), log: network.log(), ends }
}

#[test]
fn one_seed_gives_the_same_datagrams_at_the_same_times_with_the_same_sizes() {
    testing::for_seeds(0..5, |seed| {
        let (first, again) = (eventful_run(seed), eventful_run(seed));
        let differs = first.log.iter().zip(&again.log).position(|(a, b)| a != b);
        if let Some(at) = differs {
            panic!("datagram {at}: {:?} and {:?}", first.log[at], again.log[at]);
        }
        assert!(first.log.len() > 500 && first.ends.len() == 8 && first == again);
    });
    assert_ne!(eventful_run(1).digest, eventful_run(2).digest);
}

#[test]
fn a_deadlock_is_reported_with_time_and_seed() {
    let network = Network::new(42);
    let told = panic_of(|| {
        network.run(async {
            network.sleep(Duration::from_millis(1500)).await;
            std::future::pending::<()>().await;
        });
    });
    assert_eq!(
        told,
        "nothing is left to happen: every task waits for another (at 1500 ms, seed 42; NETSIM_SEED=42)"
    );
    // The network is still usable.
    network.run(network.sleep(seconds(1)));
    assert_eq!(network.now(), Duration::from_millis(2500));
}

#[test]
fn a_run_beyond_its_time_limit_is_reported() {
    let network = Network::new(7);
    network.set_limit(seconds(10));
    network.run(network.sleep(seconds(10)));
    let told = panic_of(|| network.run(network.sleep(Duration::from_millis(10_001))));
    assert!(told.contains("limit of virtual time") && told.contains("NETSIM_SEED=7"), "{told}");
}

#[test]
fn a_task_that_never_waits_is_reported() {
    let network = Network::new(3);
    let told = panic_of(|| {
        network.run(std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            std::task::Poll::<()>::Pending
        }));
    });
    assert!(told.contains("time stands still"), "{told}");
}

#[test]
fn a_panic_in_a_task_ends_the_run() {
    let network = Network::new(3);
    let host = network.host("one");
    let task = host.spawn(async { panic!("this is wrong") });
    assert_eq!(panic_of(|| network.run(task)), "this is wrong");
}

#[test]
fn names_resolve_and_the_second_family_is_tried_when_the_first_is_silent() {
    let network = Network::new(5);
    let four: IpAddr = "192.0.2.1".parse().unwrap();
    let six: IpAddr = "2001:db8::1".parse().unwrap();
    let (server_host, client) = (
        network.host_at("server", [four]),
        network.host_at("client", ["192.0.2.2".parse().unwrap(), "2001:db8::2".parse().unwrap()]),
    );
    let (server, hash) = serve(&network, &server_host, Default::default());
    drop(server_host.spawn(echo_all(server_host.clone(), server)));
    network.name("both", [six, four]);
    client.run(async {
        let session = connect("both", options(hash)).await.unwrap();
        assert_eq!(network.now(), Duration::from_millis(254), "the stagger and two round trips");
        drop(session);
        let error = connect("nobody", options(hash)).await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::NameResolution { .. }), "{error}");
        let begin = network.now();
        network.name("silent", [six]);
        let error = connect("silent", options(hash)).await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::Timeout { .. }), "{error}");
        assert_eq!(network.now() - begin, seconds(10));
    });
}

#[test]
fn sockets_are_bound_as_on_a_machine() {
    let network = Network::new(5);
    let host = network.host("host");
    let build = |address: &str| {
        let builder = Server::builder().identity(network.identity(["host"]));
        host.enter(|| builder.listen(address.parse().unwrap()).build())
    };
    let kind_of = |error| match error {
        ServerError::Bind { error, .. } => error.kind(),
        error => panic!("{error}"),
    };
    let first = build("10.0.0.1:443").unwrap();
    assert_eq!(kind_of(build("0.0.0.0:443").unwrap_err()), std::io::ErrorKind::AddrInUse);
    assert_eq!(kind_of(build("10.0.0.2:443").unwrap_err()), std::io::ErrorKind::AddrNotAvailable);
    let ports =
        [build("[::]:0").unwrap(), build("[::]:0").unwrap()].map(|server| server.local_addresses()[0].port());
    assert!(ports[0] != ports[1] && ports[0] != 0);
    drop(first);
    network.run(network.sleep(seconds(1)));
    build("0.0.0.0:443").unwrap();
}

#[test]
fn the_calendar_follows_virtual_time() {
    let network = Network::new(9);
    let (server_host, client) = (network.host("server"), network.host("client"));
    network.set_limit(seconds(20 * 86_400));
    // An identity as in production, with the validity by the host's calendar.
    let identity = server_host.enter(|| Identity::self_signed(["server"])).unwrap();
    let hash = identity.certificate_hash();
    let server = server_host.enter(|| Server::builder().identity(identity).build()).unwrap();
    client.run(async {
        connect("server", options(hash)).await.unwrap_err();
    });
    drop(server_host.spawn(echo_all(server_host.clone(), server.into())));
    client.run(async {
        connect("server", options(hash)).await.unwrap();
        network.sleep(seconds(13 * 86_400)).await;
        let error = connect("server", options(hash)).await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::Certificate(CertificateError::Expired)), "{error}");
    });
}

#[test]
fn plain_requests_work_as_well() {
    let network = Network::new(11);
    let (server_host, client) = (network.host("server"), network.host("client"));
    let identity = network.identity(["server"]);
    let hash = identity.certificate_hash();
    let service = |_| async { http::Response::new("page".to_owned()) };
    let builder = Server::builder().identity(identity).http_service(service);
    let server = server_host.enter(|| builder.build()).unwrap();
    let options = WebTransportOptions::new().server_certificate_hashes([hash]);
    let body = client.run(async {
        http3::get("https://server/", options).await.unwrap().into_body().read_to_end(100).await.unwrap()
    });
    assert_eq!(body, "page");
    drop(server);
}

#[test]
fn a_pair_talks_and_its_link_can_be_changed() {
    let pair = testing::pair(1);
    pair.network.run(async {
        let begin = pair.network.now();
        pair.link.change(|config| config.delay = 100 * MILLISECOND);
        pair.client.datagrams().writable.send("late".into()).await.unwrap();
        assert_eq!(pair.server.datagrams().readable.recv().await.unwrap(), "late");
        assert_eq!(pair.network.now() - begin, Duration::from_millis(100));
        pair.link.change_from(&pair.server_host, |config| config.mtu = 100);
        assert_eq!(pair.network.within(seconds(1), pair.client.closed()).await.map(|_| ()), None);
        assert!(
            pair.link.stats_from(&pair.server_host).mtu_drops
                + pair.link.stats_from(&pair.client_host).mtu_drops
                == 0
        );
    });
}
