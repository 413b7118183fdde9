//! Every rule of the protocol that a peer can break, in one table: wire code, section and text.

use super::TransportErrorCode as Code;
use crate::base::BudgetExceeded;

macro_rules! violations {
    ($($name:ident, $code:ident, $section:literal, $text:literal;)*) => {
        /// A rule that the peer broke. Each ends the connection with [`Violation::code`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Violation {
            $(#[doc = concat!($text, " (", $section, ").")] $name,)*
            /// TLS failed with this alert (RFC 9001 §4.8).
            Tls(u8),
        }

        impl Violation {
            /// The transport error code that the connection is closed with.
            #[must_use]
            pub const fn code(self) -> Code {
                match self { $(Self::$name => Code::$code,)* Self::Tls(alert) => Code::crypto(alert) }
            }

            /// The section of the specification that holds the rule.
            #[must_use]
            pub const fn section(self) -> &'static str {
                match self { $(Self::$name => $section,)* Self::Tls(_) => "RFC 9001 §4.8" }
            }

            /// The rule that was broken, in words.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* Self::Tls(_) => "the TLS handshake failed" }
            }
        }
    };
}

violations! {
    // Packets and frames.
    EmptyPayload, PROTOCOL_VIOLATION, "RFC 9000 §12.4", "a packet without any frame";
    ReservedBits, PROTOCOL_VIOLATION, "RFC 9000 §17.2", "reserved header bits are not zero";
    UnknownFrame, FRAME_ENCODING_ERROR, "RFC 9000 §12.4", "a frame of unknown type";
    FrameTypeNotMinimal, PROTOCOL_VIOLATION, "RFC 9000 §12.4", "a frame type not in its shortest encoding";
    FrameTruncated, FRAME_ENCODING_ERROR, "RFC 9000 §12.4", "a frame ends before its fields do";
    FrameInWrongPacket, PROTOCOL_VIOLATION, "RFC 9000 §12.4", "a frame in a packet type that does not permit it";
    FrameAtWrongSide, PROTOCOL_VIOLATION, "RFC 9000 §19", "a frame that this side never receives";
    CloseOfApplicationTooEarly, PROTOCOL_VIOLATION, "RFC 9000 §12.5", "an application close in an Initial or Handshake packet";
    // Acknowledgments.
    AckOfUnsent, PROTOCOL_VIOLATION, "RFC 9000 §13.1", "an acknowledgment of a packet that was never sent";
    AckRangeNegative, FRAME_ENCODING_ERROR, "RFC 9000 §19.3.1", "an ACK range below packet number zero";
    AckDelayRequested, PROTOCOL_VIOLATION, "ack-frequency §4", "a request for acknowledgments with a delay out of range";
    // CRYPTO and TLS.
    CryptoBufferExceeded, CRYPTO_BUFFER_EXCEEDED, "RFC 9000 §7.5", "more out-of-order handshake data than the buffer holds";
    CryptoOffset, FRAME_ENCODING_ERROR, "RFC 9000 §19.6", "CRYPTO data beyond offset 2^62-1";
    CryptoAfterLevel, PROTOCOL_VIOLATION, "RFC 9001 §4.1.3", "new handshake data at a level that is already complete";
    TlsLegacySessionId, PROTOCOL_VIOLATION, "RFC 9001 §8.4", "a ClientHello with a legacy session id";
    TransportParametersMissing, MISSING_EXTENSION, "RFC 9001 §8.2", "no transport parameters in the handshake";
    TicketEarlyData, PROTOCOL_VIOLATION, "RFC 9001 §4.6.1", "a ticket with a limit of early data other than 0xffffffff";
    KeyUpdateTooEarly, KEY_UPDATE_ERROR, "RFC 9001 §6.2", "a second key update before the first was acknowledged";
    KeyUpdateOldKeys, KEY_UPDATE_ERROR, "RFC 9001 §6.4", "old keys on a higher packet number";
    AeadIntegrityLimit, AEAD_LIMIT_REACHED, "RFC 9001 §6.6", "more forged packets than the AEAD's integrity limit";
    // Transport parameters.
    ParameterDuplicate, TRANSPORT_PARAMETER_ERROR, "RFC 9000 §7.4", "a transport parameter twice";
    ParameterMalformed, TRANSPORT_PARAMETER_ERROR, "RFC 9000 §18", "a transport parameter that cannot be parsed";
    ParameterValue, TRANSPORT_PARAMETER_ERROR, "RFC 9000 §18.2", "a transport parameter outside its permitted range";
    ParameterOfServer, TRANSPORT_PARAMETER_ERROR, "RFC 9000 §18.2", "a client sent a parameter that only servers send";
    ParameterConnectionId, TRANSPORT_PARAMETER_ERROR, "RFC 9000 §7.3", "connection IDs in the parameters differ from those on the wire";
    VersionInformation, TRANSPORT_PARAMETER_ERROR, "RFC 9368 §4", "version information that cannot be parsed";
    VersionNotInUse, VERSION_NEGOTIATION_ERROR, "RFC 9368 §4", "a chosen version that is not the one in use";
    VersionInformationMissing, VERSION_NEGOTIATION_ERROR, "RFC 9368 §4", "a server that changed the version without version information";
    VersionDowngrade, VERSION_NEGOTIATION_ERROR, "RFC 9368 §4", "a Version Negotiation packet kept from this client a version that the server accepts";
    EarlyDataLimits, PROTOCOL_VIOLATION, "RFC 9000 §7.4.1", "a server that accepted 0-RTT lowered a limit that the client remembered";
    // Streams and flow control.
    StreamLimit, STREAM_LIMIT_ERROR, "RFC 9000 §4.6", "a stream beyond the limit that was granted";
    StreamNotOpened, STREAM_STATE_ERROR, "RFC 9000 §19.8", "a frame for a stream that this endpoint has not opened";
    StreamReceiveOnly, STREAM_STATE_ERROR, "RFC 9000 §19.5", "a frame for the sending part of a receive-only stream";
    StreamSendOnly, STREAM_STATE_ERROR, "RFC 9000 §19.8", "a frame for the receiving part of a send-only stream";
    StreamOffset, FRAME_ENCODING_ERROR, "RFC 9000 §19.8", "stream data beyond offset 2^62-1";
    StreamFlowControl, FLOW_CONTROL_ERROR, "RFC 9000 §4.1", "more data on a stream than its limit";
    ConnectionFlowControl, FLOW_CONTROL_ERROR, "RFC 9000 §4.1", "more data than the connection's limit";
    FinalSizeChanged, FINAL_SIZE_ERROR, "RFC 9000 §4.5", "the final size of a stream changed";
    FinalSizeExceeded, FINAL_SIZE_ERROR, "RFC 9000 §4.5", "data beyond the final size of a stream";
    MaxStreamsTooLarge, FRAME_ENCODING_ERROR, "RFC 9000 §19.11", "a stream limit above 2^60";
    ReliableSize, FRAME_ENCODING_ERROR, "reliable-stream-reset §4", "a reliable size above the final size";
    ResetCodeChanged, STREAM_STATE_ERROR, "reliable-stream-reset §5", "the error code of a reset stream changed";
    ReassemblyBudget, FLOW_CONTROL_ERROR, "RFC 9000 §21.6", "stream data in so many fragments that its memory budget is spent";
    StreamMemory, INTERNAL_ERROR, "RFC 9000 §21.8", "more streams at once than the connection's memory budget holds";
    EndpointMemory, INTERNAL_ERROR, "RFC 9000 §21.6", "the memory budget of this endpoint is spent by all its connections together";
    Flood, PROTOCOL_VIOLATION, "RFC 9000 §21.9", "a flood of frames that bring nothing";
    // Connection IDs, paths, tokens, datagrams.
    CidLength, FRAME_ENCODING_ERROR, "RFC 9000 §19.15", "a new connection ID that is not 1 to 20 bytes long";
    CidRetirePriorTo, FRAME_ENCODING_ERROR, "RFC 9000 §19.15", "Retire Prior To above the sequence number";
    CidReused, PROTOCOL_VIOLATION, "RFC 9000 §19.15", "a connection ID or sequence number issued twice with different content";
    CidLimit, CONNECTION_ID_LIMIT_ERROR, "RFC 9000 §5.1.1", "more active connection IDs than the limit";
    CidRetireBacklog, CONNECTION_ID_LIMIT_ERROR, "RFC 9000 §5.1.2", "more retired connection IDs than were acknowledged in time";
    CidWhileEmpty, PROTOCOL_VIOLATION, "RFC 9000 §19.15", "a new connection ID although zero-length ones are in use";
    RetireUnissued, PROTOCOL_VIOLATION, "RFC 9000 §19.16", "retirement of a connection ID that was never issued";
    RetireCurrent, PROTOCOL_VIOLATION, "RFC 9000 §19.16", "retirement of the connection ID that the packet was sent to";
    TokenEmpty, FRAME_ENCODING_ERROR, "RFC 9000 §19.7", "an empty token";
    DatagramUnexpected, PROTOCOL_VIOLATION, "RFC 9221 §3", "a DATAGRAM frame that was not offered or is larger than offered";
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.text(), self.section())
    }
}

impl std::error::Error for Violation {}

impl Violation {
    /// Whether the peer is not responsible: it kept to what it was granted, but reached a limit of this
    /// endpoint's memory.
    #[must_use]
    pub const fn is_own_limit(self) -> bool {
        matches!(self, Self::EndpointMemory | Self::StreamMemory)
    }

    /// What a refused charge means: `own` if the peer has used up its connection's budget. If all connections
    /// have used up the endpoint's budget, the peer is not responsible.
    pub(crate) fn of_budget(exceeded: BudgetExceeded, own: Self) -> Self {
        match exceeded {
            BudgetExceeded::Connection => own,
            BudgetExceeded::Endpoint => Self::EndpointMemory,
        }
    }
}

impl From<crate::base::UnexpectedEnd> for Violation {
    fn from(_: crate::base::UnexpectedEnd) -> Self {
        Self::FrameTruncated
    }
}
