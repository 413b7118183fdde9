//! A server that is killed and restarted.

mod virtual_common;

use std::{sync::Arc, time::Duration};

use quic_core::error::ConnectionError;
use virtual_common::{echo_all, pattern, round_trip};
use wt_api::{
    Client, ErrorCause, Server, ServerKeys, WebTransport, WebTransportOptions,
    testing::{Host, LinkConfig, MILLISECOND, Network},
};

fn serve(network: &Network, host: &Host, secret: &[u8]) {
    let keys = ServerKeys::from_secret(secret).unwrap();
    let builder = Server::builder().identity(network.identity(["server"])).keys(keys);
    let server = Arc::new(host.enter(|| builder.build().unwrap()));
    drop(host.spawn(echo_all(host.clone(), server)));
}

/// How long a client with an open session waits for its end after it sent something to a server that was
/// killed and restarted.
fn told_after(seed: u64, secrets: [&[u8]; 2]) -> (Duration, ErrorCause) {
    let network = Network::new(seed);
    let (host, client) = (network.host("server"), network.host("client"));
    drop(network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND)));
    let options = WebTransportOptions::new().dangerous().no_certificate_verification();
    let options = options.keep_alive_sessions(false);
    network.run(async {
        serve(&network, &host, secrets[0]);
        let session = client.enter(|| WebTransport::new("https://server/", options).unwrap());
        session.ready().await.unwrap();
        assert_eq!(round_trip(&session, pattern(1, 100)).await.unwrap(), pattern(1, 100));
        host.vanish();
        serve(&network, &host, secrets[1]);
        let begin = network.now();
        session.datagrams().writable.send(pattern(2, 100)).await.unwrap();
        let error = session.closed().await.unwrap_err();
        (network.now() - begin, error.cause().clone())
    })
}

#[test]
fn clients_of_a_killed_server_learn_of_it_within_a_round_trip() {
    for seed in 71..91 {
        let (took, cause) = told_after(seed, [&[7; 32], &[7; 32]]);
        assert!(
            matches!(cause, ErrorCause::Connection(ConnectionError::StatelessReset)),
            "seed {seed}: {cause:?}"
        );
        assert!(took <= Duration::from_millis(21), "seed {seed}: {took:?}");
    }
}

/// All clients are behind one address: a NAT, or one program, with a socket for each client or one for all.
#[test]
fn hundreds_of_clients_behind_one_address_learn_of_a_restart_at_once() {
    for sockets in [false, true] {
        all_learn_of_a_restart_at_once(sockets);
    }
}

fn all_learn_of_a_restart_at_once(sockets: bool) {
    const CLIENTS: usize = 300;
    let network = Network::new(92);
    let (host, client) = (network.host("server"), network.host("client"));
    drop(network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND)));
    network.run(async {
        serve(&network, &host, &[7; 32]);
        let mut sessions = Vec::new();
        for _ in 0..CLIENTS {
            let options = WebTransportOptions::new().dangerous().no_certificate_verification();
            let options = options.keep_alive_sessions(false);
            let session = client.enter(|| match sockets {
                true => Client::builder().build().unwrap().connect_with("https://server/", options).unwrap(),
                false => WebTransport::new("https://server/", options).unwrap(),
            });
            session.ready().await.unwrap();
            sessions.push(session);
        }
        host.vanish();
        serve(&network, &host, &[7; 32]);
        let begin = network.now();
        for session in &sessions {
            session.datagrams().writable.send(pattern(2, 100)).await.unwrap();
        }
        for session in sessions {
            let error = session.closed().await.unwrap_err();
            assert!(
                matches!(error.cause(), ErrorCause::Connection(ConnectionError::StatelessReset)),
                "{error}"
            );
        }
        let took = network.now() - begin;
        assert!(took <= Duration::from_secs(1), "{took:?}");
    });
}

/// A client does not believe what anybody could have sent.
#[test]
fn a_server_with_other_keys_ends_nothing() {
    let (took, cause) = told_after(71, [&[7; 32], &[8; 32]]);
    assert!(matches!(cause, ErrorCause::Connection(ConnectionError::IdleTimeout)), "{cause:?}");
    assert!(took >= Duration::from_secs(29), "{took:?}");
}
