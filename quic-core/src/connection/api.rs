//! The calls of the application.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::Connection;
use crate::{
    base::Timestamp,
    congestion::{CongestionConfig, Controller},
    error::{
        ConnectionError,
        call::{DatagramError, Read, ReadError, ReadProgress, WriteError},
    },
    event::{DatagramOptions, EarlyData, Priority, StreamTag},
    ids::{ConnectionId, Dir, Level, Side, StreamId},
    params::TransportParameters,
    stats::{ConnectionStats, PathStats, RecvStreamStats, SendStreamStats},
    streams::Within,
};

/// The connection's life (RFC 9000 §10.1).
impl Connection {
    /// Keeps the connection alive while `held`: if half of the idle timeout (the lower of both ends'
    /// timeouts) passes without a packet, this end sends a PING. Without an idle timeout nothing is sent.
    ///
    /// `TransportConfig::keep_alive` sets an interval independently of this; the shorter of both applies.
    pub fn hold_alive(&mut self, held: bool) {
        self.life.set_keep_open(held);
    }
}

/// Streams (RFC 9000 §2).
impl Connection {
    /// Opens a stream. Returns `None` while the peer's limit permits none; [`Event::StreamsAvailable`](crate::Event::StreamsAvailable)
    /// follows then.
    pub fn open(&mut self, dir: Dir) -> Option<StreamId> {
        let id = if self.life.is_open() { self.streams.open(dir) } else { None };
        self.charge_buffered();
        if let Some(id) = id {
            self.trace_opened(id);
        }
        id
    }

    /// Reads the next bytes of a stream in order, at most `max`, without a copy.
    pub fn read(&mut self, now: Timestamp, id: StreamId, max: usize) -> Result<Read, ReadError> {
        let now = self.clock.read(now);
        self.streams.read(id, max, &mut self.memory.streams, now, self.paths.active.rtt.smoothed())
    }

    /// Reads like [`Connection::read`], until it has `max` bytes, nothing is left, or the stream ends.
    /// Appends the bytes to `chunks`, even before an error.
    pub fn read_chunks(
        &mut self,
        now: Timestamp,
        id: StreamId,
        max: usize,
        chunks: &mut Vec<Bytes>,
    ) -> Result<ReadProgress, ReadError> {
        let now = self.clock.read(now);
        let rtt = self.paths.active.rtt.smoothed();
        self.streams.read_chunks(id, max, &mut self.memory.streams, now, rtt, chunks)
    }

    /// Writes as much of `data` as the buffers of the stream and the connection take
    /// ([`max_send_memory`](crate::TransportConfig::max_send_memory)), and removes it from the front. If not
    /// all was taken, [`Event::StreamWritable`](crate::Event::StreamWritable) follows.
    pub fn write(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        if !self.life.is_open() {
            return Err(WriteError::Closed);
        }
        self.write_to_stream(id, data, Within::Buffer)
    }

    /// How many bytes [`Connection::write`] would take now; 0 if the stream takes no more.
    pub fn writable(&mut self, id: StreamId) -> usize {
        if self.life.is_open() { self.streams.writable(id) } else { 0 }
    }

    /// How many more bytes of a stream the peer's limits permit to send (RFC 9000 §4.1); 0 if it takes none.
    pub fn send_credit(&mut self, id: StreamId) -> u64 {
        if self.life.is_open() { self.streams.send_credit(id) } else { 0 }
    }

    /// Writes like [`Connection::write`], but takes nothing that the peer's `MAX_STREAM_DATA` blocks (RFC
    /// 9000 §4.1). [`Event::StreamWritable`](crate::Event::StreamWritable) follows when that limit permits more and there is room.
    ///
    /// It is for layers that count written data against their own limit: a stream that the peer does not read
    /// uses none of that limit.
    pub fn write_within_limit(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        if !self.life.is_open() {
            return Err(WriteError::Closed);
        }
        self.write_to_stream(id, data, Within::PeerLimit)
    }

    fn write_to_stream(
        &mut self,
        id: StreamId,
        data: &mut Bytes,
        within: Within,
    ) -> Result<usize, WriteError> {
        self.set_send_limit();
        let taken = self.streams.write_chunk(id, data, within, &mut self.schedule)?;
        self.charge_buffered();
        Ok(taken)
    }

    /// Ends a stream after the data written so far.
    pub fn finish(&mut self, id: StreamId) -> Result<(), WriteError> {
        self.streams.finish(id, &mut self.schedule)
    }

    /// Resets a stream with an application code. Data below `reliable_size` is still delivered if the peer
    /// understands RESET_STREAM_AT; otherwise a plain reset waits until that data is acknowledged.
    pub fn reset(&mut self, id: StreamId, code: u64, reliable_size: u64) -> Result<(), WriteError> {
        self.streams.reset(id, code, reliable_size, &mut self.schedule)
    }

    /// Asks the peer to stop sending, with an application code (RFC 9000 §3.5). Data that arrives is dropped.
    /// If the final size is known, [`Connection::final_size`] returns it before this call; otherwise
    /// [`Event::StreamDiscarded`](crate::Event::StreamDiscarded) reports it when the peer sends it.
    pub fn stop_sending(&mut self, id: StreamId, code: u64) -> Result<(), ReadError> {
        self.streams.stop_sending(id, code, &mut self.memory.streams)
    }

    /// Delays the end of a stream at the peer until another stream has ended. A later reset or stop of `id`
    /// takes effect here at once, but its frame waits until all data written to `until`, and its end, are
    /// acknowledged. Nothing waits if `until` has nothing more to send.
    pub fn hold_back(&mut self, id: StreamId, until: StreamId) {
        self.streams.hold_back(id, until);
    }

    /// Sets the tag that a stream's events carry. Returns false if the stream is gone.
    ///
    /// A stream without a tag, or with tag 0, has no owner yet. If the peer resets it, the data that arrived
    /// in order can still be read before the reset, because it may tell who owns the stream. With another
    /// tag, a reset drops unread data (RFC 9000 §3.2) beyond its reliable size.
    pub fn set_tag(&mut self, id: StreamId, tag: StreamTag) -> bool {
        self.streams.set_tag(id, tag)
    }

    /// Sets the priority of a stream's data. Returns false if the stream is gone.
    pub fn set_priority(&mut self, id: StreamId, priority: Priority) -> bool {
        self.streams.set_priority(id, priority, &mut self.schedule)
    }

    /// Whether everything that can be read of a receiving half has arrived: every byte and the end, or a
    /// reset and the data that it promises (`RESET_STREAM_AT`). `None` if the half is gone or never existed.
    pub fn is_whole(&mut self, id: StreamId) -> Option<bool> {
        self.streams.is_whole(id)
    }

    /// The final size of a receiving half, from when it is known until its end was read.
    pub fn final_size(&mut self, id: StreamId) -> Option<u64> {
        self.streams.final_size(id)
    }

    /// How many streams of a kind may be opened over the life of the connection (RFC 9000 §4.6), by the last
    /// MAX_STREAMS frame: the one sent, for streams of the peer; the one received, for own streams.
    pub fn stream_limit(&self, initiator: Side, dir: Dir) -> u64 {
        self.streams.stream_limit(initiator, dir)
    }

    /// The ID of the stream that [`Connection::open`] would open next, whether or not the peer's limit
    /// permits that now (RFC 9000 §2.1: IDs of a kind are consecutive).
    #[must_use]
    pub fn next_stream(&self, dir: Dir) -> StreamId {
        self.streams.next_stream(dir)
    }

    /// Permits the peer to have at least `count` streams of a kind open at once, at most 60,000, and 2^60
    /// over the life of the connection (RFC 9000 §4.6). A lower number changes nothing, because a limit
    /// cannot be taken back. The initial number comes from [`TransportConfig`](crate::TransportConfig).
    pub fn set_max_streams(&mut self, dir: Dir, count: u64) {
        self.streams.set_max_streams(dir, count);
    }

    /// The counters of a sending half, until it is gone.
    pub fn send_stream_stats(&mut self, id: StreamId) -> Option<SendStreamStats> {
        self.streams.send_stats(id).map(|stats| SendStreamStats {
            bytes_written: stats.written,
            bytes_sent: stats.sent,
            bytes_acknowledged: stats.acked,
            final_size: stats.final_size,
        })
    }

    /// How many bytes, written to a stream now, could be sent within the peer's limits, after everything
    /// written before (RFC 9000 §4.1). `None` once the sending half is gone. This looks at every stream.
    pub fn send_capacity(&mut self, id: StreamId) -> Option<u64> {
        if self.life.is_open() { self.streams.send_capacity(id) } else { None }
    }

    /// Bytes that arrived for receiving halves that were given up, including gaps: of all streams, since the
    /// connection began. A layer that counts the bytes of such streams checks them when this has risen.
    pub fn bytes_dropped(&self) -> u64 {
        self.streams.counters().bytes_dropped
    }

    /// From now on the application, and not the peer, decides how long the stream's readable data stays
    /// unread, see [`withholds_credit`](Self::withholds_credit). Returns false if the stream is gone.
    pub fn hand_over(&mut self, id: StreamId) -> bool {
        self.streams.hand_over(id)
    }

    /// Whether the connection's limit (`MAX_DATA`, RFC 9000 §4.1) blocks all stream data of the peer, and the
    /// application alone is the reason. That is so if the limit would stay where it is even if everything
    /// were read or given up, except what the application leaves unread of the streams that were [handed
    /// over](Self::hand_over) to it, here and [above](Self::set_held_above).
    ///
    /// A peer may also fill the limit itself, with streams that nobody can read yet or with data behind a
    /// gap. Waiting for its data is then of no use. This looks at every stream when the limit is reached.
    pub fn withholds_credit(&self) -> bool {
        self.streams.withholds_credit()
    }

    /// The counters of a receiving half, until it is gone.
    pub fn recv_stream_stats(&mut self, id: StreamId) -> Option<RecvStreamStats> {
        let stats = self.streams.recv_stats(id)?;
        Some(RecvStreamStats {
            bytes_received: stats.received,
            bytes_read: stats.read,
            highest_offset: stats.highest,
        })
    }
}

/// Datagrams (RFC 9221).
impl Connection {
    /// The largest datagram payload now, in bytes; `None` if the peer accepts none, or has not said so yet.
    pub fn max_datagram_size(&self) -> Option<usize> {
        crate::datagrams::max_size(self.datagrams.peer_max_frame(), self.datagram_room())
    }

    /// Queues a datagram. It is sent once, when congestion control permits and its turn has come, or dropped.
    pub fn send_datagram(
        &mut self,
        now: Timestamp,
        data: Bytes,
        options: DatagramOptions,
    ) -> Result<(), DatagramError> {
        let now = self.clock.read(now);
        let room = self.datagram_room();
        self.datagrams.send(data, options, room, now, &mut self.schedule)
    }

    /// Sets after how long a waiting datagram is dropped: a received one that is unread, and an outgoing one
    /// without its own maximum age. `None` means no limit.
    pub fn set_datagram_max_ages(&mut self, incoming: Option<Duration>, outgoing: Option<Duration>) {
        self.datagrams.set_max_ages(incoming, outgoing);
    }

    /// Datagrams received since the connection began, including dropped ones.
    pub fn datagrams_received(&self) -> u64 {
        self.datagrams.counters().received
    }

    /// How many datagrams of a bundle ([`Priority::bundle`]) are waiting to be sent.
    pub fn datagrams_waiting(&self, bundle: u32) -> usize {
        self.datagrams.waiting_of(bundle)
    }

    /// Changes the maximum age of a bundle's datagrams that are waiting to be sent, counted from when they
    /// were queued. `None` applies the connection's maximum.
    pub fn set_datagrams_max_age(&mut self, bundle: u32, max_age: Option<Duration>) {
        self.datagrams.set_max_age_of(bundle, max_age);
    }

    /// The oldest received datagram. After `None`, [`Event::DatagramReadable`](crate::Event::DatagramReadable) announces the next.
    pub fn receive_datagram(&mut self, now: Timestamp) -> Option<Bytes> {
        let now = self.clock.read(now);
        self.datagrams.recv(now, &mut self.memory.fed).map(|(data, _)| data)
    }
}

/// The connection as such.
impl Connection {
    /// Whether streams can be opened, and their data leaves. At a server this is true before the client has
    /// finished the handshake. Data sent then reaches the sender of the client's first packet, whose address
    /// and identity are not proved yet (RFC 9001 §5.7). At a client that [offers
    /// 0-RTT](Self::early_data) it is true from the beginning.
    pub fn can_send(&self) -> bool {
        self.life.is_open()
            && self.streams.knows_peer()
            && (self.keyring.has(Level::OneRtt) || self.early_data == EarlyData::Offered)
    }

    /// Which end this is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The peer's current address.
    pub fn remote_address(&self) -> std::net::SocketAddr {
        self.paths.active.route.remote
    }

    /// The address of this host to which the peer's packets come, if the caller has reported it
    /// ([`DatagramMeta::local_ip`](crate::DatagramMeta::local_ip)). Datagrams leave from it.
    pub fn local_ip(&self) -> Option<std::net::IpAddr> {
        self.paths.active.route.local_ip
    }

    /// Whether the handshake is still going on.
    pub fn is_handshaking(&self) -> bool {
        !self.handshake.is_complete()
    }

    /// Whether either end has closed the connection.
    pub fn is_closed(&self) -> bool {
        !self.life.is_open()
    }

    /// Whether the connection has completely ended: the caller can drop it and tell the endpoint.
    pub fn is_drained(&self) -> bool {
        self.life.is_closed()
    }

    /// Why the connection was closed.
    pub fn close_error(&self) -> Option<&ConnectionError> {
        self.life.error()
    }

    /// The peer's transport parameters. They are authentic once the handshake is complete, and defaults
    /// before they arrive.
    pub fn peer_parameters(&self) -> &TransportParameters {
        &self.peer
    }

    /// The UDP payload of full datagrams, in bytes.
    pub fn datagram_size(&self) -> usize {
        self.paths.active.datagram_size()
    }

    /// The UDP payload of the largest datagram that [`poll_transmit`](Self::poll_transmit) could write now.
    /// It exceeds [`datagram_size`](Self::datagram_size) when an MTU probe is due, which needs that much
    /// room.
    pub fn next_datagram_size(&mut self, now: Timestamp) -> usize {
        let now = self.clock.read(now);
        let probe = self.paths.active.mtu_probe_due(now).map_or(0, usize::from);
        probe.max(self.paths.active.datagram_size())
    }

    /// Sends a packet that the peer must acknowledge, to keep the connection alive or to measure it.
    pub fn ping(&mut self) {
        self.control.send_ping();
    }

    /// Starts a key update if the protocol permits one now (RFC 9001 §6). Returns whether it did.
    pub fn update_keys(&mut self) -> bool {
        self.handshake.is_confirmed() && self.keyring.start_update()
    }

    /// Closes the connection after this many forged packets instead of the AEAD's own limit (RFC 9001 §6.6).
    pub fn cap_integrity_limit(&mut self, limit: u64) {
        self.keyring.cap_integrity_limit(limit);
    }

    /// Lowers the confidentiality limit of the keys in use, so that a test can exceed it.
    #[cfg(any(test, feature = "testing"))]
    pub fn cap_confidentiality_limit(&mut self, limit: u64) {
        self.keyring.cap_confidentiality_limit(limit);
    }

    /// Replaces the congestion controllers of the path in use and of later paths, from the next packet on.
    /// Packets in flight stay in flight. The path's new controller learns the old one's window and rate
    /// ([`Predecessor`](crate::congestion::Predecessor)); the built-in controllers continue from there.
    pub fn set_congestion(&mut self, now: Timestamp, congestion: CongestionConfig) {
        let now = self.clock.read(now);
        self.paths.active.set_congestion(&congestion, now, self.entropy.next_u64());
        Arc::make_mut(&mut self.config).congestion = congestion;
    }

    /// The connection IDs that name this end now, for the endpoint's table.
    pub(crate) fn local_ids(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.cids.local.active()
    }

    /// The statistics of each path, the one in use first. There are others while the peer or this end is
    /// about to move, and for a while after the move.
    pub fn paths(&self) -> impl Iterator<Item = PathStats> + '_ {
        self.paths.iter().map(|path| PathStats {
            remote: path.route.remote,
            local_ip: path.route.local_ip,
            validated: path.route.is_validated(),
            latest_rtt: path.rtt.latest(),
            smoothed_rtt: path.rtt.smoothed(),
            rtt_variation: path.rtt.variation(),
            min_rtt: path.rtt.first_sample().map(|_| path.rtt.min()),
            delivery_rate: path.delivery_rate(),
            ecn_state: path.ecn_state(),
            congestion_window: path.window(),
            bytes_in_flight: path.in_flight,
            datagram_size: path.datagram_size() as u16,
        })
    }

    /// A snapshot of the counters. Figures about a path are those of the path in use.
    pub fn stats(&self) -> ConnectionStats {
        let (recovery, streams, datagrams) =
            (self.recovery.counters(), self.streams.counters(), self.datagrams.counters());
        let (rtt, controller) = (&self.paths.active.rtt, self.paths.active.controller());
        let (estimate, snapshot) = (controller.estimate(), controller.snapshot());
        let now = self.clock.last();
        let time = |at: Option<Timestamp>| at.map(|at| self.limited.since_beginning(at));
        ConnectionStats {
            datagrams_sent: self.counters.datagrams_sent,
            datagrams_received: self.counters.datagrams_received,
            bytes_sent: self.counters.bytes_sent,
            bytes_received: self.counters.bytes_received,
            packets_sent: recovery.packets_sent,
            packets_received: self.counters.packets_received,
            packets_dropped: self.counters.dropped.total(),
            dropped: self.counters.dropped,
            packets_acked: recovery.packets_acked,
            packets_lost: recovery.packets_lost,
            bytes_lost: recovery.bytes_lost,
            spurious_losses: recovery.spurious_losses,
            spurious_bytes: recovery.spurious_bytes,
            probe_timeouts: recovery.probe_timeouts,
            probe_timeouts_in_a_row: self.recovery.pto_count(),
            persistent_congestions: recovery.persistent_congestions,
            key_updates: self.keyring.updates(),
            latest_rtt: rtt.latest(),
            smoothed_rtt: rtt.smoothed(),
            rtt_variation: rtt.variation(),
            min_rtt: rtt.first_sample().map(|_| rtt.min()),
            congestion_controller: snapshot.name,
            window_reductions: snapshot.reductions,
            delivery_rate: self.paths.active.delivery_rate(),
            congestion_window: self.paths.active.window(),
            bytes_in_flight: self.paths.active.in_flight,
            pacing_rate: self.paths.active.pacing_rate(),
            estimated_send_rate: estimate.rate,
            at_send_capacity: estimate.at_capacity,
            ecn: self.paths.active.ecn(),
            ecn_state: self.paths.active.ecn_state(),
            ecn_ce: self.paths.active.ecn_ce(),
            datagram_size: self.paths.active.datagram_size() as u16,
            mtu_probes_lost: recovery.mtu_probes_lost,
            black_holes: self.paths.active.black_holes(),
            stream_bytes_sent: streams.bytes_sent,
            stream_bytes_retransmitted: streams.bytes_retransmitted,
            stream_bytes_acked: streams.bytes_acked,
            stream_bytes_read: streams.bytes_read,
            stream_bytes_buffered: self.streams.buffered(),
            dgrams_sent: datagrams.sent,
            dgram_bytes_sent: datagrams.bytes_sent,
            dgram_bytes_acked: datagrams.bytes_acked,
            dgrams_received: datagrams.received,
            dgrams_dropped_incoming: datagrams.dropped_incoming,
            dgrams_expired_incoming: datagrams.expired_incoming,
            dgrams_expired_outgoing: datagrams.expired_outgoing,
            dgrams_lost_outgoing: datagrams.lost_outgoing,
            lifetime: self.limited.lifetime(now),
            limited: self.limited.times(now),
            handshake_time: time(self.counters.complete),
            confirmation_time: time(self.counters.confirmed),
            reset_fallbacks: streams.reset_fallbacks,
            memory_used: self.memory.used(),
            memory_limit: self.memory.limit(),
            memory_peak: self.memory.peak(),
        }
    }
}
