//! Every member of the API between our client and our server, in every dialect, on a virtual network.

mod virtual_common;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use virtual_common::{pattern, seconds};
use wt_api::{
    AcceptOptions, CloseInfo, CongestionControl, DatagramsWritableOptions, ErrorCause, Reliability,
    SendStreamOptions, Server, WebTransport, WebTransportOptions,
    testing::{LinkConfig, MILLISECOND, Network},
};
use wt_session::Dialect;

/// Both ends of a session in one dialect. Either the client or the server supports only this one.
async fn session(
    network: &Network,
    server: &Server,
    client: &wt_api::testing::Host,
    options: WebTransportOptions,
) -> (WebTransport, WebTransport) {
    let hash = server.certificate_hash().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x-asked", HeaderValue::from_static("yes"));
    let options = options
        .server_certificate_hashes([hash])
        .headers(headers)
        .protocols(["two", "one"])
        .congestion_control(CongestionControl::Throughput)
        .require_unreliable(true)
        .anticipated_concurrent_incoming_bidirectional_streams(Some(2_000))
        .anticipated_concurrent_incoming_unidirectional_streams(None);
    let session = client.enter(|| WebTransport::new("https://server/path?query", options).unwrap());
    assert_eq!((session.reliability(), session.protocol()), (Reliability::Pending, None));
    assert!(session.response_headers().is_none());
    let request = server.accept().await.unwrap();
    assert_eq!((request.path(), request.query(), request.origin()), ("/path", Some("query"), None));
    assert_eq!(request.headers()["x-asked"], "yes");
    assert_eq!(request.protocols(), ["two", "one"]);
    let mut headers = HeaderMap::new();
    headers.insert("x-answered", HeaderValue::from_static("yes"));
    let answer = AcceptOptions::new()
        .protocol("one")
        .headers(headers)
        .congestion_control(CongestionControl::Throughput);
    let accepted = request.accept(answer).await.unwrap();
    // At once, before the client knows of the session.
    accepted.datagrams().writable.send("early".into()).await.unwrap();
    network.within(seconds(5), session.ready()).await.unwrap().unwrap();
    (session, accepted)
}

/// What both ends report about the session.
async fn properties(one: &WebTransport, other: &WebTransport, draft: &str) {
    let early = one.datagrams().readable.recv().await.unwrap();
    assert_eq!(early, "early");
    for session in [one, other] {
        assert_eq!(session.negotiated_draft().unwrap().0, draft);
        assert_eq!(session.protocol().as_deref(), Some("one"));
        assert_eq!(session.reliability(), Reliability::SupportsUnreliable);
        assert_eq!(session.congestion_control(), CongestionControl::Throughput);
        let headers = session.response_headers().unwrap();
        assert_eq!(headers["x-answered"], "yes");
        assert!(!headers.contains_key("wt-protocol"), "protocol() tells it");
        assert_eq!(session.request_headers()["x-asked"], "yes");
        session.set_anticipated_concurrent_incoming_bidirectional_streams(Some(3_000));
        session.set_anticipated_concurrent_incoming_unidirectional_streams(Some(3_000));
    }
    let (mut ours, mut theirs) = ([0; 32], [0; 32]);
    one.export_keying_material(b"label", b"context", &mut ours).await.unwrap();
    other.export_keying_material(b"label", b"context", &mut theirs).await.unwrap();
    assert_eq!(ours, theirs);
}

/// Streams of both kinds, opened by `one`.
async fn streams(one: &WebTransport, other: &WebTransport) {
    let group = one.create_send_group().unwrap();
    let options = || SendStreamOptions::new().send_group(&group).send_order(-3);
    let mut uni = one.create_unidirectional_stream(options()).await.unwrap();
    let mut bidi = one.create_bidirectional_stream(options().wait_until_available(false)).await.unwrap();
    uni.write_chunk(pattern(1, 100_000)).await.unwrap();
    uni.atomic_write(pattern(2, 100)).await.unwrap();
    uni.finish().unwrap();
    bidi.writable.write_all(&pattern(3, 50_000)).await.unwrap();
    bidi.writable.finish().unwrap();
    let mut incoming = other.incoming_unidirectional_streams().next().await.unwrap().unwrap();
    let expected = [pattern(1, 100_000), pattern(2, 100)].concat();
    assert_eq!(incoming.read_to_end(200_000).await.unwrap(), expected);
    let mut echoed = other.incoming_bidirectional_streams().next().await.unwrap().unwrap();
    let data = echoed.readable.read_to_end(100_000).await.unwrap();
    echoed.writable.write_chunk(data).await.unwrap();
    echoed.writable.finished().await.unwrap();
    assert_eq!(bidi.readable.read_to_end(100_000).await.unwrap(), pattern(3, 50_000));
    uni.finished().await.unwrap();
    bidi.writable.finished().await.unwrap();
    let stats = group.get_stats().await;
    assert_eq!((stats.bytes_written, stats.bytes_acknowledged), (150_100, 150_100));
    assert_eq!(incoming.get_stats().await.bytes_read, 100_100);
}

/// Codes of resets and stops, as `one` sends them and `other` receives them. Draft 02 defined 8 bits; our
/// mapping for the later drafts covers those codes as well.
async fn codes(one: &WebTransport, other: &WebTransport) {
    for code in [0, 29, 30, 255, 256, u32::MAX] {
        let mut uni = one.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
        uni.write_all(b"kept").await.unwrap();
        uni.commit();
        uni.write_all(b"lost").await.unwrap();
        uni.reset(code);
        let mut incoming = other.incoming_unidirectional_streams().next().await.unwrap().unwrap();
        assert_eq!(incoming.read_chunk(9).await.unwrap().as_deref(), Some(&b"kept"[..]));
        let error = incoming.read_chunk(9).await.unwrap_err();
        assert_eq!(error.stream_error_code(), Some(code));
        let mut bidi = other.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
        bidi.writable.write_all(b"unwanted").await.unwrap();
        let mut stopped = one.incoming_bidirectional_streams().next().await.unwrap().unwrap();
        stopped.readable.stop(code);
        assert_eq!(bidi.writable.stopped().await.unwrap(), Some(code));
        let error = bidi.writable.write_all(b"more").await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::StreamStopped(told) if *told == Some(code)), "{error}");
        stopped.writable.reset(0);
    }
}

async fn datagrams(one: &WebTransport, other: &WebTransport) {
    let (from, mut to) = (one.datagrams(), other.datagrams());
    let ranked = from.create_writable(&DatagramsWritableOptions::new().send_order(4)).unwrap();
    let size = from.max_datagram_size();
    assert!(size > 1_000 && from.watch_max_datagram_size().current() == size);
    for payload in [Bytes::new(), pattern(5, 300), pattern(6, size)] {
        ranked.send(payload.clone()).await.unwrap();
        assert_eq!(to.readable.recv().await.unwrap(), payload);
    }
    let stats = one.get_stats().await.unwrap();
    assert_eq!(stats.datagrams.unwrap().lost_outgoing, 0);
    assert!(stats.bytes_sent >= Some(300 + size as u64) && stats.smoothed_rtt >= Duration::from_millis(10));
}

/// A session from `one`'s drain to its close.
async fn end(one: &WebTransport, other: &WebTransport, code: u32) {
    one.drain();
    other.draining().await;
    streams(other, one).await;
    let info = CloseInfo::new(code, "gr\u{fc}\u{df}e");
    one.close(info.clone());
    assert_eq!(other.closed().await.unwrap(), info);
    assert_eq!(one.closed().await.unwrap(), info);
    let error = other.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap_err();
    assert!(matches!(error.cause(), ErrorCause::SessionClosed { .. }), "{error}");
    assert!(other.get_stats().await.unwrap().bytes_received > Some(0), "the last ones stay");
}

#[test]
fn every_member_in_every_dialect_both_ways() {
    for (at, dialect) in (0..).zip(Dialect::ALL) {
        for client_decides in [true, false] {
            let network = Network::new(60 + at);
            let (host, client) = (network.host("server"), network.host("client"));
            let config = LinkConfig::new().rate(50_000_000).delay(5 * MILLISECOND);
            drop(network.link(&host, &client, &config));
            let mut builder = Server::builder().identity(network.identity(["server"]));
            let mut options = WebTransportOptions::new();
            if client_decides {
                options = options.only_dialect(dialect);
            } else {
                builder = builder.only_dialect(dialect);
            }
            let server = Arc::new(host.enter(|| builder.build().unwrap()));
            network.run(async {
                for (code, server_ends) in [(0, false), (u32::MAX, true)] {
                    let (one, other) = session(&network, &server, &client, options.clone()).await;
                    properties(&one, &other, dialect.name()).await;
                    for (one, other) in [(&one, &other), (&other, &one)] {
                        streams(one, other).await;
                        codes(one, other).await;
                        datagrams(one, other).await;
                    }
                    let (one, other) = if server_ends { (other, one) } else { (one, other) };
                    end(&one, &other, code).await;
                }
            });
        }
    }
}

/// A server shuts down while one session is established, and one is requested that its application still
/// accepts. Both learn that they should end, continue to work, also with new streams, and end when the server
/// does.
#[test]
fn sessions_of_every_dialect_drain_and_continue_at_a_shutdown() {
    for (at, dialect) in (0..).zip(Dialect::ALL) {
        let network = Network::new(80 + at);
        let (host, client) = (network.host("server"), network.host("client"));
        let config = LinkConfig::new().rate(50_000_000).delay(5 * MILLISECOND);
        drop(network.link(&host, &client, &config));
        let builder = Server::builder().identity(network.identity(["server"])).only_dialect(dialect);
        let server = Arc::new(host.enter(|| builder.build().unwrap()));
        let options =
            || WebTransportOptions::new().server_certificate_hashes([server.certificate_hash().unwrap()]);
        network.run(async {
            let connect = || client.enter(|| WebTransport::new("https://server/", options()).unwrap());
            let first = connect();
            let accepted = server.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap();
            first.ready().await.unwrap();
            let second = connect();
            let request = server.accept().await.unwrap();
            let begin = network.now();
            let shared = Arc::clone(&server);
            let shutdown = host.spawn(async move { shared.shutdown(seconds(3600)).await });
            first.draining().await;
            assert!(network.now() - begin < Duration::from_millis(100), "{dialect}: at once");
            let answered = request.accept(AcceptOptions::new()).await.unwrap();
            second.ready().await.unwrap();
            second.draining().await;
            assert!(network.now() - begin < Duration::from_millis(100), "{dialect}: with the response");
            for (ours, theirs) in [(&first, &accepted), (&second, &answered)] {
                streams(ours, theirs).await;
                streams(theirs, ours).await;
                let info = CloseInfo::new(5, "drained");
                ours.close(info.clone());
                assert_eq!(theirs.closed().await.unwrap(), info);
            }
            let ended = network.now();
            shutdown.await;
            assert!(
                network.now() - ended < Duration::from_millis(100),
                "{dialect}: no timeout is waited for"
            );
        });
    }
}

/// A resource without WebTransport: draft 16 has its own status for it.
#[test]
fn a_resource_without_webtransport_gets_the_status_of_each_dialect() {
    for (at, dialect) in (0..).zip(Dialect::ALL) {
        let network = Network::new(90 + at);
        let (host, client) = (network.host("server"), network.host("client"));
        drop(network.link(&host, &client, &LinkConfig::new()));
        let builder = Server::builder().identity(network.identity(["server"])).only_dialect(dialect);
        let server = host.enter(|| builder.build().unwrap());
        let hash = server.certificate_hash().unwrap();
        network.run(async {
            let options = WebTransportOptions::new().server_certificate_hashes([hash]);
            let asked = client.enter(|| WebTransport::new("https://server/", options).unwrap());
            server.accept().await.unwrap().reject_unsupported(&[Method::GET]).await;
            let error = asked.ready().await.unwrap_err();
            let expected = if dialect == Dialect::Draft16 { 405 } else { 404 };
            let told = matches!(error.cause(), ErrorCause::Status { status } if *status == expected);
            assert!(told, "{dialect}: {error}");
        });
    }
}

/// Handles can move to any thread, and clones share a session.
#[test]
fn handles_are_send_and_sync_and_sessions_cheap_to_clone() {
    fn handle<T: Send + Sync + 'static>() {}
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<WebTransport>();
    shared::<wt_api::SendGroup>();
    shared::<wt_api::DatagramsWritable>();
    shared::<wt_api::WebTransportError>();
    shared::<WebTransportOptions>();
    shared::<wt_api::Identity>();
    shared::<wt_api::CertificateHash>();
    shared::<wt_api::WebTransportStats>();
    handle::<wt_api::SendStream>();
    handle::<wt_api::ReceiveStream>();
    handle::<wt_api::BidirectionalStream>();
    handle::<wt_api::Datagrams>();
    handle::<wt_api::DatagramsReadable>();
    handle::<wt_api::MaxDatagramSize>();
    handle::<wt_api::IncomingBidirectionalStreams>();
    handle::<wt_api::IncomingUnidirectionalStreams>();
    handle::<Server>();
    handle::<wt_api::Request>();
    handle::<wt_api::ServerError>();
}
