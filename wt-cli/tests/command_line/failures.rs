//! The reasons of failures, for people and for programs.

use std::{net::UdpSocket, process::Output};

use crate::{Server, code, directory, output, text};

/// An address at which nobody listens.
fn closed_port() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.local_addr().expect("an address").to_string()
}

/// The error object: the last line of standard error.
fn error(out: &Output) -> serde_json::Value {
    let told = text(&out.stderr);
    let last = told.lines().last().unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(last).unwrap_or_else(|error| panic!("{error}: {told}"))["error"]
        .take()
}

#[test]
fn every_subcommand_reports_to_programs_why_it_failed() {
    let server = Server::start(&["--origin", "https://good.example"]);
    let (echo, hash, closed) = (server.url("/echo"), server.hash.clone(), closed_port());
    let closed_url = format!("https://{closed}/");
    let nowhere = server.url("/nothing");
    for (arguments, status, cause) in [
        (&["serve", "--listen", "nowhere"][..], 2, "usage"),
        (&["serve", "--cert", "/no/such.pem", "--key", "/no/such.pem"], 2, "usage"),
        (&["connect", "not a url"], 2, "usage"),
        (&["connect", &closed_url], 3, "port-closed"),
        (&["connect", &echo], 4, "certificate"),
        (&["connect", &nowhere, "--cert-hash", &hash], 5, "status"),
        (&["connect", "https://nobody.invalid/", "--timeout", "5"], 3, "name"),
        (&["doctor", &closed_url, "--timeout", "1"], 3, "connect"),
        (&["doctor", &echo], 4, "certificate"),
        (&["doctor", &echo, "--origin", "none"], 2, "usage"),
        (&["cert", "show", "/no/such.pem"], 2, "usage"),
        (&["cert", "make", "--cert", "/no/such/cert.pem"], 2, "usage"),
        (&["cert", "rotate", "--cert", "/no/such.pem"], 2, "usage"),
        (&["demo", "--port", "many"], 2, "usage"),
        (&["perf", "client", "--addr", "127.0.0.1:9", "--dir", "/no/such/directory"], 1, "failure"),
        (&["dance"], 2, "usage"),
        (&[], 2, "usage"),
    ] {
        let out = output(&[arguments, &["--json"]].concat(), b"");
        let told = error(&out);
        assert_eq!(code(&out), Some(status), "{arguments:?}: {told}");
        assert_eq!((&told["cause"], &told["exit"]), (&cause.into(), &status.into()), "{arguments:?}: {told}");
        let message = told["message"].as_str().expect("a text");
        assert!(message.len() > 5 && !message.contains("weft:"), "{arguments:?}: {message}");
    }
}

#[test]
fn a_measurement_without_a_server_fails_like_a_session() {
    let directory = directory("perf-closed");
    let directory = directory.to_str().expect("text");
    let closed = closed_port();
    let session = output(&["connect", &format!("https://{closed}/")], b"");
    let first = text(&session.stderr).lines().next().expect("a line").to_owned();
    assert!(first.contains("refused"), "{first}");
    // This makes the certificate that clients read. It ends because its input does.
    let made = output(&["perf", "server", "--control", "--dir", directory], b"");
    assert_eq!(code(&made), Some(0), "{}", text(&made.stderr));
    // Systems other than Linux do not report this for sockets that are not connected.
    let levels: &[&str] = if cfg!(target_os = "linux") { &["quic", "wt"] } else { &["wt"] };
    for level in levels {
        let out = output(&["perf", "client", "--level", level, "--addr", &closed, "--dir", directory], b"");
        assert_eq!((code(&out), code(&session)), (Some(3), Some(3)), "{level}");
        assert_eq!(text(&out.stderr).trim_end(), first, "{level}");
    }
}

#[test]
fn texts_name_options_of_the_command_line() {
    let server = Server::start(&["--origin", "https://good.example"]);
    let (echo, hash) = (server.url("/echo"), server.hash.clone());
    for (options, status, words) in [
        (&["--header", "accept"][..], 2, "write it as 'NAME: VALUE'"),
        (&["--header", "a b: c"], 2, "\"a b\" is not a field name"),
        (&["--header", "a: b\nc: d"], 2, "line break"),
        (&["--header", "origin: https://a.example"], 2, "origin cannot be set: give --origin"),
        (&["--header", "transfer-encoding: chunked"], 2, "HTTP/3 forbids it"),
        (&["--protocol", ""], 2, "--protocol: \"\" cannot be offered"),
        (&["--origin", "https://a.example/"], 2, "--origin: \"https://a.example/\" is no origin"),
        (&["--timeout", "0"], 2, "from 0.01 to 3600"),
        (&["--quiet", "-v"], 2, "cannot be used with"),
        (&["--origin", "https://bad.example"], 5, "give one that is permitted with --origin"),
        (&["--origin", "https://bad.example"], 5, &format!("{hash} --origin https://bad.example")),
    ] {
        let out = output(&[&["connect", &echo, "--cert-hash", &hash], options].concat(), b"");
        assert_eq!(code(&out), Some(status), "{options:?}: {}", text(&out.stderr));
        assert!(text(&out.stderr).contains(words), "{options:?}: {}", text(&out.stderr));
    }
}

#[test]
fn an_invalid_address_gets_examples_of_valid_ones() {
    for option in ["--listen", "--metrics"] {
        let out = output(&["serve", option, "localhost:5600"], b"");
        assert_eq!(code(&out), Some(2));
        let words = "127.0.0.1:5600 or [::1]:5600 for this machine alone, [::]:5600 for all addresses";
        assert!(text(&out.stderr).contains(words), "{}", text(&out.stderr));
    }
    let told = text(&output(&["serve", "--listen", "everywhere"], b"").stderr);
    assert!(told.contains("[::]:443 for all addresses"), "{told}");
}

/// Credentials in a URL would not be sent.
#[test]
fn a_password_in_a_url_is_refused_and_not_repeated() {
    for url in ["https://me:secret@127.0.0.1:1/", "https://me@127.0.0.1:1/"] {
        let out = output(&["connect", url], b"");
        assert_eq!(code(&out), Some(2), "{url}");
        let told = text(&out.stderr);
        assert!(told.contains("--header 'authorization: Basic ...'") && !told.contains("secret"), "{told}");
        let out = output(&["doctor", url], b"");
        assert_eq!(code(&out), Some(2), "{url}");
        assert!(text(&out.stdout).contains("--header 'authorization"), "{}", text(&out.stdout));
    }
}

#[test]
fn a_line_too_long_for_a_datagram_is_reported_and_is_a_failure() {
    let server = Server::start(&[]);
    let lines = [&[b'x'; 100_000][..], b"\nshort\n"].concat();
    let out = server.connect("/echo", &["--datagrams", "--quiet"], &lines);
    assert_eq!((code(&out), text(&out.stdout)), (Some(1), "short\n".to_owned()));
    let told = text(&out.stderr);
    assert!(told.starts_with("weft: line 1 not sent: it has 100000 bytes, and at most "), "{told}");
    assert!(told.contains("--lines") && told.ends_with("weft: 1 line was not sent\n"), "{told}");
    assert!(!told.contains('('), "no methods: {told}");
}

/// The situation in a container without certificates.
#[cfg(target_os = "linux")]
#[test]
fn a_system_without_cas_gets_advice() {
    for subcommand in ["connect", "doctor"] {
        let mut command = crate::weft(&[subcommand, "https://127.0.0.1:9/"]);
        command.env("SSL_CERT_FILE", "/no/such/file").env("SSL_CERT_DIR", "/no/such/directory");
        let out = command.output().expect("weft ends");
        assert_eq!(code(&out), Some(2), "{subcommand}");
        let told = text(&out.stderr);
        assert!(told.contains("say whom to trust with --ca or --cert-hash"), "{subcommand}: {told}");
    }
}
