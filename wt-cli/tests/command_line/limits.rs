//! The options of `weft serve` that set limits.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use crate::{Server, code, output, text, weft};

#[test]
fn limits_are_those_of_the_command_line() {
    let server =
        Server::start(&["--max-sessions", "1", "--idle-timeout", "7.5", "--connection-window", "600KiB"]);
    let url = server.url("/echo");
    let doctor = output(&["doctor", &url, "--cert-hash", &server.hash], b"");
    assert!(text(&doctor.stdout).contains("614400 bytes, "), "{}", text(&doctor.stdout));
    assert!(text(&doctor.stdout).contains("idle timeout 7.5 s"), "{}", text(&doctor.stdout));
    let mut first = weft(&["connect", &url, "--cert-hash", &server.hash, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("weft starts");
    // It prints an event when it has its session.
    first.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("an event");
    let second = server.connect("/echo", &[], b"");
    assert_eq!(code(&second), Some(5));
    assert!(text(&second.stderr).contains("429"), "{}", text(&second.stderr));
    drop(first.stdin.take());
    first.wait_with_output().expect("weft ends");
    for (option, value, words) in [
        ("--memory", "1TB", "KiB, MiB or GiB"),
        ("--max-connections", "0", "from 1 on"),
        ("--idle-timeout", "-1", "from 0 to 86400"),
        ("--max-sessions-per-connection", "0", "1..=65535"),
        ("--max-streams-uni", "many", "from 1 to 2^60"),
        ("--connection-memory", "1KiB", "--connection-memory is at least 256KiB"),
        ("--memory", "1KiB", "--memory is at least 64KiB"),
        ("--max-stream-window", "1KiB", "--max-stream-window is at least --stream-window, which is 256KiB"),
        ("--max-connection-window", "1KiB", "at least --connection-window, which is 1MiB"),
    ] {
        let out = output(&["serve", "--listen", "127.0.0.1:0", &format!("{option}={value}")], b"");
        assert_eq!(code(&out), Some(2), "{option}");
        let told = text(&out.stderr);
        assert!(told.contains(option) && told.contains(words), "{told}");
    }
    let help = text(&output(&["serve", "--help"], b"").stdout);
    assert!(help.contains("Limits:") && help.contains("[default: 1GiB]"), "{help}");
}

/// The operator of a server learns which of its limits affect clients.
#[test]
fn a_limit_that_refuses_clients_is_named_in_the_log() {
    let path = "/echo";
    for option in ["--max-connections", "--address-connections", "--max-sessions"] {
        let mut server = Server::start(&[option, "1"]);
        let url = server.url(path);
        let mut first = weft(&["connect", &url, "--cert-hash", &server.hash, "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("weft starts");
        first.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("an event");
        assert_ne!(code(&server.connect(path, &[], b"")), Some(0), "{option}");
        let log = BufReader::new(server.child.stderr.take().expect("piped"));
        let told = log.lines().map(|line| line.expect("text")).find(|line| line.contains(option));
        let told = told.expect("told");
        assert!(told.contains("WARN") && told.contains("are refused by"), "{told}");
        drop(first.stdin.take());
        first.wait_with_output().expect("weft ends");
    }
}
