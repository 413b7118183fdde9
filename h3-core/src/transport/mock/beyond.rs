//! What the layers above HTTP/3 need of an end beyond [`Transport`].

use bytes::{Buf, Bytes};
use quic_core::{
    StreamId, StreamTag,
    error::call::{Read, ReadError, ReadProgress, WriteError},
};

use super::end::End;
use crate::transport::Transport;

impl End {
    /// As [`Self::read`], but reads until it has `max` bytes, nothing is left, or the stream ends, and
    /// appends what it read to `chunks`.
    pub fn read_chunks(
        &mut self,
        id: StreamId,
        max: usize,
        chunks: &mut Vec<Bytes>,
    ) -> Result<ReadProgress, ReadError> {
        let mut left = max;
        loop {
            match self.read(id, left)? {
                Read::Data(bytes) => {
                    left -= bytes.len();
                    chunks.push(bytes);
                }
                Read::Blocked if left == 0 => return Ok(ReadProgress::Full),
                Read::Blocked => return Ok(ReadProgress::Blocked),
                Read::Finished => return Ok(ReadProgress::Finished),
            }
        }
    }

    /// As [`Self::write`], but takes only what the peer's limit of the stream (`MAX_STREAM_DATA`,
    /// RFC 9000 §4.1) permits. `Event::StreamWritable` also follows when the limit rises.
    pub fn write_within_limit(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        let left = self.stream_limit.saturating_sub(self.bytes_written(id).unwrap_or(0));
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        let mut part = data.slice(..part);
        let taken = self.write(id, &mut part)?;
        data.advance(taken);
        if let Some(send) = self.stream(id).send.as_mut() {
            send.blocked = !data.is_empty();
        }
        Ok(taken)
    }

    /// Holds back the frames of a later reset or stop of `id` until everything written to `until`, and its
    /// end, is acknowledged. They take effect here at once. Nothing is held back if `until` has nothing left
    /// to send.
    pub fn hold_back(&mut self, id: StreamId, until: StreamId) {
        self.held.insert(id, until);
    }

    /// Sets the tag of a stream, which its later events carry.
    pub fn set_tag(&mut self, id: StreamId, tag: StreamTag) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.tag = tag;
        }
    }

    /// How many bytes were read from a stream so far; `None` once it is gone.
    pub fn bytes_read(&mut self, id: StreamId) -> Option<u64> {
        Some(self.streams.get(&id)?.recv.as_ref()?.read)
    }

    /// How many bytes were written to a stream so far; `None` once its sending side is gone.
    pub fn bytes_written(&mut self, id: StreamId) -> Option<u64> {
        Some(self.streams.get(&id)?.send.as_ref()?.written)
    }

    /// How much a stream counts against the peer's flow control, in bytes: the highest offset sent, or the
    /// final size once it was reset, also in answer to STOP_SENDING. `None` once its sending side is gone.
    pub fn sent_end(&mut self, id: StreamId) -> Option<u64> {
        let send = self.streams.get(&id)?.send.as_ref()?;
        // The bytes that a reset left in the queue are still sent.
        let rest = if send.reset.is_some() { send.queue.len() as u64 } else { 0 };
        (!send.end_delivered).then_some(send.delivered + rest)
    }

    /// How much a stream counts against this side's flow control, in bytes: the highest offset received, or
    /// the final size once that is known. `None` once its receiving side is gone.
    pub fn received_end(&mut self, id: StreamId) -> Option<u64> {
        let recv = self.streams.get(&id)?.recv.as_ref()?;
        // A stopped stream still counts until its final size is known.
        let open = !recv.closed || (recv.stop.is_some() && !recv.over);
        open.then_some(recv.received)
    }

    /// How many bytes arrived for closed streams, on all of them together.
    pub fn bytes_dropped(&self) -> u64 {
        self.dropped
    }

    /// Hands a stream over to the application, which from now on decides when its data is read.
    pub fn hand_over(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.handed_over = true;
        }
    }

    /// The final size of a finished or reset stream, if known.
    pub fn final_size(&mut self, id: StreamId) -> Option<u64> {
        let recv = self.streams.get(&id)?.recv.as_ref()?;
        (recv.finished || recv.reset.is_some()).then_some(recv.received)
    }

    /// Whether a stream has arrived completely: every byte and its end, or a reset and the bytes that it
    /// guarantees.
    pub fn is_whole(&mut self, id: StreamId) -> bool {
        !self.holes.contains(&id) && self.final_size(id).is_some()
    }

    /// Whether the peer understands `RESET_STREAM_AT`.
    pub fn peer_supports_reset_stream_at(&self) -> bool {
        self.reset_stream_at
    }

    /// The TLS exporter (RFC 8446 §7.5): fills `out`.
    pub fn export_keying_material(&self, out: &mut [u8], label: &[u8], context: &[u8]) {
        // The value is not secret. It is equal at both ends and differs with the label and context.
        let seed = label
            .iter()
            .chain(&[0])
            .chain(context)
            .fold(17_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        out.iter_mut().zip(1_u64..).for_each(|(byte, at)| *byte = (seed.wrapping_mul(at) >> 24) as u8);
    }
}
