//! The WebTransport cases.

use std::fs;

use crate::run::{Role, Run};

const KIB: usize = 1 << 10;

/// The protocol that an end wrote down.
fn negotiated(run: &Run, role: Role) -> String {
    let path = run.folder(role, "downloads").join("negotiated_protocol.txt");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Makes files of an endpoint for this end to send. Returns their names with the endpoint.
fn files(run: &Run, role: Role, sizes: &[usize]) -> Vec<String> {
    let names: Vec<_> = (0..sizes.len()).map(|number| format!("room/file-{number}")).collect();
    for (name, size) in names.iter().zip(sizes) {
        run.file(role, name, *size);
    }
    names
}

/// The server has the files, and the client requests them.
fn receive(case: &str, sizes: &[usize]) {
    let run = Run::new(case);
    let names = files(&run, Role::Server, sizes);
    let server = run.server("transfer", "", "chat");
    let urls: Vec<_> = names.iter().map(|name| format!("https://127.0.0.1:{}/{name}", server.port)).collect();
    let ended = run.ends(Role::Client, case, &urls.join(" "), "chat");
    assert_eq!(ended.code, Some(0), "{case}: {}", ended.output);
    run.compare(Role::Server, "room", &names);
    assert_eq!((negotiated(&run, Role::Client), run.handshakes().0), ("chat".to_owned(), 1));
}

/// The client has the files, and the server requests them.
fn send(case: &str, sizes: &[usize]) {
    let run = Run::new(case);
    let names = files(&run, Role::Client, sizes);
    fs::create_dir_all(run.folder(Role::Server, "www/room")).expect("a writable folder");
    let server = run.server(case, &names.join(" "), "chat");
    let url = format!("https://127.0.0.1:{}/room", server.port);
    let ended = run.ends(Role::Client, "transfer", &url, "chat");
    assert_eq!(ended.code, Some(0), "{case}: {}", ended.output);
    run.compare(Role::Client, "room", &names);
    assert_eq!((negotiated(&run, Role::Server), run.handshakes().0), ("chat".to_owned(), 1));
}

/// The sizes of the runner's transfers on streams.
const STREAMS: [usize; 5] = [100 * KIB, 500 * KIB, 250 * KIB, 1024 * KIB, 2048 * KIB];

/// The sizes of the runner's transfers in datagrams.
fn datagrams() -> Vec<usize> {
    (600..1000).step_by(2).collect()
}

#[test]
fn the_clients_first_protocol_that_the_server_has_is_chosen() {
    let run = Run::new("negotiation");
    fs::create_dir_all(run.folder(Role::Server, "www/room")).expect("a writable folder");
    let server = run.server("handshake", "", "d c b");
    let url = format!("https://127.0.0.1:{}/room", server.port);
    let ended = run.ends(Role::Client, "handshake", &url, "a b c");
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert_eq!([Role::Client, Role::Server].map(|role| negotiated(&run, role)), ["b", "b"]);
    assert_eq!(run.handshakes().0, 1);
}

#[test]
fn without_a_common_protocol_the_client_fails() {
    let run = Run::new("no-protocol");
    let server = run.server("handshake", "", "x");
    let url = format!("https://127.0.0.1:{}/room", server.port);
    assert_eq!(run.ends(Role::Client, "handshake", &url, "a b").code, Some(1));
}

#[test]
fn streams_of_both_kinds_carry_files_to_the_client() {
    receive("transfer-unidirectional-receive", &STREAMS);
    receive("transfer-bidirectional-receive", &STREAMS);
}

#[test]
fn streams_of_both_kinds_carry_files_to_the_server() {
    send("transfer-unidirectional-send", &STREAMS);
    send("transfer-bidirectional-send", &STREAMS);
}

#[test]
fn two_hundred_datagrams_arrive_each_way() {
    receive("transfer-datagram-receive", &datagrams());
    send("transfer-datagram-send", &datagrams());
}

#[test]
fn sessions_of_several_endpoints_share_a_connection() {
    let case = "transfer-bidirectional-receive";
    let run = Run::new("several");
    let rooms = ["one", "two", "three"];
    let names = rooms.map(|room| vec![format!("{room}/file")]);
    for (name, size) in names.iter().flatten().zip([300 * KIB, 200 * KIB, 100 * KIB]) {
        run.file(Role::Server, name, size);
    }
    let server = run.server("transfer", "", "chat");
    let urls = names.iter().flatten().map(|name| format!("https://127.0.0.1:{}/{name}", server.port));
    let ended = run.ends(Role::Client, case, &urls.collect::<Vec<_>>().join(" "), "chat");
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    for (room, names) in rooms.iter().zip(&names) {
        run.compare(Role::Server, room, names);
    }
    assert_eq!(run.handshakes().0, 1);
}
