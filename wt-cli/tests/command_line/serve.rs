//! What `weft serve` prints about itself.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use crate::{Server, directory};

#[cfg(unix)]
#[test]
fn a_signal_prints_at_once_what_the_server_waits_for() {
    use std::io::Write as _;

    // A server with output for programs and one session, whose echo has arrived before the signal.
    let mut server = Server::start(&[]);
    let url = server.url("/echo");
    let mut client = crate::weft(&["connect", &url, "--cert-hash", &server.hash])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("weft starts");
    let (mut input, mut echo) = (client.stdin.take().expect("piped"), String::new());
    input.write_all(b"hello\n").expect("written");
    BufReader::new(client.stdout.take().expect("piped")).read_line(&mut echo).expect("an echo");
    server.signal("-INT");
    let draining = server.line();
    assert_eq!(draining, serde_json::json!({ "draining": true, "sessions": 1, "seconds": 10 }));
    server.signal("-INT");
    assert_eq!(server.line()["closing"], true);
    assert_eq!(server.child.wait().expect("it ends").code(), Some(130));
    drop(input);
    client.wait().expect("weft ends");

    // A server with output for people.
    let mut child = crate::weft(&["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("weft starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    lines.read_line(&mut String::new()).expect("where it listens");
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let out = child.wait_with_output().expect("weft ends");
    let told = crate::text(&out.stderr);
    assert!(told.contains("weft: draining, no session is open; another signal (Ctrl-C)"), "{told}");
}

#[test]
fn a_certificate_that_no_browser_accepts_by_hash_is_reported_with_the_reason() {
    let directory = directory("by-hash");
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2050, 1, 1);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let (cert, secret) = (directory.join("cert.pem"), directory.join("key.pem"));
    std::fs::write(&cert, params.self_signed(&key).expect("signed").pem()).expect("written");
    std::fs::write(&secret, key.serialize_pem()).expect("written");
    let files = ["--cert", cert.to_str().expect("text"), "--key", secret.to_str().expect("text")];
    let server = Server::start(&files);
    assert_eq!(server.announced["acceptedByHash"], false);
    let broken = server.announced["brokenRules"].as_array().expect("rules").clone();
    let broken: Vec<&str> = broken.iter().filter_map(|rule| rule.as_str()).collect();
    assert!(
        broken[0].starts_with("valid for at most 14 days: ") && broken[1].contains("Ed25519"),
        "{broken:?}"
    );
    assert_eq!(Server::start(&[]).announced["acceptedByHash"], true);
    let mut command = crate::weft(&[&["serve", "--listen", "127.0.0.1:0"], &files[..]].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("weft starts");
    let mut warning = String::new();
    BufReader::new(child.stderr.take().expect("piped")).read_line(&mut warning).expect("a line");
    let _ = child.kill();
    let _ = child.wait();
    assert!(
        warning.starts_with("weft: warning: browsers do not accept this certificate by its hash"),
        "{warning}"
    );
    assert!(warning.contains("key ECDSA P-256 or P-384: key Ed25519"), "{warning}");
}
