//! Messages to the runner: why a transfer failed, and where a server listens.

use wt_cli::console;

/// Why a transfer failed, for people.
pub(crate) type Failure = String;

/// Prints where a server listens, for tests that started it with port 0.
pub(crate) fn announce(address: std::net::SocketAddr) {
    let _ = console::say(&format!("listening on port {}\n", address.port()));
}
