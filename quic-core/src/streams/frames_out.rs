//! The frames about streams that this end sends, and what becomes of them.

use std::collections::VecDeque;

use super::{
    Streams,
    buffered::FEW,
    send::{Offer, SendHalf},
    table::{Early, Stream, pending},
};
use crate::{
    event::Event,
    frame::{Frame, FrameWriter, Receipt},
    ids::Dir,
    schedule::{Schedule, Sender, Turn},
};

/// What this component would write now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    /// Frames other than STREAM.
    pub(crate) control: bool,
    /// STREAM frames, and other senders of the schedule.
    pub(crate) data: bool,
}

impl Interest {
    /// True if there is anything to write.
    pub(crate) fn any(self) -> bool {
        self.control || self.data
    }
}

/// Whether stream data is pending, and what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg(test)]
pub(crate) enum SendState {
    /// All data was sent: the application limits the rate.
    Nothing,
    /// Only the peer's flow control blocks data.
    Blocked,
    /// Data can be sent now.
    Ready,
}

impl Streams {
    /// What [`Self::write_control`] and [`Self::write_data`] would write.
    pub(crate) fn wants(&self, schedule: &Schedule) -> Interest {
        Interest { control: self.wants_control(), data: !schedule.is_empty() }
    }

    /// What [`Self::write_control`] would write.
    pub(crate) fn wants_control(&self) -> bool {
        self.max_data_wanted
            || (self.data_blocked_wanted && self.credit.is_blocked())
            || self.control.iter().any(|&slot| self.table.get(slot).is_some_and(Stream::wants_control))
            || self.limits.remote.iter().any(super::limits::RemoteStreams::update_due)
            || self.limits.local.iter().any(|local| local.blocked_wanted)
    }

    /// Whether stream data is pending, to detect phases limited by the application.
    #[cfg(test)]
    pub(crate) fn send_state(&self, schedule: &Schedule) -> SendState {
        if !schedule.is_empty() {
            SendState::Ready
        } else if self.waiting > 0 {
            SendState::Blocked
        } else {
            SendState::Nothing
        }
    }

    /// Whether only the peer's flow control blocks stream data.
    pub(crate) fn is_blocked(&self, schedule: &Schedule) -> bool {
        self.waiting > 0 && schedule.is_empty()
    }

    /// Whether it is the connection's limit, and not that of streams, that blocks data.
    pub(crate) fn is_connection_blocked(&self) -> bool {
        self.credit.is_blocked()
    }

    /// Tells the peer once more which limit blocks data, if one does: the peer must not mistake the silence
    /// for an idle connection (RFC 9000 §4.1). Returns false if no limit blocks data.
    pub(crate) fn repeat_blocked(&mut self, schedule: &Schedule) -> bool {
        if !self.is_blocked(schedule) {
            return false;
        }
        self.data_blocked_wanted |= self.credit.is_blocked();
        let blocked =
            |stream: &Stream| stream.send.as_ref().is_some_and(|send| send.blocked_limit().is_some());
        if let Some(slot) =
            self.table.slots().into_iter().find(|slot| self.table.get(*slot).is_some_and(blocked))
        {
            self.want(slot, pending::BLOCKED);
        }
        self.wants_control()
    }

    /// Writes frames other than STREAM. The caller repeats this after the data, to write `DATA_BLOCKED` and
    /// `STREAM_DATA_BLOCKED` for limits that the data reached. Returns false if there was too little room.
    pub(crate) fn write_control(&mut self, writer: &mut FrameWriter<'_>) -> bool {
        !self.wants_control() || self.write_control_frames(writer)
    }

    fn write_control_frames(&mut self, writer: &mut FrameWriter<'_>) -> bool {
        while let Some(&slot) = self.control.front() {
            if !self.write_stream_control(slot, writer) {
                return false;
            }
            self.control.pop_front();
        }
        if self.max_data_wanted {
            if !writer.frame(&Frame::MaxData(self.receive_window.next_limit()), Receipt::MaxData) {
                return false;
            }
            self.receive_window.advance();
            self.max_data_wanted = false;
        }
        for dir in [Dir::Bidi, Dir::Uni] {
            let remote = self.limits.remote(dir);
            if remote.update_due() {
                let frame = Frame::MaxStreams { dir, limit: remote.next_limit() };
                if !writer.frame(&frame, Receipt::MaxStreams(dir)) {
                    return false;
                }
                remote.advance();
            }
            let local = self.limits.local(dir);
            if local.blocked_wanted {
                let frame = Frame::StreamsBlocked { dir, limit: local.limit };
                if !writer.frame(&frame, Receipt::StreamsBlocked(dir)) {
                    return false;
                }
                local.blocked_wanted = false;
                self.counters.blocked_sent += 1;
            }
        }
        if self.data_blocked_wanted {
            if self.credit.is_blocked() {
                if !writer.frame(&Frame::DataBlocked(self.credit.limit()), Receipt::DataBlocked) {
                    return false;
                }
                self.counters.blocked_sent += 1;
            }
            self.data_blocked_wanted = false;
        }
        true
    }

    /// Writes the control frames of one stream. A frame that was written, or is no longer needed, is no
    /// longer pending.
    fn write_stream_control(&mut self, slot: u32, writer: &mut FrameWriter<'_>) -> bool {
        let Some(stream) = self.table.get_mut(slot) else { return true };
        let id = stream.id;
        if stream.may_send(pending::RESET) {
            let reset = stream.send.as_ref().and_then(SendHalf::reset_to_send);
            if let Some(reset) = reset {
                let (code, final_size, reliable_size) = (reset.code, reset.final_size, reset.reliable_size);
                let frame = if reliable_size == 0 || reset.plain {
                    Frame::ResetStream { id, code, final_size }
                } else {
                    Frame::ResetStreamAt { id, code, final_size, reliable_size }
                };
                if !writer.frame(&frame, Receipt::ResetStream { slot }) {
                    return false;
                }
                if let Some(send) = &mut stream.send {
                    send.on_reset_sent();
                }
            }
            // If the reset has to wait for data, sending that data or its acknowledgment requests it again.
            stream.pending &= !pending::RESET;
        }
        if stream.may_send(pending::STOP) {
            let code = stream.recv.as_ref().filter(|recv| recv.final_size().is_none());
            if let Some(code) = code.and_then(super::RecvHalf::stopped)
                && !writer.frame(&Frame::StopSending { id, code }, Receipt::StopSending { slot })
            {
                return false;
            }
            stream.pending &= !pending::STOP;
        }
        if stream.may_send(pending::MAX_DATA) {
            if let Some(recv) = stream.recv.as_mut().filter(|recv| recv.wants_data()) {
                let frame = Frame::MaxStreamData { id, limit: recv.window.next_limit() };
                if !writer.frame(&frame, Receipt::MaxStreamData { slot }) {
                    return false;
                }
                recv.window.advance();
            }
            stream.pending &= !pending::MAX_DATA;
        }
        if stream.may_send(pending::BLOCKED) {
            if let Some(limit) = stream.send.as_ref().and_then(SendHalf::blocked_limit) {
                let frame = Frame::StreamDataBlocked { id, limit };
                if !writer.frame(&frame, Receipt::StreamDataBlocked { slot }) {
                    return false;
                }
                self.counters.blocked_sent += 1;
            }
            stream.pending &= !pending::BLOCKED;
        }
        stream.in_control_queue = false;
        true
    }

    /// Writes data of the stream whose turn it is. Returns false if there is no room for any.
    pub(crate) fn write_data(
        &mut self,
        slot: u32,
        turn: Turn,
        writer: &mut FrameWriter<'_>,
        schedule: &mut Schedule,
    ) -> bool {
        let Some(stream) = self.table.get_mut(slot) else { return false };
        let id = stream.id;
        let Some(send) = &mut stream.send else { return false };
        let Offer::Data { offset, available, fin } = send.offer(self.credit.available()) else {
            self.activate(slot, schedule);
            return true;
        };
        let buffer = &mut send.buffer;
        let written = writer.stream(slot, id, offset, available, fin, |place| buffer.copy_to(offset, place));
        let Some(length) = written else { return false };
        let new = send.on_sent(offset, length, fin && length == available);
        let reset_due = new > 0 && send.reset_to_send().is_some();
        self.credit.spend(new);
        self.counters.bytes_sent += new;
        self.counters.bytes_retransmitted += length as u64 - new;
        schedule.on_sent(turn, length);
        self.activate(slot, schedule);
        if reset_due {
            self.want(slot, pending::RESET);
        }
        if new > 0 && self.credit.available() == 0 {
            self.sweep(schedule);
        }
        true
    }

    /// Puts a stream where it belongs: into the schedule if it can send, into the list of blocked streams, or
    /// into neither.
    pub(super) fn activate(&mut self, slot: u32, schedule: &mut Schedule) {
        let Some(stream) = self.table.get_mut(slot) else { return };
        let send = stream.send.as_ref().filter(|_| stream.early != Early::Unpermitted);
        let offer = send.map_or(Offer::Nothing, |send| send.offer(self.credit.available()));
        let ready = matches!(offer, Offer::Data { .. });
        if ready != stream.scheduled {
            stream.scheduled = ready;
            if ready {
                schedule.insert(Sender::Stream(slot), stream.id.value(), &stream.priority);
            } else {
                schedule.remove(Sender::Stream(slot), stream.id.value(), &stream.priority);
            }
        }
        let waits = matches!(offer, Offer::StreamBlocked | Offer::ConnectionBlocked);
        if waits != stream.waits_for_credit {
            stream.waits_for_credit = waits;
            self.waiting = if waits { self.waiting + 1 } else { self.waiting.saturating_sub(1) };
        }
        match offer {
            // RFC 9000 §4.1: the frame is sent once for each limit.
            Offer::StreamBlocked
                if self.peer.is_some() && stream.send.as_mut().is_some_and(SendHalf::note_blocked) =>
            {
                self.want(slot, pending::BLOCKED);
            }
            Offer::ConnectionBlocked => {
                if !std::mem::replace(&mut stream.in_blocked_list, true) {
                    self.list_blocked(slot);
                }
                if self.peer.is_some() && self.credit.note_blocked() {
                    self.data_blocked_wanted = true;
                }
            }
            _ => {}
        }
    }

    /// Lists a stream that waits for the connection's credit. A peer that gives no credit must not make the
    /// list grow by streams that come and go. Entries of closed streams are therefore removed when they may
    /// outnumber the others.
    fn list_blocked(&mut self, slot: u32) {
        if self.blocked.len() >= self.look_at_blocked {
            let table = &self.table;
            self.blocked.retain(|slot| table.get(*slot).is_some());
            self.look_at_blocked = 2 * self.blocked.len() + FEW;
            self.blocked.shrink_to(self.look_at_blocked);
        }
        self.blocked.push(slot);
    }

    /// The connection's credit is used up: streams that have only new data leave the schedule.
    fn sweep(&mut self, schedule: &mut Schedule) {
        let senders: Vec<Sender> = schedule.senders().collect();
        for sender in senders {
            if let Sender::Stream(slot) = sender {
                self.activate(slot, schedule);
            }
        }
    }

    /// The connection has credit again.
    pub(super) fn unblock(&mut self, schedule: &mut Schedule) {
        for slot in std::mem::take(&mut self.blocked) {
            if let Some(stream) = self.table.get_mut(slot) {
                stream.in_blocked_list = false;
                self.activate(slot, schedule);
            }
        }
    }

    /// A packet with this receipt was acknowledged or lost. A receipt may first be reported lost and later
    /// acknowledged. Receipts of forgotten streams and of frames that are not about streams are ignored.
    pub(crate) fn settle(
        &mut self,
        receipt: Receipt,
        acked: bool,
        schedule: &mut Schedule,
        out: &mut VecDeque<Event>,
    ) {
        match receipt {
            Receipt::Stream { slot, offset, length, fin } if acked => {
                self.on_data_acked(slot, offset, length, fin, schedule, out);
            }
            Receipt::Stream { slot, offset, length, fin } => {
                self.on_data_lost(slot, offset, length, fin, schedule);
            }
            Receipt::ResetStream { slot } => {
                let Some(send) = self.table.get_mut(slot).and_then(|stream| stream.send.as_mut()) else {
                    return;
                };
                let again = if acked { send.on_reset_acked() } else { send.on_reset_lost() };
                if again {
                    self.want(slot, pending::RESET);
                }
                self.after_sending(slot, schedule, out);
            }
            // For the remaining frames, an acknowledgment needs no action. After a loss the current value is
            // sent again, unless it is no longer needed when it is written (RFC 9000 §13.3).
            _ if acked => {}
            Receipt::StopSending { slot } => self.want(slot, pending::STOP),
            Receipt::MaxStreamData { slot } => self.want(slot, pending::MAX_DATA),
            Receipt::StreamDataBlocked { slot } => self.want(slot, pending::BLOCKED),
            Receipt::MaxData => self.max_data_wanted = true,
            Receipt::DataBlocked => self.data_blocked_wanted |= self.credit.is_blocked(),
            Receipt::MaxStreams(dir) => self.limits.remote(dir).on_update_lost(),
            Receipt::StreamsBlocked(dir) => self.limits.local(dir).on_blocked_lost(),
            Receipt::Ack { .. }
            | Receipt::Crypto { .. }
            | Receipt::NewConnectionId(_)
            | Receipt::RetireConnectionId(_)
            | Receipt::HandshakeDone
            | Receipt::NewToken
            | Receipt::AckFrequency(_)
            | Receipt::Datagrams { .. }
            | Receipt::Nothing => {}
        }
    }

    /// Data of a stream was acknowledged.
    fn on_data_acked(
        &mut self,
        slot: u32,
        offset: u64,
        length: u32,
        fin: bool,
        schedule: &mut Schedule,
        out: &mut VecDeque<Event>,
    ) {
        let Some(send) = self.table.get_mut(slot).and_then(|stream| stream.send.as_mut()) else { return };
        let before = send.acked();
        let (had_lost, held) = (send.buffer.has_lost(), send.buffer.held());
        send.on_acked(offset, length, fin);
        let released = send.is_reset_released();
        self.buffered.change(held, send.buffer.held());
        self.counters.bytes_acked += send.acked() - before;
        if had_lost || fin {
            // Data that was to be sent again may have arrived after all.
            self.activate(slot, schedule);
        }
        if released {
            self.want(slot, pending::RESET);
        }
        self.after_sending(slot, schedule, out);
    }

    /// Data of a stream was lost and has to be sent again.
    fn on_data_lost(&mut self, slot: u32, offset: u64, length: u32, fin: bool, schedule: &mut Schedule) {
        let Some(send) = self.table.get_mut(slot).and_then(|stream| stream.send.as_mut()) else { return };
        send.on_lost(offset, length, fin);
        self.activate(slot, schedule);
    }

    /// All data of a stream has arrived, so the streams that waited for it may send their frames.
    fn release_waiting(&mut self, by: u32) {
        for slot in self.table.slots() {
            if let Some(stream) = self.table.get_mut(slot)
                && stream.waits_for == Some(by)
            {
                stream.waits_for = None;
                let pending = stream.pending;
                self.want(slot, pending);
            }
        }
    }

    /// Reports the events of a sending half, and its end.
    pub(super) fn after_sending(&mut self, slot: u32, schedule: &mut Schedule, out: &mut VecDeque<Event>) {
        let Some(stream) = self.table.get_mut(slot) else { return };
        let Some(send) = &mut stream.send else { return };
        let (limit, _) = Self::room_of_one(&self.buffered, self.config.send_buffer, send.buffer.held());
        if send.is_done() {
            stream.send = None;
            out.push_back(Event::StreamSent(stream.id, stream.tag));
            if std::mem::take(&mut stream.is_awaited) {
                self.release_waiting(slot);
            }
            self.activate(slot, schedule);
            self.retire(slot);
        } else if send.take_writable(limit) {
            out.push_back(Event::StreamWritable(stream.id, stream.tag));
        }
    }
}
