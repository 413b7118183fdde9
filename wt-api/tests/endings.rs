//! How sessions end when a server shuts down, and how promises end when their runtime is gone.

mod common;

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};
use wt_api::{
    AcceptOptions, Client, ConnectionCloser, ErrorCause, Identity, Server, ServerError, WebTransport,
    WebTransportError, WebTransportOptions, http3,
};

/// Longer than anything here takes; a test that takes this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn options() -> WebTransportOptions {
    WebTransportOptions::new().dangerous().no_certificate_verification().connect_timeout(PATIENCE)
}

fn build(address: SocketAddr) -> Result<Server, ServerError> {
    let identity = Identity::self_signed(["localhost"]).unwrap();
    Server::builder().identity(identity).listen(address).build()
}

/// The result of `work`, which has to complete in time.
async fn settles<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what} does not settle"))
}

fn is_gone(error: &WebTransportError) -> bool {
    matches!(error.cause(), ErrorCause::RuntimeGone)
}

/// A server on a runtime of its own, its address, and clients with sessions there.
fn with_clients(
    serving: &Runtime,
    here: &Runtime,
    count: usize,
) -> (Arc<Server>, SocketAddr, Vec<WebTransport>) {
    let server = Arc::new(serving.block_on(async { build((Ipv4Addr::LOCALHOST, 0).into()).unwrap() }));
    let address = server.local_addresses()[0];
    let accepting = Arc::clone(&server);
    serving.spawn(async move {
        let mut sessions = Vec::new();
        while let Some(request) = accepting.accept().await {
            sessions.push(request.accept(AcceptOptions::new()).await.unwrap());
        }
        std::future::pending::<()>().await;
        drop(sessions);
    });
    let clients = here.block_on(async {
        let url = format!("https://{address}/");
        // Each has a socket of its own, so that they reach several of the server's sockets.
        let new = |_| Client::builder().build().unwrap().connect_with(&url, options()).unwrap();
        let clients: Vec<_> = (0..count).map(new).collect();
        for client in &clients {
            settles("a session", client.ready()).await.unwrap();
        }
        clients
    });
    (server, address, clients)
}

/// The server's `main` does the same: it returns when `shutdown` has returned, and the process ends.
#[test]
fn all_clients_learn_that_a_server_shut_down_before_it_exits() {
    for _ in 0..5 {
        let (serving, here) = (runtime(), runtime());
        let (server, address, clients) = with_clients(&serving, &here, 100);
        // One of them is busy sending.
        let busy = clients[0].clone();
        here.spawn(async move {
            let mut stream = busy.create_unidirectional_stream(Default::default()).await.unwrap();
            while stream.write_all(&[0; 64 << 10]).await.is_ok() {}
        });
        serving.block_on(async { settles("the shutdown", server.shutdown(Duration::ZERO)).await });
        UdpSocket::bind(address).expect("the port is free");
        serving.shutdown_background();
        here.block_on(async {
            let mut heard = 0;
            for client in &clients {
                let end = settles("the end", client.closed()).await;
                let error = end.expect_err("the connection was closed");
                let ErrorCause::ConnectionClosed { by, .. } = error.cause() else { panic!("{error}") };
                heard += usize::from(*by == ConnectionCloser::Peer);
            }
            assert_eq!(heard, 100);
        });
    }
}

#[test]
fn promises_of_sessions_settle_on_another_runtime_when_theirs_is_gone() {
    let (serving, going, here) = (runtime(), runtime(), runtime());
    let (server, _, mut clients) = with_clients(&serving, &going, 1);
    let client = clients.pop().unwrap();
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let connecting = going.block_on(async { WebTransport::new(&url, options()).unwrap() });
    let pooled = going.block_on(async {
        let options = options().allow_pooling(true);
        [&url, &url].map(|url| WebTransport::new(url, options.clone()).unwrap())
    });
    let get = {
        let url = url.clone();
        async move { http3::get(&url, options()).await }
    };
    let mut get = Box::pin(get);
    going.block_on(async {
        // Started on the first runtime, awaited on this one.
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut get).await.is_err());
    });
    let mut stream = going.block_on(client.create_bidirectional_stream(Default::default())).unwrap();
    let mut idle = Box::pin(wt_api::wait_idle());
    going.block_on(async {
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut idle).await.is_err());
    });
    going.shutdown_background();
    here.block_on(async {
        assert!(is_gone(&settles("ready", connecting.ready()).await.unwrap_err()));
        assert!(is_gone(&settles("closed", connecting.closed()).await.unwrap_err()));
        settles("counts", connecting.get_stats()).await.unwrap_err();
        settles("a stream", connecting.create_bidirectional_stream(Default::default())).await.unwrap_err();
        settles("draining", connecting.draining()).await;
        for pooled in &pooled {
            assert!(is_gone(&settles("ready", pooled.ready()).await.unwrap_err()));
        }
        settles("a request", get).await.unwrap_err();
        assert!(is_gone(&settles("closed", client.closed()).await.unwrap_err()));
        settles("draining", client.draining()).await;
        settles("a datagram", client.datagrams().readable.recv()).await.unwrap_err();
        settles("data", stream.readable.read_chunk(1)).await.unwrap_err();
        settles("the end of a stream", stream.writable.finished()).await.unwrap_err();
        settles("counts", stream.writable.get_stats()).await;
        settles("nothing", idle).await;
        serving.shutdown_background();
        assert!(settles("a request", server.accept()).await.is_none());
        settles("the shutdown", server.shutdown(PATIENCE)).await;
    });
    // Requested when its runtime has gone already.
    let gone = runtime();
    let handle = gone.handle().clone();
    gone.shutdown_background();
    let late = {
        let _context = handle.enter();
        WebTransport::new(&url, options()).unwrap()
    };
    let error = here.block_on(settles("ready", late.ready())).unwrap_err();
    assert!(is_gone(&error), "{error}");
}

#[test]
fn the_error_names_what_a_runtime_lacks() {
    let here = runtime();
    for (missing, lacking) in [
        ("time", Builder::new_current_thread().build().unwrap()),
        ("I/O", Builder::new_current_thread().enable_time().build().unwrap()),
    ] {
        let (session, pooled, server) = lacking.block_on(async {
            let session = WebTransport::new("https://127.0.0.1:1/", options()).unwrap();
            let pooled = WebTransport::new("https://127.0.0.1:1/", options().allow_pooling(true)).unwrap();
            for session in [&session, &pooled] {
                let error = session.ready().await.unwrap_err();
                let told =
                    matches!(error.cause(), ErrorCause::RuntimeDriver { missing: told } if *told == missing);
                assert!(told, "{error}");
            }
            assert!(http3::get("https://127.0.0.1:1/", options()).await.is_err());
            (session, pooled, build((Ipv4Addr::LOCALHOST, 0).into()))
        });
        assert!(matches!(server, Err(ServerError::RuntimeDriver { missing: told }) if told == missing));
        for session in [session, pooled] {
            here.block_on(settles("closed", session.closed())).unwrap_err();
        }
    }
}

/// The client's `main` does the same: it closes, waits until nothing is left, and the process ends.
#[test]
fn a_client_that_waits_until_idle_delivers_its_closes() {
    let (serving, going) = (runtime(), runtime());
    let (server, accepted) = serving.block_on(async {
        let server = Arc::new(build((Ipv4Addr::LOCALHOST, 0).into()).unwrap());
        let accepting = Arc::clone(&server);
        let accepted = tokio::spawn(async move {
            let mut sessions = Vec::new();
            while sessions.len() < 20 {
                let request = accepting.accept().await.unwrap();
                sessions.push(request.accept(AcceptOptions::new()).await.unwrap());
            }
            sessions
        });
        (server, accepted)
    });
    going.block_on(async {
        let url = format!("https://{}/", server.local_addresses()[0]);
        for code in 0..20 {
            let pooled = code % 2 == 0;
            let session = WebTransport::new(&url, options().allow_pooling(pooled)).unwrap();
            settles("a session", session.ready()).await.unwrap();
            session.close(wt_api::CloseInfo::new(code, "done"));
        }
        settles("nothing", wt_api::wait_idle()).await;
    });
    going.shutdown_background();
    serving.block_on(async {
        for session in settles("the sessions", accepted).await.unwrap() {
            assert_eq!(settles("the close", session.closed()).await.unwrap().reason, "done");
        }
    });
}

/// Sessions on shared connections are given up in three ways while their responses arrive. Neither end keeps
/// anything of them.
#[test]
fn sessions_given_up_as_their_responses_arrive_leave_nothing_behind() {
    let (serving, going) = (runtime(), runtime());
    let server = Arc::new(serving.block_on(async { build((Ipv4Addr::LOCALHOST, 0).into()).unwrap() }));
    let url = format!("https://{}/", server.local_addresses()[0]);
    let accepting = Arc::clone(&server);
    // When the server closes, all of them have ended.
    let served = serving.spawn(async move {
        let mut sessions = tokio::task::JoinSet::new();
        while let Some(request) = accepting.accept().await {
            sessions.spawn(async move {
                if let Ok(session) = request.accept(AcceptOptions::new()).await {
                    let _ = session.closed().await;
                }
            });
            while sessions.try_join_next().is_some() {}
        }
        sessions.len()
    });
    going.block_on(async {
        let options = options().allow_pooling(true);
        for count in 0..300_u64 {
            let limit = Duration::from_micros(count * 7);
            match count % 3 {
                0 => {
                    let session = WebTransport::new(&url, options.clone()).unwrap();
                    tokio::time::sleep(limit).await;
                    drop(session);
                }
                1 => {
                    let session = WebTransport::new(&url, options.clone()).unwrap();
                    tokio::time::sleep(limit).await;
                    session.close(wt_api::CloseInfo::default());
                    let _ = settles("closed", session.closed()).await;
                }
                _ => {
                    let options = options.clone().connect_timeout(limit);
                    let session = WebTransport::new(&url, options).unwrap();
                    let _ = settles("ready", session.ready()).await;
                }
            }
        }
        settles("nothing", wt_api::wait_idle()).await;
    });
    serving.block_on(async {
        // Its clients have gone, so the server waits for nobody.
        settles("the shutdown", server.shutdown(PATIENCE * 2)).await;
        assert!(settles("the server", served).await.is_ok());
    });
}
