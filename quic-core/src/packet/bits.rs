//! Bits and sizes of packet headers.

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

/// The largest value of a two-byte Length field (RFC 9000 §16). It bounds the packets with long headers that
/// we write.
pub const MAX_LENGTH: usize = 0x3fff;

/// The size in bytes of the authentication tag, the same for every AEAD in use.
pub const TAG_SIZE: usize = 16;
