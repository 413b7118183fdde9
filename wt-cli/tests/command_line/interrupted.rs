//! Signals that end `weft connect`: before the end of the exchange, both ends see a failure.

use std::{
    io::{Read as _, Write as _},
    net::UdpSocket,
    process::{Child, ChildStdin, Command, Output, Stdio},
};

use crate::{Server, code, text, weft};

/// A client in the middle of its exchange: data has come back, and its input is open.
struct Client {
    child: Child,
    input: ChildStdin,
}

impl Client {
    fn start(server: &Server, path: &str, options: &[&str]) -> Self {
        let url = server.url(path);
        let mut command = weft(&[&["connect", &url, "--cert-hash", &server.hash], options].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("weft starts");
        let mut input = child.stdin.take().expect("piped");
        input.write_all(b"hello\n").expect("written");
        child.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("something came");
        Self { child, input }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    fn ends(self) -> Output {
        let out = self.child.wait_with_output().expect("weft ends");
        drop(self.input);
        out
    }
}

/// A command that waits for a server that never responds; it has sent something. `under` starts it.
fn unanswered(under: &[&str], arguments: &[&str]) -> Child {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let url = format!("https://{}/", silent.local_addr().expect("an address"));
    let mut command = match under {
        [] => weft(&[]),
        [program, rest @ ..] => {
            let mut command = Command::new(program);
            command.args(rest).arg(env!("CARGO_BIN_EXE_weft")).env_remove("RUST_LOG");
            command
        }
    };
    command.args(arguments).arg(&url).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("weft starts");
    silent.recv_from(&mut [0; 2_000]).expect("it asks");
    child
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// The last JSON object in the output.
fn last(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_str(text(bytes).lines().last().expect("a line")).expect("JSON")
}

#[test]
fn an_interrupted_command_is_a_failure() {
    let server = Server::start(&["--exec", "cat"]);
    for mode in [&[][..], &["--lines"]] {
        for (signal, status, name) in [("-INT", 130, "SIGINT"), ("-TERM", 143, "SIGTERM")] {
            let people = Client::start(&server, "/", &[mode, &["--quiet"]].concat());
            people.signal(signal);
            let out = people.ends();
            let told = format!("weft: interrupted by {name} before the end\n");
            assert_eq!((code(&out), text(&out.stderr)), (Some(status), told), "{mode:?}");
            let programs = Client::start(&server, "/", &[mode, &["--json"]].concat());
            programs.signal(signal);
            let out = programs.ends();
            let error = &last(&out.stderr)["error"];
            assert_eq!(
                (&error["cause"], &error["exit"]),
                (&"interrupted".into(), &status.into()),
                "{mode:?}"
            );
            let closed = last(&out.stdout);
            assert_eq!((&closed["event"], &closed["code"]), (&"closed".into(), &status.into()), "{mode:?}");
        }
    }
}

/// The same holds before the connection is established.
#[test]
fn a_command_interrupted_before_its_session_says_so() {
    let mut signals = vec![("-INT", 130, "SIGINT"), ("-TERM", 143, "SIGTERM")];
    // The tests inherit this from the process that started them.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    if ignored.is_some_and(|mask| !mask.trim().ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f'])) {
        signals.push(("-HUP", 129, "SIGHUP"));
    }
    for (signal, status, name) in signals {
        let told = format!("interrupted by {name} before the end");
        let people = unanswered(&[], &["connect"]);
        send(&people, signal);
        let out = people.wait_with_output().expect("weft ends");
        assert_eq!((code(&out), text(&out.stderr)), (Some(status), format!("weft: {told}\n")));
        for command in ["connect", "doctor"] {
            let programs = unanswered(&[], &[command, "--json"]);
            send(&programs, signal);
            let out = programs.wait_with_output().expect("weft ends");
            assert_eq!(code(&out), Some(status), "{command}");
            let error = serde_json::json!({ "cause": "interrupted", "message": told, "exit": status });
            assert_eq!(last(&out.stderr)["error"], error, "{command}");
        }
    }
}

/// The situation under `nohup`.
#[test]
fn an_ignored_hangup_stays_ignored() {
    let child = unanswered(&["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"], &["connect"]);
    send(&child, "-HUP");
    send(&child, "-INT");
    let out = child.wait_with_output().expect("weft ends");
    assert_eq!(
        (code(&out), text(&out.stderr)),
        (Some(130), "weft: interrupted by SIGINT before the end\n".to_owned())
    );
}

/// A signal that ends an exchange without an end of its own is a success.
#[test]
fn a_signal_ends_an_exchange_without_its_own_end() {
    let server = Server::start(&[]);
    for (path, mode) in [("/echo", &["--datagrams", "--quiet"][..]), ("/demo", &["--listen", "--quiet"])] {
        let client = Client::start(&server, path, mode);
        client.signal("-INT");
        let out = client.ends();
        assert_eq!((code(&out), text(&out.stderr)), (Some(0), String::new()), "{mode:?}");
    }
}

/// The peer must not mistake a part for the whole.
#[test]
fn the_peer_of_an_interrupted_client_gets_a_code() {
    let mut command = weft(&["-v", "serve", "--json", "--listen", "127.0.0.1:0", "--exec", "cat"]);
    let mut server = Server::of(&mut command);
    let client = Client::start(&server, "/", &["--quiet"]);
    client.signal("-INT");
    client.ends();
    server.signal("-TERM");
    let mut log = String::new();
    server.child.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
    assert!(log.contains("session closed") && log.contains("code=130"), "{log}");
    assert!(log.contains("reason=\"interrupted\""), "{log}");
}

/// The same holds for the peer of a client whose input or output fails.
#[test]
fn the_peer_of_a_client_that_cannot_continue_gets_a_code() {
    let mut command = weft(&["-v", "serve", "--json", "--listen", "127.0.0.1:0", "--exec", "cat"]);
    let mut server = Server::of(&mut command);
    // A directory cannot be read as input, and a full device takes no output.
    let directory = std::fs::File::open("/").expect("opened");
    let full = std::fs::File::options().write(true).open("/dev/full").expect("opened");
    let (line, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(b"hello\n").expect("written");
    for (input, output) in [(directory.into(), Stdio::null()), (Stdio::from(line), full.into())] {
        let mut command = weft(&["connect", &server.url("/"), "--cert-hash", &server.hash, "--quiet"]);
        let out = command.stdin(input).stdout(output).stderr(Stdio::piped()).output().expect("weft runs");
        assert_eq!(code(&out), Some(1), "{}", text(&out.stderr));
    }
    drop(writer);
    server.signal("-TERM");
    let mut log = String::new();
    server.child.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
    for reason in ["the input could not be read to its end", "the output could not be written"] {
        assert!(log.contains(&format!("reason=\"{reason}\"")), "{log}");
    }
}

/// Nobody reads its output, so it would wait for ever.
#[test]
fn a_second_signal_ends_a_client_whose_output_is_not_read() {
    let server = Server::start(&["--exec", "cat", "--", "/dev/zero"]);
    let url = server.url("/");
    let mut command = weft(&["connect", &url, "--cert-hash", &server.hash, "--json"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("weft starts");
    child.stdout.as_mut().expect("piped").read_exact(&mut [0; 65_536]).expect("it is at work");
    // The first signal takes effect when the second one does.
    while child.try_wait().expect("asked").is_none() {
        let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    }
    assert_eq!(child.wait().expect("weft ends").code(), Some(130));
}
