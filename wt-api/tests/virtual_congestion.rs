//! The congestion control option: what the application requests, what is in force, and what changes it.

mod virtual_common;

use std::time::Duration;

use quic_core::{
    TransportConfig,
    congestion::{Algorithm, CongestionConfig},
};
use virtual_common::{
    pattern,
    world::{World, trusting},
};
use wt_api::{AcceptOptions, CongestionControl, SendStreamOptions, WebTransport};

/// Each option, and the controller that it selects.
const KINDS: [(CongestionControl, &str); 3] = [
    (CongestionControl::Default, "cubic"),
    (CongestionControl::Throughput, "bbr3"),
    (CongestionControl::LowLatency, "low-latency"),
];

fn own() -> TransportConfig {
    TransportConfig::new().congestion(CongestionConfig::new(Algorithm::NewReno))
}

async fn controller(session: &WebTransport) -> &'static str {
    session.get_stats().await.unwrap().connection.unwrap().congestion_controller
}

async fn check(session: &WebTransport, (kind, name): (CongestionControl, &str)) {
    assert_eq!(session.congestion_control(), kind);
    assert_eq!(session.connection().unwrap().congestion_control(), kind);
    // `get_stats` of a pooled session does not report the controller, so ask the connection.
    assert_eq!(session.connection().unwrap().stats().await.unwrap().congestion_controller, name);
}

#[test]
fn each_end_uses_the_controller_that_it_requests() {
    for client_kind in KINDS {
        for server_kind in KINDS {
            let world = World::new(1, |builder| builder.congestion_control(server_kind.0));
            world.network.run(async {
                let wanted = trusting().congestion_control(client_kind.0);
                let (client, server, _) = world.session(wanted, AcceptOptions::new()).await;
                check(&client, client_kind).await;
                check(&server, server_kind).await;
            });
        }
    }
}

#[test]
fn a_connecting_session_reports_the_controller_it_will_use() {
    let world = World::new(2, |builder| builder);
    world.network.run(async {
        for (kind, _) in KINDS {
            let wanted = trusting().congestion_control(kind);
            let client = world.client.enter(|| WebTransport::new("https://nowhere/", wanted).unwrap());
            assert_eq!(client.congestion_control(), kind);
        }
    });
}

#[test]
fn the_default_is_the_transports_controller() {
    let world = World::new(3, |builder| builder.transport(own()));
    world.network.run(async {
        let (client, server, _) = world.session(trusting().transport(own()), AcceptOptions::new()).await;
        for session in [&client, &server] {
            check(session, (CongestionControl::Default, "newreno")).await;
            for kind in [KINDS[1], KINDS[2], (CongestionControl::Default, "newreno")] {
                session.connection().unwrap().set_congestion_control(kind.0);
                check(session, kind).await;
            }
        }
    });
}

#[test]
fn a_server_chooses_for_the_connection_of_each_session() {
    let world = World::new(4, |builder| builder);
    world.network.run(async {
        let mut sessions = Vec::new();
        for kind in KINDS {
            let accept = AcceptOptions::new().congestion_control(kind.0);
            let client = world.client.enter(|| WebTransport::new("https://server/", trusting()).unwrap());
            let server = world.server.accept().await.unwrap().accept(accept).await.unwrap();
            // From the response on.
            assert_eq!(controller(&server).await, kind.1);
            client.ready().await.unwrap();
            sessions.push(((client, server), kind));
        }
        for ((client, server), kind) in &sessions {
            check(server, *kind).await;
            // The peer does not learn of it.
            check(client, KINDS[0]).await;
        }
    });
}

/// Sessions on a shared connection have the same controller, and the last request wins.
#[test]
fn sessions_on_one_connection_have_one_controller() {
    let world = World::new(5, |builder| builder);
    world.network.run(async {
        let pooled = || trusting().allow_pooling(true);
        let low = AcceptOptions::new().congestion_control(CongestionControl::LowLatency);
        let (one, one_server, _) = world.session(pooled(), low).await;
        let (two, two_server, _) = world.session(pooled(), AcceptOptions::new()).await;
        assert_eq!(one.connection(), two.connection());
        check(&one_server, KINDS[2]).await;
        check(&two_server, KINDS[2]).await;
        let high = AcceptOptions::new().congestion_control(CongestionControl::Throughput);
        let (_three, three_server, _) = world.session(pooled(), high).await;
        for session in [&one_server, &two_server, &three_server] {
            check(session, KINDS[1]).await;
        }
    });
}

#[test]
fn sessions_with_different_controllers_share_no_connection() {
    let world = World::new(6, |builder| builder);
    world.network.run(async {
        let mut sessions = Vec::new();
        for (kind, _) in KINDS.into_iter().chain(KINDS) {
            let wanted = trusting().allow_pooling(true).congestion_control(kind);
            sessions.push(world.session(wanted, AcceptOptions::new()).await.0);
        }
        let connections: Vec<_> = sessions.iter().map(|session| session.connection().unwrap()).collect();
        assert_eq!(connections[..3], connections[3..]);
        assert!(connections[0] != connections[1] && connections[1] != connections[2]);
        // The application changes this connection's controller: a session that requests the old one needs
        // another connection.
        connections[0].set_congestion_control(CongestionControl::Throughput);
        let (late, _server, _) = world.session(trusting().allow_pooling(true), AcceptOptions::new()).await;
        assert_ne!(late.connection().unwrap(), connections[0]);
        check(&late, KINDS[0]).await;
        check(&sessions[0], KINDS[1]).await;
    });
}

#[test]
fn changing_the_controller_during_a_transfer_loses_nothing() {
    let world = World::new(7, |builder| builder);
    world.network.run(async {
        let (client, server, _) = world.session(trusting(), AcceptOptions::new()).await;
        let mut stream = client.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
        let data = pattern(7, 5_000_000);
        let receive = async {
            let mut incoming = server.incoming_unidirectional_streams();
            incoming.next().await.unwrap().unwrap().read_to_end(data.len()).await.unwrap()
        };
        let send = async {
            stream.write_all(&data).await.unwrap();
            stream.finished().await.unwrap();
        };
        let change = async {
            for round in 0..30 {
                let kind = KINDS[round % 3];
                client.connection().unwrap().set_congestion_control(kind.0);
                assert_eq!(controller(&client).await, kind.1);
                world.network.sleep(Duration::from_millis(100)).await;
            }
        };
        let (received, (), ()) = tokio::join!(receive, send, change);
        assert!(received == data);
    });
}

#[test]
fn the_last_of_many_requests_wins_and_none_counts_after_the_end() {
    let world = World::new(8, |builder| builder);
    world.network.run(async {
        let (client, _server, _) = world.session(trusting(), AcceptOptions::new()).await;
        let connection = client.connection().unwrap();
        for round in 0..10_000 {
            connection.set_congestion_control(KINDS[round % 3].0);
        }
        check(&client, KINDS[0]).await;
        connection.close(0x100, "");
        connection.closed().await;
        connection.set_congestion_control(CongestionControl::Throughput);
        assert_eq!(connection.congestion_control(), CongestionControl::Default);
    });
}
