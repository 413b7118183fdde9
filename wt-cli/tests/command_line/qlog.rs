//! `--qlog` writes what both ends did, and `weft qlog` reads it.

use std::{fs, process::Stdio};

use serde_json::Value;

use crate::{Server, code, directory, output, text, weft};

#[test]
fn a_connection_is_written_at_both_ends_and_told() {
    let logs = directory("qlog");
    let folder = logs.to_str().expect("text");
    let server = Server::start(&["--qlog", folder]);
    let url = server.url("/echo");
    let arguments = ["connect", &url, "--cert-hash", &server.hash, "--qlog", folder, "--quiet"];
    let sent = vec![b'x'; 300_000];
    let out = output(&arguments, &sent);
    assert_eq!((code(&out), out.stdout.len()), (Some(0), sent.len()), "{}", text(&out.stderr));
    let files = || -> Vec<String> {
        let entries = fs::read_dir(&logs).expect("the directory");
        entries.map(|entry| entry.expect("an entry").path().to_str().expect("text").to_owned()).collect()
    };
    // The client has written everything when it ends.
    let client = files().into_iter().find(|name| name.ends_with("_client.sqlog")).expect("the client's file");
    let page = logs.join("page.html");
    let told = output(&["qlog", &client, "--html", page.to_str().expect("text")], b"");
    assert_eq!(code(&told), Some(0), "{}", text(&told.stderr));
    let summary = text(&told.stdout);
    for part in [
        "client, weft, ",
        "QUIC version 1, h3",
        "complete after ",
        "limited by",
        "round trip",
        "closed by this end",
    ] {
        assert!(summary.contains(part), "{part} in\n{summary}");
    }
    let page = fs::read_to_string(page).expect("the page");
    assert!(page.contains("Congestion window") && page.contains("_client.sqlog"));
    let told = output(&["--json", "qlog", &client], b"");
    let object: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert!(object["sent"]["stream_bytes"].as_u64().is_some_and(|bytes| bytes >= 300_000), "{object}");
    assert!(object["received"]["stream_bytes"].as_u64().is_some_and(|bytes| bytes >= 300_000), "{object}");
    assert_eq!(
        (object["unreadable"].as_u64(), object["unknown_events"].as_u64()),
        (Some(0), Some(0)),
        "{object}"
    );
    drop(server);
    assert!(files().iter().any(|name| name.ends_with("_server.sqlog")), "{:?}", files());
}

#[test]
fn get_writes_what_its_connection_does() {
    let logs = directory("qlog-get");
    let server = Server::start(&[]);
    let url = server.url("/bytes/50000");
    let folder = logs.to_str().expect("text");
    let got = output(&["get", &url, "--cert-hash", &server.hash, "--qlog", folder], b"");
    assert_eq!((code(&got), got.stdout.len()), (Some(0), 50_000), "{}", text(&got.stderr));
    let files: Vec<_> =
        fs::read_dir(&logs).expect("the directory").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let told = output(&["--json", "qlog", files[0].to_str().expect("text")], b"");
    let object: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!((&object["vantage_point"], &object["unreadable"]), (&"client".into(), &0.into()), "{object}");
    assert!(object["received"]["stream_bytes"].as_u64().is_some_and(|bytes| bytes >= 50_000), "{object}");
    assert_eq!(object["closed"]["initiator"], "local", "{object}");
}

#[test]
fn what_is_no_qlog_is_told() {
    let folder = directory("no-qlog");
    let file = folder.join("a.sqlog");
    fs::write(&file, "{\"time\": 1,\nnothing\n").expect("written");
    let name = file.to_str().expect("text");
    let out = output(&["qlog", name], b"");
    assert_eq!(code(&out), Some(1));
    assert!(text(&out.stderr).contains("has no event of qlog"), "{}", text(&out.stderr));
    let out = output(&["qlog", folder.join("missing").to_str().expect("text")], b"");
    assert_eq!(code(&out), Some(2));
    // A page does not replace the log that it is made of.
    let other_spelling = folder.join(".").join("a.sqlog");
    let out = output(&["qlog", name, "--html", other_spelling.to_str().expect("text")], b"");
    assert_eq!(code(&out), Some(2));
    assert!(text(&out.stderr).contains("give it another name"), "{}", text(&out.stderr));
    assert!(fs::read_to_string(&file).expect("still there").contains("nothing"));
    // A directory that cannot be made is told before anything is tried.
    let under_a_file = format!("{name}/logs");
    let status = weft(&["connect", "https://localhost:1/", "--qlog", &under_a_file])
        .stdin(Stdio::null())
        .output()
        .expect("weft starts");
    assert_eq!(status.status.code(), Some(2), "{}", text(&status.stderr));
}
