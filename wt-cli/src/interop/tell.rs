//! What the runner is told: why a transfer did not work out, and where a server listens.

use wt_cli::console;

/// Why a transfer did not work out, for people.
pub(crate) type Failure = String;

/// Tells where a server listens, for whoever started it with port 0.
pub(crate) fn announce(address: std::net::SocketAddr) {
    let _ = console::say(&format!("listening on port {}\n", address.port()));
}
