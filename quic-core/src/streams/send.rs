//! The sending half of a stream (RFC 9000 §3.1; reliable-stream-reset §5).
//!
//! The fields encode the states. Ready/Send: `fin` is `Open` or `Queued`, and there is no `reset`. Data Sent:
//! `fin` is `InFlight`. Reset Sent: `reset`. Data Recvd/Reset Recvd: [`SendHalf::is_done`], after which the
//! half is gone.

use bytes::Bytes;

use crate::{buf::SendBuffer, error::call::WriteError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    Open,
    Queued,
    InFlight,
    Acked,
}

/// The counts of a sending half, in bytes. None ever decreases, whatever a reset cuts off, and each is at
/// most the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendStats {
    /// Bytes written by the application.
    pub(crate) written: u64,
    /// Bytes sent at least once.
    pub(crate) sent: u64,
    /// Bytes acknowledged without a gap from the start.
    pub(crate) acked: u64,
    /// The final size that the peer knows, if the stream was reset (RFC 9000 §4.5).
    pub(crate) final_size: Option<u64>,
}

/// A reset of this stream, by the application or in answer to `STOP_SENDING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reset {
    pub(super) code: u64,
    pub(super) final_size: u64,
    /// How many bytes from the start still have to arrive; 0 means none.
    pub(super) reliable_size: u64,
    /// Whether the peer does not know `RESET_STREAM_AT`. The frame is then a `RESET_STREAM`, which waits
    /// until the reliable data has arrived.
    pub(super) plain: bool,
    /// How many bytes had been written when the stream was reset.
    written: u64,
    /// How many bytes had been sent when the stream was reset, or when a later reset cut off more. The final
    /// size is never below.
    sent: u64,
    /// Whether a frame with the final size was sent; the size must not change after that.
    announced: bool,
    /// How many reset frames were sent and not acknowledged.
    unacked: u32,
    /// How many acknowledgments are needed until one of them must be for the current reliable size. Receipts
    /// do not tell which size they carried. After the size was lowered, one more acknowledgment is needed
    /// than the older frames can bring.
    acks_needed: u32,
}

/// What a stream could send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Nothing,
    /// The stream's limit blocks new data.
    StreamBlocked,
    /// The connection's limit blocks new data.
    ConnectionBlocked,
    Data {
        offset: u64,
        available: usize,
        fin: bool,
    },
}

/// The limits that bound a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Within {
    /// Only the send buffer bounds the write; data beyond the peer's limit waits in the buffer.
    Buffer,
    /// The send buffer and the peer's limit of the stream bound the write (RFC 9000 §4.1).
    PeerLimit,
}

/// How many bytes beyond the peer's limit of a stream are accepted. Data that the limit blocks must not fill
/// the connection's memory, but a little must be pending so that the peer hears that more would come.
const BEYOND_LIMIT: u64 = 16 << 10;
/// The most data that one frame can carry, whatever the packet.
const MAX_FRAME: usize = 65_535;

#[derive(Debug)]
pub(super) struct SendHalf {
    pub(super) buffer: SendBuffer,
    max_data: u64,
    fin: Fin,
    /// Few streams are ever reset.
    reset: Option<Box<Reset>>,
    stopped: Option<u64>,
    /// Whether a write took less than it was given: an event is due when there is room.
    write_blocked: bool,
    /// Whether the connection had no room for that write; it wakes the stream when it has.
    pub(super) waits_for_room: bool,
    /// Whether that write keeps to the peer's limit: there is room only if that limit leaves some.
    within_limit: bool,
    blocked_at: Option<u64>,
    acked: u64,
}

impl SendHalf {
    pub(super) fn new(max_data: u64) -> Self {
        Self {
            buffer: SendBuffer::default(),
            max_data,
            fin: Fin::Open,
            reset: None,
            stopped: None,
            write_blocked: false,
            waits_for_room: false,
            within_limit: false,
            blocked_at: None,
            acked: 0,
        }
    }

    pub(super) fn acked(&self) -> u64 {
        self.acked
    }

    pub(super) fn reset_state(&self) -> Option<Reset> {
        self.reset.as_deref().copied()
    }

    pub(super) fn stats(&self) -> SendStats {
        let (written, sent) = (self.buffer.end(), self.buffer.sent_end());
        let (written, sent) =
            self.reset_state().map_or((written, sent), |reset| (reset.written, sent.max(reset.sent)));
        let final_size = self.reset_state().map(|reset| reset.final_size);
        SendStats { written, sent, acked: self.buffer.acked_to(), final_size }
    }

    /// Returns whether this raised the limit.
    pub(super) fn raise(&mut self, limit: u64) -> bool {
        let raised = limit > self.max_data;
        self.max_data = self.max_data.max(limit);
        raised
    }

    /// Nothing of what was sent has arrived, and the peer's limit is this one: everything is sent again.
    pub(super) fn begin_again(&mut self, max_data: u64) {
        self.buffer.begin_again();
        self.max_data = max_data;
        self.blocked_at = None;
        if self.fin == Fin::InFlight {
            self.fin = Fin::Queued;
        }
        if let Some(reset) = &mut self.reset {
            // The peer has not heard of a final size. What was sent does not count against its limit.
            reset.final_size = reset.reliable_size;
            reset.announced = false;
            reset.unacked = 0;
            reset.acks_needed = 1;
        }
    }

    /// How many more bytes may be written within the peer's limit.
    pub(super) fn room(&self) -> u64 {
        self.max_data.saturating_sub(self.buffer.end())
    }

    /// How many more bytes a writer may write that does not keep to the peer's limit.
    fn room_beyond(&self) -> u64 {
        self.max_data.saturating_add(BEYOND_LIMIT).saturating_sub(self.buffer.end())
    }

    /// Takes as much of `bytes` as `limit` leaves room for in the buffer. With [`Within::PeerLimit`] it takes
    /// no more than the peer's limit permits; otherwise it takes little more.
    pub(super) fn write(
        &mut self,
        bytes: &mut Bytes,
        limit: usize,
        within: Within,
    ) -> Result<usize, WriteError> {
        self.check_open()?;
        let taken = self.writable(limit, within).min(bytes.len());
        self.write_blocked |= taken < bytes.len();
        self.within_limit = within == Within::PeerLimit;
        if taken > 0 {
            let whole = taken == bytes.len();
            self.buffer.write(if whole { std::mem::take(bytes) } else { bytes.split_to(taken) });
        }
        Ok(taken)
    }

    /// How many bytes a write would take if the stream may hold `limit` bytes.
    pub(super) fn writable(&self, limit: usize, within: Within) -> usize {
        if self.check_open().is_err() {
            return 0;
        }
        let room = limit.saturating_sub(usize::try_from(self.buffer.held().bytes).unwrap_or(usize::MAX));
        let permitted = match within {
            Within::Buffer => self.room_beyond(),
            Within::PeerLimit => self.room(),
        };
        room.min(usize::try_from(permitted).unwrap_or(usize::MAX))
    }

    pub(super) fn finish(&mut self) -> Result<(), WriteError> {
        self.check_open()?;
        self.fin = Fin::Queued;
        self.write_blocked = false;
        Ok(())
    }

    fn check_open(&self) -> Result<(), WriteError> {
        match (self.stopped, self.fin, self.reset_state()) {
            (Some(code), _, _) => Err(WriteError::Stopped(code)),
            (None, Fin::Open, None) => Ok(()),
            _ => Err(WriteError::Closed),
        }
    }

    /// Resets the stream, or lowers the reliable size of a reset in progress, which keeps its code and its
    /// final size (reliable-stream-reset §5.2). `plain` is whether the peer does not know `RESET_STREAM_AT`.
    /// Returns whether a frame is to be sent.
    pub(super) fn reset(&mut self, code: u64, reliable_size: u64, plain: bool) -> Result<bool, WriteError> {
        if let Some(code) = self.stopped {
            return Err(WriteError::Stopped(code));
        }
        Ok(self.start_reset(code, reliable_size, plain))
    }

    /// `STOP_SENDING` arrived. It is answered by a plain reset with the same code (RFC 9000 §3.5), unless all
    /// data was sent and acknowledged. Returns `None` if one arrived before, else whether a frame is to be
    /// sent.
    pub(super) fn stop(&mut self, code: u64) -> Option<bool> {
        if self.stopped.is_some() {
            return None;
        }
        self.stopped = Some(code);
        Some(self.start_reset(code, 0, true))
    }

    fn start_reset(&mut self, code: u64, reliable_size: u64, plain: bool) -> bool {
        self.write_blocked = false;
        let reliable_size = reliable_size.min(self.buffer.end());
        match &mut self.reset {
            Some(reset) if reliable_size < reset.reliable_size => {
                reset.sent = reset.sent.max(self.buffer.sent_end());
                if !reset.announced {
                    reset.final_size = reset.sent.max(reliable_size);
                }
                reset.reliable_size = reliable_size;
                reset.acks_needed = reset.unacked.saturating_add(1);
            }
            Some(_) => return false,
            None => {
                let sent = self.buffer.sent_end();
                self.reset = Some(Box::new(Reset {
                    code,
                    final_size: sent.max(reliable_size),
                    reliable_size,
                    plain,
                    written: self.buffer.end(),
                    sent,
                    announced: false,
                    unacked: 0,
                    acks_needed: 1,
                }));
            }
        }
        self.buffer.truncate(reliable_size);
        true
    }

    /// The reset to send now. It waits until all data up to the reliable size was sent once, because the
    /// final size must be within the limits of flow control (reliable-stream-reset §4). A plain reset waits
    /// until that data is acknowledged, because a receiver of RESET_STREAM may drop data that arrives later
    /// or is unread (RFC 9000 §3.2).
    pub(super) fn reset_to_send(&self) -> Option<Reset> {
        let due = |reset: &Reset| {
            let size = reset.reliable_size.min(self.buffer.end());
            self.buffer.sent_end() >= size && (!reset.plain || self.buffer.acked_to() >= size)
        };
        self.reset_state().filter(due)
    }

    /// Whether a reset that waited for acknowledgments need not wait any more, and has not been sent.
    pub(super) fn is_reset_released(&self) -> bool {
        self.reset_to_send().is_some_and(|reset| reset.plain && reset.reliable_size > 0 && !reset.announced)
    }

    pub(super) fn on_reset_sent(&mut self) {
        if let Some(reset) = &mut self.reset {
            reset.announced = true;
            reset.unacked = reset.unacked.saturating_add(1);
        }
    }

    /// A reset frame was acknowledged. Returns whether it must be sent again.
    pub(super) fn on_reset_acked(&mut self) -> bool {
        let Some(reset) = &mut self.reset else { return false };
        reset.unacked = reset.unacked.saturating_sub(1);
        reset.acks_needed = reset.acks_needed.saturating_sub(1);
        reset.acks_needed > 0
    }

    /// A reset frame was lost. Returns whether it must be sent again.
    pub(super) fn on_reset_lost(&mut self) -> bool {
        self.reset.as_deref().is_some_and(|reset| reset.acks_needed > 0)
    }

    /// What to send next, if the connection permits `credit` bytes of new data.
    pub(super) fn offer(&self, credit: u64) -> Offer {
        let sent = self.buffer.sent_end();
        let limit = self.max_data.min(sent.saturating_add(credit));
        if let Some(range) = self.buffer.peek_transmit(MAX_FRAME, limit) {
            let fin = self.fin == Fin::Queued && range.end == self.buffer.end() && self.reset.is_none();
            return Offer::Data { offset: range.start, available: (range.end - range.start) as usize, fin };
        }
        if self.buffer.has_unsent() || self.awaits_limit() {
            return if self.max_data <= sent { Offer::StreamBlocked } else { Offer::ConnectionBlocked };
        }
        if self.fin == Fin::Queued && self.reset.is_none() {
            return Offer::Data { offset: self.buffer.end(), available: 0, fin: true };
        }
        Offer::Nothing
    }

    /// Data was written into a packet. Returns how many of its bytes are new, which uses credit.
    pub(super) fn on_sent(&mut self, offset: u64, length: usize, fin: bool) -> u64 {
        let before = self.buffer.sent_end();
        self.buffer.on_sent(offset..offset + length as u64);
        if fin {
            self.fin = Fin::InFlight;
        }
        self.buffer.sent_end() - before
    }

    pub(super) fn on_acked(&mut self, offset: u64, length: u32, fin: bool) {
        self.acked += self.buffer.on_ack(offset..offset + u64::from(length));
        if fin {
            self.fin = Fin::Acked;
        }
    }

    pub(super) fn on_lost(&mut self, offset: u64, length: u32, fin: bool) {
        self.buffer.on_lost(offset..offset + u64::from(length));
        if fin && self.fin == Fin::InFlight {
            self.fin = Fin::Queued;
        }
    }

    /// Whether a writer that keeps to the peer's limit waits for it to rise.
    fn awaits_limit(&self) -> bool {
        self.write_blocked && self.within_limit && self.room() == 0
    }

    /// Whether an event is due, because a quarter of the limit is free again for a blocked writer.
    pub(super) fn take_writable(&mut self, limit: usize) -> bool {
        let free = self.buffer.held().bytes <= (limit - limit / 4) as u64;
        let due = self.write_blocked && free && self.room_beyond() > 0 && !self.awaits_limit();
        self.write_blocked &= !due;
        due
    }

    /// The connection has room again. Returns whether to notify a blocked writer.
    pub(super) fn take_room(&mut self) -> bool {
        self.waits_for_room = false;
        let due = self.write_blocked && self.room_beyond() > 0 && !self.awaits_limit();
        self.write_blocked &= !due;
        due
    }

    /// Returns true the first time that the stream is blocked at this limit.
    pub(super) fn note_blocked(&mut self) -> bool {
        self.blocked_at.replace(self.max_data) != Some(self.max_data)
    }

    /// The limit to report in `STREAM_DATA_BLOCKED`, if the stream is still blocked.
    pub(super) fn blocked_limit(&self) -> Option<u64> {
        let wants = self.buffer.has_unsent() || self.awaits_limit();
        (wants && self.max_data <= self.buffer.sent_end() && self.reset.is_none()).then_some(self.max_data)
    }

    /// True in the terminal states Data Recvd and Reset Recvd.
    pub(super) fn is_done(&self) -> bool {
        let ended = match &self.reset {
            Some(reset) => reset.acks_needed == 0,
            None => self.fin == Fin::Acked,
        };
        ended && self.buffer.is_fully_acked()
    }
}
