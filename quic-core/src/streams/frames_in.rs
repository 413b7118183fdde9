//! The peer's frames about streams. A frame is applied, or ignored because its stream is forgotten, or breaks
//! a rule and ends the connection.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    Streams,
    limits::{Arrival, MAX_STREAMS},
    table::{self, pending},
};
use crate::{
    base::Budget,
    error::Violation,
    event::Event,
    ids::{Dir, StreamId},
    schedule::Schedule,
};

type Out = VecDeque<Event>;

impl Streams {
    /// STREAM (RFC 9000 §19.8). `allocation` is the size of the buffer that `data` keeps alive.
    #[expect(clippy::too_many_arguments, reason = "the fields of the frame and what it is applied with")]
    pub(crate) fn on_stream(
        &mut self,
        id: StreamId,
        offset: u64,
        data: Bytes,
        fin: bool,
        allocation: usize,
        budget: &mut Budget,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let Some(slot) = self.for_receiving(id, budget, out)? else { return Ok(()) };
        let Some(recv) = self.table.get_mut(slot).and_then(|stream| stream.recv.as_mut()) else {
            self.counters.frames_after_close += 1;
            return Ok(());
        };
        let increase = recv.check_data(offset, data.len() as u64, fin)?;
        // RFC 9000 §4.1: the limit applies to the sum over all streams.
        if increase > self.receive_window.advertised().saturating_sub(self.received) {
            return Err(Violation::ConnectionFlowControl);
        }
        self.received += increase;
        let dropped = if recv.stopped().is_some() { increase } else { 0 };
        let is_new = recv.on_data(offset, data, fin, allocation, budget);
        let is_new = is_new.map_err(|spent| Violation::of_budget(spent, Violation::ReassemblyBudget))?;
        self.counters.bytes_dropped += dropped;
        // The peer is not to blame for data that arrives on a stopped stream.
        self.useful_frames += u64::from(is_new || increase > 0);
        self.after_receiving(slot, budget, out);
        Ok(())
    }

    /// `RESET_STREAM` (RFC 9000 §19.4) with `reliable_size` 0, or `RESET_STREAM_AT` (reliable-stream-reset
    /// §4).
    pub(crate) fn on_reset_stream(
        &mut self,
        id: StreamId,
        code: u64,
        final_size: u64,
        reliable_size: u64,
        budget: &mut Budget,
        out: &mut Out,
    ) -> Result<(), Violation> {
        // This breaks a rule whatever the state of the stream.
        if reliable_size > final_size {
            return Err(Violation::ReliableSize);
        }
        let Some(slot) = self.for_receiving(id, budget, out)? else { return Ok(()) };
        let Some(recv) = self.table.get_mut(slot).and_then(|stream| stream.recv.as_mut()) else {
            self.counters.frames_after_close += 1;
            return Ok(());
        };
        let increase = recv.check_reset(code, final_size, reliable_size)?;
        if increase > self.receive_window.advertised().saturating_sub(self.received) {
            return Err(Violation::ConnectionFlowControl);
        }
        self.received += increase;
        recv.on_reset(code, final_size, reliable_size, budget);
        self.after_receiving(slot, budget, out);
        Ok(())
    }

    /// `STOP_SENDING` (RFC 9000 §19.5); it is answered by `RESET_STREAM` with the same code (§3.5).
    pub(crate) fn on_stop_sending(
        &mut self,
        id: StreamId,
        code: u64,
        schedule: &mut Schedule,
        budget: &mut Budget,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let Some(slot) = self.for_sending(id, budget, out)? else { return Ok(()) };
        let Some(stream) = self.table.get_mut(slot) else { return Ok(()) };
        let Some(send) = &mut stream.send else { return Ok(()) };
        let before = send.buffer.held();
        if let Some(reset) = send.stop(code) {
            self.buffered.change(before, send.buffer.held());
            out.push_back(Event::StreamStopped(id, stream.tag, code));
            if reset {
                self.want(slot, pending::RESET);
            }
            self.activate(slot, schedule);
        }
        Ok(())
    }

    /// `MAX_DATA` (RFC 9000 §19.9); ignored if it does not raise the limit.
    pub(crate) fn on_max_data(&mut self, limit: u64, schedule: &mut Schedule) {
        if self.credit.raise(limit) {
            self.useful_frames += 1;
            self.unblock(schedule);
        }
    }

    /// `MAX_STREAM_DATA` (RFC 9000 §19.10); ignored if it does not raise the limit.
    pub(crate) fn on_max_stream_data(
        &mut self,
        id: StreamId,
        limit: u64,
        schedule: &mut Schedule,
        budget: &mut Budget,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let Some(slot) = self.for_sending(id, budget, out)? else { return Ok(()) };
        if let Some(send) = self.table.get_mut(slot).and_then(|stream| stream.send.as_mut())
            && send.raise(limit)
        {
            self.useful_frames += 1;
            self.activate(slot, schedule);
            self.after_sending(slot, schedule, out);
        }
        Ok(())
    }

    /// `MAX_STREAMS` (RFC 9000 §19.11); ignored if it does not raise the limit (§4.6).
    pub(crate) fn on_max_streams(&mut self, dir: Dir, limit: u64, out: &mut Out) -> Result<(), Violation> {
        if limit > MAX_STREAMS {
            return Err(Violation::MaxStreamsTooLarge);
        }
        self.useful_frames += u64::from(limit > self.limits.local(dir).limit);
        if self.limits.local(dir).raise(limit) {
            out.push_back(Event::StreamsAvailable(dir));
        }
        Ok(())
    }

    /// `DATA_BLOCKED` (RFC 9000 §19.12). It is only a hint: credit is given as data is read, never on
    /// request.
    pub(crate) fn on_data_blocked(&mut self) {
        self.counters.blocked_received += 1;
    }

    /// `STREAM_DATA_BLOCKED` (RFC 9000 §19.13). It is only a hint, too, although it opens the stream.
    pub(crate) fn on_stream_data_blocked(
        &mut self,
        id: StreamId,
        budget: &mut Budget,
        out: &mut Out,
    ) -> Result<(), Violation> {
        self.for_receiving(id, budget, out)?;
        self.counters.blocked_received += 1;
        Ok(())
    }

    /// `STREAMS_BLOCKED` (RFC 9000 §19.14).
    pub(crate) fn on_streams_blocked(&mut self, dir: Dir, limit: u64) -> Result<(), Violation> {
        if limit > MAX_STREAMS {
            return Err(Violation::MaxStreamsTooLarge);
        }
        self.counters.blocked_received += 1;
        self.limits.remote(dir).on_blocked();
        Ok(())
    }

    /// The stream of a frame that only the stream's sender sends (RFC 9000 §19.4, §19.8, §19.13).
    fn for_receiving(
        &mut self,
        id: StreamId,
        budget: &mut Budget,
        out: &mut Out,
    ) -> Result<Option<u32>, Violation> {
        if id.dir() == Dir::Uni && id.initiator() == self.config.side {
            return Err(Violation::StreamSendOnly);
        }
        self.arrive(id, budget, out)
    }

    /// The stream of a frame that only the stream's receiver sends (RFC 9000 §19.5, §19.10).
    fn for_sending(
        &mut self,
        id: StreamId,
        budget: &mut Budget,
        out: &mut Out,
    ) -> Result<Option<u32>, Violation> {
        if id.dir() == Dir::Uni && id.initiator() != self.config.side {
            return Err(Violation::StreamReceiveOnly);
        }
        self.arrive(id, budget, out)
    }

    /// Finds the stream. If it is new, opens it and all lower ones of its kind (RFC 9000 §3.2). `None` if it
    /// is closed and forgotten.
    fn arrive(&mut self, id: StreamId, budget: &mut Budget, out: &mut Out) -> Result<Option<u32>, Violation> {
        self.balance(budget);
        if let Some(slot) = self.table.find(id) {
            return Ok(Some(slot));
        }
        if id.initiator() == self.config.side {
            if id.index() >= self.limits.local(id.dir()).opened {
                return Err(Violation::StreamNotOpened);
            }
            self.counters.frames_after_close += 1;
            return Ok(None);
        }
        let arrival = self.limits.remote(id.dir()).arrive(id.index())?;
        match arrival {
            Arrival::Opens { .. } | Arrival::FirstSeen => {
                if let Arrival::Opens { first_new } = arrival {
                    self.counters.opened_remote += id.index() + 1 - first_new;
                }
                self.useful_frames += 1;
                // Only a stream that a frame names causes an event, because one frame can open all that the
                // limit permits.
                out.push_back(Event::StreamOpened(id));
                self.add_remote(id, budget).map(Some)
            }
            Arrival::Known => {
                self.counters.frames_after_close += 1;
                Ok(None)
            }
        }
    }

    /// Makes an entry for a stream of the peer.
    fn add_remote(&mut self, id: StreamId, budget: &mut Budget) -> Result<u32, Violation> {
        budget
            .charge(table::STREAM_COST)
            .map_err(|spent| Violation::of_budget(spent, Violation::StreamMemory))?;
        self.enter(id).ok_or_else(|| {
            budget.release(table::STREAM_COST);
            Violation::StreamMemory
        })
    }

    fn after_receiving(&mut self, slot: u32, budget: &mut Budget, out: &mut Out) {
        let Some(stream) = self.table.get_mut(slot) else { return };
        let Some(recv) = &mut stream.recv else { return };
        if recv.take_readable() {
            out.push_back(Event::StreamReadable(stream.id, stream.tag));
        }
        let credit = recv.take_credit();
        let discarded = recv.discarded();
        if let Some(final_size) = discarded {
            recv.clear(budget);
            stream.recv = None;
            let id = stream.id;
            out.push_back(Event::StreamDiscarded(id, stream.tag, final_size));
            self.on_receiver_gone(id);
        }
        self.consume(credit);
        if discarded.is_some() {
            self.retire(slot);
        }
    }
}
