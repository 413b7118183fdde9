//! `weft get`, and the files of `weft serve --root`.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};

use crate::{Server, code, directory, output, text, weft};

impl Server {
    /// Runs `weft get` for some paths.
    fn get(&self, paths: &[&str], options: &[&str]) -> Output {
        let urls: Vec<String> = paths.iter().map(|path| self.url(path)).collect();
        let urls = urls.iter().map(String::as_str);
        let words: Vec<&str> = ["get", "--cert-hash", &self.hash].into_iter().chain(urls).collect();
        output(&[&words, options].concat(), b"")
    }
}

/// Bytes that depend on their place.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * at % 251) as u8).collect()
}

fn rooted(name: &str) -> (Server, std::path::PathBuf) {
    let folder = directory(name);
    let root = folder.join("root");
    fs::create_dir_all(root.join("sub")).expect("made");
    fs::write(root.join("index.html"), "<h1>start</h1>").expect("written");
    fs::write(root.join("sub/index.html"), "<h1>sub</h1>").expect("written");
    fs::write(root.join("large file.bin"), pattern(3_000_000)).expect("written");
    fs::write(root.join("empty"), "").expect("written");
    fs::write(folder.join("secret"), "secret").expect("written");
    let server = Server::start(&["--root", root.to_str().expect("text")]);
    (server, folder)
}

/// The object that `--json` prints for a path.
fn about(server: &Server, path: &str, options: &[&str]) -> Value {
    let ended = server.get(&[path], &[&["--json"], options].concat());
    serde_json::from_slice(&ended.stdout).unwrap_or_else(|_| panic!("{path}: {}", text(&ended.stderr)))
}

#[test]
fn several_urls_are_written_in_order_or_to_files() {
    let server = Server::start(&[]);
    let got = server.get(&["/bytes/70000", "/"], &[]);
    assert_eq!(code(&got), Some(0), "{}", text(&got.stderr));
    assert_eq!(got.stdout.len(), 70_000 + 59);
    assert!(
        got.stdout.ends_with(b"bytes are at /bytes/N\n")
            && got.stdout[..70_000].iter().all(|byte| *byte == 0)
    );
    let folder = directory("get-files");
    let [one, two] = ["one", "two"].map(|name| folder.join(name));
    let files = ["--output", one.to_str().expect("text"), "-o", two.to_str().expect("text"), "--stats"];
    let got = server.get(&["/bytes/2000000", "/bytes/3"], &files);
    assert_eq!(code(&got), Some(0), "{}", text(&got.stderr));
    assert!(got.stdout.is_empty());
    assert_eq!(fs::read(one).expect("read"), vec![0; 2_000_000]);
    assert_eq!(fs::read(two).expect("read"), vec![0; 3]);
    let told = text(&got.stderr);
    assert!(told.contains("/bytes/2000000: 2000000 bytes in ") && told.contains("round trip"), "{told}");
    // Both over the same connection.
    let connections: Vec<&str> = told.lines().filter_map(|line| line.split("connection ").nth(1)).collect();
    assert_eq!(connections.len(), 2, "{told}");
    assert_eq!(connections[0].split(' ').next(), connections[1].split(' ').next());
}

#[test]
fn the_exit_status_tells_what_went_wrong() {
    let server = Server::start(&[]);
    let url = server.url("/");
    let hash = "0".repeat(64);
    let twice = directory("get-twice").join("same");
    let twice = twice.to_str().expect("text");
    for (words, status, cause) in [
        (vec!["get", &server.url("/none"), "--cert-hash", &server.hash], 5, "status"),
        (vec!["get", &url, "--cert-hash", &hash], 4, "certificate"),
        (vec!["get", "http://localhost/"], 2, "usage"),
        (vec!["get", "https://127.0.0.1:1/"], 3, "port-closed"),
        (vec!["get", &url, "--upload", "/nowhere/at/all", "--cert-hash", &server.hash], 2, "usage"),
        (vec!["get", &url, "--cert-hash", &server.hash, "-o", "a", "-o", "b"], 2, "usage"),
        (vec!["get", &url, &url, "--cert-hash", &server.hash, "-o", twice, "-o", twice], 2, "usage"),
    ] {
        let ended = output(&[&words[..], &["--json"]].concat(), b"");
        assert_eq!(code(&ended), Some(status), "{words:?}: {}", text(&ended.stderr));
        let told = text(&ended.stderr);
        let last: Value = serde_json::from_str(told.lines().last().unwrap_or_default()).expect("an object");
        assert_eq!(last["error"]["cause"], cause, "{words:?}");
    }
}

#[test]
fn fields_are_printed_and_sent() {
    let server = Server::start(&[]);
    let got = server.get(&["/bytes/5"], &["--head"]);
    assert_eq!(code(&got), Some(0), "{}", text(&got.stderr));
    let told = text(&got.stdout);
    assert!(told.starts_with("HTTP/3 200 OK\n") && told.contains("content-length: 5\n"), "{told}");
    // The service takes GET and HEAD alone.
    for sends in [&["--data", "text"][..], &["--upload", "Cargo.toml"], &["--upload", "-"]] {
        let told = about(&server, "/", sends);
        assert_eq!(
            (&told["status"], &told["fields"]["allow"]),
            (&json!(405), &json!("GET, HEAD")),
            "{sends:?}"
        );
    }
}

#[test]
fn files_are_served_with_their_types_and_nothing_outside_is() {
    let (server, folder) = rooted("root-files");
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.join("secret"), folder.join("root/link")).expect("made");
    for (path, status, kind) in [
        ("/", 200, "text/html; charset=utf-8"),
        ("/sub/", 200, "text/html; charset=utf-8"),
        ("/index.html?x=y", 200, "text/html; charset=utf-8"),
        ("/large%20file.bin", 200, "application/octet-stream"),
        ("/empty", 200, "application/octet-stream"),
        ("/sub", 301, "text/plain; charset=utf-8"),
        ("/none", 404, "text/plain; charset=utf-8"),
        ("/link", 404, "text/plain; charset=utf-8"),
        ("/%2e%2e/secret", 404, "text/plain; charset=utf-8"),
        ("/sub%2f..%2f..%2fsecret", 404, "text/plain; charset=utf-8"),
        ("/sub%00", 404, "text/plain; charset=utf-8"),
    ] {
        let told = about(&server, path, &[]);
        assert_eq!(
            (&told["status"], &told["fields"]["content-type"]),
            (&json!(status), &json!(kind)),
            "{path}"
        );
    }
    assert_eq!(about(&server, "/sub", &[])["fields"]["location"], "/sub/");
    assert_eq!(about(&server, "/sub?x=/y", &[])["fields"]["location"], "/sub/?x=/y");
    let got = server.get(&["/large%20file.bin"], &[]);
    assert!(got.stdout == pattern(3_000_000), "{} bytes", got.stdout.len());
    let head = about(&server, "/large%20file.bin", &["--head"]);
    assert_eq!((&head["fields"]["content-length"], &head["bytes"]), (&json!("3000000"), &json!(0)));
    assert_eq!(about(&server, "/", &["--data", "x"])["status"], 405);
    // Sessions exist beside the files.
    let echoed = server.connect("/echo", &[], b"hello");
    assert_eq!(echoed.stdout, b"hello");
}

#[test]
fn ranges_and_conditions_save_what_is_known() {
    let (server, _) = rooted("root-ranges");
    let path = "/large%20file.bin";
    let got = server.get(&[path], &["--header", "range: bytes=1000000-1000999"]);
    assert!(got.stdout == pattern(3_000_000)[1_000_000..1_001_000]);
    let whole = about(&server, path, &[]);
    let [tag, date] =
        ["etag", "last-modified"].map(|name| whole["fields"][name].as_str().expect("told").to_owned());
    for (fields, status, range) in [
        (vec!["range: bytes=-10".to_owned()], 206, Some("bytes 2999990-2999999/3000000")),
        (vec!["range: bytes=3000000-".to_owned()], 416, Some("bytes */3000000")),
        (vec!["range: bytes=0-1,5-6".to_owned()], 200, None),
        (vec![format!("if-none-match: {tag}")], 304, None),
        (vec![format!("if-modified-since: {date}")], 304, None),
        (vec![format!("if-match: {tag}")], 200, None),
        (vec!["if-match: \"other\"".to_owned()], 412, None),
        (vec!["range: bytes=0-0".to_owned(), format!("if-range: {tag}")], 206, Some("bytes 0-0/3000000")),
        (vec!["range: bytes=0-0".to_owned(), "if-range: \"other\"".to_owned()], 200, None),
    ] {
        let options: Vec<&str> = fields.iter().flat_map(|field| ["--header", field.as_str()]).collect();
        let told = about(&server, path, &options);
        assert_eq!(told["status"], status, "{fields:?}");
        assert_eq!(told["fields"]["content-range"].as_str(), range, "{fields:?}");
        assert_eq!(told["fields"]["etag"], tag.as_str(), "{fields:?}");
    }
    let head = about(&server, path, &["--head", "--header", "range: bytes=0-9"]);
    assert_eq!((&head["status"], &head["fields"]["content-length"]), (&json!(200), &json!("3000000")));
}

#[test]
fn a_file_stays_when_a_response_has_no_content() {
    let (server, folder) = rooted("get-unchanged");
    let file = folder.join("kept");
    fs::write(&file, "what was there").expect("written");
    let name = file.to_str().expect("text");
    for options in [&["--header", "if-none-match: *"][..], &["--head"]] {
        let got = server.get(&["/"], &[&["-o", name], options].concat());
        assert_eq!(code(&got), Some(0), "{}", text(&got.stderr));
        assert_eq!(fs::read(&file).expect("read"), b"what was there", "{options:?}");
    }
    // Content that is empty is content.
    let got = server.get(&["/empty"], &["-o", name]);
    assert_eq!((code(&got), fs::read(&file).expect("read")), (Some(0), vec![]), "{}", text(&got.stderr));
}

#[test]
fn every_failure_is_told_when_all_go_to_files() {
    let server = Server::start(&[]);
    let folder = directory("get-failures");
    let names = ["one", "two", "three"].map(|name| folder.join(name).to_str().expect("text").to_owned());
    let files: Vec<&str> = names.iter().flat_map(|name| ["-o", name]).collect();
    let got = server.get(&["/none", "/bytes/3", "/neither"], &files);
    let told = text(&got.stderr);
    assert_eq!((code(&got), told.lines().count()), (Some(5), 2), "{told}");
    for path in ["/none", "/neither"] {
        assert!(told.contains(&format!("{path}: the server answered with status 404")), "{told}");
    }
    assert_eq!(fs::read(&names[1]).expect("read"), vec![0; 3]);
    let got = server.get(&["/none", "/neither"], &[&["--json"], &files[..4]].concat());
    for line in text(&got.stderr).lines() {
        let object: Value = serde_json::from_str(line).expect("an object");
        assert_eq!(object["error"]["cause"], "status");
    }
    assert_eq!(text(&got.stderr).lines().count(), 2);
    // What meets all of them is told once.
    let urls = ["https://127.0.0.1:1/a", "https://127.0.0.1:1/b"];
    let got = output(&[&["get"], &urls[..], &files[..4]].concat(), b"");
    assert_eq!((code(&got), text(&got.stderr).lines().count()), (Some(3), 1), "{}", text(&got.stderr));
}

#[test]
fn a_device_may_be_named_twice() {
    let server = Server::start(&[]);
    let null = if cfg!(windows) { "NUL" } else { "/dev/null" };
    let got = server.get(&["/bytes/3", "/bytes/4"], &["-o", null, "-o", null]);
    assert_eq!(code(&got), Some(0), "{}", text(&got.stderr));
}

#[test]
fn a_directory_that_cannot_be_served_is_refused_at_the_start() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    for place in ["/nowhere/at/all", file.to_str().expect("text")] {
        let ended = weft(&["serve", "--listen", "127.0.0.1:0", "--root", place]).output().expect("weft ends");
        assert_eq!(code(&ended), Some(2), "{}", text(&ended.stderr));
        assert!(text(&ended.stderr).contains("cannot serve files from"), "{}", text(&ended.stderr));
    }
}
