//! The capsules of WebTransport over HTTP/3 (§4.7, §5.6, §6, §9.6): types, bounds and contents.

use bytes::{BufMut, Bytes, BytesMut};
use h3_core::capsule::{Capsule, CapsulePolicy, put_capsule, put_varint_capsule};
use quic_core::{Dir, base::varint};

use crate::{
    error::SessionError,
    event::CloseInfo,
    flow::{FlowMessage, Limited},
};

pub(crate) const DATAGRAM: u64 = 0x00;
pub(crate) const WT_CLOSE_SESSION: u64 = 0x2843;
const WT_DRAIN_SESSION: u64 = 0x78ae;
const WT_MAX_STREAM_DATA: u64 = 0x190b_4d3e;
const WT_STREAM_DATA_BLOCKED: u64 = 0x190b_4d42;
const WT_MAX_DATA: u64 = 0x190b_4d3d;
const WT_MAX_STREAMS_BIDI: u64 = 0x190b_4d3f;
const WT_MAX_STREAMS_UNI: u64 = 0x190b_4d40;
const WT_DATA_BLOCKED: u64 = 0x190b_4d41;
const WT_STREAMS_BLOCKED_BIDI: u64 = 0x190b_4d43;
const WT_STREAMS_BLOCKED_UNI: u64 = 0x190b_4d44;

/// The longest reason, in bytes (§6).
const MAX_REASON: usize = 1024;
/// The longest datagram in a capsule that is not skipped, in bytes.
const MAX_DATAGRAM: u64 = 65_535;

/// The content of a capsule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Datagram(Bytes),
    Close(CloseInfo),
    Drain,
    Flow(FlowMessage),
}

/// What to do with capsules of a type. Capsules of flow control are skipped unless flow control is in force
/// (§5.1), as `flow` says.
pub(crate) fn policy(kind: u64, flow: bool) -> CapsulePolicy {
    match kind {
        // One varint.
        WT_MAX_DATA
        | WT_MAX_STREAMS_BIDI
        | WT_MAX_STREAMS_UNI
        | WT_DATA_BLOCKED
        | WT_STREAMS_BLOCKED_BIDI
        | WT_STREAMS_BLOCKED_UNI
            if flow =>
        {
            CapsulePolicy::Take(8)
        }
        DATAGRAM => CapsulePolicy::TakeOrSkip(MAX_DATAGRAM),
        WT_CLOSE_SESSION => CapsulePolicy::Take(4 + MAX_REASON as u64),
        WT_DRAIN_SESSION => CapsulePolicy::Take(0),
        // §5.4: these are prohibited; the longest has two varints.
        WT_MAX_STREAM_DATA | WT_STREAM_DATA_BLOCKED => CapsulePolicy::Take(16),
        _ => CapsulePolicy::Skip,
    }
}

/// Parses a capsule that [`policy`] accepted.
pub(crate) fn read(Capsule { kind, value, .. }: Capsule) -> Result<Content, SessionError> {
    match kind {
        DATAGRAM => Ok(Content::Datagram(value)),
        WT_DRAIN_SESSION => Ok(Content::Drain),
        WT_CLOSE_SESSION => {
            let (code, reason) = value.split_first_chunk::<4>().ok_or(SessionError::CloseCapsule)?;
            // §6: a reason that is not UTF-8 is malformed.
            let reason = std::str::from_utf8(reason).map_err(|_| SessionError::CloseCapsule)?;
            Ok(Content::Close(CloseInfo { code: u32::from_be_bytes(*code), reason: reason.to_owned() }))
        }
        WT_MAX_STREAM_DATA | WT_STREAM_DATA_BLOCKED => Err(SessionError::ProhibitedCapsule(kind)),
        kind => {
            let message = whole_varint(&value).and_then(|value| message(kind, value));
            message.map(Content::Flow).ok_or(SessionError::FlowCapsule(kind))
        }
    }
}

/// The value of a single varint; `None` if anything else follows or is missing.
fn whole_varint(value: &[u8]) -> Option<u64> {
    varint::decode(value).filter(|(_, length)| *length == value.len()).map(|(number, _)| number)
}

fn message(kind: u64, value: u64) -> Option<FlowMessage> {
    Some(match kind {
        WT_MAX_DATA => FlowMessage::Max(Limited::Data, value),
        WT_MAX_STREAMS_BIDI => FlowMessage::Max(Limited::Streams(Dir::Bidi), value),
        WT_MAX_STREAMS_UNI => FlowMessage::Max(Limited::Streams(Dir::Uni), value),
        WT_DATA_BLOCKED => FlowMessage::Blocked(Limited::Data, value),
        WT_STREAMS_BLOCKED_BIDI => FlowMessage::Blocked(Limited::Streams(Dir::Bidi), value),
        WT_STREAMS_BLOCKED_UNI => FlowMessage::Blocked(Limited::Streams(Dir::Uni), value),
        _ => return None,
    })
}

/// The capsule of a flow control message.
pub(crate) fn flow(message: FlowMessage) -> Bytes {
    let (kind, value) = match message {
        FlowMessage::Max(Limited::Data, value) => (WT_MAX_DATA, value),
        FlowMessage::Max(Limited::Streams(Dir::Bidi), value) => (WT_MAX_STREAMS_BIDI, value),
        FlowMessage::Max(Limited::Streams(Dir::Uni), value) => (WT_MAX_STREAMS_UNI, value),
        FlowMessage::Blocked(Limited::Data, value) => (WT_DATA_BLOCKED, value),
        FlowMessage::Blocked(Limited::Streams(Dir::Bidi), value) => (WT_STREAMS_BLOCKED_BIDI, value),
        FlowMessage::Blocked(Limited::Streams(Dir::Uni), value) => (WT_STREAMS_BLOCKED_UNI, value),
    };
    let mut out = BytesMut::with_capacity(16);
    put_varint_capsule(kind, value, &mut out);
    out.freeze()
}

/// `WT_CLOSE_SESSION`. The reason is cut to 1024 bytes at a character boundary (§6).
pub(crate) fn close(info: &CloseInfo) -> Bytes {
    let mut value = BytesMut::with_capacity(4 + info.reason.len().min(MAX_REASON));
    value.put_u32(info.code);
    value.put_slice(cut(&info.reason).as_bytes());
    let mut out = BytesMut::with_capacity(value.len() + 6);
    put_capsule(WT_CLOSE_SESSION, &value, &mut out);
    out.freeze()
}

/// `WT_DRAIN_SESSION`.
pub(crate) fn drain() -> Bytes {
    let mut out = BytesMut::with_capacity(5);
    put_capsule(WT_DRAIN_SESSION, &[], &mut out);
    out.freeze()
}

/// The longest prefix of whole characters that may be sent.
fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use h3_core::capsule::CapsuleReader;
    use proptest::prelude::*;

    fn parse(mut bytes: Bytes) -> Content {
        let capsule = CapsuleReader::new().next(&mut bytes, |kind| policy(kind, true)).unwrap().unwrap();
        assert!(bytes.is_empty());
        read(capsule).unwrap()
    }

    proptest! {
        #[test]
        fn close_there_and_back(code: u32, reason in ".{0,600}") {
            let info = CloseInfo { code, reason };
            let Content::Close(back) = parse(close(&info)) else { panic!("a close") };
            prop_assert_eq!(back.code, code);
            prop_assert!(info.reason.starts_with(&back.reason));
            prop_assert!(back.reason.len() <= MAX_REASON);
            // The reason is cut only if needed, and by less than one character.
            let lost = info.reason.len() - back.reason.len();
            prop_assert!(lost == 0 || back.reason.len() + 4 > MAX_REASON);
        }
    }

    #[test]
    fn flow_control_messages_there_and_back() {
        for limited in [Limited::Data, Limited::Streams(Dir::Bidi), Limited::Streams(Dir::Uni)] {
            for value in [0, 63, 64, 1 << 60, varint::MAX] {
                for message in [FlowMessage::Max(limited, value), FlowMessage::Blocked(limited, value)] {
                    assert_eq!(parse(flow(message)), Content::Flow(message));
                }
            }
        }
        for value in [&[][..], &[0x40], &[1, 0]] {
            let capsule = Capsule::new(WT_MAX_DATA, Bytes::copy_from_slice(value));
            assert_eq!(read(capsule), Err(SessionError::FlowCapsule(WT_MAX_DATA)));
        }
    }

    #[test]
    fn drain_there_and_back() {
        assert_eq!(parse(drain()), Content::Drain);
    }
}
