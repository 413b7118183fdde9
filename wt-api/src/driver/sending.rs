//! The sending halves of streams: from the mailboxes into QUIC, with commits, atomic chunks, and resets that
//! wait for committed data.

use bytes::Buf;
use h3_core::transport::ConnTransport;
use quic_core::{Priority, StreamId};
use wt_session::{Sessions, StreamError};

use super::state::{
    conn::Conn,
    sending::{Sending, priority},
    stack::Layers,
    stream::{DriverStream, Half, error_of, is_open},
    table::Progress,
};
use crate::{
    error::{ErrorCause, WebTransportError},
    mailbox::{Atomic, SendEnd, StreamCounts},
};

impl Conn {
    /// Moves the mailbox's data into QUIC.
    pub(super) fn pump_send(&mut self, id: StreamId) {
        let Some(DriverStream { send: Some(sending), session: key, .. }) = self.streams.get_mut(&id) else {
            return;
        };
        let key = *key;
        let taken = sending.shared.take(&mut sending.pending);
        sending.commit = taken.committed.or(sending.commit);
        if let Some(rank) = taken.rank {
            sending.rank = rank;
            let urgency = self.table.get(key).map_or(Priority::default().urgency, |entry| entry.urgency);
            self.stack.quic.set_priority(id, priority(key, urgency, rank));
        }
        if let (Some(code), None) = (taken.reset, sending.reset) {
            sending.give_up(code);
        }
        if taken.finish && sending.reset.is_none() && !std::mem::replace(&mut sending.finishing, true) {
            self.table.get_mut(key).into_iter().for_each(|entry| entry.finishing += 1);
        }
        if let Some(atomic) = taken.atomic {
            self.admit(id, atomic);
        }
        match self.write_out(id, taken.finish) {
            Ok(None) => {}
            Ok(Some(code)) => {
                let counts = self.send_counts(id).unwrap_or_default();
                let Layers { sessions, mut transport, .. } = self.stack.layers();
                let _ = sessions.reset(id, code, &mut transport);
                self.end_send_with(id, SendEnd::Reset, counts);
            }
            Err(error) => {
                let open = is_open(&self.table, &self.stack.sessions, key);
                if let Some(error) = error_of(error, Half::Send, open) {
                    self.end_send(id, SendEnd::Failed(error));
                }
            }
        }
    }

    /// Writes pending data, and the end if nothing is left and `finish` is set. Returns a code if QUIC has
    /// everything that has to arrive before a reset, which QUIC should get now.
    fn write_out(&mut self, id: StreamId, finish: bool) -> Result<Option<u32>, StreamError> {
        let Some(DriverStream { send: Some(sending), .. }) = self.streams.get_mut(&id) else {
            return Ok(None);
        };
        let Layers { sessions, mut transport, .. } = self.stack.layers();
        if !write_pending(id, sending, sessions, &mut transport)? {
            return Ok(None);
        }
        if sending.reset.is_none() && finish && !sending.finished {
            sending.finished = true;
            sessions.finish(id, &mut transport)?;
        }
        Ok(sending.reset)
    }

    /// Writes an atomic chunk, if the peer's limits permit all of it now.
    fn admit(&mut self, id: StreamId, atomic: Atomic) {
        let capacity = self.stack.quic.send_capacity(id).unwrap_or(0);
        let capacity = self.stack.sessions.data_left(id).map_or(capacity, |left| left.min(capacity));
        let Some(DriverStream { send: Some(sending), .. }) = self.streams.get_mut(&id) else { return };
        let wanted = sending.pending_bytes() + atomic.data.len();
        let fits = wanted as u64 <= capacity && sending.reset.is_none();
        if let Some(data) = sending.shared.answer_atomic(atomic, fits) {
            sending.pending.push_back(data);
        }
    }

    /// The counters of a sending half, payload only; `None` once it has ended.
    pub(super) fn send_counts(&mut self, id: StreamId) -> Option<StreamCounts> {
        let sending = self.streams.get(&id)?.send.as_ref()?;
        let stats = self.stack.quic.send_stream_stats(id)?;
        // QUIC's counters include the session's preface.
        let preface = stats.bytes_written.saturating_sub(sending.accepted);
        Some(StreamCounts {
            written: sending.shared.counts().written,
            sent: stats.bytes_sent.saturating_sub(preface),
            acknowledged: stats.bytes_acknowledged.saturating_sub(preface),
        })
    }

    /// How far a session's finished streams have got.
    pub(super) fn progress(&mut self, key: u32) -> Progress {
        let finishing = |stream: &DriverStream| {
            stream.session == key && stream.send.as_ref().is_some_and(|sending| sending.finishing)
        };
        let ids: Vec<StreamId> =
            self.streams.iter().filter(|(_, stream)| finishing(stream)).map(|(id, _)| *id).collect();
        let acknowledged = |id: &StreamId| self.send_counts(*id).map_or(0, |counts| counts.acknowledged);
        Progress { streams: ids.len(), acknowledged: ids.iter().map(acknowledged).sum() }
    }

    /// The sums over a group's streams.
    pub(super) fn group_counts(&mut self, key: u32, group: u32) -> StreamCounts {
        let mut sum =
            self.table.get(key).and_then(|entry| entry.groups.get(&group)).copied().unwrap_or_default();
        let of_group = |stream: &DriverStream| {
            stream.session == key && stream.send.as_ref().is_some_and(|sending| sending.rank.group == group)
        };
        let ids: Vec<StreamId> =
            self.streams.iter().filter(|(_, stream)| of_group(stream)).map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.send_counts(id)).for_each(|counts| sum += counts);
        sum
    }

    /// A session's client changes its priority (RFC 9218 §7).
    pub(super) fn rank_session(&mut self, key: u32, urgency: u8) {
        let Some(entry) = self.table.get_mut(key) else { return };
        entry.urgency = urgency;
        for id in self.stream_ids(Some(key)) {
            if let Some(sending) = self.streams.get(&id).and_then(|stream| stream.send.as_ref()) {
                self.stack.quic.set_priority(id, priority(key, urgency, sending.rank));
            }
        }
    }

    /// The peer stopped reading.
    pub(super) fn on_stopped(&mut self, id: StreamId, code: Option<u32>) {
        let key = self.streams.get(&id).map(|stream| stream.session);
        self.end_send(id, SendEnd::Failed(WebTransportError::stream(ErrorCause::StreamStopped(code))));
        key.into_iter().for_each(|key| self.close_when_acknowledged(key));
    }

    /// All data is acknowledged.
    pub(super) fn on_sent(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(&id) else { return };
        let (key, written) = (stream.session, stream.send.as_ref().map_or(0, |sending| sending.accepted));
        let counts = StreamCounts { written, sent: written, acknowledged: written };
        self.end_send_with(id, SendEnd::Acknowledged, counts);
        self.close_when_acknowledged(key);
    }

    /// A sending half has ended.
    pub(super) fn end_send(&mut self, id: StreamId, end: SendEnd) {
        let counts = self.send_counts(id).unwrap_or_default();
        self.end_send_with(id, end, counts);
    }

    fn end_send_with(&mut self, id: StreamId, end: SendEnd, counts: StreamCounts) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(sending) = stream.send.take() else { return };
        if let Some(entry) = self.table.get_mut(stream.session) {
            entry.finishing = entry.finishing.saturating_sub(usize::from(sending.finishing));
            // The default group has no handle that could ask for counters.
            if sending.rank.group != 0 {
                *entry.groups.entry(sending.rank.group).or_default() += counts;
            }
        }
        if stream.is_over() {
            self.remove_stream(id);
        }
        sending.shared.end(end, counts);
    }
}

/// Passes pending data to QUIC. False: it accepts more later.
fn write_pending(
    id: StreamId,
    sending: &mut Sending,
    sessions: &mut Sessions,
    transport: &mut ConnTransport<'_>,
) -> Result<bool, StreamError> {
    let mut sent = 0;
    let written = loop {
        if sending.uncommitted() == 0 {
            sending.commit = None;
            if let Err(error) = sessions.commit(id, transport) {
                break Err(error);
            }
        }
        let limit = sending.uncommitted();
        let Some(front) = sending.pending.front_mut() else { break Ok(true) };
        let before = front.len();
        let written = if before > limit {
            let mut part = front.slice(..limit);
            let written = sessions.write(id, &mut part, transport);
            front.advance(limit - part.len());
            written
        } else {
            sessions.write(id, front, transport)
        };
        let count = before - front.len();
        if front.is_empty() {
            sending.pending.pop_front();
        }
        sending.accepted += count as u64;
        sent += count;
        match written {
            Ok(0) => break Ok(false),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    if sent > 0 {
        sending.shared.sent(sent);
    }
    written
}
