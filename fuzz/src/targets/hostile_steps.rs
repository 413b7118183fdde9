//! Whole connections: the hostile peer, with real keys, does what the bytes say.

/// The driver itself checks memory, time, codes and what is left of the connection.
pub fn target(data: &[u8]) -> bool {
    hostile_peer::steps::drive(data)
}
