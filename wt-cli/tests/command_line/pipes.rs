//! `weft connect` in pipes: streams, lines, datagrams, streams of the server, events for programs.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    ops::Range,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{Server, code, text, weft};

/// The events, without stream IDs. The network may have split data anywhere.
fn events(out: &Output) -> Vec<Value> {
    let parse =
        |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let mut events: Vec<Value> = text(&out.stdout).lines().map(parse).collect();
    for event in events.iter_mut().filter_map(Value::as_object_mut) {
        assert!(event.remove("stream").is_none_or(|stream| stream.is_u64()));
        assert!(event.remove("stats").is_none_or(|stats| stats["packetsSent"].as_u64() > Some(0)));
    }
    events.into_iter().fold(Vec::new(), |mut merged: Vec<Value>, event| {
        match (merged.last_mut(), event["text"].as_str()) {
            (Some(last), Some(more)) if last["event"] == "data" && event["event"] == "data" => {
                last["text"] = (last["text"].as_str().expect("text").to_owned() + more).into();
            }
            _ => merged.push(event),
        }
        merged
    })
}

#[test]
fn programs_get_a_stream_event_by_event() {
    let server = Server::start(&[]);
    let out = server.connect("/echo", &["--json"], "h\u{e9}llo\n".as_bytes());
    assert_eq!((code(&out), text(&out.stderr)), (Some(0), String::new()));
    let told = events(&out);
    assert_eq!((&told[0]["event"], &told[0]["dialect"]), (&json!("connected"), &json!("draft-16")));
    assert_eq!(told[0]["remote"], server.address.as_str());
    assert_eq!(
        told[1..],
        [
            json!({ "event": "stream", "kind": "bidirectional", "by": "client" }),
            json!({ "event": "data", "text": "h\u{e9}llo\n" }),
            json!({ "event": "fin" }),
            json!({ "event": "closed", "code": 0, "reason": "" }),
        ]
    );
    let binary = events(&server.connect("/echo", &["--json"], &[0xff, 0xfe]));
    assert_eq!(binary[2], json!({ "event": "data", "base64": "//4=" }));
    let reset = server.connect("/demo", &["--json"], b"#reset 42\n");
    let told = events(&reset);
    assert!(told.contains(&json!({ "event": "reset", "code": 42 })), "{told:?}");
    assert_eq!(code(&reset), Some(6));
    assert!(text(&reset.stderr).contains("\"cause\":\"stream-reset\""), "{}", text(&reset.stderr));
    let datagrams = events(&server.connect("/echo", &["--json", "--datagrams"], b"one\n"));
    assert!(datagrams.contains(&json!({ "event": "datagram", "text": "one" })), "{datagrams:?}");
}

/// Path MTU discovery starts with the session. An early line waits for it, and so does its echo.
#[test]
fn the_first_line_may_be_as_long_as_a_datagram_of_the_path() {
    let server = Server::start(&[]);
    let out = server.connect("/echo", &["--datagrams", "--quiet"], &[b'x'; 1_300]);
    assert_eq!((code(&out), text(&out.stderr)), (Some(0), String::new()));
    assert_eq!(text(&out.stdout), format!("{}\n", "x".repeat(1_300)));
}

#[test]
fn requested_options_reach_the_server() {
    let server = Server::start(&["--protocol", "second"]);
    let asked = ["--json", "--protocol", "first", "--protocol", "second", "--header", "x-asked: by hand"];
    let told = events(&server.connect("/echo", &asked, b""));
    assert_eq!(told[0]["protocol"], "second");
    let told = events(&Server::start(&[]).connect("/demo", &asked, b""));
    assert_eq!(
        (&told[0]["protocol"], &told[0]["fields"]["x-answered"]),
        (&json!("first"), &json!("by hand"))
    );
}

#[test]
fn each_line_has_a_stream_and_the_answers_come_in_order() {
    let server = Server::start(&[]);
    let lines: String = (0..200).map(|n| format!("line {n}\n")).collect();
    for streams in ["1", "16", "300"] {
        let out = server.connect("/echo", &["--lines", "--streams", streams], lines.as_bytes());
        assert_eq!((code(&out), text(&out.stdout)), (Some(0), lines.clone()), "{}", text(&out.stderr));
    }
    // A last line without a line end counts too. A reset stream does not affect the others.
    let out = server.connect("/demo", &["--lines"], b"one\n#reset 3\nthree");
    assert_eq!((code(&out), text(&out.stdout).as_str()), (Some(6), "one\nthree\n"));
    assert!(
        text(&out.stderr).starts_with("weft: the peer reset the stream with code 3"),
        "{}",
        text(&out.stderr)
    );
}

#[test]
fn streams_of_the_server_are_printed() {
    let server = Server::start(&[]);
    let url = server.url("/demo");
    let arguments = ["connect", &url, "--cert-hash", &server.hash, "--json", "--listen", "--lines"];
    let mut child = weft(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("weft starts");
    let mut input = child.stdin.take().expect("piped");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut events = lines.map(|line| serde_json::from_str::<Value>(&line.expect("text")).expect("JSON"));
    // The complete greeting.
    let opened = events.find(|event| event["event"] == "stream").expect("an event");
    assert_eq!((&opened["kind"], &opened["by"]), (&json!("unidirectional"), &json!("server")));
    let greeting: String = events
        .by_ref()
        .take_while(|event| event["event"] != "fin")
        .map(|event| event["text"].as_str().expect("text").to_owned())
        .collect();
    assert!(greeting.contains("draft-16"), "{greeting}");
    input.write_all(b"#close 7 by hand\n").expect("written");
    let last = events.last().expect("an event");
    assert_eq!(
        (&last["event"], &last["code"], &last["reason"]),
        (&json!("closed"), &json!(7), &json!("by hand"))
    );
    let out = child.wait_with_output().expect("weft ends");
    assert_eq!(code(&out), Some(6));
    assert!(text(&out.stderr).contains("\"cause\":\"closed\""), "{}", text(&out.stderr));
}

/// The client may notice the effect of the close on the stream before the close itself.
#[test]
fn the_close_code_of_the_server_decides_the_exit_status() {
    let server = Server::start(&[]);
    for _ in 0..2 {
        let out = server.connect("/demo", &["--quiet"], b"#close 7 by hand\n");
        assert_eq!(
            (code(&out), text(&out.stderr).as_str()),
            (Some(6), "weft: closed with code 7: by hand\n")
        );
        let out = server.connect("/demo", &["--quiet"], b"#close 0\n");
        assert_eq!((code(&out), text(&out.stderr).as_str()), (Some(0), ""));
    }
}

/// A server that answers while it reads waits until its answer is read.
#[test]
fn long_lines_are_sent_while_their_answers_are_read() {
    let server = Server::start(&[]);
    let mut input = Vec::new();
    for letter in *b"abcdef" {
        input.extend(std::iter::repeat_n(letter, 5_000_000));
        input.push(b'\n');
    }
    let people = server.connect("/echo", &["--lines", "--quiet"], &input);
    assert_eq!((code(&people), text(&people.stderr)), (Some(0), String::new()));
    assert!(people.stdout == input, "{} bytes came back, in order", people.stdout.len());
    let programs = server.connect("/echo", &["--lines", "--json"], &input);
    assert_eq!(text(&programs.stdout).matches("\"event\":\"fin\"").count(), 6);
}

/// More than a window: only the stop shows that there will be no answer.
#[test]
fn a_stream_that_nobody_reads_fails_and_ends() {
    let server = Server::start(&["--exec", "cat"]);
    for options in [&["--uni"][..], &["--uni", "--lines"]] {
        let out = server.connect("/", &[options, &["--json"]].concat(), &[b'x'; 3_000_000]);
        let told = text(&out.stderr);
        assert_eq!(code(&out), Some(6), "{options:?}: {told}");
        assert!(told.contains("\"cause\":\"stream-stopped\""), "{options:?}: {told}");
        assert!(text(&out.stdout).contains("\"event\":\"stop\""), "{options:?}: {}", text(&out.stdout));
    }
}

/// Lines of a hundred bytes each, including their line ends. They are more than a pipe holds, and fewer than
/// the client queues.
fn numbered(lines: Range<usize>) -> String {
    lines.map(|number| format!("{number:099}\n")).collect()
}

/// The numbers of the lines, which must be complete.
fn numbers(out: &[u8]) -> Vec<usize> {
    assert!(out.ends_with(b"\n"), "the last line is whole");
    let number = |line: &str| {
        assert_eq!(line.len(), 99, "{line}");
        line.parse().expect("a number")
    };
    text(out).lines().map(number).collect()
}

/// Pauses reading for this time. The test does not wait for an event this way.
#[expect(clippy::disallowed_methods, reason = "a reader that pauses is what is tested")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Sends datagrams to the echo. The reader starts two seconds after the last one was sent.
fn read_late(lines: usize) -> Output {
    let server = Server::start(&[]);
    let url = server.url("/echo");
    let mut command = weft(&["connect", &url, "--cert-hash", &server.hash, "--datagrams", "--quiet"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("weft starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(numbered(0..lines).as_bytes()).expect("written");
    drop(input);
    pause(Duration::from_secs(2));
    child.wait_with_output().expect("weft ends")
}

/// The second for the last answers does not elapse while the first ones are still being written.
#[test]
fn datagrams_wait_for_a_slow_output() {
    let out = read_late(2_000);
    assert_eq!((code(&out), text(&out.stderr)), (Some(0), String::new()));
    let came = numbers(&out.stdout);
    assert_eq!(came.last(), Some(&1_999), "{} came", came.len());
}

#[test]
fn datagrams_dropped_because_of_a_slow_output_are_reported() {
    let out = read_late(20_000);
    let told = text(&out.stderr);
    let dropped = told.strip_prefix("weft: ").and_then(|told| told.split_once(" datagrams were dropped"));
    let (dropped, _) = dropped.unwrap_or_else(|| panic!("{told}"));
    let came = numbers(&out.stdout);
    assert_eq!((code(&out), came.last()), (Some(0), Some(&19_999)));
    assert!(came.len() + dropped.parse::<usize>().expect("a number") <= 20_000, "{told}");
}

/// A signal ends the exchange with everything that has arrived, even if the output is blocked.
#[cfg(unix)]
#[test]
fn a_signal_ends_datagrams_with_complete_lines_even_if_none_are_read() {
    for is_read in [true, false] {
        let server = Server::start(&["--metrics", "127.0.0.1:0"]);
        let url = server.url("/echo");
        let mut command = weft(&["connect", &url, "--cert-hash", &server.hash, "--datagrams", "--quiet"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("weft starts");
        let mut input = child.stdin.take().expect("piped");
        input.write_all(numbered(0..2_000).as_bytes()).expect("written");
        // What the server has sent is in the client's socket.
        super::metrics::wait_for(&server, "weft_datagrams_sent_total", 2_000);
        let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        if !is_read {
            assert_eq!(child.wait().expect("weft ends").code(), Some(0));
            continue;
        }
        let out = child.wait_with_output().expect("weft ends");
        drop(input);
        assert_eq!((code(&out), text(&out.stderr)), (Some(0), String::new()));
        assert_eq!(numbers(&out.stdout).last(), Some(&1_999));
    }
}
