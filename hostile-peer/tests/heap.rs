//! Random sequences of everything that a peer may send, against the whole stack. What the stack holds is
//! bounded by what it charges, and after the end nothing is left. A failure prints the line that replays its
//! seed.

use hostile_peer::heap::{Report, play, warm_up};
use quic_core::Side;

/// The number of seeds for each role in a normal run.
const SEEDS: u64 = 200;

fn sweep(side: Side) {
    warm_up();
    let reports: Vec<Report> = (0..SEEDS).map(|seed| play(side, seed)).collect();
    let steps: u64 = reports.iter().map(|report| report.steps).sum();
    let survived = reports.iter().filter(|report| report.end.is_none()).count();
    // Seeds that end at once would test nothing.
    assert!(steps > 20 * SEEDS && survived > 10, "{steps} steps, {survived} of {SEEDS} survived");
}

#[test]
fn what_a_server_holds_is_bounded_by_what_it_charges() {
    sweep(Side::Server);
}

#[test]
fn what_a_client_holds_is_bounded_by_what_it_charges() {
    sweep(Side::Client);
}
