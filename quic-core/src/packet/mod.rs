//! Packet headers (RFC 8999, RFC 9000 §17): parse and emit, with no connection state and no keys.

mod bits;
mod emit;
mod number;
mod parse;
#[cfg(test)]
mod tests;

pub use bits::{
    FIXED_BIT, FORM_LONG, KEY_PHASE_BIT, LONG_RESERVED_BITS, MAX_LENGTH, MIN_INITIAL_SIZE,
    SHORT_RESERVED_BITS, SPIN_BIT, TAG_SIZE,
};
pub use emit::{LongHeader, write_long_header, write_short_header, write_version_negotiation};
pub use number::{decode as decode_packet_number, encoded_length as packet_number_length};
pub use parse::{
    Header, HeaderError, Long, LongType, Retry, Short, VersionNegotiation, offered_versions, parse,
    retry_integrity_split,
};
