//! `weft connect` writes out everything that a server finished before it closed the session.

use std::{
    io::{Read as _, Write as _},
    process::{Child, Output, Stdio},
};

use wt_api::{
    AcceptOptions, BidirectionalStream, CloseInfo, Identity, SendStreamOptions, Server, WebTransport,
};

use crate::{code, text, weft};

const STREAMS: usize = 50;

/// A server in this process, so that the test decides when it closes.
fn server() -> Server {
    Server::builder()
        .identity(Identity::self_signed(["localhost"]).expect("an identity"))
        .listen("127.0.0.1:0".parse().expect("an address"))
        .build()
        .expect("a server")
}

/// Starts `weft connect`, whose session the server accepts.
async fn connected(server: &Server, options: &[&str]) -> (Child, WebTransport) {
    let url = format!("https://{}/", server.local_addresses()[0]);
    let hash = server.certificate_hash().expect("one").to_string();
    let mut command = weft(&[&["connect", &url, "--cert-hash", &hash, "--quiet"], options].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("weft starts");
    let request = server.accept().await.expect("a request");
    (child, request.accept(AcceptOptions::new()).await.expect("accepted"))
}

async fn ended(child: Child) -> Output {
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output().expect("weft ends"));
    ended.await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_were_finished_before_the_close_are_all_written() {
    let programs = ["--listen", "--json"];
    let datagrams = ["--listen", "--datagrams"];
    for (options, has_input) in
        [(&["--listen"][..], false), (&programs, false), (&datagrams, false), (&["--listen"], true)]
    {
        let server = server();
        let (mut child, session) = connected(&server, options).await;
        if !has_input {
            child.stdin = None;
        }
        for number in 0..STREAMS {
            let mut stream =
                session.create_unidirectional_stream(SendStreamOptions::new()).await.expect("a stream");
            stream.write_all(format!("{number}\n").as_bytes()).await.expect("written");
            stream.finish().expect("finished");
            let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await;
            let (readable, mut writable) = stream.expect("a stream").split();
            writable.write_all(format!("{number} of two ways\n").as_bytes()).await.expect("written");
            writable.finish().expect("finished");
            // The client's half is not used.
            drop(readable);
        }
        session.close(CloseInfo::default());
        // Held open, so that the end of the input does not end the client.
        let input = child.stdin.take();
        let output = ended(child).await;
        drop(input);
        assert_eq!(code(&output), Some(0), "{options:?}: {}", text(&output.stderr));
        let out = text(&output.stdout);
        for number in 0..STREAMS {
            for one in [format!("{number}"), format!("{number} of two ways")] {
                let is_there =
                    out.lines().any(|line| line == one) || out.contains(&format!("\"text\":\"{one}\\n\""));
                assert!(is_there, "{options:?}, {has_input}: no {one:?} in {out}");
            }
        }
    }
}

/// One answer is cut off. The others were complete, and are written.
#[tokio::test(flavor = "multi_thread")]
async fn answers_to_lines_that_were_finished_before_the_close_are_all_written() {
    let server = server();
    let (mut child, session) = connected(&server, &["--lines", "--streams", "4"]).await;
    // One line more than there may be streams at once: it still waits when the session ends.
    child.stdin.take().expect("piped").write_all(b"0\n1\n2\n3\n4\n").expect("written");
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(session.accept_bidirectional_stream().await.expect("a stream"));
    }
    asked.sort_by_key(BidirectionalStream::id);
    for stream in &mut asked[1..] {
        let line = stream.readable.read_to_end(10).await.expect("a line");
        stream.writable.write_chunk(line).await.expect("written");
        stream.writable.finish().expect("finished");
    }
    session.close(CloseInfo::default());
    let output = ended(child).await;
    assert_eq!((code(&output), text(&output.stderr)), (Some(0), String::new()));
    assert!(text(&output.stdout).ends_with("1\n2\n3\n"), "{:?}", text(&output.stdout));
}

/// The session ends while the input is still being sent, and while nobody reads the output.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_whole_is_written_though_sending_fails() {
    const ANSWER: usize = 300_000;
    let server = server();
    for uni in [false, true] {
        let (mut child, session) = connected(&server, if uni { &["--uni"] } else { &[] }).await;
        let mut input = child.stdin.take().expect("piped");
        // More than the server's windows take, so it fails when the session ends.
        let feeding = std::thread::spawn(move || while input.write_all(&[b'x'; 65_536]).is_ok() {});
        let mut unread = None;
        let mut writable = if uni {
            unread = Some(session.accept_unidirectional_stream().await.expect("a stream"));
            session.create_unidirectional_stream(SendStreamOptions::new()).await.expect("a stream")
        } else {
            let (readable, writable) = session.accept_bidirectional_stream().await.expect("a stream").split();
            unread = unread.or(Some(readable));
            writable
        };
        writable.write_all(&[b'y'; ANSWER]).await.expect("written");
        writable.finish().expect("finished");
        session.close(CloseInfo::default());
        session.closed().await.expect("closed");
        drop(unread);
        let mut out = child.stdout.take().expect("piped");
        let read = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            out.read_to_end(&mut all).map(|_| all)
        });
        let came = read.await.expect("no panic").expect("read");
        let output = ended(child).await;
        feeding.join().expect("no panic");
        assert_eq!((code(&output), text(&output.stderr)), (Some(0), String::new()), "{uni}");
        assert_eq!(came.len(), ANSWER, "{uni}");
    }
}
