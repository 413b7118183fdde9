//! The cases that need only the endpoint's datagrams, in memory and over loopback.

use hostile_peer::{cases::cases, ground::play};

use crate::common::*;

fn in_memory(side: Side) {
    let mut failures = Vec::new();
    for case in cases(side) {
        let mut w = World::before(side, case.options());
        w.peer.tamper = case.tamper();
        if let Err(problem) = play(&case, &mut w) {
            failures.push(format!("{} {}: {problem}", case.row, case.what));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn in_memory_against_a_server() {
    in_memory(Side::Server);
}

#[test]
fn in_memory_against_a_client() {
    in_memory(Side::Client);
}
