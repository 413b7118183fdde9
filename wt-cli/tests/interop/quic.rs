//! The QUIC cases: HTTP/0.9, and HTTP/3.

use crate::{
    proxy::{Fault, Faulty, Proxy, Witness},
    run::{Role, Run},
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Makes files for the server to send. Returns their names.
fn files(run: &Run, sizes: &[usize]) -> Vec<String> {
    let names: Vec<_> = (0..sizes.len()).map(|number| format!("file-{number}")).collect();
    for (name, size) in names.iter().zip(sizes) {
        run.file(Role::Server, name, *size);
    }
    names
}

fn urls(host: &str, port: u16, names: &[String]) -> String {
    names.iter().map(|name| format!("https://{host}:{port}/{name}")).collect::<Vec<_>>().join(" ")
}

/// The client gets the files from `port` of `host`, and they must equal the server's.
fn get(run: &Run, case: &str, host: &str, port: u16, names: &[String]) {
    let ended = run.ends(Role::Client, case, &urls(host, port, names), "");
    assert_eq!(ended.code, Some(0), "{case}: {}", ended.output);
    run.compare(Role::Server, "", names);
}

/// A complete run whose client makes this many handshakes.
fn transfer(case: &str, sizes: &[usize], handshakes: usize) {
    transfer_in(case, case, sizes, handshakes);
}

/// The same in a folder of its own.
fn transfer_in(folder: &str, case: &str, sizes: &[usize], handshakes: usize) -> Run {
    let run = Run::new(folder);
    let names = files(&run, sizes);
    let server = run.server(case, "", "");
    get(&run, case, "127.0.0.1", server.port, &names);
    assert_eq!(run.handshakes().0, handshakes, "handshakes of {case}");
    run
}

#[test]
fn handshake_and_longrtt_get_a_small_file() {
    transfer("handshake", &[KIB], 1);
    transfer("longrtt", &[KIB], 1);
}

#[test]
fn transfer_gets_files_that_exceed_every_window() {
    transfer("transfer", &[2 * MIB, 3 * MIB, 5 * MIB], 1);
}

#[test]
fn goodput_and_crosstraffic_get_one_large_file() {
    transfer("goodput", &[10 * MIB], 1);
    transfer("crosstraffic", &[25 * MIB], 1);
    transfer("blackhole", &[10 * MIB], 1);
}

#[test]
fn multiplexing_gets_1999_files_on_one_connection() {
    transfer("multiplexing", &[32; 1999], 1);
}

#[test]
fn chacha20_is_the_only_suite() {
    let run = transfer_in("chacha20", "chacha20", &[3 * MIB], 1);
    assert_eq!(run.handshakes(), (1, 32));
    // With the suite that both ends prefer, secrets have 48 bytes.
    let other = transfer_in("not-chacha20", "handshake", &[KIB], 1);
    assert_eq!(other.handshakes(), (1, 48));
}

#[test]
fn a_resumed_handshake_shows_no_certificate() {
    // The client fails unless exactly one of both handshakes had a certificate.
    transfer("resumption", &[5 * KIB, 10 * KIB], 2);
}

#[test]
fn files_are_asked_for_in_0rtt() {
    // The client fails unless the server accepts it.
    transfer("zerortt", &[KIB; 40], 2);
}

#[test]
fn keys_are_updated_and_marks_come_through() {
    // The client fails if keys are not updated or marks do not arrive.
    transfer("keyupdate", &[3 * MIB], 1);
    transfer("ecn", &[100 * KIB], 1);
}

#[test]
fn v2_moves_the_connection_to_version_2() {
    // The client fails if the connection stays in version 1.
    transfer("v2", &[3 * MIB], 1);
}

#[test]
fn multiconnect_makes_a_connection_for_each_file() {
    transfer("multiconnect", &[KIB; 50], 50);
}

#[test]
fn ipv6_is_listened_on_as_well() {
    let run = Run::new("ipv6");
    let names = files(&run, &[5 * KIB, 2 * MIB]);
    let server = run.server("transfer", "", "");
    get(&run, "ipv6", "[::1]", server.port, &names);
}

#[test]
fn retry_is_sent_to_every_client_in_this_case_and_to_none_otherwise() {
    for (case, retries) in [("retry", 1), ("handshake", 0)] {
        let run = Run::new(&format!("witness-{case}"));
        let names = files(&run, &[10 * KIB]);
        let server = run.server(case, "", "");
        let proxy = Proxy::start(server.port, Witness::default());
        get(&run, case, "127.0.0.1", proxy.port, &names);
        assert_eq!(proxy.end().retries, retries, "{case}");
        assert_eq!(run.handshakes().0, 1);
    }
}

#[test]
fn the_amplification_limit_holds_with_a_long_chain() {
    let run = Run::new("amplificationlimit");
    run.certify(9);
    let names = files(&run, &[5 * KIB]);
    let server = run.server("amplificationlimit", "", "");
    // The client's datagrams 2 to 7 are lost.
    let proxy = Proxy::start(server.port, Witness::losing(2..8));
    get(&run, "amplificationlimit", "127.0.0.1", proxy.port, &names);
    let witness = proxy.end();
    assert_eq!(witness.beyond_limit, 0);
    // The server had more to send than it was allowed to.
    assert!(witness.unvalidated > 3 * KIB, "{} bytes before the client was validated", witness.unvalidated);
}

#[test]
fn transfers_survive_loss_and_corruption() {
    for (case, fault) in [("transferloss", Fault::Lost), ("transfercorruption", Fault::Corrupted)] {
        let run = Run::new(case);
        let names = files(&run, &[2 * MIB]);
        let server = run.server(case, "", "");
        let proxy = Proxy::start(server.port, Faulty { fault, percent: 2, state: 1 });
        get(&run, case, "127.0.0.1", proxy.port, &names);
        assert_eq!(run.handshakes().0, 1);
    }
}

#[test]
fn handshakes_survive_loss_and_corruption() {
    for (case, fault) in [("handshakeloss", Fault::Lost), ("handshakecorruption", Fault::Corrupted)] {
        let run = Run::new(case);
        let names = files(&run, &[KIB; 6]);
        let server = run.server(case, "", "");
        let proxy = Proxy::start(server.port, Faulty { fault, percent: 30, state: 3 });
        get(&run, case, "127.0.0.1", proxy.port, &names);
        assert_eq!(run.handshakes().0, 6);
    }
}

#[test]
fn http3_gets_all_files_on_one_connection() {
    transfer("http3", &[5 * KIB, 10 * KIB, 500 * KIB], 1);
}
