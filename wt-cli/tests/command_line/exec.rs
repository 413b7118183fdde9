//! `weft serve --exec`: processes behind streams.

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::{Server, code, directory, output, text, weft};

fn shell(script: &str) -> Server {
    Server::start(&["--exec", "sh", "--", "-c", script])
}

#[test]
fn a_stream_is_the_input_and_output_of_a_process() {
    let server = Server::start(&["--exec", "cat"]);
    let data: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    let out = server.connect("/any/path", &[], &data);
    assert_eq!(code(&out), Some(0), "{}", text(&out.stderr));
    assert!(out.stdout == data, "{} bytes came back", out.stdout.len());
    // Each stream has its own process, and each process ends by itself.
    let server = shell("read line; echo \"$line from $$\"");
    let out = server.connect("/", &["--lines"], b"a\nb\n");
    let told: Vec<String> = text(&out.stdout).lines().map(str::to_owned).collect();
    assert!(told[0].starts_with("a from ") && told[1].starts_with("b from "), "{told:?}");
    assert_ne!(told[0][1..], told[1][1..], "two processes");
}

/// The process ends while the input is still open, as with a command that is run over a network.
#[test]
fn the_client_ends_with_a_process_that_wants_no_input() {
    let server = shell("echo said");
    let url = server.url("/");
    let mut command = weft(&["connect", &url, "--cert-hash", &server.hash, "--quiet"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("weft");
    let input = child.stdin.take().expect("piped");
    let out = child.wait_with_output().expect("weft ends");
    drop(input);
    assert_eq!(
        (code(&out), text(&out.stdout), text(&out.stderr)),
        (Some(0), "said\n".to_owned(), String::new())
    );
}

/// The process ends while the client writes data that nobody will read. It is chance whether the client
/// notices the stop at once or later.
#[test]
fn a_process_that_has_read_enough_is_no_error_while_more_is_sent() {
    let server = shell("head -c 1000000 > /dev/null; echo said");
    let out = server.connect("/", &["--quiet"], &[7; 30_000_000]);
    assert_eq!(
        (code(&out), text(&out.stdout), text(&out.stderr)),
        (Some(0), "said\n".to_owned(), String::new())
    );
}

/// More data than the windows hold. A client that sends everything first still gets the whole answer.
#[test]
fn data_that_a_process_does_not_read_is_dropped() {
    let server = shell("exec <&-; head -c 5000000 /dev/zero; exec sleep 1000");
    let mut asking = Asking::of(&server, &["--json"], &[7; 1_000_000]);
    let mut came = 0;
    while came < 5_000_000 {
        let event = asking.until("\"event\":");
        assert_ne!(event["event"], "stop", "{event}");
        came += event["text"].as_str().map_or(0, str::len);
    }
    let mut command = weft(&["serve", "--json", "--listen", "127.0.0.1:0", "--origin", "*", "--exec", "sh"]);
    let server = Server::of(command.args(["--", "-c", "exec <&-; head -c 5000000 /dev/zero"]));
    let out = server.connect("/", &["--origin", "https://page.example"], &[7; 30_000_000]);
    assert_eq!((code(&out), out.stdout.len()), (Some(0), 5_000_000), "{}", text(&out.stderr));
}

#[test]
fn a_process_gets_variables_about_its_client_and_no_others_of_these_names() {
    let options = ["--origin", "https://good.example", "--protocol", "chat", "--exec", "env"];
    let arguments = [&["serve", "--json", "--listen", "127.0.0.1:0"], &options[..]].concat();
    let mut command = weft(&arguments);
    command.env("HTTP_ORIGIN", "https://inherited.example");
    let server = Server::of(&mut command);
    let asked = ["--origin", "https://good.example", "--protocol", "chat", "--quiet"];
    let out = server.connect("/a/b?c=d&e", &asked, b"");
    let told: Vec<String> = text(&out.stdout).lines().map(str::to_owned).collect();
    for line in [
        "REMOTE_ADDR=127.0.0.1",
        "PATH_INFO=/a/b",
        "QUERY_STRING=c=d&e",
        "HTTP_ORIGIN=https://good.example",
        &format!("HTTP_HOST={}", server.address),
        "SERVER_PROTOCOL=HTTP/3",
        "WEBTRANSPORT_PROTOCOL=chat",
    ] {
        assert!(told.iter().any(|told| told == line), "{line}: {told:?}");
    }
    for name in ["REMOTE_PORT=", "WEBTRANSPORT_STREAM="] {
        let value = told.iter().find_map(|line| line.strip_prefix(name)).expect("told");
        assert!(value.parse::<u64>().is_ok(), "{name}{value}");
    }
    let bare = text(&server.connect("/", &[], b"").stdout);
    assert!(!bare.contains("HTTP_ORIGIN") && !bare.contains("WEBTRANSPORT_PROTOCOL"), "{bare}");
}

#[test]
fn a_status_other_than_0_resets_the_stream_after_the_output() {
    // Programs that existed when their server started.
    let directory = directory("exec-status");
    let (removed, locked) = (script(&directory, "removed"), script(&directory, "locked"));
    let of = |program: &Path| Server::start(&["--exec", program.to_str().expect("text")]);
    let (without, barred) = (of(&removed), of(&locked));
    fs::remove_file(&removed).expect("removed");
    fs::set_permissions(&locked, Permissions::from_mode(0o600)).expect("set");
    // A refusal also stops the stream. The client may notice this first, before or after the end of its
    // input.
    for (server, status) in [
        (shell("echo said; exit 3"), 3),
        (shell("echo said; kill -9 $$"), 137),
        (without, 127),
        (barred, 126),
    ] {
        for input in [&b""[..], &[7; 100_000]] {
            let out = server.connect("/", &["--json"], input);
            assert_eq!(code(&out), Some(6));
            let told = text(&out.stdout);
            assert!(told.contains(&format!("\"code\":{status},\"event\":\"reset\"")), "{status}: {told}");
        }
        let told = text(&server.connect("/", &["--json"], b"").stdout);
        assert_eq!(told.contains("\"text\":\"said\\n\""), status != 127 && status != 126, "{told}");
    }
}

/// An executable program.
fn script(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, "#!/bin/sh\nexec cat\n").expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("set");
    path
}

#[test]
fn a_program_that_cannot_be_run_is_reported_at_the_start() {
    let directory = directory("exec-missing");
    let locked = script(&directory, "locked");
    fs::set_permissions(&locked, Permissions::from_mode(0o600)).expect("set");
    let locked = locked.to_str().expect("text");
    for (program, said) in [
        ("no-such-program-here", "no program no-such-program-here in PATH"),
        ("/no/such/program", "no file /no/such/program"),
        (locked, "chmod +x"),
        ("/", "it is not a file"),
    ] {
        let out = output(&["serve", "--listen", "127.0.0.1:0", "--exec", program], b"");
        assert_eq!((code(&out), text(&out.stdout)), (Some(2), String::new()), "{program}");
        assert!(text(&out.stderr).contains(said), "{program}: {}", text(&out.stderr));
    }
}

/// A process for each line, which only ends with its stream.
const ENDLESS: [&str; 5] = ["--exec", "sh", "--", "-c", "read line; echo \"$line\"; exec sleep 1000"];

/// A client that has sent lines, and whose events are read one by one. Dropping it kills it.
struct Asking {
    child: Child,
    events: BufReader<ChildStdout>,
}

impl Asking {
    fn start(server: &Server, lines: &[u8]) -> Self {
        Self::of(server, &["--lines", "--json"], lines)
    }

    fn of(server: &Server, options: &[&str], lines: &[u8]) -> Self {
        let url = server.url("/");
        let mut command = weft(&[&["connect", &url, "--cert-hash", &server.hash], options].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("weft starts");
        child.stdin.as_mut().expect("piped").write_all(lines).expect("written");
        let events = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, events }
    }

    /// The next event whose line contains `part`.
    fn until(&mut self, part: &str) -> serde_json::Value {
        let line =
            (&mut self.events).lines().map(|line| line.expect("a line")).find(|line| line.contains(part));
        serde_json::from_str(&line.expect("told")).expect("JSON")
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that reads events need not wait for a line without an answer.
#[test]
fn a_missing_answer_delays_no_other_event() {
    let server = shell("read line; [ \"$line\" = a ] && exec sleep 1000; echo \"$line\"");
    let mut asking = Asking::start(&server, b"a\nb\n");
    assert_eq!(asking.until("\"text\":\"b\\n\"")["event"], "data");
}

/// A client whose process has printed that it runs.
struct Client {
    child: Child,
    said: String,
}

impl Client {
    fn start(server: &Server) -> Self {
        let mut command = weft(&["connect", &server.url("/"), "--cert-hash", &server.hash]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("weft starts");
        child.stdin.as_mut().expect("piped").write_all(b"hello\n").expect("written");
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut said).expect("a line");
        Self { child, said }
    }

    fn interrupt(mut self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        self.child.wait().expect("weft ends");
    }
}

/// Whether the server finally serves a client, which needs the place of an ended and reaped process.
fn is_served(server: &Server) -> bool {
    (0..200).any(|_| text(&server.connect("/", &["--quiet"], b"hello\n").stdout).contains("hello"))
}

#[test]
fn there_are_no_more_processes_than_permitted() {
    let server = Server::start(&["--exec", "cat", "--exec-limit", "1"]);
    let first = Client::start(&server);
    assert_eq!(first.said, "hello\n");
    let second = server.connect("/", &["--json"], b"hello\n");
    assert_eq!(code(&second), Some(6));
    assert!(text(&second.stdout).contains("\"code\":75"), "{}", text(&second.stdout));
    first.interrupt();
    assert!(is_served(&server));
}

/// One session cannot use all processes.
#[test]
fn a_session_has_no_more_processes_than_its_share() {
    let limits = ["--exec-limit", "3", "--exec-session-limit", "2"];
    let server = Server::start(&[&limits, &ENDLESS[..]].concat());
    // Each line is a stream.
    let mut greedy = Asking::start(&server, b"a\nb\nc\n");
    assert_eq!(greedy.until("\"event\":\"reset\"")["code"], 75);
    let other = Client::start(&server);
    assert_eq!(other.said, "hello\n", "another session has its place");
    other.interrupt();
}

/// A process that reads nothing, ignores all signals but SIGKILL, and has a child.
#[test]
fn the_end_of_a_session_ends_its_process_and_all_that_it_started() {
    let directory = directory("exec-killed");
    let pipe = directory.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let held = pipe.to_str().expect("text");
    // The pipe ends when no process holds it any more. A later process finds the file gone, and behaves
    // normally.
    let script = format!(
        "[ -e '{held}' ] || exec cat; exec 9>'{held}'; trap '' HUP INT TERM PIPE; rm '{held}'; echo ready; sleep 1000 & wait; sleep 1000"
    );
    let server = Server::start(&["--exec-limit", "1", "--exec", "sh", "--", "-c", &script]);
    let reader = std::thread::spawn(move || {
        let mut end = Vec::new();
        fs::File::open(pipe).expect("opened").read_to_end(&mut end).expect("read");
    });
    let client = Client::start(&server);
    assert_eq!(client.said, "ready\n");
    client.interrupt();
    reader.join().expect("nobody holds the pipe any more");
    assert!(is_served(&server), "it was waited for");
}

#[test]
fn a_server_that_ends_also_ends_its_processes() {
    let mut server = shell("echo ready; exec cat");
    let client = Client::start(&server);
    server.signal("-INT");
    assert_eq!(server.line()["draining"], true);
    server.signal("-INT");
    assert_eq!(server.line()["closing"], true);
    assert_eq!(server.child.wait().expect("it ends").code(), Some(130));
    // The processes share its standard error, which ends when they have ended.
    server.child.stderr.take().expect("piped").read_to_end(&mut Vec::new()).expect("read");
    drop(client);
}

#[test]
fn a_failed_process_is_logged() {
    let mut command =
        weft(&["-v", "serve", "--json", "--listen", "127.0.0.1:0", "--exec", "sh", "--", "-c", "exit 3"]);
    let mut server = Server::of(&mut command);
    assert_eq!(code(&server.connect("/", &[], b"")), Some(6));
    server.signal("-TERM");
    let mut log = String::new();
    server.child.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
    assert!(log.contains("a process ended without success program=sh status=3"), "{log}");
}
