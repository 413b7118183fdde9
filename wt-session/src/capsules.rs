//! The capsules of WebTransport over HTTP/3 (§4.7, §5.6, §6, §9.6): types, bounds, what one says.

use bytes::{BufMut, Bytes, BytesMut};
use h3_core::capsule::{Capsule, CapsulePolicy, put_capsule, put_varint_capsule};
use quic_core::{Dir, base::varint};

use crate::{
    error::SessionError,
    event::CloseInfo,
    flow::{Limited, Note},
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
/// The longest datagram in a capsule that is kept, in bytes.
const MAX_DATAGRAM: u64 = 65_535;

/// What a capsule says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Datagram(Bytes),
    Close(CloseInfo),
    Drain,
    Flow(Note),
}

/// What to do with capsules of a type. Those of flow control mean nothing, whatever they say, unless it was agreed upon
/// (§5.1): `flow`.
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
        // §5.4: prohibited; two varints would be the longest.
        WT_MAX_STREAM_DATA | WT_STREAM_DATA_BLOCKED => CapsulePolicy::Take(16),
        _ => CapsulePolicy::Skip,
    }
}

/// Reads a capsule that [`policy`] wanted.
pub(crate) fn read(Capsule { kind, value, .. }: Capsule) -> Result<Said, SessionError> {
    match kind {
        DATAGRAM => Ok(Said::Datagram(value)),
        WT_DRAIN_SESSION => Ok(Said::Drain),
        WT_CLOSE_SESSION => {
            let (code, reason) = value.split_first_chunk::<4>().ok_or(SessionError::CloseCapsule)?;
            // §6: a reason that is not UTF-8 is malformed.
            let reason = std::str::from_utf8(reason).map_err(|_| SessionError::CloseCapsule)?;
            Ok(Said::Close(CloseInfo { code: u32::from_be_bytes(*code), reason: reason.to_owned() }))
        }
        WT_MAX_STREAM_DATA | WT_STREAM_DATA_BLOCKED => Err(SessionError::ProhibitedCapsule(kind)),
        kind => {
            let note = whole_varint(&value).and_then(|value| note(kind, value));
            note.map(Said::Flow).ok_or(SessionError::FlowCapsule(kind))
        }
    }
}

/// The number, if there is nothing else.
fn whole_varint(value: &[u8]) -> Option<u64> {
    varint::decode(value).filter(|(_, length)| *length == value.len()).map(|(number, _)| number)
}

fn note(kind: u64, value: u64) -> Option<Note> {
    Some(match kind {
        WT_MAX_DATA => Note::Max(Limited::Data, value),
        WT_MAX_STREAMS_BIDI => Note::Max(Limited::Streams(Dir::Bidi), value),
        WT_MAX_STREAMS_UNI => Note::Max(Limited::Streams(Dir::Uni), value),
        WT_DATA_BLOCKED => Note::Blocked(Limited::Data, value),
        WT_STREAMS_BLOCKED_BIDI => Note::Blocked(Limited::Streams(Dir::Bidi), value),
        WT_STREAMS_BLOCKED_UNI => Note::Blocked(Limited::Streams(Dir::Uni), value),
        _ => return None,
    })
}

/// A capsule of flow control.
pub(crate) fn flow(note: Note) -> Bytes {
    let (kind, value) = match note {
        Note::Max(Limited::Data, value) => (WT_MAX_DATA, value),
        Note::Max(Limited::Streams(Dir::Bidi), value) => (WT_MAX_STREAMS_BIDI, value),
        Note::Max(Limited::Streams(Dir::Uni), value) => (WT_MAX_STREAMS_UNI, value),
        Note::Blocked(Limited::Data, value) => (WT_DATA_BLOCKED, value),
        Note::Blocked(Limited::Streams(Dir::Bidi), value) => (WT_STREAMS_BLOCKED_BIDI, value),
        Note::Blocked(Limited::Streams(Dir::Uni), value) => (WT_STREAMS_BLOCKED_UNI, value),
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

/// The longest prefix of whole characters that may travel.
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

    fn parse(mut bytes: Bytes) -> Said {
        let capsule = CapsuleReader::new().next(&mut bytes, |kind| policy(kind, true)).unwrap().unwrap();
        assert!(bytes.is_empty());
        read(capsule).unwrap()
    }

    proptest! {
        #[test]
        fn close_there_and_back(code: u32, reason in ".{0,600}") {
            let info = CloseInfo { code, reason };
            let Said::Close(back) = parse(close(&info)) else { panic!("a close") };
            prop_assert_eq!(back.code, code);
            prop_assert!(info.reason.starts_with(&back.reason));
            prop_assert!(back.reason.len() <= MAX_REASON);
            // Cut only if needed, and by less than one character.
            let lost = info.reason.len() - back.reason.len();
            prop_assert!(lost == 0 || back.reason.len() + 4 > MAX_REASON);
        }
    }

    #[test]
    fn notes_of_flow_control_there_and_back() {
        for limited in [Limited::Data, Limited::Streams(Dir::Bidi), Limited::Streams(Dir::Uni)] {
            for value in [0, 63, 64, 1 << 60, varint::MAX] {
                for note in [Note::Max(limited, value), Note::Blocked(limited, value)] {
                    assert_eq!(parse(flow(note)), Said::Flow(note));
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
        assert_eq!(parse(drain()), Said::Drain);
    }
}
