//! From bytes to frames.

use super::{Ack, Frame, types};
use crate::{
    base::{Reader, varint},
    error::Violation,
    ids::{ConnectionId, Dir, StreamId},
};

/// A frame that could not be parsed, with its type for the CONNECTION_CLOSE frame. The type is 0 if the
/// packet ends inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameError {
    /// The violated rule.
    pub violation: Violation,
    /// The frame type.
    pub frame_type: u64,
}

/// Iterator over the frames of a packet's payload. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    reader: Reader<'a>,
    failed: bool,
    last_type: u64,
}

impl<'a> Frames<'a> {
    /// The frames of `payload`.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Self {
        Self { reader: Reader::new(payload), failed: false, last_type: 0 }
    }

    /// The type of the last frame as it stood on the wire, including the flags of STREAM; 0 before the first
    /// frame.
    #[must_use]
    pub fn last_type(&self) -> u64 {
        self.last_type
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.reader.is_empty() {
            return None;
        }
        let result = frame_type(&mut self.reader).and_then(|frame_type| {
            self.last_type = frame_type;
            parse(frame_type, &mut self.reader).map_err(|violation| FrameError { violation, frame_type })
        });
        self.failed = result.is_err();
        Some(result)
    }
}

/// Frame types must use their shortest encoding (RFC 9000 §12.4).
fn frame_type(reader: &mut Reader<'_>) -> Result<u64, FrameError> {
    let before = reader.position();
    let value = reader.varint().map_err(|end| FrameError { violation: end.into(), frame_type: 0 })?;
    if reader.position() - before != varint::size(value) {
        return Err(FrameError { violation: Violation::FrameTypeNotMinimal, frame_type: value });
    }
    Ok(value)
}

fn parse<'a>(frame_type: u64, r: &mut Reader<'a>) -> Result<Frame<'a>, Violation> {
    Ok(match frame_type {
        types::PADDING => padding(r),
        types::PING => Frame::Ping,
        types::ACK | types::ACK_ECN => Frame::Ack(Ack::parse(r, frame_type == types::ACK_ECN)?),
        types::RESET_STREAM => {
            Frame::ResetStream { id: stream_id(r)?, code: r.varint()?, final_size: r.varint()? }
        }
        types::RESET_STREAM_AT => reset_stream_at(r)?,
        types::STOP_SENDING => Frame::StopSending { id: stream_id(r)?, code: r.varint()? },
        types::CRYPTO => crypto(r)?,
        types::NEW_TOKEN => new_token(r)?,
        types::STREAM..=types::STREAM_MAX => stream(frame_type, r)?,
        types::MAX_DATA => Frame::MaxData(r.varint()?),
        types::MAX_STREAM_DATA => Frame::MaxStreamData { id: stream_id(r)?, limit: r.varint()? },
        types::MAX_STREAMS => Frame::MaxStreams { dir: Dir::Bidi, limit: stream_count(r)? },
        types::MAX_STREAMS_UNI => Frame::MaxStreams { dir: Dir::Uni, limit: stream_count(r)? },
        types::DATA_BLOCKED => Frame::DataBlocked(r.varint()?),
        types::STREAM_DATA_BLOCKED => Frame::StreamDataBlocked { id: stream_id(r)?, limit: r.varint()? },
        types::STREAMS_BLOCKED => Frame::StreamsBlocked { dir: Dir::Bidi, limit: stream_count(r)? },
        types::STREAMS_BLOCKED_UNI => Frame::StreamsBlocked { dir: Dir::Uni, limit: stream_count(r)? },
        types::NEW_CONNECTION_ID => new_connection_id(r)?,
        types::RETIRE_CONNECTION_ID => Frame::RetireConnectionId(r.varint()?),
        types::PATH_CHALLENGE => Frame::PathChallenge(r.array()?),
        types::PATH_RESPONSE => Frame::PathResponse(r.array()?),
        types::TRANSPORT_CLOSE => {
            Frame::TransportClose { code: r.varint()?, frame_type: r.varint()?, reason: prefixed(r)? }
        }
        types::APPLICATION_CLOSE => Frame::ApplicationClose { code: r.varint()?, reason: prefixed(r)? },
        types::HANDSHAKE_DONE => Frame::HandshakeDone,
        types::IMMEDIATE_ACK => Frame::ImmediateAck,
        types::ACK_FREQUENCY => Frame::AckFrequency {
            sequence: r.varint()?,
            threshold: r.varint()?,
            max_ack_delay: r.varint()?,
            reordering: r.varint()?,
        },
        types::DATAGRAM => Frame::Datagram { data: r.rest(), has_length: false },
        types::DATAGRAM_LEN => Frame::Datagram { data: prefixed(r)?, has_length: true },
        _ => return Err(Violation::UnknownFrame),
    })
}

fn prefixed<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], Violation> {
    let length = r.varint()?;
    Ok(r.bytes_u64(length)?)
}

fn stream_id(r: &mut Reader<'_>) -> Result<StreamId, Violation> {
    // A variable-length integer never exceeds 2^62-1, so this conversion cannot fail.
    StreamId::from_value(r.varint()?).ok_or(Violation::FrameTruncated)
}

/// Stream counts above 2^60 could not be expressed as stream IDs (RFC 9000 §4.6, §19.11, §19.14).
fn stream_count(r: &mut Reader<'_>) -> Result<u64, Violation> {
    Some(r.varint()?).filter(|count| *count <= 1 << 60).ok_or(Violation::MaxStreamsTooLarge)
}

fn padding<'a>(r: &mut Reader<'a>) -> Frame<'a> {
    let more = r.peek().iter().take_while(|byte| **byte == 0).count();
    let _ = r.bytes(more);
    Frame::Padding(1 + more)
}

fn reset_stream_at<'a>(r: &mut Reader<'a>) -> Result<Frame<'a>, Violation> {
    let (id, code, final_size, reliable_size) = (stream_id(r)?, r.varint()?, r.varint()?, r.varint()?);
    // reliable-stream-reset §4: the reliable size cannot exceed the final size.
    if reliable_size > final_size {
        return Err(Violation::ReliableSize);
    }
    Ok(Frame::ResetStreamAt { id, code, final_size, reliable_size })
}

fn crypto<'a>(r: &mut Reader<'a>) -> Result<Frame<'a>, Violation> {
    let offset = r.varint()?;
    let data = prefixed(r)?;
    // RFC 9000 §19.6: the end of the data has to stay within 2^62-1.
    if offset + data.len() as u64 > varint::MAX {
        return Err(Violation::CryptoOffset);
    }
    Ok(Frame::Crypto { offset, data })
}

fn new_token<'a>(r: &mut Reader<'a>) -> Result<Frame<'a>, Violation> {
    match prefixed(r)? {
        [] => Err(Violation::TokenEmpty),
        token => Ok(Frame::NewToken(token)),
    }
}

fn stream<'a>(frame_type: u64, r: &mut Reader<'a>) -> Result<Frame<'a>, Violation> {
    let id = stream_id(r)?;
    let offset = if frame_type & types::STREAM_OFF != 0 { r.varint()? } else { 0 };
    let data = if frame_type & types::STREAM_LEN != 0 { prefixed(r)? } else { r.rest() };
    // RFC 9000 §19.8: the largest offset of a stream is 2^62-1.
    if offset + data.len() as u64 > varint::MAX {
        return Err(Violation::StreamOffset);
    }
    Ok(Frame::Stream { id, offset, fin: frame_type & types::STREAM_FIN != 0, data })
}

fn new_connection_id<'a>(r: &mut Reader<'a>) -> Result<Frame<'a>, Violation> {
    let sequence = r.varint()?;
    let retire_prior_to = r.varint()?;
    let length = r.u8()?;
    // RFC 9000 §19.15: an ID has 1 to 20 bytes, and Retire Prior To never exceeds the sequence number.
    if !(1..=20).contains(&length) {
        return Err(Violation::CidLength);
    }
    if retire_prior_to > sequence {
        return Err(Violation::CidRetirePriorTo);
    }
    let id = ConnectionId::new(r.bytes(usize::from(length))?).ok_or(Violation::CidLength)?;
    Ok(Frame::NewConnectionId { sequence, retire_prior_to, id, token: r.array()? })
}
