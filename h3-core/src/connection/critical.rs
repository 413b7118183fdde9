//! The critical streams: each side has exactly one of each type (RFC 9114 §6.2.1, RFC 9204 §4.2).

use quic_core::StreamId;

use super::send::Outgoing;

/// A type of critical stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Critical {
    Control = 0,
    Encoder = 1,
    Decoder = 2,
}

impl Critical {
    pub(super) const ALL: [Self; 3] = [Self::Control, Self::Encoder, Self::Decoder];

    /// The name of the type in qlog.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Encoder => "qpack_encode",
            Self::Decoder => "qpack_decode",
        }
    }

    /// The stream type (RFC 9114 §6.2.1, RFC 9204 §4.2).
    pub(super) const fn stream_type(self) -> u8 {
        match self {
            Self::Control => 0x00,
            Self::Encoder => 0x02,
            Self::Decoder => 0x03,
        }
    }
}

/// A critical stream that this side sends.
#[derive(Debug)]
pub(super) struct CriticalOut {
    pub(super) id: Option<StreamId>,
    pub(super) out: Outgoing,
}
