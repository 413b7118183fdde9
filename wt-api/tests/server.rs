//! Servers: several addresses, plain requests, Retry, shutting down.

mod common;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use common::{builder, loopback, options, pair, request, server, url, within};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use wt_api::{
    AcceptOptions, CloseInfo, ErrorCause, SendStreamOptions, Server, WebTransport, WebTransportOptions,
    http3::{self, Body, IncomingBody, Response},
};

/// Content in pieces, of which each is made when there is room for it.
fn pieces(pieces: impl Iterator<Item = Bytes> + Send + Unpin + 'static) -> Body {
    let frames = pieces.map(|piece| Ok::<_, Infallible>(http_body::Frame::data(piece)));
    Body::new(http_body_util::StreamBody::new(Iter(frames)))
}

/// A stream of what an iterator has.
struct Iter<I>(I);

impl<I: Iterator + Unpin> futures_core::Stream for Iter<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

/// Ten bytes, in two pieces, of which the fields tell another length.
fn told(length: &str) -> Response {
    let mut response = Response::new(pieces((0..2).map(|_| Bytes::from_static(b"12345"))));
    response.headers_mut().insert("content-length", length.parse().unwrap());
    response
}

fn status(status: u16, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

#[tokio::test]
async fn one_server_listens_on_several_addresses() {
    let server = builder().listen(loopback()).listen("[::1]:0".parse().unwrap()).build().unwrap();
    for address in server.local_addresses() {
        let client = WebTransport::new(&format!("https://{address}/"), options(&server)).unwrap();
        let accepted = request(&server).await.accept(AcceptOptions::new()).await.unwrap();
        within(client.ready()).await.unwrap();
        drop(accepted);
        assert_eq!(within(client.closed()).await.unwrap(), CloseInfo::default());
    }
}

#[tokio::test]
async fn plain_requests_are_answered_on_the_same_port() {
    let server = builder()
        .listen(loopback())
        .http_service(async |request: Request<IncomingBody>| match (request.method(), request.uri().path()) {
            (&Method::GET, "/hello") => Response::new(Body::from("hello")),
            (&Method::GET, "/large") => {
                Response::new(pieces((0..300u32).map(|i| Bytes::from(vec![i as u8; 10_000]))))
            }
            _ => status(404, Body::empty()),
        })
        .build()
        .unwrap();
    let response = within(http3::get(&url(&server, "/hello"), options(&server))).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(within(response.into_body().read_to_end(100)).await.unwrap(), "hello");
    let response = within(http3::get(&url(&server, "/large"), options(&server))).await.unwrap();
    let content = within(response.into_body().read_to_end(3_000_000)).await.unwrap();
    assert_eq!(content.len(), 3_000_000);
    assert!(content.chunks(10_000).enumerate().all(|(i, part)| part.iter().all(|byte| *byte == i as u8)));
    let response = within(http3::get(&url(&server, "/other"), options(&server))).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(within(response.into_body().read_to_end(100)).await.unwrap().is_empty());
    // Sessions continue to work beside plain requests.
    drop(pair(&server).await);
}

#[tokio::test]
async fn a_handler_that_panics_affects_no_other_request() {
    let server = builder()
        .listen(loopback())
        .http_service(async |request: Request<IncomingBody>| match request.uri().path() {
            "/panic" => panic!("as the test wants it"),
            _ => Response::new(pieces((0..3).map(|i| match i {
                0 => Bytes::from_static(b"some"),
                _ => panic!("as the test wants it"),
            }))),
        })
        .build()
        .unwrap();
    let (client, accepted) = pair(&server).await;
    let response = within(http3::get(&url(&server, "/panic"), options(&server))).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    // The reset may overtake the response's header section.
    let error = match within(http3::get(&url(&server, "/half"), options(&server))).await {
        Ok(response) => within(response.into_body().read_to_end(100)).await.unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("0x102"), "{error}");
    client.close(CloseInfo::new(4, ""));
    assert_eq!(within(accepted.closed()).await.unwrap().close_code, 4);
}

/// The server does not send a handler's response that HTTP does not permit. A body longer or shorter than
/// announced ends in a reset.
#[tokio::test]
async fn an_invalid_http_response_is_not_sent() {
    let server = builder()
        .listen(loopback())
        .http_service(async |request: Request<IncomingBody>| match request.uri().path() {
            "/999" => status(999, Body::empty()),
            "/204" => status(204, Body::from("body")),
            "/205" => {
                let mut response = status(205, Body::from("body"));
                response.headers_mut().insert("content-length", HeaderValue::from_static("4"));
                response
            }
            path if path.starts_with("/field/") => {
                let mut response = Response::new(Body::from("body"));
                let name = HeaderName::from_bytes(&path.as_bytes()["/field/".len()..]).unwrap();
                response.headers_mut().insert(name, HeaderValue::from_static("x"));
                response
            }
            "/many" => {
                let mut response = Response::new(Body::from("body"));
                for number in 0..2_000 {
                    let name: HeaderName = format!("x-{number}").parse().unwrap();
                    response.headers_mut().insert(name, HeaderValue::from_static("a value of some length"));
                }
                response
            }
            "/more" => told("9"),
            "/less" => told("11"),
            _ => told("10"),
        })
        .build()
        .unwrap();
    let get = async |path: &str| within(http3::get(&url(&server, path), options(&server))).await;
    assert_eq!(get("/999").await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    for (path, status) in [("/204", StatusCode::NO_CONTENT), ("/205", StatusCode::RESET_CONTENT)] {
        let empty = get(path).await.unwrap();
        assert_eq!(empty.status(), status);
        assert!(within(empty.into_body().read_to_end(100)).await.unwrap().is_empty());
    }
    // RFC 9114 §4.2 forbids these; the last one has more fields than the client permits.
    for path in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"] {
        let response = get(&format!("/field/{path}")).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    }
    assert_eq!(get("/many").await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(get("/field/x-own").await.unwrap().status(), StatusCode::OK);
    for path in ["/more", "/less"] {
        let error = match get(path).await {
            Ok(response) => within(response.into_body().read_to_end(100)).await.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains("0x102"), "{path}: {error}");
    }
    assert_eq!(within(get("/").await.unwrap().into_body().read_to_end(100)).await.unwrap().len(), 10);
}

/// A task of the server's application panics while it holds a session and a stream. The client learns of it
/// by a close and a reset. Other sessions continue, also those on the same connection.
#[tokio::test]
async fn a_task_that_panics_ends_its_own_session_alone() {
    let server = server();
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let shared = WebTransportOptions::new().dangerous().no_certificate_verification().allow_pooling(true);
        let client = WebTransport::new(&url(&server, "/"), shared).unwrap();
        let asked = request(&server).await;
        let address = asked.remote_address();
        sessions.push((client, asked.accept(AcceptOptions::new()).await.unwrap(), address));
    }
    let [(neighbour, beside, one), (victim, accepted, other)] = [sessions.remove(0), sessions.remove(0)];
    assert_eq!(one, other, "one connection");
    let (distant, apart) = pair(&server).await;
    let mut stream = victim.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
    stream.writable.write_all(b"a task").await.unwrap();
    let task = tokio::spawn(async move {
        let mut streams = accepted.incoming_bidirectional_streams();
        let mut stream = streams.next().await.unwrap().unwrap();
        stream.writable.write_all(b"half of an ans").await.unwrap();
        assert_eq!(stream.readable.read_chunk(100).await.unwrap().unwrap(), "as the test does not want it");
    });
    assert!(within(task).await.unwrap_err().is_panic());
    within(stream.readable.read_to_end(100)).await.unwrap_err();
    assert_eq!(within(victim.closed()).await.unwrap(), CloseInfo::default());
    for (client, accepted) in [(&neighbour, &beside), (&distant, &apart)] {
        for (from, to) in [(client, accepted), (accepted, client)] {
            let mut stream = from.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
            stream.write_all(b"still there").await.unwrap();
            stream.finish().unwrap();
            let mut stream = within(to.incoming_unidirectional_streams().next()).await.unwrap().unwrap();
            assert_eq!(within(stream.read_to_end(100)).await.unwrap(), "still there");
        }
    }
    // The server still accepts new sessions.
    drop(pair(&server).await);
}

/// A client presents a certificate when the server's own rustls configuration requests one, and the
/// application sees it.
#[tokio::test]
async fn client_certificates_reach_the_application() {
    use rustls::{
        RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    };
    let made = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        (CertificateDer::from(made.cert.der().to_vec()), key)
    };
    let ((certificate, key), (mine, my_key)) = (made(), made());
    let (mut clients, mut servers) = (RootCertStore::empty(), RootCertStore::empty());
    clients.add(mine.clone()).unwrap();
    servers.add(certificate.clone()).unwrap();
    let provider = Arc::new(quic_core::crypto::default_provider());
    let versions = &[&rustls::version::TLS13];
    let verifier = WebPkiClientVerifier::builder_with_provider(clients.into(), Arc::clone(&provider));
    let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let server = Server::builder().rustls_config(Arc::new(config)).listen(loopback()).build().unwrap();
    let client = || {
        rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(servers.clone())
    };
    let url = format!("https://localhost:{}/", server.local_addresses()[0].port());
    let shown = client().with_client_auth_cert(vec![mine.clone()], my_key).unwrap();
    for (config, expected) in [(shown, vec![mine.to_vec()]), (client().with_no_client_auth(), vec![])] {
        let options = WebTransportOptions::new().rustls_config(Arc::new(config));
        let session = WebTransport::new(&url, options).unwrap();
        let asked = request(&server).await;
        assert_eq!(asked.client_certificates(), expected);
        drop(asked.accept(AcceptOptions::new()).await.unwrap());
        within(session.ready()).await.unwrap();
    }
}

#[tokio::test]
async fn clients_prove_their_address_when_asked() {
    let server = builder().listen(loopback()).retry_threshold(0).build().unwrap();
    let (client, accepted) = pair(&server).await;
    client.close(CloseInfo::new(3, ""));
    assert_eq!(within(accepted.closed()).await.unwrap().close_code, 3);
}

#[tokio::test]
async fn shutdown_drains_then_closes() {
    let server = server();
    let (client, accepted) = pair(&server).await;
    let (idle, kept) = pair(&server).await;
    let leaving = tokio::spawn(async move {
        client.draining().await;
        let mut stream = client.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
        stream.write_all(b"last words").await.unwrap();
        stream.finished().await.unwrap();
        client.close(CloseInfo::default());
    });
    let reading = tokio::spawn(async move {
        let mut stream = accepted.incoming_unidirectional_streams().next().await.unwrap().unwrap();
        assert_eq!(stream.read_to_end(100).await.unwrap(), "last words");
        accepted.closed().await.unwrap();
    });
    within(server.shutdown(Duration::from_millis(1500))).await;
    within(leaving).await.unwrap();
    within(reading).await.unwrap();
    assert!(within(server.accept()).await.is_none());
    // The session that did not leave lost its connection.
    assert!(within(idle.closed()).await.is_err());
    assert!(within(kept.closed()).await.is_err());
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused() {
    let server = builder().listen(loopback()).max_connections(1).build().unwrap();
    let first = pair(&server).await;
    let second = WebTransport::new(&url(&server, "/"), options(&server)).unwrap();
    let error = within(second.ready()).await.unwrap_err();
    assert!(matches!(error.cause(), ErrorCause::ServerBusy { .. }), "{error}");
    assert!(error.to_string().contains("try again later"), "{error}");
    drop(first);
}

/// A server with several sockets at one address and a thread for each serves every client, and no other
/// program can bind the address.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_server_of_several_shards_serves_all_clients_and_owns_its_address() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let shards = |count| std::num::NonZeroUsize::new(count).unwrap();
    let server = Arc::new(builder().listen(loopback()).shards(shards(3)).build().unwrap());
    let address = server.local_addresses()[0];
    for other in [builder().listen(address), builder().listen(address).shards(shards(2))] {
        let error = other.build().unwrap_err();
        assert!(error.to_string().contains("another program has this UDP port"), "{error}");
    }
    let serving = Arc::clone(&server);
    tokio::spawn(async move {
        while let Some(request) = serving.accept().await {
            tokio::spawn(async move {
                let session = request.accept(AcceptOptions::new()).await.unwrap();
                while let Some(Ok(stream)) = session.incoming_bidirectional_streams().next().await {
                    let (mut from, mut to) = stream.split();
                    let data = from.read_to_end(1 << 20).await.unwrap();
                    to.write_chunk(data).await.unwrap();
                    to.finish().unwrap();
                }
            });
        }
    });
    let clients: Vec<_> = (0..24_u8)
        .map(|index| {
            let session = WebTransport::new(&url(&server, "/"), options(&server)).unwrap();
            tokio::spawn(async move {
                session.ready().await.unwrap();
                for round in 0..3 {
                    let data = Bytes::from(vec![index ^ round; 100_000]);
                    let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
                    let (mut from, mut to) = stream.split();
                    let write = async {
                        to.write_chunk(data.clone()).await.unwrap();
                        to.finish().unwrap();
                    };
                    let (answer, ()) = tokio::join!(from.read_to_end(1 << 20), write);
                    assert!(answer.unwrap() == data);
                }
                session
            })
        })
        .collect();
    let mut sessions = Vec::new();
    for client in clients {
        sessions.push(within(client).await.unwrap());
    }
    let stats = server.stats().await;
    assert_eq!((stats.connections, stats.sessions, stats.handshakes.done), (24, 24, 24));
    assert!(stats.traffic.bytes_received > 24 * 300_000);
    assert_eq!(server.local_addresses().len(), 1);
    server.close_sessions(CloseInfo::new(9, "over"));
    within(server.shutdown(Duration::from_secs(10))).await;
    for session in sessions {
        assert_eq!(within(session.closed()).await.unwrap(), CloseInfo::new(9, "over"));
    }
    std::net::UdpSocket::bind(address).expect("the port is free");
}
