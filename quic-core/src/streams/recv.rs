//! The receiving half of a stream (RFC 9000 §3.2; reliable-stream-reset §5).
//!
//! States: Recv (no `final_size`), Size Known (`final_size`), Data Recvd (all data has arrived), Reset Recvd
//! (`reset`). The half ends with Data Read and Reset Read, and when the final size of a stopped stream is
//! known.
//!
//! A reset drops unread data, as §3.2 permits, but only once the stream has a tag. The data that arrived in
//! order, even in one burst with the reset, tells who owns the stream. Until there is a tag, that data is
//! read first and the reset after it.

use std::time::Duration;

use bytes::Bytes;

use super::flow::ReceiveWindow;
use crate::{
    base::{Budget, BudgetExceeded, Timestamp, varint},
    buf::Assembler,
    error::{
        Violation,
        call::{ReadError, ReadProgress},
    },
};

/// The result of a read, before the stream table acts on it.
#[derive(Debug)]
pub(super) enum Taken {
    Data(Bytes),
    Blocked,
    Finished,
    Failed(ReadError),
}

impl Taken {
    /// What this result means for a read that goes no further.
    pub(super) fn progress(self) -> Result<ReadProgress, ReadError> {
        match self {
            Self::Data(_) => Ok(ReadProgress::Full),
            Self::Blocked => Ok(ReadProgress::Blocked),
            Self::Finished => Ok(ReadProgress::Finished),
            Self::Failed(error) => Err(error),
        }
    }
}

#[derive(Debug)]
pub(super) struct RecvHalf {
    assembler: Assembler,
    pub(super) window: ReceiveWindow,
    /// The highest offset received, or the final size: what counts against flow control (RFC 9000 §4.1,
    /// §4.5).
    highest: u64,
    /// Credit of the connection was given back for all bytes below this offset.
    credited: u64,
    final_size: Option<u64>,
    reset: Option<(u64, u64)>,
    stopped: Option<u64>,
    /// Whether the stream has no owner yet: a reset drops nothing that arrived in order.
    unclaimed: bool,
    /// Whether an event is due the next time there is something to read.
    notify: bool,
}

impl RecvHalf {
    /// `claimed` is whether the stream has an owner from the start.
    pub(super) fn new(initial_window: u64, max_window: u64, claimed: bool) -> Self {
        Self {
            assembler: Assembler::default(),
            window: ReceiveWindow::new(initial_window, max_window),
            highest: 0,
            credited: 0,
            final_size: None,
            reset: None,
            stopped: None,
            unclaimed: !claimed,
            notify: true,
        }
    }

    pub(super) fn final_size(&self) -> Option<u64> {
        self.final_size
    }

    pub(super) fn stopped(&self) -> Option<u64> {
        self.stopped
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.assembler.bytes_read()
    }

    /// One past the highest byte received, or the final size.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    pub(super) fn contiguous_end(&self) -> u64 {
        self.assembler.contiguous_end()
    }

    /// How many bytes a reader could take now.
    pub(super) fn readable(&self) -> u64 {
        if self.discards() {
            0
        } else {
            self.contiguous_end().min(self.readable_to()).saturating_sub(self.bytes_read())
        }
    }

    /// Checks a STREAM frame against the final size (RFC 9000 §4.5) and the stream's limit (§4.1). Returns
    /// how many more bytes count against the connection's limit. Changes nothing.
    pub(super) fn check_data(&self, offset: u64, length: u64, fin: bool) -> Result<u64, Violation> {
        let end =
            offset.checked_add(length).filter(|end| *end <= varint::MAX).ok_or(Violation::StreamOffset)?;
        match self.final_size {
            Some(size) if fin && size != end => return Err(Violation::FinalSizeChanged),
            Some(size) if end > size => return Err(Violation::FinalSizeExceeded),
            None if fin && end < self.highest => return Err(Violation::FinalSizeChanged),
            _ => {}
        }
        self.check_limit(end)
    }

    /// Checks `RESET_STREAM` and `RESET_STREAM_AT` in the same way; `reliable_size` is 0 for the former.
    pub(super) fn check_reset(
        &self,
        code: u64,
        final_size: u64,
        reliable_size: u64,
    ) -> Result<u64, Violation> {
        // reliable-stream-reset §4.
        if reliable_size > final_size {
            return Err(Violation::ReliableSize);
        }
        if final_size < self.highest || self.final_size.is_some_and(|size| size != final_size) {
            return Err(Violation::FinalSizeChanged);
        }
        // reliable-stream-reset §5.2.
        if self.reset.is_some_and(|(known, _)| known != code) {
            return Err(Violation::ResetCodeChanged);
        }
        self.check_limit(final_size)
    }

    fn check_limit(&self, end: u64) -> Result<u64, Violation> {
        if end > self.window.advertised() {
            return Err(Violation::StreamFlowControl);
        }
        Ok(end.saturating_sub(self.highest))
    }

    /// Takes checked data. Returns whether it brought anything new: bytes that had not arrived before, or the
    /// end.
    pub(super) fn on_data(
        &mut self,
        offset: u64,
        data: Bytes,
        fin: bool,
        allocation: usize,
        budget: &mut Budget,
    ) -> Result<bool, BudgetExceeded> {
        let end = offset + data.len() as u64;
        self.highest = self.highest.max(end);
        let first_end = fin && self.final_size.is_none();
        if fin {
            self.final_size = Some(end);
        }
        if self.discards() || (self.reset.is_some() && offset >= self.readable_to()) {
            return Ok(first_end);
        }
        Ok(self.assembler.insert(offset, data, allocation, budget)? > 0 || first_end)
    }

    /// Takes a checked reset. Data below the reliable size stays readable. Data that arrived in order does,
    /// too, while nobody has [claimed](Self::claim) the stream. A reset after all data has arrived changes
    /// nothing (RFC 9000 §3.2, Data Recvd).
    pub(super) fn on_reset(&mut self, code: u64, final_size: u64, reliable_size: u64, budget: &mut Budget) {
        let complete = self.final_size == Some(self.assembler.contiguous_end()) && self.reset.is_none();
        self.highest = self.highest.max(final_size);
        self.final_size = Some(final_size);
        if complete {
            return;
        }
        // A reset can only lower the size (reliable-stream-reset §5.2).
        let reliable_size = self.reset.map_or(reliable_size, |(_, known)| known.min(reliable_size));
        self.reset = Some((code, reliable_size));
        if self.discards() {
            self.assembler.clear(budget);
        }
    }

    /// The stream has an owner: after a reset nothing more is read. The next call that has the budget
    /// releases the unread data.
    pub(super) fn claim(&mut self) {
        self.unclaimed = false;
    }

    /// Whether bytes are missing that a reader would wait for: the end is unknown, or there is a gap before
    /// it.
    pub(super) fn awaits_data(&self) -> bool {
        let end = match (self.reset, self.final_size) {
            (Some((_, reliable_size)), _) => Some(reliable_size),
            (None, size) => size,
        };
        end.is_none_or(|end| self.contiguous_end() < end)
    }

    /// The application wants no more data. Returns whether to tell the peer, which is not needed once it has
    /// sent everything.
    pub(super) fn stop(&mut self, code: u64, budget: &mut Budget) -> Result<bool, ReadError> {
        if self.stopped.is_some() {
            return Err(ReadError::Closed);
        }
        self.stopped = Some(code);
        self.assembler.clear(budget);
        Ok(self.final_size.is_none())
    }

    /// Takes the next bytes in order.
    pub(super) fn read(&mut self, max: usize, budget: &mut Budget) -> Taken {
        if self.stopped.is_some() {
            return Taken::Failed(ReadError::Closed);
        }
        let left = self.readable_to().saturating_sub(self.bytes_read());
        let max = max.min(usize::try_from(left).unwrap_or(usize::MAX));
        if let Some(bytes) = self.assembler.read(max, budget) {
            self.window.consume(bytes.len() as u64);
            return Taken::Data(bytes);
        }
        if let Some((code, reliable_size)) = self.reset {
            if self.bytes_read() >= reliable_size {
                // The reset is being reported, so the credit for all that is left is given back.
                self.claim();
                self.assembler.clear(budget);
                return Taken::Failed(ReadError::Reset(code));
            }
        } else if self.final_size == Some(self.bytes_read()) {
            return Taken::Finished;
        }
        if self.assembler.readable() == 0 {
            self.notify = true;
        }
        Taken::Blocked
    }

    /// The credit of the connection to give back now: for bytes that were read, or for all that arrived once
    /// nobody will read them.
    pub(super) fn take_credit(&mut self) -> u64 {
        let to = if self.discards() { self.highest } else { self.bytes_read() };
        let credit = to.saturating_sub(self.credited);
        self.credited = self.credited.max(to);
        credit
    }

    /// Auto-tunes the window after a read. Returns the new window if it grew.
    pub(super) fn tune(&mut self, now: Timestamp, rtt: Duration) -> Option<u64> {
        (self.wants_data() && self.window.tune(now, rtt, self.highest)).then(|| self.window.size())
    }

    /// Whether more credit on this stream makes sense.
    pub(super) fn wants_data(&self) -> bool {
        self.final_size.is_none() && self.stopped.is_none()
    }

    /// Whether a readable event is due. It is due only once until a read finds nothing.
    pub(super) fn take_readable(&mut self) -> bool {
        let due = self.notify && self.stopped.is_none() && self.is_readable();
        self.notify &= !due;
        due
    }

    /// The final size, if the stream is stopped and the size is known: nothing more comes of this half.
    pub(super) fn discarded(&self) -> Option<u64> {
        self.final_size.filter(|_| self.stopped.is_some())
    }

    /// Returns all charges to the budget before the half is dropped.
    pub(super) fn clear(&mut self, budget: &mut Budget) {
        self.assembler.end(budget);
    }

    fn is_readable(&self) -> bool {
        let read = self.bytes_read();
        self.assembler.readable() > 0
            || self.final_size == Some(read)
            || self.reset.is_some_and(|(_, reliable_size)| read >= reliable_size)
    }

    /// Whether nobody will read data that arrives from now on.
    fn discards(&self) -> bool {
        self.stopped.is_some()
            || self.effective_reset().is_some_and(|(_, reliable_size)| self.bytes_read() >= reliable_size)
    }

    /// Where reading ends because of a reset.
    fn readable_to(&self) -> u64 {
        self.effective_reset().map_or(u64::MAX, |(_, reliable_size)| reliable_size)
    }

    /// The reset, if it drops data. On an unclaimed stream, a plain reset is only reported, after the data
    /// that arrived in order; a reset with a reliable size says itself what is to be read.
    fn effective_reset(&self) -> Option<(u64, u64)> {
        self.reset.filter(|(_, reliable_size)| *reliable_size > 0 || !self.unclaimed)
    }
}
