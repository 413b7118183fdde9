//! What is still on its way when a server shuts down, or when its host is gone.

mod virtual_common;

use std::{sync::Arc, time::Duration};

use virtual_common::{options, seconds, serve, session};
use wt_api::{
    CloseInfo, ConnectionCloser, ErrorCause, TransportConfig, WebTransport,
    testing::{LinkConfig, Network},
};

#[test]
fn waiting_requests_are_rejected_unprocessed_at_a_shutdown() {
    for drops in [false, true] {
        let network = Network::new(1);
        let (host, client) = (network.host("server"), network.host("client"));
        let (server, hash) = serve(&network, &host, TransportConfig::default());
        network.run(async {
            let waiting = client.enter(|| WebTransport::new("https://server/", options(hash)).unwrap());
            network.sleep(seconds(1)).await;
            let shutdown = host.spawn(async move {
                if drops {
                    drop(Arc::into_inner(server).expect("the only handle"));
                } else {
                    server.shutdown(seconds(60)).await;
                }
            });
            let error = network.within(seconds(5), waiting.ready()).await.expect("an answer").unwrap_err();
            let ErrorCause::Refused(reason) = error.cause() else { panic!("{error}") };
            assert!(reason.contains("10b"), "{reason}");
            network.within(seconds(10), shutdown).await.expect("nobody is left");
        });
    }
}

#[test]
fn the_port_is_free_and_every_close_is_sent_when_a_shutdown_returns() {
    for deadline in [Duration::ZERO, seconds(1)] {
        let network = Network::new(2);
        let (host, client) = (network.host("server"), network.host("client"));
        network.link(&host, &client, &LinkConfig::new().delay(20_000_000));
        let (server, hash) = serve(&network, &host, TransportConfig::default());
        network.run(async {
            let mut sessions = Vec::new();
            for _ in 0..20 {
                sessions.push(session(&server, &client, options(hash)).await);
            }
            let begin = network.now();
            server.shutdown(deadline).await;
            assert!(network.now() - begin < deadline + Duration::from_millis(1));
            let (_again, _) = serve(&network, &host, TransportConfig::default());
            for (client, server) in sessions {
                server.closed().await.unwrap_err();
                let error = network.within(seconds(1), client.closed()).await.expect("it hears").unwrap_err();
                assert!(
                    matches!(error.cause(), ErrorCause::ConnectionClosed { by: ConnectionCloser::Peer, .. }),
                    "{error}"
                );
            }
        });
    }
}

#[test]
fn nothing_is_accepted_when_the_servers_host_is_gone() {
    let network = Network::new(3);
    let (host, client) = (network.host("server"), network.host("client"));
    let (server, hash) = serve(&network, &host, TransportConfig::default());
    network.run(async {
        let waiting = client.enter(|| WebTransport::new("https://server/", options(hash)).unwrap());
        network.sleep(seconds(1)).await;
        host.vanish();
        assert!(network.within(seconds(1), server.accept()).await.expect("an answer").is_none());
        network.within(seconds(1), server.shutdown(seconds(60))).await.expect("nothing to shut down");
        client.vanish();
        let error = network.within(seconds(1), waiting.ready()).await.expect("an answer").unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::RuntimeGone), "{error}");
    });
}

/// The peer makes round trips long by acknowledging late: three of its probe timeouts would be half a minute
/// here.
#[test]
fn a_slow_peer_does_not_decide_how_long_a_shutdown_takes() {
    let network = Network::new(4);
    let (host, client) = (network.host("server"), network.host("client"));
    network.link(&host, &client, &LinkConfig::new().delay(4_000_000_000));
    let (server, hash) = serve(&network, &host, TransportConfig::default());
    network.run(async {
        let patient = options(hash).connect_timeout(seconds(60));
        let (_client, accepted) = session(&server, &client, patient).await;
        client.vanish();
        accepted.close(CloseInfo::new(1, "over"));
        let begin = network.now();
        server.shutdown(Duration::ZERO).await;
        assert!(network.now() - begin <= seconds(12), "{:?}", network.now() - begin);
    });
}
