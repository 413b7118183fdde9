//! Transport settings at the limits of their types. A session works as well as it can or is refused with an
//! error, and no end sends without bound.

mod virtual_common;

use std::{sync::Arc, time::Duration};

use virtual_common::{echo_all, options, pattern, seconds, serve};
use wt_api::{
    CloseInfo, SendStreamOptions, Server, ServerBuilder, TransportConfig, WebTransport, WebTransportError,
    testing::{LinkConfig, Network},
};

type Set = fn(&mut TransportConfig, u64);

/// Every numeric transport setting.
const NUMBERS: [(&str, Set); 17] = [
    ("datagram_size", |config, value| config.datagram_size = clipped(value)),
    ("max_datagram_size", |config, value| config.max_datagram_size = clipped(value)),
    ("max_udp_payload_size", |config, value| config.max_udp_payload_size = clipped(value)),
    ("max_streams_bidi", |config, value| config.max_streams_bidi = value),
    ("max_streams_uni", |config, value| config.max_streams_uni = value),
    ("stream_receive_window", |config, value| config.stream_receive_window = value),
    ("max_stream_receive_window", |config, value| config.max_stream_receive_window = value),
    ("receive_window", |config, value| config.receive_window = value),
    ("max_receive_window", |config, value| config.max_receive_window = value),
    ("send_buffer", |config, value| config.send_buffer = size(value)),
    ("max_send_memory", |config, value| config.max_send_memory = size(value)),
    ("max_datagram_frame_size", |config, value| config.max_datagram_frame_size = value),
    ("datagram_receive_buffer", |config, value| config.datagram_receive_buffer = size(value)),
    ("datagram_send_buffer", |config, value| config.datagram_send_buffer = size(value)),
    ("max_ack_delay", |config, value| config.max_ack_delay = Duration::from_nanos(value)),
    ("handshake_timeout", |config, value| config.handshake_timeout = Some(Duration::from_secs(value))),
    ("memory_budget", |config, value| config.memory_budget = size(value)),
];

fn clipped(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Sends 50,000 bytes on a stream and reads their echo.
async fn there_and_back(session: &WebTransport) -> Result<(), WebTransportError> {
    session.ready().await?;
    let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    let (mut readable, mut writable) = stream.split();
    let data = pattern(1, 50_000);
    let send = async {
        writable.write_chunk(data.clone()).await?;
        writable.finish()
    };
    let (sent, received) = tokio::join!(send, readable.read_to_end(1 << 20));
    sent?;
    assert_eq!(received?, data);
    Ok(())
}

/// The result of a session that echoes 50,000 bytes, and the number of datagrams that both ends sent.
fn works(client: TransportConfig, server: TransportConfig) -> (Result<(), String>, u64) {
    let network = Network::new(5);
    let (host, client_host) = (network.host("server"), network.host("client"));
    let link = network.link(&host, &client_host, &LinkConfig::new().delay(5_000_000));
    let (server, hash) = serve(&network, &host, server);
    let outcome = network.run(async {
        drop(host.spawn(echo_all(host.clone(), server)));
        let options = options(hash).transport(client);
        let session = match client_host.enter(|| WebTransport::new("https://server/", options)) {
            Ok(session) => session,
            Err(error) => return Err(format!("refused: {error}")),
        };
        match network.within(seconds(60), there_and_back(&session)).await {
            Some(result) => result.map_err(|error| format!("{:?} {error}", network.now())),
            None => Err("never".to_owned()),
        }
    });
    (outcome, link.stats_from(&client_host).offered + link.stats_from(&host).offered)
}

/// The limits of the types, the limits of the wire's ranges, and numbers between.
const VALUES: [u64; 10] =
    [0, 1, 63, 1_000, 1 << 14, 1 << 32, (1 << 60) + 1, (1 << 62) - 1, 1 << 62, u64::MAX];

#[test]
fn a_session_works_with_any_number_in_a_setting() {
    for (name, set) in NUMBERS {
        for value in VALUES {
            for at_client in [true, false] {
                let (mut client, mut server) = (TransportConfig::default(), TransportConfig::default());
                set(if at_client { &mut client } else { &mut server }, value);
                // Refused by name; see below.
                if client.max_datagram_frame_size.min(server.max_datagram_frame_size) < 16 {
                    continue;
                }
                // The one permitted stream is the session's CONNECT stream.
                let waits = server.max_streams_bidi < 2;
                let (outcome, sent) = works(client, server);
                let expected = if waits { Err("never".to_owned()) } else { Ok(()) };
                assert_eq!(
                    outcome,
                    expected,
                    "{name} {value} at the {}",
                    if at_client { "client" } else { "server" }
                );
                // With a window of one byte, each byte needs a packet and an acknowledgment.
                assert!(sent < 200_000, "{name} {value}: {sent} datagrams");
            }
        }
    }
}

#[test]
fn settings_without_datagrams_are_refused_by_name() {
    let least = TransportConfig::new().max_datagram_frame_size(16);
    assert_eq!(works(least.clone(), least).0, Ok(()));
    for size in [0, 1, 15] {
        let network = Network::new(6);
        let transport = TransportConfig::new().max_datagram_frame_size(size);
        let identity = network.identity(["server"]);
        let options = options(identity.certificate_hash()).transport(transport.clone());
        let client = network.host("client").enter(|| WebTransport::new("https://server/", options));
        let error = client.expect_err("no session can be").to_string();
        assert!(error.contains("max_datagram_frame_size"), "{error}");
        let server = network
            .host("server")
            .enter(|| Server::builder().identity(identity).transport(transport).build().map(drop));
        let error = server.expect_err("no session can be").to_string();
        assert!(error.contains("max_datagram_frame_size"), "{error}");
    }
}

type SetServer = fn(ServerBuilder, u64) -> ServerBuilder;

/// Every number in a server's builder that leaves room for one session.
const OF_THE_BUILDER: [(&str, u64, SetServer); 8] = [
    ("session_receive_window", 0, ServerBuilder::session_receive_window),
    ("max_session_receive_window", 0, ServerBuilder::max_session_receive_window),
    ("max_sessions_per_connection", 0, ServerBuilder::max_sessions_per_connection),
    ("retry_threshold", 0, |builder, value| builder.retry_threshold(size(value))),
    ("max_connections", 1, |builder, value| builder.max_connections(size(value))),
    ("max_sessions", 1, |builder, value| builder.max_sessions(size(value))),
    ("memory_budget", 1 << 20, |builder, value| builder.memory_budget(size(value))),
    ("anticipated_concurrent_incoming_bidirectional_streams", 0, |builder, value| {
        builder.anticipated_concurrent_incoming_bidirectional_streams(Some(clipped(value)))
    }),
];

#[test]
fn a_session_works_with_any_number_in_the_builder() {
    for (name, least, set) in OF_THE_BUILDER {
        for value in VALUES.into_iter().map(|value| value.max(least)) {
            let network = Network::new(7);
            let (host, client) = (network.host("server"), network.host("client"));
            let identity = network.identity(["server"]);
            let options = options(identity.certificate_hash());
            let builder = set(Server::builder().identity(identity), value);
            let server = host.enter(|| builder.build().expect("a server"));
            network.run(async {
                drop(host.spawn(echo_all(host.clone(), server.into())));
                let session = client.enter(|| WebTransport::new("https://server/", options).expect("a URL"));
                let outcome = network.within(seconds(60), there_and_back(&session)).await;
                outcome.expect("in time").unwrap_or_else(|error| panic!("{name} {value}: {error}"));
            });
        }
    }
}

#[test]
fn a_server_without_room_says_so_at_once() {
    for (name, set) in [
        ("max_connections", (|builder, value| builder.max_connections(size(value))) as SetServer),
        ("max_sessions", |builder, value| builder.max_sessions(size(value))),
        ("memory_budget", |builder, value| builder.memory_budget(size(value))),
    ] {
        let network = Network::new(8);
        let (host, client) = (network.host("server"), network.host("client"));
        let identity = network.identity(["server"]);
        let options = options(identity.certificate_hash());
        let server = host.enter(|| set(Server::builder().identity(identity), 0).build().expect("a server"));
        network.run(async {
            drop(host.spawn(echo_all(host.clone(), server.into())));
            let session = client.enter(|| WebTransport::new("https://server/", options).expect("a URL"));
            let answer = network.within(seconds(1), session.ready()).await;
            let error = answer.unwrap_or_else(|| panic!("{name}: silence")).expect_err("no room");
            assert!(!error.to_string().contains("firewall"), "{name}: {error}");
        });
    }
}

#[test]
fn zero_and_infinite_durations_are_accepted() {
    let network = Network::new(9);
    let (host, client) = (network.host("server"), network.host("client"));
    let (server, hash) = serve(&network, &host, TransportConfig::default());
    network.run(async {
        drop(host.spawn(echo_all(host.clone(), Arc::clone(&server))));
        let connect = |timeout| {
            let options = options(hash).connect_timeout(timeout);
            client.enter(|| WebTransport::new("https://server/", options).expect("a URL"))
        };
        let error = network.within(seconds(1), connect(Duration::ZERO).ready()).await;
        error.expect("at once").expect_err("there was no time");
        let session = connect(Duration::MAX);
        network.within(seconds(60), there_and_back(&session)).await.expect("in time").expect("a session");
        let datagrams = session.datagrams();
        for age in [Duration::from_nanos(1), Duration::MAX] {
            datagrams.set_outgoing_max_age(Some(age));
            datagrams.set_incoming_max_age(Some(age));
            datagrams.writable.send("late or not".into()).await.expect("sent");
        }
        for count in [0, u32::MAX] {
            datagrams.set_outgoing_max_buffered_datagrams(count);
            datagrams.set_incoming_max_buffered_datagrams(count);
            datagrams.writable.send("many or one".into()).await.expect("sent");
        }
        let ends = host.spawn(async move { server.shutdown(Duration::MAX).await });
        network.within(seconds(1), session.draining()).await.expect("it is told");
        session.close(CloseInfo::default());
        network.within(seconds(60), ends).await.expect("nobody is left");
    });
}
