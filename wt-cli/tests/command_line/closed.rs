//! Output that nobody reads: this is no error, and nothing panics.

use std::process::Stdio;

use crate::{Server, code, directory, output, text, weft};

/// A pipe whose reader is closed.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn a_closed_standard_output_ends_quietly() {
    let directory = directory("closed");
    let directory = directory.to_str().expect("text");
    let cert = format!("{directory}/cert.pem");
    let key = format!("{directory}/key.pem");
    let made = output(&["cert", "make", "--cert", &cert, "--key", &key], b"");
    assert_eq!(code(&made), Some(0), "{}", text(&made.stderr));
    let server = Server::start(&[]);
    let echo = server.url("/echo");
    let perf = ["perf", "pair", "--seconds", "0.1", "--dir", directory];
    let mut all = vec![
        vec!["--help"],
        vec!["connect", "--help"],
        vec!["--version"],
        vec!["cert", "show", &cert],
        vec!["--json", "cert", "show", &cert],
        vec!["cert", "rotate", "--cert", &cert, "--key", &key],
        vec!["doctor", &echo, "--cert-hash", &server.hash],
        vec!["--json", "doctor", &echo, "--cert-hash", &server.hash],
        vec!["demo", "--once"],
        vec!["--json", "demo", "--once"],
    ];
    if cfg!(target_os = "linux") {
        all.push(perf.to_vec());
    }
    for arguments in all {
        let out = weft(&arguments).stdout(unread()).stderr(Stdio::piped()).output().expect("weft ends");
        assert_eq!((code(&out), text(&out.stderr)), (Some(0), String::new()), "{arguments:?}");
    }
}

#[test]
fn a_session_whose_output_nobody_reads_is_closed_without_a_word() {
    let server = Server::start(&[]);
    let url = server.url("/echo");
    for mode in [&[][..], &["--uni"], &["--datagrams"]] {
        let mut command = weft(&[&["connect", &url, "--cert-hash", &server.hash], mode].concat());
        // The input stays open: the client ends because nobody reads.
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(unread())
            .stderr(Stdio::piped())
            .spawn()
            .expect("weft starts");
        let mut input = child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut input, b"hello\n").expect("written");
        let out = child.wait_with_output().expect("weft ends");
        assert_eq!((code(&out), text(&out.stderr)), (Some(0), String::new()), "{mode:?}");
        drop(input);
    }
}

#[cfg(unix)]
#[test]
fn a_server_whose_output_nobody_reads_serves_on() {
    use std::{net::UdpSocket, process::Command};
    let address = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("an address");
    let address = address.to_string();
    let mut command = weft(&["serve", "--listen", &address]);
    let mut child = command.stdout(unread()).stderr(unread()).spawn().expect("weft starts");
    // The server is running once it responds.
    let asked = || output(&["doctor", &format!("https://{address}/echo")], b"");
    let answered = (0..20).map(|_| asked()).find(|out| code(out) == Some(4));
    assert!(answered.is_some(), "its certificate is known to nobody, but shown");
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    assert_eq!(child.wait().expect("weft ends").code(), Some(0));
}

#[test]
fn a_closed_standard_error_changes_no_status() {
    for (arguments, status) in [
        (&["connect", "not a url"][..], 2),
        (&["--json", "connect", "not a url"], 2),
        (&["dance"], 2),
        (&["cert", "show", "/no/such.pem"], 2),
    ] {
        let out = weft(arguments).stderr(unread()).output().expect("weft ends");
        assert_eq!(code(&out), Some(status), "{arguments:?}");
    }
}

/// A full disk is an error.
#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_reported() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let server = Server::start(&[]);
    let url = server.url("/echo");
    let mut command = weft(&["doctor", &url, "--cert-hash", &server.hash]);
    let out = command.stdout(full).stderr(Stdio::piped()).output().expect("weft ends");
    assert_eq!(code(&out), Some(1));
    assert!(text(&out.stderr).contains("standard output cannot be written to"), "{}", text(&out.stderr));
    // A server does not start if nobody can learn its address and hash.
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for arguments in
        [&["--help"][..], &["connect", "--help"], &["--version"], &["completions", "bash"], &serve]
    {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
        let out = weft(arguments).stdout(full).stderr(Stdio::piped()).output().expect("weft ends");
        assert_eq!(code(&out), Some(1), "{arguments:?}: {}", text(&out.stderr));
    }
}
