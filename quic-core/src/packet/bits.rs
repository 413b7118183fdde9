//! Bits, sizes and versions that headers are made of.

/// The form bit: set in long headers (RFC 8999 §5.1).
pub const FORM_LONG: u8 = 0x80;

/// The fixed bit (RFC 9000 §17.2).
pub const FIXED_BIT: u8 = 0x40;

/// The key phase bit of short headers (RFC 9000 §17.3.1).
pub const KEY_PHASE_BIT: u8 = 0x04;

/// The latency spin bit of short headers (RFC 9000 §17.4).
pub const SPIN_BIT: u8 = 0x20;

/// Reserved bits of long headers, after header protection is removed.
pub const LONG_RESERVED_BITS: u8 = 0x0c;

/// Reserved bits of short headers, after header protection is removed.
pub const SHORT_RESERVED_BITS: u8 = 0x18;

/// The smallest datagram that may carry a client's Initial packet (RFC 9000 §14.1), in bytes of UDP payload.
pub const MIN_INITIAL_SIZE: usize = 1200;

/// The largest value of a Length field of two bytes (RFC 9000 §16), which bounds a packet with a long header as we write it.
pub const MAX_LENGTH: usize = 0x3fff;

/// Bytes of an authentication tag of every AEAD in use.
pub const TAG_SIZE: usize = 16;

/// QUIC version 1 (RFC 9000 §15).
pub const VERSION_1: u32 = 0x0000_0001;

/// Whether a version is reserved to exercise version negotiation (RFC 9000 §15).
#[must_use]
pub const fn is_reserved_version(version: u32) -> bool {
    version & 0x0f0f_0f0f == 0x0a0a_0a0a
}
