//! Streams (RFC 9000 §2-§4, §19.4-§19.14; reliable-stream-reset).
//!
//! Owns the stream table, the sending and receiving halves, flow control of streams and connection with
//! auto-tuning, and stream limits. Never knows packets, packet numbers, congestion control, TLS or what the
//! data means. Frames come in as values and leave through a [`FrameWriter`](crate::frame::FrameWriter);
//! receipts return by slot. The connection's schedule, which datagrams share, is an argument where a stream
//! may enter or leave it.
//!
//! A closed stream is forgotten, and later frames on it are ignored. RFC 9000 §4.5 says that a changed final
//! size of a closed stream SHOULD be reported, but that would cost unbounded memory.

mod api;
mod buffered;
mod flow;
mod frames_in;
mod frames_out;
mod limits;
mod recv;
mod restart;
mod send;
mod table;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use frames_out::{Interest, SendState};

pub(crate) use send::Within;

use std::collections::VecDeque;

use crate::{
    base::Budget,
    buf::{INSERT_RESERVE, cost},
    event::Event,
    ids::{Dir, Side, StreamId},
    schedule::Schedule,
};
use buffered::Buffered;
use flow::{ReceiveWindow, SendCredit};
use limits::{Limits, MAX_CONCURRENT};
use recv::RecvHalf;
use send::SendHalf;
use table::Table;

/// Settings of the streams of one connection. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamsConfig {
    /// Which end this is.
    pub(crate) side: Side,
    /// The initial receive window of a stream; our three `initial_max_stream_data` parameters.
    pub(crate) stream_receive_window: u64,
    /// The largest window of a stream that auto-tuning chooses.
    pub(crate) stream_receive_window_max: u64,
    /// The initial receive window of the connection; our `initial_max_data`.
    pub(crate) connection_receive_window: u64,
    /// The largest window of the connection that auto-tuning chooses.
    pub(crate) connection_receive_window_max: u64,
    /// Bidirectional streams that the peer may have open at once, at most 60,000.
    pub(crate) max_bidi: u64,
    /// Unidirectional streams that the peer may have open at once, at most 60,000.
    pub(crate) max_uni: u64,
    /// How many unacknowledged bytes of one stream block its writer while the window is small.
    pub(crate) send_buffer: usize,
    /// Whether a stream has no owner until it has a tag. Until then, a reset drops nothing that arrived in
    /// order.
    pub(crate) tags_claim: bool,
}

/// What a stream of the peer may cost in a layer above that holds its data, besides the bytes.
pub(crate) const HELD_STREAM_COST: usize = 1024;
/// The receiving halves of this end's streams are counted in steps of this many for the budget's limit, so
/// that the limit need not be computed anew for each request.
const RECEIVERS: usize = 8;

impl StreamsConfig {
    /// The defaults for this end.
    #[cfg(test)]
    pub(crate) const fn new(side: Side) -> Self {
        Self {
            side,
            stream_receive_window: 256 << 10,
            stream_receive_window_max: 16 << 20,
            connection_receive_window: 1 << 20,
            connection_receive_window_max: 24 << 20,
            max_bidi: 1_000,
            max_uni: 1_000,
            send_buffer: 1 << 20,
            tags_claim: false,
        }
    }
}

/// What the peer's transport parameters say about streams (RFC 9000 §18.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerLimits {
    /// `initial_max_data`.
    pub(crate) max_data: u64,
    /// `initial_max_stream_data_bidi_local`: for streams that the peer opened.
    pub(crate) max_stream_data_bidi_local: u64,
    /// `initial_max_stream_data_bidi_remote`: for streams that we opened.
    pub(crate) max_stream_data_bidi_remote: u64,
    /// `initial_max_stream_data_uni`.
    pub(crate) max_stream_data_uni: u64,
    /// `initial_max_streams_bidi`.
    pub(crate) max_streams_bidi: u64,
    /// `initial_max_streams_uni`.
    pub(crate) max_streams_uni: u64,
    /// Whether the peer accepts `RESET_STREAM_AT`.
    pub(crate) reset_stream_at: bool,
}

/// Plain counts since the connection began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamsCounters {
    /// Streams opened by this end.
    pub(crate) opened_local: u64,
    /// Streams opened by the peer.
    pub(crate) opened_remote: u64,
    /// Stream bytes sent for the first time.
    pub(crate) bytes_sent: u64,
    /// Stream bytes sent again.
    pub(crate) bytes_retransmitted: u64,
    /// Stream bytes acknowledged.
    pub(crate) bytes_acked: u64,
    /// Bytes read by the application.
    pub(crate) bytes_read: u64,
    /// Bytes that arrived for streams after they were stopped, including gaps.
    pub(crate) bytes_dropped: u64,
    /// Resets with a reliable size that were sent as plain resets, because the peer does not know
    /// `RESET_STREAM_AT`.
    pub(crate) reset_fallbacks: u64,
    /// `DATA_BLOCKED`, `STREAM_DATA_BLOCKED` and `STREAMS_BLOCKED` frames received.
    pub(crate) blocked_received: u64,
    /// `DATA_BLOCKED`, `STREAM_DATA_BLOCKED` and `STREAMS_BLOCKED` frames sent.
    pub(crate) blocked_sent: u64,
    /// Frames ignored because their stream is closed and forgotten.
    pub(crate) frames_after_close: u64,
}

/// All streams of one connection.
#[derive(Debug)]
pub(crate) struct Streams {
    config: StreamsConfig,
    peer: Option<PeerLimits>,
    table: Table,
    limits: Limits,
    /// The connection's receive window, and the bytes received against it.
    receive_window: ReceiveWindow,
    received: u64,
    credit: SendCredit,
    /// The unacknowledged data of all streams.
    buffered: Buffered,
    /// Slots with control frames to send.
    control: VecDeque<u32>,
    /// Slots of streams whose new data waits for the connection's credit.
    blocked: Vec<u32>,
    /// From this many entries of `blocked` on, entries of closed streams are removed.
    look_at_blocked: usize,
    max_data_wanted: bool,
    data_blocked_wanted: bool,
    /// Streams that wait for credit.
    waiting: usize,
    /// Bytes that the budget has yet to learn of: the charge of removed streams, and of streams that the
    /// application touched before their first frame. The next call that has the budget settles them.
    owed: usize,
    uncharged: usize,
    /// How many streams this end opened whose receiving half is not over.
    local_receivers: usize,
    /// How many of this end's streams are not over; the peer decides when they are.
    local: usize,
    /// Whether the amount that the peer may make this end hold has changed since the budget was told.
    limit_changed: bool,
    /// How many streams of this end are above the peer's limit, which was lower than remembered.
    unpermitted: usize,
    /// How many frames have brought something new.
    useful_frames: u64,
    counters: StreamsCounters,
}

impl Streams {
    /// No streams yet, and none can be opened before [`Self::set_peer_limits`].
    pub(crate) fn new(config: StreamsConfig) -> Self {
        let config = StreamsConfig {
            max_bidi: config.max_bidi.min(MAX_CONCURRENT),
            max_uni: config.max_uni.min(MAX_CONCURRENT),
            ..config
        };
        Self {
            config,
            peer: None,
            table: Table::default(),
            limits: Limits::new(config.max_bidi, config.max_uni),
            receive_window: ReceiveWindow::new(
                config.connection_receive_window,
                config.connection_receive_window_max,
            ),
            received: 0,
            credit: SendCredit::default(),
            buffered: Buffered::new(config.send_buffer as u64),
            control: VecDeque::new(),
            blocked: Vec::new(),
            look_at_blocked: buffered::FEW,
            max_data_wanted: false,
            data_blocked_wanted: false,
            waiting: 0,
            owed: 0,
            uncharged: 0,
            local_receivers: 0,
            local: 0,
            limit_changed: true,
            unpermitted: 0,
            useful_frames: 0,
            counters: StreamsCounters::default(),
        }
    }

    /// The peer's limits are known: first the remembered ones for 0-RTT, then those of the handshake. Limits
    /// only rise.
    pub(crate) fn set_peer_limits(
        &mut self,
        peer: PeerLimits,
        schedule: &mut Schedule,
        out: &mut VecDeque<Event>,
    ) {
        self.peer = Some(peer);
        self.credit.raise(peer.max_data);
        for (dir, limit) in [(Dir::Bidi, peer.max_streams_bidi), (Dir::Uni, peer.max_streams_uni)] {
            if self.limits.local(dir).raise(limit) {
                out.push_back(Event::StreamsAvailable(dir));
            }
        }
        for slot in self.table.slots() {
            if let Some(stream) = self.table.get_mut(slot) {
                let limit = initial_send_limit(self.config.side, Some(&peer), stream.id);
                if let Some(send) = &mut stream.send {
                    send.raise(limit);
                }
                self.activate(slot, schedule);
                self.after_sending(slot, schedule, out);
            }
        }
        self.unblock(schedule);
    }

    /// Whether the peer's limits are known.
    pub(crate) fn knows_peer(&self) -> bool {
        self.peer.is_some()
    }

    /// How many frames have brought something new: data, the end of a stream, a stream, or a higher limit.
    pub(crate) fn useful_frames(&self) -> u64 {
        self.useful_frames
    }

    /// Counts since the connection began.
    pub(crate) fn counters(&self) -> StreamsCounters {
        self.counters
    }

    /// Streams with an entry in the table.
    pub(crate) fn live(&self) -> usize {
        self.table.len()
    }

    /// How many entries of streams wait for the connection's credit, and how many for room.
    #[cfg(test)]
    pub(crate) fn waiting_entries(&self) -> (usize, usize) {
        (self.blocked.len(), self.buffered.waiting())
    }

    /// Makes an entry for a stream; `None` if the table is full.
    fn enter(&mut self, id: StreamId) -> Option<u32> {
        let (config, peer) = (&self.config, self.peer.as_ref());
        self.table.insert(id, || halves(config, peer, id))
    }

    /// Requests a control frame of this stream.
    fn want(&mut self, slot: u32, bit: u8) {
        if let Some(stream) = self.table.get_mut(slot) {
            stream.pending |= bit;
            if !stream.in_control_queue {
                stream.in_control_queue = true;
                // Entries of streams that were forgotten since would pile up if no control frame were ever
                // written.
                while self.control.front().is_some_and(|&front| self.table.get(front).is_none()) {
                    self.control.pop_front();
                }
                self.control.push_back(slot);
            }
        }
    }

    /// The most memory, in bytes, that all the credit the peer can have at one time may cost: the whole
    /// window, in reassembly and in layers above that hold data, and every stream that the peer may open or
    /// this end has opened. A peer that keeps to its credit never exceeds a budget with this limit.
    pub(crate) fn memory_limit(&self) -> usize {
        let window = usize::try_from(self.receive_window.max()).unwrap_or(usize::MAX);
        let remote: u64 = self.limits.remote.iter().map(limits::RemoteStreams::window).sum();
        let streams =
            usize::try_from(remote).unwrap_or(usize::MAX).saturating_add(self.local_receivers + RECEIVERS);
        let each = streams.saturating_mul(table::STREAM_COST + HELD_STREAM_COST);
        cost(window, streams).saturating_add(each).saturating_add(INSERT_RESERVE)
    }

    /// Settles what calls without the budget left open.
    fn balance(&mut self, budget: &mut Budget) {
        if std::mem::take(&mut self.limit_changed) {
            budget.set_limit(self.memory_limit());
        }
        let both = self.owed.min(self.uncharged);
        self.uncharged -= both;
        budget.release(std::mem::take(&mut self.owed) - both);
        if self.uncharged > 0 && budget.charge(self.uncharged).is_ok() {
            self.uncharged = 0;
        }
    }

    /// The receiving half of this stream is over.
    fn on_receiver_gone(&mut self, id: StreamId) {
        let local = id.initiator() == self.config.side;
        self.local_receivers -= usize::from(local);
        self.limit_changed |= local && self.local_receivers.is_multiple_of(RECEIVERS);
    }

    /// Gives credit of the connection back for `bytes`.
    fn consume(&mut self, bytes: u64) {
        if bytes > 0 {
            self.receive_window.consume(bytes);
            self.max_data_wanted |= self.receive_window.update_due();
        }
    }

    /// Drops the halves that are done; the stream goes with its last half.
    fn retire(&mut self, slot: u32) {
        let Some(stream) = self.table.get_mut(slot) else { return };
        if stream.send.is_some() || stream.recv.is_some() {
            return;
        }
        let id = stream.id;
        self.table.remove(slot);
        if id.initiator() != self.config.side {
            self.limits.remote(id.dir()).on_closed();
            self.owed += table::STREAM_COST;
        } else {
            self.local -= 1;
        }
    }
}

/// The halves that a stream of this ID has at this end.
#[inline]
fn halves(
    config: &StreamsConfig,
    peer: Option<&PeerLimits>,
    id: StreamId,
) -> (Option<SendHalf>, Option<RecvHalf>) {
    let local = id.initiator() == config.side;
    let sends = local || id.dir() == Dir::Bidi;
    let receives = !local || id.dir() == Dir::Bidi;
    (
        sends.then(|| SendHalf::new(initial_send_limit(config.side, peer, id))),
        receives.then(|| {
            let (window, most) = (config.stream_receive_window, config.stream_receive_window_max);
            RecvHalf::new(window, most, !config.tags_claim)
        }),
    )
}

fn initial_send_limit(side: Side, peer: Option<&PeerLimits>, id: StreamId) -> u64 {
    peer.map_or(0, |peer| match (id.dir(), id.initiator() == side) {
        (Dir::Uni, _) => peer.max_stream_data_uni,
        (Dir::Bidi, true) => peer.max_stream_data_bidi_remote,
        (Dir::Bidi, false) => peer.max_stream_data_bidi_local,
    })
}
