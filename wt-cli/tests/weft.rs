//! The command `weft`, run as a user runs it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Output, Stdio},
};

fn weft(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

fn output(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = weft(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("weft starts");
    let mut stdin = child.stdin.take().expect("piped");
    std::thread::scope(|scope| {
        // A command that ends early does not read its input, and one that goes on reading writes meanwhile.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("weft ends")
    })
}

/// `weft serve` on free ports. Dropping it ends it.
struct Server {
    child: Child,
    url: String,
    hash: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let arguments = [&["serve", "--json", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = weft(&arguments).stdout(Stdio::piped()).spawn().expect("weft starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let announced: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let address = announced["listening"][0].as_str().expect("an address");
        let hash = announced["certificateHash"].as_str().expect("a hash").to_owned();
        Self { child, url: format!("https://{address}"), hash }
    }

    fn echo(&self) -> String {
        format!("{}/echo", self.url)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_demonstration_goes_through_every_step() {
    let out = output(&["demo", "--once"], b"");
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(code(&out), Some(0), "{text}{}", stderr(&out));
    for step in [
        "bidirectional stream",
        "unidirectional streams",
        "datagrams",
        "reset with code 42",
        "close with code 7",
    ] {
        let good =
            text.lines().filter(|line| line.trim_start().starts_with(&format!("ok    {step} "))).count();
        assert_eq!(good, 2, "{step} over IPv4 and IPv6\n{text}");
    }
    assert!(text.contains("round-trip time"), "{text}");
}

#[test]
fn the_demonstration_reports_to_programs_what_happened() {
    let out = output(&["--json", "demo", "--once"], b"");
    let lines: Vec<serde_json::Value> =
        out.stdout.lines().map(|line| serde_json::from_str(&line.expect("text")).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["ok"] == true && line["stats"]["packetsSent"].as_u64() > Some(10)));
}

/// It also reports where the page is, so that a program can open it.
#[test]
fn the_demonstration_continues_with_json_objects() {
    let mut command = weft(&["--json", "demo", "--port", "0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("weft starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let objects =
        lines.map(|line| serde_json::from_str::<serde_json::Value>(&line.expect("text")).expect("JSON"));
    let told = objects.into_iter().find(|object| object["page"].is_string());
    child.kill().expect("killed");
    child.wait().expect("over");
    let told = told.expect("it says where the page is");
    assert!(told["page"].as_str().is_some_and(|page| page.starts_with("http://localhost:")), "{told}");
    assert!(told["url"].as_str().is_some_and(|url| url.starts_with("https://")), "{told}");
    assert_eq!(told["certificateHashes"].as_array().map(Vec::len), Some(2), "{told}");
}

#[test]
fn standard_input_comes_back_on_standard_output() {
    let server = Server::start(&[]);
    let data: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    for extra in [&[][..], &["--uni"]] {
        let (url, hash) = (server.echo(), server.hash.clone());
        let arguments = [&["connect", &url, "--cert-hash", &hash], extra].concat();
        let out = output(&arguments, &data);
        assert_eq!(code(&out), Some(0), "{}", stderr(&out));
        assert!(out.stdout == data, "{} bytes came back", out.stdout.len());
        assert!(stderr(&out).contains("packets sent"), "statistics at the end: {}", stderr(&out));
    }
}

#[test]
fn lines_go_as_datagrams() {
    let server = Server::start(&[]);
    let out = output(&["connect", &server.echo(), "--cert-hash", &server.hash, "--datagrams"], b"one\ntwo\n");
    assert_eq!(code(&out), Some(0), "{}", stderr(&out));
    let mut lines: Vec<_> = out.stdout.lines().map(|line| line.expect("text")).collect();
    lines.sort();
    assert_eq!(lines, ["one", "two"]);
}

/// The network may lose datagrams, but printing them must not. It lost 94 of a hundred when each line was
/// written alone.
#[test]
fn echoed_datagrams_are_printed_as_they_were_sent() {
    let server = Server::start(&[]);
    let mut data = Vec::new();
    for number in 0..20_000_usize {
        let length = number * 7919 % 900;
        data.extend_from_slice(format!("{number} {}\n", "x".repeat(length)).as_bytes());
    }
    let out = output(&["connect", &server.echo(), "--cert-hash", &server.hash, "--datagrams"], &data);
    assert_eq!(code(&out), Some(0), "{}", stderr(&out));
    let mut numbers = std::collections::HashSet::new();
    for line in out.stdout.lines() {
        let line = line.expect("text");
        let (number, rest) = line.split_once(' ').expect("a number");
        let number: usize = number.parse().expect("a number");
        assert!(rest.len() == number * 7919 % 900 && rest.bytes().all(|byte| byte == b'x'), "{line}");
        assert!(numbers.insert(number), "{number} came twice");
    }
    assert!(numbers.len() > 5_000, "{} of 20,000 came back", numbers.len());
}

#[test]
fn each_failure_has_its_exit_status_and_message() {
    let server = Server::start(&[]);
    let other_hash = "00".repeat(32);
    let (echo, hash) = (server.echo(), server.hash.clone());
    let wrong_path = format!("{}/nothing", server.url);
    for (arguments, status, words) in [
        (&["connect", "http://127.0.0.1/"][..], 2, "https"),
        (&["connect", "https://127.0.0.1/#there"], 2, "fragment"),
        (&["connect", "not a url"], 2, "URL"),
        (&["connect", &echo, "--cert-hash", "xyz"], 2, "64 hexadecimal digits"),
        (&["connect", &echo, "--congestion", "fastest"], 2, "cubic"),
        (&["connect", &echo, "--ca", "/does/not/exist.pem"], 2, "/does/not/exist.pem"),
        (&["serve", "--listen", "nowhere"], 2, "nowhere"),
        (
            &["serve", "--listen", "127.0.0.1:0", "--origin", "https://a.example/"],
            2,
            "--origin: \"https://a.example/\" is no origin",
        ),
        (
            &["doctor", "https://a.example/", "--origin", "a.example"],
            2,
            "--origin: \"a.example\" is no origin",
        ),
        (&["connect", "localhost:4433/x"], 2, "write https://localhost:4433/x"),
        (&["serve", "--cert", "only.pem"], 2, "--key"),
        (&["connect", "https://127.0.0.1:1/"], 3, "127.0.0.1:1"),
        (&["connect", &echo, "--cert-hash", &other_hash], 4, &hash),
        (&["connect", &echo, "--cert-hash", &other_hash], 4, "which no --cert-hash has"),
        (
            &["connect", &echo, "--cert-hash", &other_hash],
            4,
            &format!("weft doctor {echo} --cert-hash {other_hash}"),
        ),
        (&["connect", &echo], 4, "certificate"),
        (&["connect", &wrong_path, "--cert-hash", &hash], 5, "404"),
    ] {
        let out = output(arguments, b"");
        assert_eq!(code(&out), Some(status), "{arguments:?}: {}", stderr(&out));
        assert!(stderr(&out).contains(words), "{arguments:?}: {}", stderr(&out));
    }
}

#[test]
fn the_version_and_the_exit_statuses_are_printed() {
    let out = output(&["--version"], b"");
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), concat!("weft ", env!("CARGO_PKG_VERSION")));
    let out = output(&["--help"], b"");
    assert!(String::from_utf8_lossy(&out.stdout).contains("Exit status:"));
    assert_eq!(code(&output(&[], b"")), Some(2));
}

#[cfg(unix)]
#[test]
fn a_signal_drains_the_server() {
    let mut server = Server::start(&[]);
    let killed =
        Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let status = server.child.wait().expect("weft ends");
    assert_eq!(status.code(), Some(0));
    let mut rest = String::new();
    let mut stdout = server.child.stdout.take().expect("piped");
    let _ = std::io::Read::read_to_string(&mut stdout, &mut rest);
}

#[test]
#[cfg(target_os = "linux")]
fn perf_measures_each_mode_at_both_levels() {
    let directory = std::env::temp_dir().join(format!("weft-perf-test-{}", std::process::id()));
    let certificates = directory.to_str().expect("a name in UTF-8");
    for level in ["quic", "wt"] {
        for mode in ["bulk", "multi", "upload", "rr", "datagram", "handshake", "resume", "idle"] {
            let mut arguments = vec![
                "perf",
                "pair",
                "--level",
                level,
                "--mode",
                mode,
                "--seconds",
                "0.3",
                "--dir",
                certificates,
            ];
            // The default number would take too long.
            arguments.extend(["--conns", "20"].iter().filter(|_| mode == "idle"));
            let ended = output(&arguments, b"");
            let text = String::from_utf8_lossy(&ended.stdout).into_owned();
            let told = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert_eq!(code(&ended), Some(0), "{level} {mode}: {told}");
            let line: serde_json::Value = serde_json::from_str(&text).expect("one line of JSON");
            assert_eq!((&line["level"], &line["mode"]), (&level.into(), &mode.into()));
            let counted =
                if matches!(mode, "rr" | "handshake" | "resume" | "idle") { "ops" } else { "bytes" };
            let count = line[counted].as_u64().expect("a count");
            assert!(count > 0, "{level} {mode}: {text}");
            match mode {
                "handshake" => assert!(line["p50_us"].as_f64() > Some(0.0) && line["conns"] == 8, "{text}"),
                "resume" => {
                    // The first ones, as many as there are at once, have nothing to resume.
                    let full = count.checked_sub(line["resumed"].as_u64().expect("a count"));
                    assert!(
                        line["p50_us"].as_f64() > Some(0.0) && (1..=16).contains(&full.expect("a part")),
                        "{text}"
                    );
                }
                "idle" => {
                    assert_eq!((count, &line["conns"]), (20, &20.into()));
                    for end in ["server_bytes_per_conn", "client_bytes_per_conn"] {
                        assert!(line[end].is_number(), "{end}: {text}");
                    }
                }
                "datagram" => {
                    assert!(line["loss"].as_f64() < Some(1.0), "{text}");
                    assert_eq!(line["bytes"].as_u64(), line["ops"].as_u64().map(|ops| ops * 64));
                }
                _ => {}
            }
            assert!(line["server_rss_kb"].as_u64() > Some(0), "the server was asked: {text}");
        }
    }
    std::fs::remove_dir_all(&directory).expect("the certificate was kept there");
}

#[test]
fn perf_reports_wrong_options() {
    for (arguments, told) in [
        (["perf", "pair", "--mtu", "1100"], "1200"),
        (["perf", "pair", "--cores", "1"], "0,1"),
        (["perf", "pair", "--inflight", "0"], "from 1 to 10000"),
        (["perf", "pair", "--mode", "fast"], "bulk"),
        (["perf", "pair", "--conns", "0"], "from 1 to 100000"),
        (["perf", "client", "--seconds", "1"], "--addr IP:PORT"),
    ] {
        let ended = output(&arguments, b"");
        assert_eq!(code(&ended), Some(2));
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(text.contains(told), "{text}");
    }
    let ended = output(&["perf", "client", "--addr", "127.0.0.1:9", "--dir", "/no/such/directory"], b"");
    assert_eq!(code(&ended), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("start the server first"));
}
