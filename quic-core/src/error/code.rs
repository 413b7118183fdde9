//! Transport error codes (RFC 9000 §20.1, RFC 9368 §10).

use std::fmt;

/// The error code of a CONNECTION_CLOSE frame of type 0x1c.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number of the wire")]
pub struct TransportErrorCode(pub u64);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl TransportErrorCode {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The registered name, if there is one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    0x100..=0x1ff => Some("CRYPTO_ERROR"),
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// Closed without an error.
    NO_ERROR = 0x0;
    /// The endpoint has a fault of its own.
    INTERNAL_ERROR = 0x1;
    /// The server refused to accept a new connection.
    CONNECTION_REFUSED = 0x2;
    /// More data than the advertised limits allow.
    FLOW_CONTROL_ERROR = 0x3;
    /// A stream beyond the advertised limit.
    STREAM_LIMIT_ERROR = 0x4;
    /// A frame for a stream that was not in a state that permits it.
    STREAM_STATE_ERROR = 0x5;
    /// The final size of a stream changed or is below what was received.
    FINAL_SIZE_ERROR = 0x6;
    /// A badly formatted frame.
    FRAME_ENCODING_ERROR = 0x7;
    /// A badly formatted, invalid or missing transport parameter.
    TRANSPORT_PARAMETER_ERROR = 0x8;
    /// More connection IDs than the advertised limit.
    CONNECTION_ID_LIMIT_ERROR = 0x9;
    /// A violation that no more specific code describes.
    PROTOCOL_VIOLATION = 0xa;
    /// An Initial with an invalid Retry token.
    INVALID_TOKEN = 0xb;
    /// The application closed the connection during the handshake.
    APPLICATION_ERROR = 0xc;
    /// More out-of-order CRYPTO data than can be buffered.
    CRYPTO_BUFFER_EXCEEDED = 0xd;
    /// An error in performing key updates.
    KEY_UPDATE_ERROR = 0xe;
    /// The confidentiality or integrity limit of the AEAD was reached.
    AEAD_LIMIT_REACHED = 0xf;
    /// No path can carry QUIC.
    NO_VIABLE_PATH = 0x10;
    /// Version negotiation was tampered with.
    VERSION_NEGOTIATION_ERROR = 0x11;
    /// The CRYPTO_ERROR of a handshake without transport parameters (RFC 9001 §8.2).
    MISSING_EXTENSION = 0x16d;
}

impl TransportErrorCode {
    /// The code for a TLS alert (RFC 9001 §4.8).
    #[must_use]
    pub const fn crypto(alert: u8) -> Self {
        Self(0x100 | alert as u64)
    }

    /// The TLS alert that the code carries, if it is a CRYPTO_ERROR.
    #[must_use]
    pub const fn alert(self) -> Option<u8> {
        if self.0 >> 8 == 1 { Some((self.0 & 0xff) as u8) } else { None }
    }
}

impl fmt::Display for TransportErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.alert(), self.name()) {
            (Some(alert), _) => write!(f, "CRYPTO_ERROR (TLS alert {alert})"),
            (None, Some(name)) => f.write_str(name),
            (None, None) => write!(f, "error {:#x}", self.0),
        }
    }
}

impl fmt::Debug for TransportErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
