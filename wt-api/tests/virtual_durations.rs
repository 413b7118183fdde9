//! Sessions that are idle for a while, and durations that make little sense.

mod virtual_common;

use std::time::Duration;

use virtual_common::{is_idle_timeout, options, seconds};
use wt_api::{
    AcceptOptions, Server, TransportConfig, WebTransport, WebTransportOptions,
    testing::{LinkConfig, Network},
};

/// Leaves a session idle for five minutes. Returns which end, if any, noticed that it ended, when, and how
/// many datagrams the client sent.
fn rest(
    client: impl FnOnce(WebTransportOptions) -> WebTransportOptions,
    server: TransportConfig,
    server_keeps: bool,
) -> (Option<Duration>, u64) {
    let network = Network::new(1);
    let (host, client_host) = (network.host("server"), network.host("client"));
    let link = network.link(&host, &client_host, &LinkConfig::new().delay(1_000_000));
    let identity = network.identity(["server"]);
    let options = client(options(identity.certificate_hash()));
    let builder = Server::builder().identity(identity).transport(server).keep_alive_sessions(server_keeps);
    let server = host.enter(|| builder.build().unwrap());
    let ended = network.run(async {
        let client = client_host.enter(|| WebTransport::new("https://server/", options).unwrap());
        let accepted = server.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap();
        client.ready().await.unwrap();
        let end = network.within(seconds(300), client.closed()).await;
        drop(accepted);
        end.map(|end| {
            assert!(is_idle_timeout(&end.unwrap_err()));
            network.now()
        })
    });
    (ended, link.stats_from(&client_host).offered)
}

fn transport(idle_timeout: Option<Duration>, keep_alive: Option<Duration>) -> TransportConfig {
    TransportConfig::new().idle_timeout(idle_timeout).keep_alive(keep_alive)
}

#[test]
fn an_idle_session_stays_open_unless_keep_alive_is_off() {
    let usual = TransportConfig::default;
    let (ended, sent) = rest(|options| options, usual(), false);
    assert!(ended.is_none() && sent < 100, "{ended:?} {sent}");
    let (ended, _) = rest(|options| options, transport(Some(seconds(4)), None), false);
    assert_eq!(ended, None, "the smaller timeout of both ends counts");
    let (ended, _) = rest(|options| options.keep_alive_sessions(false), usual(), false);
    assert!(ended.is_some_and(|at| at < seconds(35)), "{ended:?}");
    let (ended, _) = rest(|options| options.keep_alive_sessions(false), usual(), true);
    assert_eq!(ended, None, "the server keeps it");
    // The short forms of the same options.
    let quiet = |options: WebTransportOptions| options.keep_alive_sessions(false);
    let (ended, _) = rest(|options| quiet(options).idle_timeout(Some(seconds(4))), usual(), false);
    assert!(ended.is_some_and(|at| at < seconds(6)), "{ended:?}");
    let (ended, sent) = rest(|options| quiet(options).keep_alive(Some(seconds(1))), usual(), false);
    assert!(ended.is_none() && sent > 250, "{ended:?} {sent}");
}

#[test]
fn durations_that_make_little_sense_are_corrected() {
    let some = |duration| Some(duration);
    for (idle, keep) in [
        (some(seconds(30)), some(Duration::ZERO)),
        (some(Duration::ZERO), some(Duration::ZERO)),
        (None, some(seconds(1_000_000))),
        (some(seconds(30)), some(seconds(60))),
        (some(Duration::MAX), some(Duration::MAX)),
    ] {
        let (ended, sent) = rest(
            |options| options.transport(transport(idle, keep)),
            transport(some(seconds(8)), None),
            false,
        );
        assert!(ended.is_none() && sent < 300, "{idle:?} {keep:?}: {ended:?} {sent}");
    }
    let (ended, sent) = rest(
        |options| options.transport(transport(None, some(Duration::from_nanos(1)))),
        TransportConfig::default(),
        false,
    );
    assert!(ended.is_none() && sent < 35_000, "a hundred a second at most: {sent}");
}

#[test]
fn an_ipv4_mapped_address_is_reached() {
    let network = Network::new(2);
    let (host, client) = (network.host_at("server", ["10.1.2.3".parse().unwrap()]), network.host("client"));
    let identity = network.identity(["server"]);
    let hash = identity.certificate_hash();
    let server = host.enter(|| Server::builder().identity(identity).build().unwrap());
    network.run(async {
        let session =
            client.enter(|| WebTransport::new("https://[::ffff:10.1.2.3]/", options(hash)).unwrap());
        let accepted = server.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap();
        session.ready().await.unwrap();
        assert!(network.now() < seconds(1));
        drop(accepted);
    });
}
