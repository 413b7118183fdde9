//! Hands each frame to its owner.

use bytes::Bytes;

use super::{Connection, close::Failure, flood::Worth};
use crate::{
    base::Timestamp,
    error::{CloseReason, TransportErrorCode, Violation},
    frame::Frame,
    ids::{ConnectionId, Level},
};

/// The packet that a frame came in.
pub(super) struct FromPacket<'a> {
    pub(super) level: Level,
    /// What the frames' data are slices of.
    pub(super) payload: &'a Bytes,
    /// The size of the buffer that they keep alive.
    pub(super) allocation: usize,
    pub(super) dcid: ConnectionId,
    pub(super) now: Timestamp,
}

impl Connection {
    /// Has a frame processed by its owner, and judges what it was worth.
    pub(super) fn dispatch(&mut self, frame: &Frame<'_>, from: &FromPacket<'_>) -> Result<(), Failure> {
        let news = self.streams.news();
        self.give_to_owner(frame, from)?;
        let news = self.streams.news() != news;
        Ok(self.flood.on_frame(Worth::of(frame), news, from.now)?)
    }

    fn give_to_owner(&mut self, frame: &Frame<'_>, from: &FromPacket<'_>) -> Result<(), Failure> {
        let now = from.now;
        let events = &mut self.out.events;
        let budget = &mut self.stream_budget;
        match *frame {
            Frame::Padding(_) | Frame::Ping => Ok(()),
            Frame::Ack(ref ack) => self.on_ack(from.level.space(), ack, now),
            Frame::Crypto { offset, data } => {
                let data = from.payload.slice_ref(data);
                let budget = &mut self.budget;
                let progress =
                    self.handshake.on_crypto(from.level.space(), offset, data, from.allocation, budget)?;
                self.apply_progress(progress, now)
            }
            Frame::Stream { id, offset, fin, data } => {
                let data = from.payload.slice_ref(data);
                Ok(self.streams.on_stream(id, offset, data, fin, from.allocation, budget, events)?)
            }
            Frame::ResetStream { id, code, final_size } => {
                Ok(self.streams.on_reset_stream(id, code, final_size, 0, budget, events)?)
            }
            Frame::ResetStreamAt { id, code, final_size, reliable_size } => {
                Ok(self.streams.on_reset_stream(id, code, final_size, reliable_size, budget, events)?)
            }
            Frame::StopSending { id, code } => Ok(self.streams.on_stop_sending(id, code, budget, events)?),
            Frame::MaxData(limit) => {
                self.streams.on_max_data(limit);
                Ok(())
            }
            Frame::MaxStreamData { id, limit } => {
                Ok(self.streams.on_max_stream_data(id, limit, budget, events)?)
            }
            Frame::MaxStreams { dir, limit } => Ok(self.streams.on_max_streams(dir, limit, events)?),
            Frame::DataBlocked(_) => {
                self.streams.on_data_blocked();
                Ok(())
            }
            Frame::StreamDataBlocked { id, .. } => {
                Ok(self.streams.on_stream_data_blocked(id, budget, events)?)
            }
            Frame::StreamsBlocked { dir, limit } => Ok(self.streams.on_streams_blocked(dir, limit)?),
            Frame::Datagram { data, has_length } => {
                let data = from.payload.slice_ref(data);
                let budget = &mut self.budget;
                Ok(self.datagrams.on_datagram(data, has_length, from.allocation, now, budget, events)?)
            }
            _ => self.dispatch_connection_frame(frame, from),
        }
    }

    /// Frames that concern the connection as such.
    fn dispatch_connection_frame(&mut self, frame: &Frame<'_>, from: &FromPacket<'_>) -> Result<(), Failure> {
        let changes = &mut self.out.cid_changes;
        match *frame {
            Frame::NewConnectionId { sequence, retire_prior_to, id, token } => {
                Ok(self.remote_cids.on_new(sequence, retire_prior_to, id, token, changes)?)
            }
            Frame::RetireConnectionId(sequence) => {
                Ok(self.local_cids.on_retire(sequence, &from.dcid, self.entropy.as_mut(), changes)?)
            }
            Frame::PathChallenge(data) => {
                self.path.on_challenge(data);
                Ok(())
            }
            // RFC 9000 §19.18 permits ignoring answers to challenges that were never sent; none are.
            Frame::PathResponse(_) => Ok(()),
            // RFC 9000 §19.7, §19.20: only servers send these.
            Frame::NewToken(_) | Frame::HandshakeDone if !self.side.is_client() => {
                Err(Violation::FrameAtWrongSide.into())
            }
            Frame::HandshakeDone => {
                self.confirm(from.now);
                Ok(())
            }
            Frame::TransportClose { code, frame_type, reason } => {
                let code = TransportErrorCode(code);
                let reason = from.payload.slice_ref(reason);
                self.on_peer_close(CloseReason::Transport { code, frame_type, reason }, from.now);
                Ok(())
            }
            Frame::ApplicationClose { code, reason } => {
                let reason = CloseReason::Application { code, reason: Bytes::copy_from_slice(reason) };
                // RFC 9000 §10.2.3, §12.5. Chromium does send it in an Initial: its code must not be lost.
                if matches!(from.level, Level::Initial | Level::Handshake) {
                    return Err(Failure::EarlyApplicationClose(reason));
                }
                self.on_peer_close(reason, from.now);
                Ok(())
            }
            // Tokens for future connections are not kept; everything else was dispatched before.
            _ => Ok(()),
        }
    }
}
