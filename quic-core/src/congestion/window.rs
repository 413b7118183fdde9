//! The initial, the smallest and the largest congestion window.

/// The largest window of any controller, in bytes, so that sums with it cannot overflow.
pub const MAX_WINDOW: u64 = 1 << 40;

/// The initial window in bytes for datagrams of up to `mtu` bytes (RFC 9002 §7.2).
#[must_use]
pub fn initial_window(mtu: u16) -> u64 {
    let mtu = u64::from(mtu);
    (10 * mtu).min((2 * mtu).max(14_720))
}

/// The smallest window in bytes for datagrams of up to `mtu` bytes (RFC 9002 §7.2).
#[must_use]
pub fn minimum_window(mtu: u16) -> u64 {
    2 * u64::from(mtu)
}
