//! The marks that the network sets on IP packets.

/// The ECN field of an IP header (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(clippy::exhaustive_enums, reason = "the four codepoints of RFC 3168")]
pub enum Ecn {
    /// The sender does not take part in ECN.
    #[default]
    NotEct = 0b00,
    /// ECN-capable transport, codepoint 1 (the L4S identifier of RFC 9331).
    Ect1 = 0b01,
    /// ECN-capable transport, codepoint 0.
    Ect0 = 0b10,
    /// Congestion experienced; the network sets it.
    Ce = 0b11,
}

impl Ecn {
    /// Reads the two low bits of a traffic-class byte.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            0b11 => Self::Ce,
            _ => Self::NotEct,
        }
    }
}
