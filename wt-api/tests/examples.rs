//! The examples do what they say: each one's main part runs against the echo server of the example `server`.
#![allow(clippy::duplicate_mod, reason = "the examples share their command line")]

mod common;

#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/axum.rs"]
mod axum_server;
#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/bidirectional.rs"]
mod bidirectional;
#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/chat.rs"]
mod chat;
#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/datagrams.rs"]
mod datagrams;
#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/deploy.rs"]
mod deploy;
#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/game.rs"]
mod game;
#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/hello.rs"]
mod hello;
#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/connect.rs"]
mod opening;
#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/prometheus.rs"]
mod prometheus;
#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/server.rs"]
mod server;
#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/testing.rs"]
mod testing;
#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/transfer.rs"]
mod transfer;
#[allow(dead_code, reason = "the examples' main functions are not called")]
#[path = "../examples/unidirectional.rs"]
mod unidirectional;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use common::{connect, options, url, within};
use wt_api::{CloseInfo, ErrorCause, Server, WebTransport, WebTransportError, WebTransportOptions};

/// The service of the example server, on a port that the system chooses.
fn echo_server() -> Arc<Server> {
    let server = Arc::new(common::server());
    let accepting = Arc::clone(&server);
    tokio::spawn(async move {
        while let Some(request) = accepting.accept().await {
            tokio::spawn(server::answer(request));
        }
    });
    server
}

async fn ready(server: &Server) -> WebTransport {
    within(opening::init_transport(&url(server, "/echo"), options(server))).await.unwrap()
}

#[tokio::test]
async fn prometheus_finds_what_the_server_counts() {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };
    let server = echo_server();
    let transport = ready(&server).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { prometheus::export(&server, &listener).await });
    let mut scrape = TcpStream::connect(address).await.unwrap();
    scrape.write_all(b"GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within(scrape.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\nweft_sessions 1\n"), "{answer}");
    drop(transport);
}

#[tokio::test]
async fn connect_reports_a_graceful_end() {
    let server = echo_server();
    let transport = ready(&server).await;
    let info = CloseInfo::new(7, "done");
    transport.close(info.clone());
    assert_eq!(within(opening::report_end(&transport)).await.unwrap(), info);
}

#[tokio::test]
async fn connect_reports_why_a_session_failed() {
    let server = echo_server();
    let init = opening::init_transport;
    let error = within(init("http://localhost/", WebTransportOptions::new())).await.unwrap_err();
    assert!(error.is::<wt_api::ConnectOptionsError>(), "{error}");
    let error = within(init(&url(&server, "/nothing-here"), options(&server))).await.unwrap_err();
    let error = error.downcast::<WebTransportError>().unwrap();
    assert!(matches!(error.cause(), ErrorCause::Status { status: 404 }), "{error}");
}

#[tokio::test]
async fn connect_reports_an_abrupt_end() {
    let server = common::server();
    let client = connect(&server);
    let accepted = common::request(&server).await.accept(wt_api::AcceptOptions::new()).await.unwrap();
    within(client.ready()).await.unwrap();
    within(server.shutdown(Duration::ZERO)).await;
    assert!(within(opening::report_end(&client)).await.is_err());
    drop(accepted);
}

#[tokio::test]
async fn datagrams_come_back() {
    let server = echo_server();
    let transport = ready(&server).await;
    let mut both = transport.datagrams();
    let payloads = [Bytes::from_static(b"ABC"), Bytes::from_static(b"DEF")];
    within(datagrams::write_data(&both, &payloads)).await.unwrap();
    let mut received = within(datagrams::read_data(&mut both, 2, Duration::from_secs(9))).await;
    received.sort();
    assert_eq!(received, payloads);
    let large = [Bytes::from(vec![0; 70_000])];
    assert!(within(datagrams::write_data(&both, &large)).await.is_err());
    transport.close(CloseInfo::default());
    assert!(within(datagrams::read_data(&mut both, 1, Duration::from_secs(9))).await.is_empty());
}

#[tokio::test]
async fn unidirectional_streams_come_back_on_others() {
    let server = echo_server();
    let transport = ready(&server).await;
    within(unidirectional::write_data(&transport, &[b"ABC", b"DEF"])).await.unwrap();
    assert_eq!(within(unidirectional::receive_unidirectional(&transport)).await.unwrap().unwrap(), "ABCDEF");
    transport.close(CloseInfo::default());
    assert_eq!(within(unidirectional::receive_unidirectional(&transport)).await.unwrap(), None);
    assert!(within(unidirectional::write_data(&transport, &[b"late"])).await.is_err());
}

#[tokio::test]
async fn bidirectional_streams_come_back_whole() {
    let server = echo_server();
    let transport = ready(&server).await;
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i % 253) as u8).collect();
    assert!(within(bidirectional::exchange(&transport, &data)).await.unwrap() == data);
    assert!(within(bidirectional::exchange(&transport, b"")).await.unwrap().is_empty());
    transport.close(CloseInfo::default());
    assert!(within(bidirectional::exchange(&transport, b"late")).await.is_err());
}

#[tokio::test]
async fn hello_goes_there_and_back() {
    let server = common::server();
    let session = connect(&server);
    let serving = tokio::spawn(hello::serve(server));
    for line in ["hello", ""] {
        assert_eq!(within(hello::ask(&session, line)).await.unwrap(), line);
    }
    session.close(CloseInfo::default());
    assert!(within(hello::ask(&session, "late")).await.is_err());
    drop(serving);
}

/// The test replaces the certificate in its files, one after the other, and then stops the server.
#[tokio::test]
async fn a_deployed_server_follows_its_certificate_and_lets_clients_go() {
    let folder = std::env::temp_dir().join(format!("weft-deploy-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let files = deploy::Files { chain: folder.join("fullchain.pem"), key: folder.join("privkey.pem") };
    let [old, new] = [(); 2].map(|()| wt_api::Identity::self_signed(["localhost"]).unwrap());
    std::fs::write(&files.chain, old.certificate_chain_pem()).unwrap();
    std::fs::write(&files.key, old.private_key_pem()).unwrap();
    let origin = "https://example.org";
    let server = Arc::new(deploy::start(&files, common::loopback(), origin).unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let serving = tokio::spawn({
        let (server, chain, key) = (Arc::clone(&server), files.chain.clone(), files.key.clone());
        let files = deploy::Files { chain, key };
        async move {
            let stop = async { drop(stopped.await) };
            deploy::serve(&server, &files, Duration::from_millis(5), stop).await;
        }
    });
    let app = url(&server, "/app");
    let session = WebTransport::new(&app, options(&server).origin(origin)).unwrap();
    within(session.ready()).await.unwrap();
    let foreign = WebTransport::new(&app, options(&server).origin("https://example.com")).unwrap();
    let error = within(foreign.ready()).await.unwrap_err();
    assert!(matches!(error.cause(), ErrorCause::Status { status: 403 }), "{error}");
    std::fs::write(&files.chain, new.certificate_chain_pem()).unwrap();
    std::fs::write(&files.key, new.private_key_pem()).unwrap();
    let replaced = async {
        while server.certificate_hash() != Some(new.certificate_hash()) {
            tokio::task::yield_now().await;
        }
    };
    within(replaced).await;
    let mut datagrams = session.datagrams();
    within(datagrams.writable.send("still here".into())).await.unwrap();
    assert_eq!(within(datagrams.readable.recv()).await.unwrap(), "still here");
    stop.send(()).unwrap();
    within(session.draining()).await;
    session.close(CloseInfo::default());
    within(serving).await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_application_is_tested_on_a_virtual_network() {
    assert!(testing::test(1) < std::time::Duration::from_secs(120));
}

/// A room with two participants, and another room.
#[tokio::test]
async fn a_chat_delivers_each_line_to_the_whole_room_in_order() {
    let (server, rooms) = (Arc::new(common::server()), chat::Rooms::default());
    let serving = tokio::spawn({
        let (server, rooms) = (Arc::clone(&server), rooms.clone());
        async move { chat::serve(&server, &rooms).await }
    });
    let enter =
        async |path: &str| within(chat::Guest::enter(&url(&server, path), options(&server))).await.unwrap();
    let hear = async |guest: &mut chat::Guest| within(guest.hears.next_line()).await.unwrap();
    let mut ann = enter("/chat/lobby?name=ann").await;
    assert_eq!(hear(&mut ann).await.unwrap(), "* ann is here");
    let mut elsewhere = enter("/chat/cellar?name=eve").await;
    assert_eq!(hear(&mut elsewhere).await.unwrap(), "* eve is here");
    let mut ben = enter("/chat/lobby?name=ben").await;
    for guest in [&mut ann, &mut ben] {
        assert_eq!(hear(guest).await.unwrap(), "* ben is here");
    }
    for number in 0..30 {
        let speaker = if number % 3 == 0 { &mut ben } else { &mut ann };
        within(speaker.say(&format!("line {number} äöü"))).await.unwrap();
        let name = if number % 3 == 0 { "ben" } else { "ann" };
        for guest in [&mut ann, &mut ben] {
            assert_eq!(hear(guest).await.unwrap(), format!("{name}: line {number} äöü"));
        }
    }
    // One participant leaves by finishing its stream, one by breaking a rule.
    ben.says.finish().unwrap();
    let info = within(ben.session.closed()).await.unwrap();
    assert_eq!((info.close_code, info.reason.as_str()), (0, "goodbye"));
    assert_eq!(hear(&mut ann).await.unwrap(), "* ben has left");
    within(ann.say(&"a".repeat(chat::MAX_LINE))).await.unwrap();
    assert_eq!(within(ann.session.closed()).await.unwrap().close_code, chat::TOO_LONG);
    drop(elsewhere);
    within(async {
        while !rooms.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for path in ["/chat/", "/chat/lobby", "/chat/lobby?name=", "/"] {
        assert!(within(chat::Guest::enter(&url(&server, path), options(&server))).await.is_err(), "{path}");
    }
    within(server.shutdown(Duration::ZERO)).await;
    within(serving).await.unwrap();
}

/// Sessions fail at arbitrary bytes, a file changes during the transfer, and some files do not exist.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_continues_where_it_stopped() {
    let folder = std::env::temp_dir().join(format!("weft-transfer-{}", std::process::id()));
    let (there, here) = (folder.join("there"), folder.join("here"));
    for folder in [&there, &here] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let data: Vec<u8> = (0..5_000_000u32).map(|at| (at % 251) as u8).collect();
    std::fs::write(there.join("data"), &data).unwrap();
    std::fs::write(there.join("empty"), b"").unwrap();
    let server = Arc::new(common::server());
    let serving = tokio::spawn({
        let (server, there) = (Arc::clone(&server), there.clone());
        async move { transfer::serve(&server, &there).await }
    });
    let cut = std::sync::atomic::AtomicU64::new(0);
    // The first five sessions fail after some bytes.
    let connect = || {
        let session = WebTransport::new(&url(&server, "/"), options(&server)).unwrap();
        let number = cut.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if number < 5 {
            let session = session.clone();
            tokio::spawn(async move {
                while let Ok(stats) = session.get_stats().await {
                    if stats.bytes_received > Some(300_000) {
                        return session.close(CloseInfo::new(9, "cut off"));
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        session
    };
    let patience = Duration::from_secs(5);
    let fetch = async |name: &str| within(transfer::fetch(connect, name, &here, patience)).await;
    let sessions = fetch("data").await.unwrap();
    assert!(sessions > 1, "{sessions} sessions");
    assert!(std::fs::read(here.join("data")).unwrap() == data);
    assert_eq!(fetch("empty").await.unwrap(), 1);
    assert_eq!(std::fs::read(here.join("empty")).unwrap(), b"");
    for name in ["none", "../there/data", "/etc/hostname", "..", ""] {
        assert!(fetch(name).await.is_err(), "{name:?}");
    }
    // No partial file is left.
    let left = std::fs::read_dir(&here).unwrap().count();
    assert_eq!(left, 2);
    within(server.shutdown(Duration::ZERO)).await;
    within(serving).await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_game_shows_every_player_all_positions() {
    let server = Arc::new(common::server());
    let serving = tokio::spawn({
        let server = Arc::clone(&server);
        async move { game::serve(&server).await }
    });
    let join = async || within(game::Game::join(&url(&server, "/game"), options(&server))).await;
    let news = async |game: &mut game::Game| within(game.news.next_line()).await.unwrap().unwrap();
    let mut one = join().await.unwrap();
    let mine = news(&mut one).await.strip_prefix("you are ").unwrap().parse::<u8>().unwrap();
    assert_eq!(news(&mut one).await, format!("+{mine}"));
    let mut two = join().await.unwrap();
    let other = news(&mut two).await.strip_prefix("you are ").unwrap().parse::<u8>().unwrap();
    assert_eq!(news(&mut two).await, format!("+{mine}"));
    for game in [&mut one, &mut two] {
        assert_eq!(news(game).await, format!("+{other}"));
    }
    // Each player steers until both have seen it move, each in its own direction.
    for (steering, watching) in [(0, 1), (1, 0)] {
        let mut games = [one, two];
        loop {
            within(games[steering].steer(3, -1)).await.unwrap();
            let places = within(games[watching].look()).await.unwrap();
            // The first positions may be from before the other player joined.
            let Some([x, y]) = places.get(&[mine, other][steering]).copied() else { continue };
            assert_eq!(i32::from(x), -3 * i32::from(y), "a tick moves both coordinates");
            if x > 30 {
                break;
            }
        }
        [one, two] = games;
    }
    two.session.close(CloseInfo::default());
    assert_eq!(news(&mut one).await, format!("-{other}"));
    while within(one.look()).await.unwrap().contains_key(&other) {}
    // The player's place is free again, and a full game refuses further players.
    let mut crowd = Vec::new();
    let refused = loop {
        match join().await {
            Ok(game) => crowd.push(game),
            Err(error) => break error,
        }
    };
    assert_eq!(crowd.len(), 31);
    let refused = refused.downcast::<WebTransportError>().unwrap();
    assert!(matches!(refused.cause(), ErrorCause::Status { status: 503 }), "{refused}");
    within(server.shutdown(Duration::ZERO)).await;
    within(serving).await.unwrap();
}

/// A router of `axum` over HTTP/3, and a session on the same port.
#[tokio::test]
async fn axum() {
    let identity = wt_api::Identity::self_signed(["localhost", "127.0.0.1"]).unwrap();
    let server = Arc::new(axum_server::builder(identity, common::loopback()).build().unwrap());
    let accepting = Arc::clone(&server);
    tokio::spawn(async move {
        while let Some(request) = accepting.accept().await {
            tokio::spawn(axum_server::session(request));
        }
    });
    let port = server.local_addresses()[0].port();
    assert_eq!(server.alt_svc(), format!("h3=\":{port}\"; ma=86400"));
    let client = wt_api::Client::builder().options(options(&server)).build().unwrap();
    let get = async |path: &str| within(client.get(&url(&server, path))).await.unwrap();
    assert_eq!(get("/").await.into_body().read_to_end(100).await.unwrap(), "hello, 127.0.0.1\n");
    assert_eq!(get("/nowhere").await.status(), 404);
    assert_eq!(get("/upload").await.status(), 405);
    let upload =
        http::Request::post(url(&server, "/upload")).body(wt_api::http3::Body::from(vec![7; 300_000]));
    let counted = within(client.request(upload.unwrap())).await.unwrap();
    assert_eq!(counted.into_body().read_to_end(100).await.unwrap(), "300000 bytes\n");
    let session = WebTransport::new(&url(&server, "/echo"), options(&server)).unwrap();
    within(session.ready()).await.unwrap();
    let mut stream = session.create_bidirectional_stream(Default::default()).await.unwrap();
    stream.writable.write_all(b"and a session").await.unwrap();
    stream.writable.finish().unwrap();
    assert_eq!(within(stream.readable.read_to_end(100)).await.unwrap(), "and a session");
}
