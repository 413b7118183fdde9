//! Whole connections: the hostile peer, with real keys, does what the bytes say.

/// Memory, time, codes and what is left of the connection are checked by the driver itself.
pub fn target(data: &[u8]) -> bool {
    hostile_peer::steps::drive(data)
}
