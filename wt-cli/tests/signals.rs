//! What a hundred clients of `weft serve` see when it is told to stop: each one learns that the session is
//! over.
#![cfg(unix)]

mod serving;

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use serving::Server;
use wt_api::{CertificateHash, ErrorCause, SendStreamOptions, WebTransport, WebTransportOptions};

const CLIENTS: usize = 100;

fn interrupt(server: &Server) {
    send("-INT", server.child.id());
}

fn send(signal: &str, id: u32) {
    let sent = Command::new("kill").args([signal, &id.to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// Sends on a stream and reads its echo until the session ends.
async fn transfer(session: WebTransport) {
    let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await.expect("a stream");
    let (mut readable, mut writable) = stream.split();
    let send = async { while writable.write_all(&[7; 32 << 10]).await.is_ok() {} };
    let receive = async { while let Ok(Some(_)) = readable.read_chunk(64 << 10).await {} };
    tokio::join!(send, receive);
}

/// Idle sessions and one busy session. Each gets the drain, and then the end. `then` runs in between.
async fn all_hear(server: &mut Server, then: impl FnOnce(&Server)) -> Option<i32> {
    let mut sessions = Vec::new();
    for _ in 0..CLIENTS {
        sessions.push(server.connect().await);
    }
    let transfer = tokio::spawn(transfer(sessions[0].clone()));
    interrupt(server);
    for session in &sessions {
        session.draining().await;
    }
    then(server);
    let mut heard = 0;
    for session in &sessions {
        let error = session.closed().await.expect_err("the connection ended");
        // The peer's own close with a code, and not a timeout.
        let ErrorCause::ConnectionClosed { code, .. } = error.cause() else { panic!("{error}") };
        assert_eq!(*code, 0x100, "H3_NO_ERROR: {error}");
        heard += 1;
    }
    transfer.await.expect("its session ended");
    assert_eq!(heard, CLIENTS);
    server.child.wait().expect("it ends").code()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_closes_every_session_with_a_code() {
    let mut server = Server::start("127.0.0.1:0", &[]);
    assert_eq!(all_hear(&mut server, interrupt).await, Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_signal_closes_every_session_that_is_left_after_the_drain() {
    let mut server = Server::start("127.0.0.1:0", &[]);
    assert_eq!(all_hear(&mut server, |_| ()).await, Some(0));
}

/// An open page keeps its session for as long as the drain lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_the_sessions_of_the_demonstration() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
    command.arg("demo").env_remove("RUST_LOG").env("NO_COLOR", "1");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("weft starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let url = lines.find_map(|line| line.strip_prefix("Session URL ").map(str::to_owned)).expect("its URL");
    let url = url.split(',').next().expect("a URL");
    let hash: CertificateHash = lines.next().expect("a hash").trim().parse().expect("a hash");
    let options = WebTransportOptions::new().server_certificate_hashes([hash]);
    let session = WebTransport::new(url, options).expect("a URL");
    session.ready().await.expect("a session");
    send("-INT", child.id());
    session.draining().await;
    send("-INT", child.id());
    let ended = child.wait().expect("it ends");
    assert_eq!(ended.code(), Some(130));
    session.closed().await.expect_err("the connection ended");
}

/// Its terminal is gone. Clients are told, as after every other signal.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_terminal_is_gone_ends_in_order() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("it is there");
    if ignored.trim().ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']) {
        return; // As whoever started the tests has it.
    }
    let mut server = Server::start("127.0.0.1:0", &[]);
    let session = server.connect().await;
    send("-HUP", server.child.id());
    session.draining().await;
    send("-HUP", server.child.id());
    let error = session.closed().await.expect_err("the connection ended");
    assert!(matches!(error.cause(), ErrorCause::ConnectionClosed { code: 0x100, .. }), "{error}");
    assert_eq!(server.child.wait().expect("it ends").code(), Some(129));
}
