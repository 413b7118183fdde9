//! Reads the frames of the peer's control stream incrementally (RFC 9114 §6.2.1, §7.2).
//!
//! It owns the partial frame. It must never know requests.

use bytes::{Buf, Bytes, BytesMut};
use quic_core::{Side, base::varint};

use crate::{
    error::H3Violation,
    frame::{self, FrameHead, HeadReader, kind},
    settings::{Settings, SettingsDecoder},
};

/// The longest `PRIORITY_UPDATE` that is accepted, in bytes; the known parameters take about ten.
const MAX_PRIORITY_UPDATE: u64 = 1024;

/// A frame of the control stream.
#[derive(Debug)]
pub(super) enum ControlFrame {
    Settings(Settings),
    GoAway(u64),
    MaxPushId(u64),
    CancelPush,
    PriorityUpdate { push: bool, id: u64, value: Bytes },
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Settings {
        left: u64,
        decoder: Box<SettingsDecoder>,
    },
    Payload {
        kind: u64,
        left: usize,
        payload: BytesMut,
    },
    Skip {
        left: u64,
    },
}

/// Reads the control stream of the peer.
#[derive(Debug)]
pub(super) struct ControlReader {
    side: Side,
    webtransport: bool,
    head: HeadReader,
    state: State,
    settings_seen: bool,
    /// Skipped frames that [`Self::take_skipped`] has not yet reported.
    skipped: u64,
}

impl ControlReader {
    pub(super) fn new(side: Side, webtransport: bool) -> Self {
        Self {
            side,
            webtransport,
            head: HeadReader::default(),
            state: State::Head,
            settings_seen: false,
            skipped: 0,
        }
    }

    /// Takes bytes from `data` up to the end of the next frame. Returns `None` if it took all and needs more.
    pub(super) fn next(&mut self, data: &mut Bytes) -> Result<Option<ControlFrame>, H3Violation> {
        loop {
            match &mut self.state {
                State::Head => {
                    let Some(head) = self.head.take(data) else { return Ok(None) };
                    self.state = self.begin(head)?;
                }
                State::Skip { left } => {
                    let taken = data.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    data.advance(taken);
                    *left -= taken as u64;
                    if *left > 0 {
                        return Ok(None);
                    }
                    self.state = State::Head;
                }
                State::Settings { left, decoder } => {
                    let taken = data.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    decoder.feed(&mut data.split_to(taken))?;
                    *left -= taken as u64;
                    if *left > 0 {
                        return Ok(None);
                    }
                    let settings = std::mem::take(decoder).finish()?;
                    self.state = State::Head;
                    return Ok(Some(ControlFrame::Settings(settings)));
                }
                State::Payload { kind, left, payload } => {
                    let part = data.split_to((*left).min(data.len()));
                    payload.extend_from_slice(&part);
                    *left -= part.len();
                    if *left > 0 {
                        return Ok(None);
                    }
                    let frame = finish(*kind, payload.split().freeze())?;
                    self.state = State::Head;
                    return Ok(Some(frame));
                }
            }
        }
    }

    /// How many frames of unknown type were skipped since the last call.
    pub(super) fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }

    fn begin(&mut self, FrameHead { kind, length }: FrameHead) -> Result<State, H3Violation> {
        // RFC 9114: SETTINGS is the first frame, even before one that is ignored (§6.2.1), and comes once
        // (§7.2.4).
        match (self.settings_seen, kind) {
            (false, kind::SETTINGS) => {
                self.settings_seen = true;
                return Ok(State::Settings { left: length, decoder: Box::default() });
            }
            (false, _) => return Err(H3Violation::SettingsMissing),
            (true, kind::SETTINGS) => return Err(H3Violation::SettingsTwice),
            (true, _) => {}
        }
        let max = match kind {
            kind::DATA | kind::HEADERS | kind::PUSH_PROMISE => return Err(H3Violation::FrameOnControlStream),
            // RFC 9114 §7.2.7, RFC 9218 §7.2: only clients send these.
            kind::MAX_PUSH_ID | kind::PRIORITY_UPDATE_REQUEST | kind::PRIORITY_UPDATE_PUSH
                if self.side.is_client() =>
            {
                return Err(H3Violation::FrameOfOtherRole);
            }
            kind if kind::is_reserved(kind) => return Err(H3Violation::FrameReserved),
            kind::WT_STREAM if self.webtransport => return Err(H3Violation::SignalNotFirst),
            kind::GOAWAY | kind::MAX_PUSH_ID | kind::CANCEL_PUSH if !(1..=8).contains(&length) => {
                return Err(H3Violation::FrameLength);
            }
            kind::GOAWAY | kind::MAX_PUSH_ID | kind::CANCEL_PUSH => 8,
            kind::PRIORITY_UPDATE_REQUEST | kind::PRIORITY_UPDATE_PUSH => MAX_PRIORITY_UPDATE,
            _ => {
                self.skipped += 1;
                return Ok(State::Skip { left: length });
            }
        };
        match usize::try_from(length) {
            Ok(left) if length <= max => Ok(State::Payload { kind, left, payload: BytesMut::new() }),
            _ => Err(H3Violation::ControlFrameTooLarge),
        }
    }
}

fn finish(kind: u64, mut payload: Bytes) -> Result<ControlFrame, H3Violation> {
    let (id, length) = varint::decode(&payload).ok_or(H3Violation::FrameLength)?;
    if matches!(kind, kind::PRIORITY_UPDATE_REQUEST | kind::PRIORITY_UPDATE_PUSH) {
        payload.advance(length);
        return Ok(ControlFrame::PriorityUpdate {
            push: kind == kind::PRIORITY_UPDATE_PUSH,
            id,
            value: payload,
        });
    }
    // RFC 9114 §7.1: a frame ends with its last field.
    if length != payload.len() {
        return Err(H3Violation::FrameLength);
    }
    Ok(match kind {
        kind::GOAWAY => ControlFrame::GoAway(id),
        kind::MAX_PUSH_ID => ControlFrame::MaxPushId(id),
        _ => ControlFrame::CancelPush,
    })
}

/// Appends the control stream's type, our SETTINGS and one reserved frame, which the peer must ignore
/// (RFC 9114 §7.2.8).
pub(super) fn put_preamble(settings: &Settings, grease: u64, out: &mut BytesMut) {
    let mut payload = Vec::with_capacity(128);
    settings.encode(grease, &mut payload);
    varint::put(out, 0x00);
    frame::put_head(kind::SETTINGS, payload.len() as u64, out);
    out.extend_from_slice(&payload);
    frame::put_head(0x1f * (grease % (1 << 16)) + 0x21, 0, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn read(side: Side, bytes: &[u8], piece: usize) -> Result<usize, H3Violation> {
        let mut reader = ControlReader::new(side, true);
        let mut frames = 0;
        for chunk in bytes.chunks(piece) {
            let mut chunk = Bytes::copy_from_slice(chunk);
            while reader.next(&mut chunk)?.is_some() {
                frames += 1;
            }
        }
        Ok(frames)
    }

    proptest! {
        /// No bytes panic, and the result does not depend on how they are split.
        #[test]
        fn any_bytes_in_any_pieces(
            tail in vec(prop_oneof![0_u8..16, any::<u8>()], 0..100),
            piece in 1_usize..20,
        ) {
            let mut bytes = vec![0x04, 0x00];
            bytes.extend(tail);
            for side in [Side::Client, Side::Server] {
                prop_assert_eq!(read(side, &bytes, piece), read(side, &bytes, bytes.len()));
            }
        }
    }
}
