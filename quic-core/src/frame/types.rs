//! Frame types (RFC 9000 §12.4 Table 3, RFC 9221 §4, reliable-stream-reset §4, ack-frequency §4 and §5).

/// PADDING.
pub const PADDING: u64 = 0x00;
/// PING.
pub const PING: u64 = 0x01;
/// ACK; 0x03 with ECN counts.
pub const ACK: u64 = 0x02;
/// ACK with ECN counts.
pub const ACK_ECN: u64 = 0x03;
/// RESET_STREAM.
pub const RESET_STREAM: u64 = 0x04;
/// STOP_SENDING.
pub const STOP_SENDING: u64 = 0x05;
/// CRYPTO.
pub const CRYPTO: u64 = 0x06;
/// NEW_TOKEN.
pub const NEW_TOKEN: u64 = 0x07;
/// STREAM: 0x08 to 0x0f, with the flags below.
pub const STREAM: u64 = 0x08;
/// STREAM flag: the data ends the stream.
pub const STREAM_FIN: u64 = 0x01;
/// STREAM flag: a length field is present.
pub const STREAM_LEN: u64 = 0x02;
/// STREAM flag: an offset field is present.
pub const STREAM_OFF: u64 = 0x04;
/// The last STREAM type.
pub const STREAM_MAX: u64 = 0x0f;
/// MAX_DATA.
pub const MAX_DATA: u64 = 0x10;
/// MAX_STREAM_DATA.
pub const MAX_STREAM_DATA: u64 = 0x11;
/// MAX_STREAMS, bidirectional; 0x13 unidirectional.
pub const MAX_STREAMS: u64 = 0x12;
/// MAX_STREAMS, unidirectional.
pub const MAX_STREAMS_UNI: u64 = 0x13;
/// DATA_BLOCKED.
pub const DATA_BLOCKED: u64 = 0x14;
/// STREAM_DATA_BLOCKED.
pub const STREAM_DATA_BLOCKED: u64 = 0x15;
/// STREAMS_BLOCKED, bidirectional; 0x17 unidirectional.
pub const STREAMS_BLOCKED: u64 = 0x16;
/// STREAMS_BLOCKED, unidirectional.
pub const STREAMS_BLOCKED_UNI: u64 = 0x17;
/// NEW_CONNECTION_ID.
pub const NEW_CONNECTION_ID: u64 = 0x18;
/// RETIRE_CONNECTION_ID.
pub const RETIRE_CONNECTION_ID: u64 = 0x19;
/// PATH_CHALLENGE.
pub const PATH_CHALLENGE: u64 = 0x1a;
/// PATH_RESPONSE.
pub const PATH_RESPONSE: u64 = 0x1b;
/// CONNECTION_CLOSE of the transport.
pub const TRANSPORT_CLOSE: u64 = 0x1c;
/// CONNECTION_CLOSE of the application.
pub const APPLICATION_CLOSE: u64 = 0x1d;
/// HANDSHAKE_DONE.
pub const HANDSHAKE_DONE: u64 = 0x1e;
/// IMMEDIATE_ACK.
pub const IMMEDIATE_ACK: u64 = 0x1f;
/// RESET_STREAM_AT.
pub const RESET_STREAM_AT: u64 = 0x24;
/// DATAGRAM without a length; 0x31 with one.
pub const DATAGRAM: u64 = 0x30;
/// DATAGRAM with a length.
pub const DATAGRAM_LEN: u64 = 0x31;
/// ACK_FREQUENCY.
pub const ACK_FREQUENCY: u64 = 0xaf;
