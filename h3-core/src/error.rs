//! The errors of HTTP/3: violations that end the connection and violations that end one stream, each with its
//! wire code, section and text, and the errors of single calls.

use qpack::{DecodeError, DecoderStreamError, EncoderStreamError};

/// HTTP/3 error codes (RFC 9114 §8.1, RFC 9297 §5.2).
pub mod code {
    /// A datagram or capsule that breaks the rules of RFC 9297.
    pub const H3_DATAGRAM_ERROR: u64 = 0x33;
    /// Closed without an error.
    pub const H3_NO_ERROR: u64 = 0x100;
    /// A violation that no more specific code describes.
    pub const H3_GENERAL_PROTOCOL_ERROR: u64 = 0x101;
    /// A fault of the endpoint itself.
    pub const H3_INTERNAL_ERROR: u64 = 0x102;
    /// A stream that is not accepted.
    pub const H3_STREAM_CREATION_ERROR: u64 = 0x103;
    /// A stream that must stay open was closed.
    pub const H3_CLOSED_CRITICAL_STREAM: u64 = 0x104;
    /// A frame where it is not permitted.
    pub const H3_FRAME_UNEXPECTED: u64 = 0x105;
    /// A frame with an invalid layout.
    pub const H3_FRAME_ERROR: u64 = 0x106;
    /// Behaviour that costs the endpoint too much.
    pub const H3_EXCESSIVE_LOAD: u64 = 0x107;
    /// An identifier used wrongly.
    pub const H3_ID_ERROR: u64 = 0x108;
    /// An error in SETTINGS.
    pub const H3_SETTINGS_ERROR: u64 = 0x109;
    /// The control stream does not begin with SETTINGS.
    pub const H3_MISSING_SETTINGS: u64 = 0x10a;
    /// A request that was not processed at all.
    pub const H3_REQUEST_REJECTED: u64 = 0x10b;
    /// A request or its response is not wanted any more.
    pub const H3_REQUEST_CANCELLED: u64 = 0x10c;
    /// A request that ended before it was whole.
    pub const H3_REQUEST_INCOMPLETE: u64 = 0x10d;
    /// A malformed message.
    pub const H3_MESSAGE_ERROR: u64 = 0x10e;
    /// The connection behind a CONNECT request failed.
    pub const H3_CONNECT_ERROR: u64 = 0x10f;
    /// The request must be retried over HTTP/1.1.
    pub const H3_VERSION_FALLBACK: u64 = 0x110;

    /// An error on the QPACK decoder stream, or of the table that a client remembers (RFC 9204 §3.2.3, §8.3).
    pub const QPACK_DECODER_STREAM_ERROR: u64 = 0x202;

    /// The name of a code of HTTP/3, HTTP datagrams or QPACK (RFC 9114 §8.1, RFC 9297 §5.2, RFC 9204 §8.3).
    #[must_use]
    pub const fn name(code: u64) -> Option<&'static str> {
        Some(match code {
            H3_DATAGRAM_ERROR => "H3_DATAGRAM_ERROR",
            H3_NO_ERROR => "H3_NO_ERROR",
            H3_GENERAL_PROTOCOL_ERROR => "H3_GENERAL_PROTOCOL_ERROR",
            H3_INTERNAL_ERROR => "H3_INTERNAL_ERROR",
            H3_STREAM_CREATION_ERROR => "H3_STREAM_CREATION_ERROR",
            H3_CLOSED_CRITICAL_STREAM => "H3_CLOSED_CRITICAL_STREAM",
            H3_FRAME_UNEXPECTED => "H3_FRAME_UNEXPECTED",
            H3_FRAME_ERROR => "H3_FRAME_ERROR",
            H3_EXCESSIVE_LOAD => "H3_EXCESSIVE_LOAD",
            H3_ID_ERROR => "H3_ID_ERROR",
            H3_SETTINGS_ERROR => "H3_SETTINGS_ERROR",
            H3_MISSING_SETTINGS => "H3_MISSING_SETTINGS",
            H3_REQUEST_REJECTED => "H3_REQUEST_REJECTED",
            H3_REQUEST_CANCELLED => "H3_REQUEST_CANCELLED",
            H3_REQUEST_INCOMPLETE => "H3_REQUEST_INCOMPLETE",
            H3_MESSAGE_ERROR => "H3_MESSAGE_ERROR",
            H3_CONNECT_ERROR => "H3_CONNECT_ERROR",
            H3_VERSION_FALLBACK => "H3_VERSION_FALLBACK",
            0x200 => "QPACK_DECOMPRESSION_FAILED",
            0x201 => "QPACK_ENCODER_STREAM_ERROR",
            QPACK_DECODER_STREAM_ERROR => "QPACK_DECODER_STREAM_ERROR",
            _ => return None,
        })
    }
}

macro_rules! violations {
    ($(#[$doc:meta])* $type:ident { $($name:ident, $code:ident, $section:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $type {
            $(#[doc = concat!($text, " (", $section, ").")] $name,)*
        }

        impl $type {
            /// The HTTP/3 error code that this side sends.
            #[must_use]
            pub const fn code(self) -> u64 {
                match self { $(Self::$name => code::$code,)* }
            }

            /// The section of the specification that has the rule.
            #[must_use]
            pub const fn section(self) -> &'static str {
                match self { $(Self::$name => $section,)* }
            }

            /// A description of the violation.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{} ({})", self.text(), self.section())
            }
        }

        impl std::error::Error for $type {}
    };
}

violations! {
    /// A violation that ends the connection with [`H3Violation::code`].
    H3Violation {
        // Streams.
        ControlStreamTwice, H3_STREAM_CREATION_ERROR, "RFC 9114 §6.2.1", "a second control stream";
        QpackStreamTwice, H3_STREAM_CREATION_ERROR, "RFC 9204 §4.2", "a second QPACK stream of the same type";
        CriticalStreamClosed, H3_CLOSED_CRITICAL_STREAM, "RFC 9114 §6.2.1",
            "a control or QPACK stream was closed";
        ServerBidiStream, H3_STREAM_CREATION_ERROR, "RFC 9114 §6.1",
            "the server opened a bidirectional stream without a known use";
        PushStreamOfClient, H3_STREAM_CREATION_ERROR, "RFC 9114 §6.2.2", "a push stream opened by a client";
        PushStreamUnwanted, H3_ID_ERROR, "RFC 9114 §4.6", "a push stream, but no push was permitted";
        // Frames.
        SettingsMissing, H3_MISSING_SETTINGS, "RFC 9114 §6.2.1",
            "a control stream that does not begin with SETTINGS";
        SettingsTwice, H3_FRAME_UNEXPECTED, "RFC 9114 §7.2.4", "a second SETTINGS frame";
        FrameOnControlStream, H3_FRAME_UNEXPECTED, "RFC 9114 §7.2",
            "a frame that the control stream does not carry";
        FrameOnRequestStream, H3_FRAME_UNEXPECTED, "RFC 9114 §7.2",
            "a frame that request streams do not carry";
        FrameReserved, H3_FRAME_UNEXPECTED, "RFC 9114 §7.2.8", "a frame type reserved because HTTP/2 used it";
        FrameSequence, H3_FRAME_UNEXPECTED, "RFC 9114 §4.1", "HEADERS or DATA out of order";
        FrameInTunnel, H3_FRAME_UNEXPECTED, "RFC 9114 §4.4", "a frame other than DATA on a CONNECT stream";
        FrameOfOtherRole, H3_FRAME_UNEXPECTED, "RFC 9114 §7.2.7", "a frame that this side never receives";
        FrameTruncated, H3_FRAME_ERROR, "RFC 9114 §7.1", "a stream that ends inside a frame";
        FrameLength, H3_FRAME_ERROR, "RFC 9114 §7.1", "a frame length that disagrees with the frame's fields";
        SignalNotFirst, H3_FRAME_ERROR, "WebTransport over HTTP/3 §4.3",
            "the stream signal 0x41 after the start of a stream";
        PushPromiseUnwanted, H3_ID_ERROR, "RFC 9114 §7.2.5", "a push promise, but no push was permitted";
        CancelPushUnknown, H3_ID_ERROR, "RFC 9114 §7.2.3",
            "the cancellation of a push that was never promised";
        MaxPushIdReduced, H3_ID_ERROR, "RFC 9114 §7.2.7", "a MAX_PUSH_ID below an earlier one";
        GoAwayId, H3_ID_ERROR, "RFC 9114 §7.2.6", "a GOAWAY whose identifier is no request stream";
        GoAwayRaised, H3_ID_ERROR, "RFC 9114 §5.2", "a GOAWAY above an earlier one";
        PriorityUpdateId, H3_ID_ERROR, "RFC 9218 §7.2", "a PRIORITY_UPDATE for an impossible stream or push";
        // Settings.
        SettingDuplicate, H3_SETTINGS_ERROR, "RFC 9114 §7.2.4", "a duplicate setting";
        SettingReserved, H3_SETTINGS_ERROR, "RFC 9114 §7.2.4.1", "a setting reserved because HTTP/2 used it";
        SettingValue, H3_SETTINGS_ERROR, "RFC 9114 §7.2.4", "a setting outside its permitted range";
        SettingLowered, H3_SETTINGS_ERROR, "RFC 9114 §7.2.4.2",
            "a setting below the one that a client of accepted 0-RTT remembered";
        TableCapacityChanged, QPACK_DECODER_STREAM_ERROR, "RFC 9204 §3.2.3",
            "another table capacity than a client of accepted 0-RTT remembered";
        // Datagrams and sessions.
        DatagramMalformed, H3_DATAGRAM_ERROR, "RFC 9297 §2.1", "a datagram without a valid quarter stream ID";
        DatagramStreamLimit, H3_ID_ERROR, "RFC 9297 §2.1", "a datagram for a stream beyond the stream limit";
        SessionId, H3_ID_ERROR, "WebTransport over HTTP/3 §4", "a session ID that is no request stream ID";
        // Load.
        RapidReset, H3_EXCESSIVE_LOAD, "RFC 9114 §10.5", "too many requests opened and abandoned in a second";
        Flood, H3_EXCESSIVE_LOAD, "RFC 9114 §10.5", "too many frames or capsules without effect";
        ControlFrameTooLarge, H3_EXCESSIVE_LOAD, "RFC 9114 §10.5", "a control frame that is too large";
    }
}

violations! {
    /// A violation that ends one stream: a malformed message (RFC 9114 §4.1.2) or one that costs too much.
    StreamViolation {
        PseudoHeaderUnknown, H3_MESSAGE_ERROR, "RFC 9114 §4.3", "an undefined pseudo-header";
        PseudoHeaderDuplicate, H3_MESSAGE_ERROR, "RFC 9114 §4.3.1", "a duplicate pseudo-header";
        PseudoHeaderMissing, H3_MESSAGE_ERROR, "RFC 9114 §4.3", "a required pseudo-header is missing";
        PseudoHeaderLate, H3_MESSAGE_ERROR, "RFC 9114 §4.3", "a pseudo-header after a regular field";
        PseudoHeaderInTrailers, H3_MESSAGE_ERROR, "RFC 9114 §4.3", "a pseudo-header in trailers";
        PseudoHeaderValue, H3_MESSAGE_ERROR, "RFC 9114 §4.3.1", "a pseudo-header with an invalid value";
        ConnectPseudoHeaders, H3_MESSAGE_ERROR, "RFC 9114 §4.4",
            "a CONNECT request with :scheme or :path, or without :authority";
        ProtocolNotEnabled, H3_MESSAGE_ERROR, "RFC 9220 §3", "an extended CONNECT that was not offered";
        ProtocolWithoutConnect, H3_MESSAGE_ERROR, "RFC 8441 §4", "a :protocol on a method other than CONNECT";
        HostMismatch, H3_MESSAGE_ERROR, "RFC 9114 §4.3.1",
            "a host field that is missing, empty or differs from :authority";
        FieldName, H3_MESSAGE_ERROR, "RFC 9114 §4.2",
            "a field name that is empty, has upper case or is no token";
        FieldValue, H3_MESSAGE_ERROR, "RFC 9114 §10.3", "a field value with forbidden characters";
        ConnectionField, H3_MESSAGE_ERROR, "RFC 9114 §4.2", "a connection-specific field";
        TeField, H3_MESSAGE_ERROR, "RFC 9114 §4.2",
            "a te field outside of requests, or with a value other than trailers";
        StatusForbidden, H3_MESSAGE_ERROR, "RFC 9114 §4.5", "a status that HTTP/3 does not allow";
        ContentLengthInvalid, H3_MESSAGE_ERROR, "RFC 9110 §8.6",
            "a content-length that is no number, or two different ones";
        ContentLengthMismatch, H3_MESSAGE_ERROR, "RFC 9114 §4.1.2",
            "content whose length differs from its content-length";
        RequestIncomplete, H3_REQUEST_INCOMPLETE, "RFC 9114 §4.1",
            "a request stream that ended before its header section";
        RequestTimeout, H3_REQUEST_INCOMPLETE, "RFC 9114 §4.1",
            "a request whose header section did not arrive in time";
        ResponseMissing, H3_MESSAGE_ERROR, "RFC 9114 §4.1", "a response that ended before its header section";
        FieldSectionTooLarge, H3_EXCESSIVE_LOAD, "RFC 9114 §4.2.2",
            "a field section above the advertised limit";
        HeaderMemory, H3_EXCESSIVE_LOAD, "RFC 9114 §10.5", "unfinished header sections use too much memory";
        RequestRejected, H3_REQUEST_REJECTED, "RFC 9114 §5.2", "a request after GOAWAY";
    }
}

/// Why HTTP/3 ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum H3Error {
    /// The peer broke a rule of HTTP/3.
    #[error("the peer broke a rule of HTTP/3: {0}")]
    Violation(H3Violation),
    /// A field section that cannot be decompressed.
    #[error("a field section could not be decoded: {0}")]
    Decompression(DecodeError),
    /// An error on the peer's QPACK encoder stream.
    #[error("the peer's QPACK encoder stream: {0}")]
    EncoderStream(EncoderStreamError),
    /// An error on the peer's QPACK decoder stream.
    #[error("the peer's QPACK decoder stream: {0}")]
    DecoderStream(DecoderStreamError),
}

// The variants' errors are part of the message. They are no `source`, which would print them twice.
impl From<H3Violation> for H3Error {
    fn from(violation: H3Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<EncoderStreamError> for H3Error {
    fn from(error: EncoderStreamError) -> Self {
        Self::EncoderStream(error)
    }
}

impl From<DecoderStreamError> for H3Error {
    fn from(error: DecoderStreamError) -> Self {
        Self::DecoderStream(error)
    }
}

impl H3Error {
    /// The code with which the connection is closed.
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::Violation(violation) => violation.code(),
            Self::Decompression(error) => match error.code() {
                Some(code) => code,
                None => code::H3_EXCESSIVE_LOAD,
            },
            Self::EncoderStream(error) => error.code(),
            Self::DecoderStream(error) => error.code(),
        }
    }
}

/// Why something could not be sent. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No stream can be opened now; the transport's `StreamsAvailable` follows.
    #[error("the peer grants no further stream now")]
    NoStream,
    /// The connection failed, the peer sent GOAWAY, or this side is a server.
    #[error("the connection takes no further request")]
    Unavailable,
    /// The peer sent `STOP_SENDING` with this code.
    #[error("the peer stopped reading with code {0:#x}")]
    Stopped(u64),
    /// The stream has no open sending side, or this message may not come next.
    #[error("the stream cannot carry this now")]
    Closed,
    /// The message is not valid in HTTP/3.
    #[error("the message is invalid: {0}")]
    Invalid(StreamViolation),
    /// The field section exceeds what the peer accepts.
    #[error("the field section counts {size} bytes, the peer accepts {limit}")]
    TooLarge {
        /// Its size (RFC 9114 §4.2.2), in bytes.
        size: u64,
        /// The peer's limit, in bytes.
        limit: u64,
    },
    /// The peer did not offer extended CONNECT, which the message needs.
    #[error("the peer did not offer extended CONNECT")]
    NotOffered,
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The peer reset the stream with this code.
    #[error("the peer reset the stream with code {0:#x}")]
    Reset(u64),
    /// The message is malformed; the stream was reset.
    #[error("the message is malformed: {0}")]
    Malformed(StreamViolation),
    /// The stream does not exist, was read to its end, or the connection failed.
    #[error("the stream has nothing left to read")]
    Closed,
}
