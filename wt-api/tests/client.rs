//! A client with options of its own, on real sockets.

mod common;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use common::{builder, loopback, options, request, within};
use wt_api::{
    AcceptOptions, Client, ClientError, ErrorCause, SendStreamOptions, Server, WebTransport,
    WebTransportOptions,
};

fn trusting() -> WebTransportOptions {
    WebTransportOptions::new().dangerous().no_certificate_verification()
}

/// Accepts sessions and sends back their datagrams.
fn echo(server: Server) -> Arc<Server> {
    let server = Arc::new(server);
    let accepting = Arc::clone(&server);
    tokio::spawn(async move {
        while let Some(request) = accepting.accept().await {
            tokio::spawn(async move {
                let Ok(session) = request.accept(AcceptOptions::new()).await else { return };
                while let Ok(datagram) = session.receive_datagram().await {
                    let _ = session.send_datagram(datagram).await;
                }
            });
        }
    });
    server
}

async fn echoes(session: &WebTransport) {
    session.send_datagram("hello".into()).await.unwrap();
    assert_eq!(within(session.receive_datagram()).await.unwrap(), "hello");
}

fn url(address: SocketAddr) -> String {
    format!("https://{address}/")
}

/// A server on this address; `None` where the machine does not have this address family.
fn listen(address: impl Into<SocketAddr>) -> Option<Arc<Server>> {
    builder().listen(address.into()).build().ok().map(echo)
}

#[tokio::test]
async fn a_socket_of_the_applications_carries_all_connections_of_its_family() {
    let servers: Vec<_> = (0..3).map(|_| listen((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let client = Client::builder().socket(socket).options(trusting()).build().unwrap();
    assert_eq!(client.local_addresses(), [address]);
    let mut sessions = Vec::new();
    for n in 0..60 {
        sessions.push(client.connect(&url(servers[n % 3].local_addresses()[0])).unwrap());
    }
    for session in &sessions {
        within(session.ready()).await.unwrap();
        assert_eq!(session.local_address(), Some(address));
        echoes(session).await;
    }
    let session = client.connect("https://[::1]:4/").unwrap();
    let error = within(session.ready()).await.unwrap_err();
    assert!(matches!(error.cause(), ErrorCause::NoSocket { remote } if remote.is_ipv6()), "{error}");
    drop((client, session, sessions));
    // The task ends, and with it the socket.
    within(async {
        while UdpSocket::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Sends and receives `size` bytes on a stream that a server sends back.
async fn stream_echoes(session: &WebTransport, size: usize, halfway: impl FnOnce()) {
    let stream = within(session.create_bidirectional_stream(SendStreamOptions::new())).await.unwrap();
    let (mut readable, mut writable) = stream.split();
    let data: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
    let sent = data.clone();
    let writer = tokio::spawn(async move {
        writable.write_all(&sent).await.unwrap();
        writable.finish().unwrap();
        writable
    });
    let (mut came, mut halfway) = (Vec::new(), Some(halfway));
    while let Some(chunk) = within(readable.read_chunk(usize::MAX)).await.unwrap() {
        came.extend_from_slice(&chunk);
        if came.len() > size / 4
            && let Some(halfway) = halfway.take()
        {
            halfway();
        }
    }
    assert!(came == data, "{} of {size} bytes", came.len());
    drop(writer.await.unwrap());
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_moves_takes_its_sessions_along() {
    let servers: Vec<_> = (0..2)
        .map(|_| Arc::new(builder().listen((Ipv4Addr::LOCALHOST, 0).into()).build().unwrap()))
        .collect();
    let places = [2, 3, 4].map(|last| SocketAddr::from(([127, 0, 0, last], 0)));
    let client = Client::builder().bind(places[0]).options(trusting()).build().unwrap();
    let (mut sessions, mut accepted) = (Vec::new(), Vec::new());
    for server in &servers {
        let session = client.connect(&url(server.local_addresses()[0])).unwrap();
        let served = within(server.accept()).await.unwrap().accept(AcceptOptions::new()).await.unwrap();
        within(session.ready()).await.unwrap();
        let echo = served.clone();
        tokio::spawn(async move {
            while let Some(Ok(mut stream)) = echo.incoming_bidirectional_streams().next().await {
                tokio::spawn(async move {
                    while let Some(chunk) = stream.readable.read_chunk(usize::MAX).await.unwrap() {
                        stream.writable.write_chunk(chunk).await.unwrap();
                    }
                    stream.writable.finish().unwrap();
                    let _ = stream.writable.finished().await;
                });
            }
        });
        stream_echoes(&session, 1000, || ()).await;
        sessions.push(session);
        accepted.push(served);
    }
    for place in &places[1..] {
        let old = client.local_addresses();
        stream_echoes(&sessions[0], 8 << 20, || {
            let new = client.rebind(*place).unwrap();
            assert_eq!(new.ip(), place.ip());
        })
        .await;
        let new = client.local_addresses();
        assert_ne!(old, new);
        for (session, served) in sessions.iter().zip(&accepted) {
            stream_echoes(session, 1000, || ()).await;
            assert_eq!(session.local_address(), Some(new[0]));
            assert_eq!(served.remote_address(), Some(new[0]));
        }
        // Nobody has the old socket any more.
        UdpSocket::bind(old[0]).unwrap();
    }
    let later = client.connect(&url(servers[0].local_addresses()[0])).unwrap();
    drop(within(servers[0].accept()).await.unwrap().accept(AcceptOptions::new()).await.unwrap());
    within(later.ready()).await.unwrap();
    assert_eq!(later.local_address(), Some(client.local_addresses()[0]));
}

#[tokio::test]
async fn a_client_moves_only_where_it_has_a_socket_of_its_own() {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = listen(local).unwrap();
    let refused = |client: &Client, address: SocketAddr| {
        let error = client.rebind(address).unwrap_err();
        assert!(matches!(error, ClientError::Socket(_)), "{error}");
    };
    refused(&server.client().build().unwrap(), local);
    let client = Client::builder().bind(local).options(trusting()).build().unwrap();
    refused(&client, (Ipv6Addr::LOCALHOST, 0).into());
    let before = client.local_addresses();
    let error = client.rebind(([192, 0, 2, 1], 0).into()).unwrap_err();
    assert!(matches!(error, ClientError::Bind { .. }), "{error}");
    assert_eq!(client.local_addresses(), before, "it stays as it is");
    // A client without an address gets one, and with it its socket.
    let client = Client::builder().options(trusting()).build().unwrap();
    let address = client.rebind(local).unwrap();
    let session = client.connect(&url(server.local_addresses()[0])).unwrap();
    within(session.ready()).await.unwrap();
    assert_eq!(session.local_address(), Some(address));
    echoes(&session).await;
}

#[tokio::test]
async fn sockets_that_cannot_be_used_are_refused() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, 9)).unwrap();
    let error = Client::builder().socket(socket).build().unwrap_err();
    assert!(matches!(error, ClientError::Socket(_)) && error.to_string().contains("connected"), "{error}");
    let new = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let second = new();
    let address = second.local_addr().unwrap();
    let error = Client::builder().socket(new()).socket(second).build().unwrap_err();
    assert!(matches!(error, ClientError::SecondSocket { address: second } if second == address), "{error}");
    let taken = new();
    let address = taken.local_addr().unwrap();
    let error = Client::builder().bind(address).build().unwrap_err();
    assert!(matches!(error, ClientError::Bind { .. }), "{error}");
    let bare = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let error = std::thread::spawn(move || bare.block_on(async { Client::builder().build().unwrap_err() }));
    let error = error.join().unwrap();
    assert!(matches!(error, ClientError::RuntimeDriver { missing: "I/O" }), "{error}");
}

/// A socket of both families reaches IPv4 with IPv4-mapped addresses, at a client and at a server.
#[tokio::test]
async fn a_socket_of_both_families_reaches_both() {
    let Some(six) = listen((Ipv6Addr::LOCALHOST, 0)) else { return };
    let four = listen((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let dual = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    let serves = listen((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    let clients = [Client::builder().socket(dual), serves.client()];
    for client in clients.map(|builder| builder.options(trusting()).build().unwrap()) {
        let port = client.local_addresses()[0].port();
        for server in [&six, &four] {
            let session = client.connect(&url(server.local_addresses()[0])).unwrap();
            within(session.ready()).await.unwrap();
            assert_eq!(session.local_address().unwrap().port(), port);
            assert_eq!(session.remote_address(), Some(server.local_addresses()[0]));
            echoes(&session).await;
        }
    }
}

/// Each connection attempt learns that its own port is closed; the established session learns of none.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_closed_port_fails_only_the_attempt_that_tried_it() {
    let server = listen(loopback()).unwrap();
    let client = Client::builder().options(trusting()).build().unwrap();
    let standing = client.connect(&url(server.local_addresses()[0])).unwrap();
    within(standing.ready()).await.unwrap();
    // A separate address: no concurrent test can bind the ports that were just released.
    let ports: Vec<_> = (0..4).map(|_| UdpSocket::bind(("127.0.0.58", 0)).unwrap()).collect();
    let closed: Vec<_> = ports.iter().map(|port| port.local_addr().unwrap()).collect();
    let silent = UdpSocket::bind(("127.0.0.58", 0)).unwrap();
    drop(ports);
    let waiting = client.connect(&url(silent.local_addr().unwrap())).unwrap();
    let tries: Vec<_> = closed.iter().map(|address| client.connect(&url(*address)).unwrap()).collect();
    for (session, address) in tries.iter().zip(&closed) {
        let error = within(session.ready()).await.unwrap_err();
        let refused = matches!(error.cause(), ErrorCause::ConnectionRefused { remote } if remote == address);
        assert!(refused, "{error}");
    }
    echoes(&standing).await;
    let after = client.connect(&url(server.local_addresses()[0])).unwrap();
    within(after.ready()).await.unwrap();
    echoes(&after).await;
    assert_eq!(waiting.remote_address(), None, "it is still connecting");
}

/// A server does not learn that a peer's port is closed, but its own client does.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_servers_client_learns_of_closed_ports_as_well() {
    let server = listen(loopback()).unwrap();
    let client = server.client().options(trusting()).build().unwrap();
    let port = UdpSocket::bind(("127.0.0.59", 0)).unwrap();
    let closed = port.local_addr().unwrap();
    drop(port);
    let error = within(client.connect(&url(closed)).unwrap().ready()).await.unwrap_err();
    assert!(
        matches!(error.cause(), ErrorCause::ConnectionRefused { remote } if *remote == closed),
        "{error}"
    );
}

/// The system may deliver a datagram to any of a server's sockets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_several_shards_connects_from_any_of_them() {
    let shards = std::num::NonZeroUsize::new(if cfg!(target_os = "linux") { 4 } else { 1 }).unwrap();
    let new = || echo(builder().listen(loopback()).shards(shards).build().unwrap());
    let (one, others) = (new(), [(); 12].map(|()| new()));
    let client = one.client().options(trusting()).build().unwrap();
    for other in &others {
        let session = client.connect(&url(other.local_addresses()[0])).unwrap();
        within(session.ready()).await.unwrap();
        assert_eq!(session.local_address().unwrap().port(), one.local_addresses()[0].port());
        echoes(&session).await;
    }
}

/// Two threads race: one ends the last connection while the other one connects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_made_as_the_socket_closes_is_served() {
    let server = listen(loopback()).unwrap();
    let to = url(server.local_addresses()[0]);
    for round in 0..150 {
        let session = WebTransport::new(&to, trusting()).unwrap();
        within(session.ready()).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        session.close(wt_api::CloseInfo::default());
        if round % 2 == 0 {
            drop(within(session.closed()).await);
        }
    }
}

#[test]
fn a_client_whose_runtime_is_gone_says_so() {
    let new = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (going, here) = (new(), new());
    let (fixed, any) = going.block_on(async {
        let bound = Client::builder().bind((Ipv4Addr::LOCALHOST, 0).into());
        (bound.build().unwrap(), Client::builder().build().unwrap())
    });
    // From outside the runtime, while it runs and when it does not.
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = url(silent.local_addr().unwrap());
    let before: Vec<_> = [&fixed, &any].map(|client| client.connect(&to).unwrap()).into();
    going.shutdown_background();
    let after = [&fixed, &any].map(|client| client.connect(&to).unwrap());
    here.block_on(async {
        for session in before.iter().chain(&after) {
            let error = within(session.ready()).await.unwrap_err();
            assert!(matches!(error.cause(), ErrorCause::RuntimeGone), "{error}");
        }
    });
}

#[tokio::test]
async fn a_client_gets_pages_and_sessions_by_one_socket() {
    let server = builder()
        .listen(loopback())
        .http_service(|_| async { http::Response::new("a page".to_owned()) })
        .build()
        .unwrap();
    let client = Client::builder().bind(loopback()).options(options(&server)).build().unwrap();
    let session = client.connect(&url(server.local_addresses()[0])).unwrap();
    let asked = request(&server).await;
    assert_eq!(asked.remote_address(), client.local_addresses()[0]);
    let _accepted = asked.accept(AcceptOptions::new()).await.unwrap();
    within(session.ready()).await.unwrap();
    let response = within(client.get(&url(server.local_addresses()[0]))).await.unwrap();
    assert_eq!(within(response.into_body().read_to_end(100)).await.unwrap(), "a page");
}
