//! What the application calls.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::Connection;
use crate::{
    base::Timestamp,
    cids::CidChange,
    congestion::{CongestionConfig, Controller},
    crypto::ExportError,
    error::{
        ConnectionError,
        call::{DatagramError, Read, ReadError, ReadProgress, WriteError},
    },
    event::{DatagramOptions, Event, Priority, StreamTag},
    ids::{ConnectionId, Dir, Level, Side, StreamId},
    params::TransportParameters,
    stats::{ConnectionStats, PathStats, RecvStreamStats, SendStreamStats},
    streams::Within,
    trace::Observer,
};

/// The connection's life (RFC 9000 §10.1).
impl Connection {
    /// While `held`, this end sends a PING when half of the idle timeout (the lower of both ends' timeouts) has passed
    /// without a packet, so that the connection outlives silence. Without an idle timeout nothing is sent.
    ///
    /// `TransportConfig::keep_alive` is an interval that holds whatever this says; the shorter of both counts.
    pub fn hold_alive(&mut self, held: bool) {
        self.life.set_keep_open(held);
    }
}

/// Streams (RFC 9000 §2).
impl Connection {
    /// Opens a stream; `None` while the peer's limit permits none: then [`Event::StreamsAvailable`] follows.
    pub fn open(&mut self, dir: Dir) -> Option<StreamId> {
        let id = if self.life.is_open() { self.streams.open(dir) } else { None };
        self.charge_buffered();
        id
    }

    /// Reads the next bytes of a stream in order, at most `max`, without a copy.
    pub fn read(&mut self, now: Timestamp, id: StreamId, max: usize) -> Result<Read, ReadError> {
        let now = self.clock.read(now);
        self.streams.read(id, max, &mut self.memory.streams, now, self.paths.active.rtt.smoothed())
    }

    /// As [`Connection::read`], but reads until `max` bytes were, nothing is left, or the stream ends, and appends what it
    /// read to `chunks`: also before an error.
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

    /// Writes as much of `data` as the stream's send buffer takes, off its front, and the connection's: all streams together
    /// hold about two congestion windows that are not acknowledged, see
    /// [`max_send_memory`](crate::TransportConfig::max_send_memory). Less than all means that [`Event::StreamWritable`]
    /// follows.
    pub fn write(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        if !self.life.is_open() {
            return Err(WriteError::Closed);
        }
        self.write_to_stream(id, data, Within::Buffer)
    }

    /// How many bytes [`Connection::write`] would take of a stream now; 0 if it takes none any more. For a layer that says
    /// how much is to come before it comes.
    pub fn writable(&mut self, id: StreamId) -> usize {
        if self.life.is_open() { self.streams.writable(id) } else { 0 }
    }

    /// As [`Connection::write`], but takes nothing that the peer's limit of the stream (`MAX_STREAM_DATA`, RFC 9000 §4.1)
    /// keeps from being sent. [`Event::StreamWritable`] follows when the limit permits more and there is room.
    ///
    /// For a layer that counts what it writes against a limit of its own: a stream that nobody reads takes none of it.
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

    /// Ends a stream after what was written to it.
    pub fn finish(&mut self, id: StreamId) -> Result<(), WriteError> {
        self.streams.finish(id, &mut self.schedule)
    }

    /// Resets a stream with an application code. Data below `reliable_size` is still delivered if the peer
    /// understands RESET_STREAM_AT; else the reset is a plain one.
    pub fn reset(&mut self, id: StreamId, code: u64, reliable_size: u64) -> Result<(), WriteError> {
        self.streams.reset(id, code, reliable_size, &mut self.schedule)
    }

    /// Asks the peer to stop sending, with an application code (RFC 9000 §3.5). Data that arrives is dropped. The final
    /// size is either known already ([`Connection::final_size`], asked before this call), or
    /// [`Event::StreamDiscarded`] tells it when the peer does.
    pub fn stop_sending(&mut self, id: StreamId, code: u64) -> Result<(), ReadError> {
        self.streams.stop_sending(id, code, &mut self.memory.streams)
    }

    /// Lets the peer hear of the end of a stream after that of another: a reset or a stop of `id`, made from now on, takes
    /// effect here at once, but its frame waits until everything written to `until`, and its end, has been acknowledged.
    /// Nothing waits if `until` has nothing to send any more.
    pub fn hold_back(&mut self, id: StreamId, until: StreamId) {
        self.streams.hold_back(id, until);
    }

    /// Puts a mark on a stream that its events carry. False if the stream is gone.
    ///
    /// A stream without a mark, or with the mark 0, belongs to nobody yet: should the peer reset it, what came in order can
    /// still be read, for it may tell whose stream it is. The read after it tells the reset. From the first other mark on, a
    /// reset drops what was not read (RFC 9000 §3.2), up to its reliable size if it has one.
    pub fn set_tag(&mut self, id: StreamId, tag: StreamTag) -> bool {
        self.streams.set_tag(id, tag)
    }

    /// Ranks a stream's data. False if the stream is gone.
    pub fn set_priority(&mut self, id: StreamId, priority: Priority) -> bool {
        self.streams.set_priority(id, priority, &mut self.schedule)
    }

    /// Whether all that can be read of a receiving side has come: every byte and the end, or a reset and what it promises
    /// (`RESET_STREAM_AT`). `None` when that side is gone, or there is none.
    pub fn is_whole(&mut self, id: StreamId) -> Option<bool> {
        self.streams.is_whole(id)
    }

    /// The final size of a receiving side, from when it is known until its end was read.
    pub fn final_size(&mut self, id: StreamId) -> Option<u64> {
        self.streams.final_size(id)
    }

    /// How many streams of a kind may be opened over the life of the connection, by the last MAX_STREAMS sent
    /// (streams of the peer) or received (own streams) (RFC 9000 §4.6).
    pub fn stream_limit(&self, initiator: Side, dir: Dir) -> u64 {
        self.streams.stream_limit(initiator, dir)
    }

    /// The ID of the stream that [`Connection::open`] would open next, whether the peer's limit permits that now or not
    /// (RFC 9000 §2.1: IDs rise by one stream each).
    #[must_use]
    pub fn next_stream(&self, dir: Dir) -> StreamId {
        self.streams.next_stream(dir)
    }

    /// Lets the peer have at least `count` streams of a kind open at once, which MAX_STREAMS tells it. At most 60,000 at once,
    /// and 2^60 over the life of the connection (RFC 9000 §4.6); fewer than before change nothing, for a limit is never
    /// taken back. At first [`TransportConfig`](crate::TransportConfig) says how many.
    pub fn set_max_streams(&mut self, dir: Dir, count: u64) {
        self.streams.set_max_streams(dir, count);
    }

    /// Counters of a sending side, until it is gone.
    pub fn send_stream_stats(&mut self, id: StreamId) -> Option<SendStreamStats> {
        self.streams.send_stats(id).map(|stats| SendStreamStats {
            bytes_written: stats.written,
            bytes_sent: stats.sent,
            bytes_acknowledged: stats.acked,
            final_size: stats.final_size,
        })
    }

    /// How many bytes, written to a stream now, the peer's limits permit to be sent, after all that was written before to
    /// this and other streams (RFC 9000 §4.1). Congestion control is not asked. `None` once the sending side is gone.
    ///
    /// Looks at every stream.
    pub fn send_capacity(&mut self, id: StreamId) -> Option<u64> {
        if self.life.is_open() { self.streams.send_capacity(id) } else { None }
    }

    /// Bytes that have come, gaps included, for receiving sides that were given up: of all streams, since the connection
    /// began. Who counts what comes on such a stream looks at it when this has risen.
    pub fn bytes_dropped(&self) -> u64 {
        self.streams.counters().bytes_dropped
    }

    /// Hands a stream over to the application: from now on it is up to the application, and not to the peer, how long what
    /// can be read of it stays unread. For [`withholds_credit`](Self::withholds_credit). False if the stream is gone.
    pub fn hand_over(&mut self, id: StreamId) -> bool {
        self.streams.hand_over(id)
    }

    /// Whether the peer may send no stream data by the limit of the connection (`MAX_DATA`, RFC 9000 §4.1), and the
    /// application alone is the reason: what it leaves unread of the streams that were
    /// [handed over](Self::hand_over) to it, here and [above](Self::set_held_above), would keep the limit where it is though
    /// everything else were read or given up.
    ///
    /// A peer that fills the limit itself, with streams that nobody can read yet or with what lies behind a hole, has itself
    /// to thank, and whoever waits for more of it need not wait longer. Looks at every stream when the limit is reached.
    pub fn withholds_credit(&self) -> bool {
        self.streams.withholds_credit()
    }

    /// Counters of a receiving side, until it is gone.
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
    /// The largest datagram payload now, in bytes; `None` while or because the peer takes none.
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

    /// Drops datagrams that waited longer than this: received ones unread, outgoing ones without an age
    /// of their own unsent. `None` is no limit.
    pub fn set_datagram_max_ages(&mut self, incoming: Option<Duration>, outgoing: Option<Duration>) {
        self.datagrams.set_max_ages(incoming, outgoing);
    }

    /// Datagrams that came since the connection began, dropped ones included.
    pub fn datagrams_received(&self) -> u64 {
        self.datagrams.counters().received
    }

    /// How many datagrams of a bundle ([`Priority::bundle`]) wait to be sent: a layer that bounds its senders counts these.
    pub fn datagrams_waiting(&self, bundle: u32) -> usize {
        self.datagrams.waiting_of(bundle)
    }

    /// Changes how old those datagrams of a bundle may become that wait to be sent, counted from when they were given; `None`
    /// leaves it to the connection.
    pub fn set_datagrams_max_age(&mut self, bundle: u32, max_age: Option<Duration>) {
        self.datagrams.set_max_age_of(bundle, max_age);
    }

    /// The oldest received datagram. After `None`, [`Event::DatagramReadable`] tells of the next.
    pub fn receive_datagram(&mut self, now: Timestamp) -> Option<Bytes> {
        let now = self.clock.read(now);
        self.datagrams.recv(now, &mut self.memory.fed).map(|(data, _)| data)
    }
}

/// Events that may stay allocated while none waits: a queue that is given back with each burst is made anew, growing, with
/// each.
const KEPT_EVENTS: usize = 256;

/// The connection as such.
impl Connection {
    /// The next event. After [`Event::Closed`], what was received before can still be read until this is called again.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.out.events.pop_front();
        if event.is_none() {
            // What a burst of events took is given back.
            if self.out.events.capacity() > KEPT_EVENTS {
                self.out.events = std::collections::VecDeque::new();
            }
            if self.out.close_told {
                self.release();
            }
        }
        event
    }

    /// Whether [`poll_event`](Self::poll_event) has an event to tell: sending makes some, too.
    pub fn has_events(&self) -> bool {
        !self.out.events.is_empty()
    }

    /// The next change for [`Endpoint::handle_cid_change`](crate::Endpoint::handle_cid_change).
    pub fn poll_cid_change(&mut self) -> Option<CidChange> {
        if self.out.cid_changes.is_empty() { None } else { Some(self.out.cid_changes.remove(0)) }
    }

    /// Whether streams can be opened and what is written leaves in 1-RTT packets. At a server that is so before the client
    /// has finished the handshake: what it sends then reaches whoever sent the client's first packet, and nobody has proved
    /// to be there (RFC 9001 §5.7).
    pub fn can_send(&self) -> bool {
        self.life.is_open() && self.keyring.has(Level::OneRtt) && self.streams.knows_peer()
    }

    /// Which end this is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The peer's address, until it moves.
    pub fn remote_address(&self) -> std::net::SocketAddr {
        self.paths.active.route.remote
    }

    /// The address of this host to which the peer's packets come, where the caller told it
    /// ([`DatagramMeta::local_ip`](crate::DatagramMeta::local_ip)); what is sent leaves from it.
    pub fn local_ip(&self) -> Option<std::net::IpAddr> {
        self.paths.active.route.local_ip
    }

    /// Whether the handshake is still going on.
    pub fn is_handshaking(&self) -> bool {
        !self.handshake.is_complete()
    }

    /// Whether the connection was closed, by whomever.
    pub fn is_closed(&self) -> bool {
        !self.life.is_open()
    }

    /// Whether nothing will ever happen any more: the connection can be dropped and the endpoint told.
    pub fn is_drained(&self) -> bool {
        self.life.is_closed()
    }

    /// Why the connection was closed.
    pub fn close_error(&self) -> Option<&ConnectionError> {
        self.life.error()
    }

    /// The peer's transport parameters, authentic once the handshake is complete; defaults before they arrive.
    pub fn peer_parameters(&self) -> &TransportParameters {
        &self.peer
    }

    /// The ALPN protocol, once agreed upon.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.handshake.tls().alpn_protocol()
    }

    /// The peer's certificate chain in DER, end entity first.
    pub fn peer_certificates(&self) -> Vec<Vec<u8>> {
        self.handshake.tls().peer_certificates()
    }

    /// The server name that the client asked for; servers only.
    pub fn server_name(&self) -> Option<&str> {
        self.handshake.tls().server_name()
    }

    /// Fills `out` with keying material that both ends share (RFC 8446 §7.5), once the handshake is complete.
    pub fn export_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportError> {
        self.handshake.export_keying_material(out, label, context)
    }

    /// UDP payload of full datagrams in bytes.
    pub fn datagram_size(&self) -> usize {
        self.paths.active.datagram_size()
    }

    /// UDP payload of the largest datagram that [`poll_transmit`](Self::poll_transmit) wants to write now: now and then
    /// larger than [`datagram_size`](Self::datagram_size), when the path is to be tried. With less room in the buffer
    /// the path is not tried.
    pub fn next_datagram_size(&mut self, now: Timestamp) -> usize {
        let now = self.clock.read(now);
        let probe = self.paths.active.mtu_probe_due(now).map_or(0, usize::from);
        probe.max(self.paths.active.datagram_size())
    }

    /// Sends something that the peer must acknowledge, to keep the connection alive or measure it.
    pub fn ping(&mut self) {
        self.control.send_ping();
    }

    /// Starts a key update if the protocol permits one now (RFC 9001 §6); says whether it did.
    pub fn update_keys(&mut self) -> bool {
        self.handshake.is_confirmed() && self.keyring.start_update()
    }

    /// Closes the connection after this many forged packets instead of the AEAD's own limit (RFC 9001 §6.6).
    pub fn cap_integrity_limit(&mut self, limit: u64) {
        self.keyring.cap_integrity_limit(limit);
    }

    /// Puts other controllers in charge, from the next packet on: of the path in use, and of those to come. What is in flight
    /// stays so; the new controller of the path hears of the window and the rate that the old one had
    /// ([`Predecessor`](crate::congestion::Predecessor)), and the built-in ones go on from there.
    pub fn set_congestion(&mut self, now: Timestamp, congestion: CongestionConfig) {
        let now = self.clock.read(now);
        self.paths.active.set_congestion(&congestion, now, self.entropy.next_u64());
        Arc::make_mut(&mut self.config).congestion = congestion;
    }

    /// Tells everything that happens from now on to `observer`.
    pub fn set_observer(&mut self, observer: Box<dyn Observer>) {
        self.out.trace.set(observer);
    }

    /// The connection IDs that name this end now, for the endpoint's table.
    pub(crate) fn local_ids(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.cids.local.active()
    }

    /// What is known of each path, the one in use first. There are others while the peer or this end is about to move, and for
    /// a while afterwards.
    pub fn paths(&self) -> impl Iterator<Item = PathStats> + '_ {
        self.paths.iter().map(|path| PathStats {
            remote: path.route.remote,
            local_ip: path.route.local_ip,
            validated: path.route.is_validated(),
            smoothed_rtt: path.rtt.smoothed(),
            min_rtt: path.rtt.first_sample().map(|_| path.rtt.min()),
            congestion_window: path.window(),
            bytes_in_flight: path.in_flight,
            datagram_size: path.datagram_size() as u16,
        })
    }

    /// A snapshot of the counters. What they say of a path is of the one in use.
    pub fn stats(&self) -> ConnectionStats {
        let (recovery, streams, datagrams) =
            (self.recovery.counters(), self.streams.counters(), self.datagrams.counters());
        let (rtt, controller) = (&self.paths.active.rtt, self.paths.active.controller());
        let estimate = controller.estimate();
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
            key_updates: self.keyring.updates(),
            latest_rtt: rtt.latest(),
            smoothed_rtt: rtt.smoothed(),
            rtt_variation: rtt.variation(),
            min_rtt: rtt.first_sample().map(|_| rtt.min()),
            congestion_controller: controller.snapshot().name,
            congestion_window: self.paths.active.window(),
            bytes_in_flight: self.paths.active.in_flight,
            pacing_rate: self.paths.active.pacing_rate(),
            estimated_send_rate: estimate.rate,
            at_send_capacity: estimate.at_capacity,
            ecn: self.paths.active.ecn(),
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
            reset_fallbacks: streams.reset_fallbacks,
            memory_used: self.memory.used(),
            memory_limit: self.memory.limit(),
            memory_peak: self.memory.peak(),
        }
    }
}
