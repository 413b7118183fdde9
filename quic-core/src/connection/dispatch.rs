//! Passes each frame to the component that owns it.

use std::time::Duration;

use bytes::Bytes;

use super::{Connection, close::Failure, flood::FrameCost, parameters::least_ack_delay};
use crate::{
    base::Timestamp,
    crypto::TlsSession,
    error::{CloseReason, TransportErrorCode, Violation},
    frame::Frame,
    ids::{ConnectionId, Level, PathId, Space},
};

/// The packet that a frame came in.
pub(super) struct FromPacket<'a> {
    pub(super) level: Level,
    /// The payload of which the frames' data are slices.
    pub(super) payload: &'a Bytes,
    /// The size of the buffer that these slices keep alive.
    pub(super) allocation: usize,
    pub(super) dcid: ConnectionId,
    pub(super) path: PathId,
    pub(super) now: Timestamp,
}

impl Connection {
    /// Has a frame processed by its owner, and counts it in the flood guard.
    pub(super) fn dispatch(&mut self, frame: &Frame<'_>, from: &FromPacket<'_>) -> Result<(), Failure> {
        let useful_before = self.streams.useful_frames();
        self.give_to_owner(frame, from)?;
        let useful = self.streams.useful_frames() != useful_before;
        Ok(self.flood.on_frame(FrameCost::of(frame), useful, from.now)?)
    }

    /// Passes a frame to its owner. The match names every type, so a new type without an owner does not
    /// compile.
    fn give_to_owner(&mut self, frame: &Frame<'_>, from: &FromPacket<'_>) -> Result<(), Failure> {
        let (now, allocation) = (from.now, from.allocation);
        let events = &mut self.out.events;
        let changes = &mut self.out.cid_changes;
        let schedule = &mut self.schedule;
        let budget = &mut self.memory.streams;
        match *frame {
            Frame::Padding(_) | Frame::Ping => {}
            Frame::Ack(ref ack) => self.on_ack(from.level.space(), ack, now)?,
            Frame::Crypto { offset, data } => self.on_crypto(offset, data, from)?,
            Frame::Stream { id, offset, fin, data } => {
                let data = from.payload.slice_ref(data);
                self.streams.on_stream(id, offset, data, fin, allocation, budget, events)?;
                if from.level == Level::ZeroRtt {
                    self.streams.note_early(id);
                }
            }
            Frame::ResetStream { id, code, final_size } => {
                self.streams.on_reset_stream(id, code, final_size, 0, budget, events)?;
            }
            Frame::ResetStreamAt { id, code, final_size, reliable_size } => {
                self.streams.on_reset_stream(id, code, final_size, reliable_size, budget, events)?;
            }
            Frame::StopSending { id, code } => {
                self.streams.on_stop_sending(id, code, schedule, budget, events)?;
            }
            Frame::MaxData(limit) => self.streams.on_max_data(limit, schedule),
            Frame::MaxStreamData { id, limit } => {
                self.streams.on_max_stream_data(id, limit, schedule, budget, events)?;
            }
            Frame::MaxStreams { dir, limit } => {
                self.streams.on_max_streams(dir, limit, events)?;
                self.streams.permit(schedule);
            }
            Frame::DataBlocked(_) => self.streams.on_data_blocked(),
            Frame::StreamDataBlocked { id, .. } => {
                self.streams.on_stream_data_blocked(id, budget, events)?;
            }
            Frame::StreamsBlocked { dir, limit } => self.streams.on_streams_blocked(dir, limit)?,
            Frame::Datagram { data, has_length } => {
                let data = from.payload.slice_ref(data);
                let budget = &mut self.memory.fed;
                self.datagrams.on_datagram(data, has_length, allocation, now, budget, events)?;
            }
            Frame::NewConnectionId { sequence, retire_prior_to, id, token } => {
                self.cids.remote.on_new(sequence, retire_prior_to, id, token, changes)?;
                self.renew_ids(now);
            }
            Frame::RetireConnectionId(sequence) => {
                self.cids.local.on_retire(sequence, &from.dcid, self.entropy.as_mut(), changes)?;
            }
            Frame::PathChallenge(data) => {
                if let Some(path) = self.paths.get_mut(from.path) {
                    path.route.on_challenge(data);
                }
            }
            Frame::PathResponse(data) => self.on_path_response(data, now),
            Frame::NewToken(token) => self.on_new_token(token)?,
            Frame::HandshakeDone => self.on_handshake_done(now)?,
            Frame::ImmediateAck | Frame::AckFrequency { .. } => self.on_ack_request(frame)?,
            Frame::TransportClose { code, frame_type, reason } => {
                let (code, reason) = (TransportErrorCode(code), from.payload.slice_ref(reason));
                self.on_peer_close(CloseReason::Transport { code, frame_type, reason }, now);
            }
            Frame::ApplicationClose { code, reason } => self.on_application_close(code, reason, from)?,
        }
        Ok(())
    }

    /// NEW_TOKEN arrived: the client keeps the token for a later connection to this server (RFC 9000 §8.1.3).
    fn on_new_token(&self, token: &[u8]) -> Result<(), Violation> {
        self.expect_server()?;
        if let Some(seat) = self.handshake.tls().and_then(TlsSession::seat) {
            seat.insert_token(self.first_flight.version(), token);
        }
        Ok(())
    }

    fn on_crypto(&mut self, offset: u64, data: &[u8], from: &FromPacket<'_>) -> Result<(), Failure> {
        let (space, data) = (from.level.space(), from.payload.slice_ref(data));
        if space == Space::Initial {
            self.first_flight.on_crypto();
        }
        let progress =
            self.handshake.on_crypto(space, offset, data, from.allocation, &mut self.memory.fed)?;
        self.apply_progress(progress, from.now)
    }

    /// Only a server may send the frame (RFC 9000 §19.7, §19.20).
    fn expect_server(&self) -> Result<(), Violation> {
        if self.side.is_client() { Ok(()) } else { Err(Violation::FrameAtWrongSide) }
    }

    fn on_handshake_done(&mut self, now: Timestamp) -> Result<(), Violation> {
        self.expect_server()?;
        self.confirm(now);
        Ok(())
    }

    /// The peer asks for other acknowledgments. If it may ask for nothing, its frames are unknown here
    /// (ack-frequency §3).
    fn on_ack_request(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        let least = least_ack_delay(&self.config).ok_or(Violation::UnknownFrame)?;
        let acks = &mut self.acks.data;
        match *frame {
            Frame::AckFrequency { sequence, threshold, max_ack_delay, reordering } => {
                let delay = Duration::from_micros(max_ack_delay);
                acks.on_request(sequence, threshold, delay, reordering, least)
            }
            _ => {
                acks.on_immediate();
                Ok(())
            }
        }
    }

    fn on_application_close(
        &mut self,
        code: u64,
        reason: &[u8],
        from: &FromPacket<'_>,
    ) -> Result<(), Failure> {
        let reason = CloseReason::Application { code, reason: Bytes::copy_from_slice(reason) };
        // RFC 9000 §10.2.3, §12.5 forbid this, but Chromium sends the frame in an Initial packet: its code
        // must not be lost.
        if matches!(from.level, Level::Initial | Level::Handshake) {
            return Err(Failure::EarlyApplicationClose(reason));
        }
        self.on_peer_close(reason, from.now);
        Ok(())
    }
}
