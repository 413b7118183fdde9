//! Many clients at one server, each behind its own network; Retry, limits and restarts.

mod virtual_common;

use std::sync::Arc;

use virtual_common::{connect, echo_all, is_idle_timeout, options, pattern, round_trip, seconds};
use wt_api::{
    CertificateHash, ErrorCause, Server, ServerBuilder, WebTransportError,
    testing::{self, Host, LinkConfig, MILLISECOND, Network, Random},
};

const CLIENTS: usize = 12;

fn serve(
    network: &Network,
    host: &Host,
    setup: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Arc<Server>, CertificateHash) {
    let identity = network.identity([host.name()]);
    let hash = identity.certificate_hash();
    let server = host.enter(|| setup(Server::builder().identity(identity)).build()).unwrap();
    let server = Arc::new(server);
    drop(host.spawn(echo_all(host.clone(), Arc::clone(&server))));
    (server, hash)
}

/// Connects, has one stream echoed, and closes. Returns the size of the stream.
async fn visit(hash: CertificateHash, seed: u64, size: usize) -> Result<usize, WebTransportError> {
    let session = connect("server", options(hash).connect_timeout(seconds(60))).await?;
    let data = pattern(seed, size);
    assert!(round_trip(&session, data.clone()).await? == data);
    session.close(Default::default());
    session.closed().await?;
    Ok(size)
}

/// The digest of a run.
fn crowd(seed: u64) -> u64 {
    let random = &mut Random::derived(seed, u64::MAX - 1);
    let network = Network::new(seed);
    network.set_limit(seconds(600));
    let server_host = network.host("server");
    let retry_threshold = if random.chance(0.5) { random.below(4) as usize } else { 256 };
    let (server, hash) = serve(&network, &server_host, |builder| builder.retry_threshold(retry_threshold));
    let mut visits = Vec::new();
    for index in 0..CLIENTS {
        let client = network.host(&format!("client{index}"));
        let config = LinkConfig::new().delay(random.below(80) * MILLISECOND).bernoulli(0.15 * random.unit());
        network.link(&server_host, &client, &config.corrupt(0.05 * random.unit()).duplicate(0.1));
        let (size, wait) = (1 << random.below(18), network.sleep(seconds(random.below(2))));
        visits.push(client.spawn(async move {
            wait.await;
            visit(hash, seed + index as u64, size).await
        }));
    }
    network.run(async {
        for visit in visits {
            visit.await.expect("such networks are no reason to fail");
        }
        server.shutdown(seconds(100)).await;
    });
    network.digest()
}

#[test]
fn a_crowd_behind_bad_networks_is_served_with_and_without_retry() {
    testing::for_seeds(0..40, |seed| {
        let digest = crowd(seed);
        if seed % 8 == 0 {
            assert_eq!(digest, crowd(seed), "one seed, one run");
        }
    });
}

#[test]
fn clients_beyond_the_limit_are_refused_until_there_is_room() {
    let network = Network::new(1);
    let (server_host, client) = (network.host("server"), network.host("client"));
    let (_server, hash) = serve(&network, &server_host, |builder| builder.max_connections(2));
    client.run(async {
        let first = connect("server", options(hash)).await.unwrap();
        let second = connect("server", options(hash)).await.unwrap();
        let error = connect("server", options(hash)).await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::ServerBusy { .. }), "{error:?}");
        first.close(Default::default());
        network.sleep(seconds(5)).await;
        visit(hash, 1, 1000).await.unwrap();
        drop(second);
    });
}

/// The server restarts: it cannot decrypt packets of old connections, and serves new ones.
#[test]
fn a_server_that_restarts_serves_new_sessions() {
    let network = Network::new(2);
    let (server_host, client) = (network.host("server"), network.host("client"));
    let (_server, hash) = serve(&network, &server_host, |builder| builder);
    client.run(async {
        let session = connect("server", options(hash)).await.unwrap();
        server_host.vanish();
        let (_server, hash) = serve(&network, &server_host, |builder| builder);
        visit(hash, 1, 100_000).await.unwrap();
        // Its stateless reset key is new as well, so the old session gets no reset.
        let error = round_trip(&session, pattern(1, 10)).await.unwrap_err();
        assert!(is_idle_timeout(&error), "{error}");
        assert!(network.now() < seconds(65), "{:?}", network.now());
    });
}
