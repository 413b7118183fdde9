//! The script of acknowledgments: recovery finds out what arrived and what was lost, and each receipt is
//! passed to its owner.

use std::{collections::VecDeque, time::Duration};

use super::{Connection, close::Failure};
use crate::{
    acks::{AckRequests, AckTracker},
    base::Timestamp,
    cids::Cids,
    congestion::CongestionEvent,
    control::Control,
    datagrams::Datagrams,
    event::Event,
    frame::{Ack, Receipt},
    handshake::Handshake,
    ids::{Level, Space},
    path::{AckedMarks, SizeChange, SizeEvidence},
    recovery::{Context, Outcome, congestion_event, timeout_event},
    schedule::Schedule,
    spaces::Spaces,
    streams::{PeerLimits, Streams},
    trace::TraceEvent,
};

/// The exponent of ACK delays until the peer's parameter applies (RFC 9000 §18.2).
const DEFAULT_ACK_DELAY_EXPONENT: u8 = 3;

/// How many packets a probe repeats. Data without room in a probe waits for the next one.
const REPEATED: usize = 2;

/// The owners of receipts: the components that wrote the frames.
struct Owners<'a> {
    handshake: &'a mut Handshake,
    acks: &'a mut Spaces<AckTracker>,
    requests: &'a mut AckRequests,
    cids: &'a mut Cids,
    streams: &'a mut Streams,
    schedule: &'a mut Schedule,
    datagrams: &'a mut Datagrams,
    control: &'a mut Control,
    events: &'a mut VecDeque<Event>,
}

impl Owners<'_> {
    /// Has the owner of a receipt send its data again in a probe, although the peer may have it. Returns
    /// whether the owner does.
    fn repeat(&mut self, receipt: Receipt) -> bool {
        let repeated = match receipt {
            Receipt::Nothing
            | Receipt::Ack { .. }
            | Receipt::Datagrams { .. }
            | Receipt::HandshakeDone
            | Receipt::NewToken
            | Receipt::AckFrequency(_) => false,
            Receipt::Crypto { .. }
            | Receipt::Stream { .. }
            | Receipt::ResetStream { .. }
            | Receipt::StopSending { .. }
            | Receipt::MaxStreamData { .. }
            | Receipt::StreamDataBlocked { .. }
            | Receipt::MaxData
            | Receipt::DataBlocked
            | Receipt::MaxStreams(_)
            | Receipt::StreamsBlocked(_)
            | Receipt::NewConnectionId(_)
            | Receipt::RetireConnectionId(_) => true,
        };
        if repeated {
            self.settle(receipt, Outcome::Lost);
        }
        repeated
    }

    /// Tells the owner of a frame what became of it.
    fn settle(&mut self, receipt: Receipt, outcome: Outcome) {
        let acked = outcome != Outcome::Lost;
        match receipt {
            Receipt::Ack { space, largest } if acked => {
                if let Some(acks) = self.acks.get_mut(space) {
                    acks.on_ack_acked(largest);
                }
            }
            Receipt::Ack { .. } | Receipt::Nothing => {}
            Receipt::Crypto { space, offset, length } if acked => {
                self.handshake.on_acked(space, offset, length);
            }
            Receipt::Crypto { space, offset, length } => self.handshake.on_lost(space, offset, length),
            Receipt::NewConnectionId(sequence) if !acked => self.cids.local.on_lost(sequence),
            Receipt::RetireConnectionId(sequence) if acked => self.cids.remote.on_acked(sequence),
            Receipt::RetireConnectionId(sequence) => self.cids.remote.on_lost(sequence),
            Receipt::HandshakeDone if acked => self.control.on_handshake_done_acked(),
            Receipt::HandshakeDone => self.control.on_handshake_done_lost(),
            Receipt::NewToken if acked => self.control.on_token_acked(),
            Receipt::NewToken => self.control.on_token_lost(),
            Receipt::AckFrequency(sequence) if acked => self.requests.on_acked(sequence),
            Receipt::AckFrequency(sequence) => self.requests.on_lost(sequence),
            Receipt::NewConnectionId(_) => {}
            Receipt::Datagrams { count, .. } if !acked => self.datagrams.on_lost(count),
            Receipt::Datagrams { count, bytes } => {
                self.datagrams.on_acked(count, bytes, outcome == Outcome::Recovered);
            }
            Receipt::Stream { .. }
            | Receipt::ResetStream { .. }
            | Receipt::StopSending { .. }
            | Receipt::MaxStreamData { .. }
            | Receipt::StreamDataBlocked { .. }
            | Receipt::MaxData
            | Receipt::DataBlocked
            | Receipt::MaxStreams(_)
            | Receipt::StreamsBlocked(_) => self.streams.settle(receipt, acked, self.schedule, self.events),
        }
    }
}

/// Borrows the owners from a connection, separately from recovery and path.
macro_rules! owners {
    ($connection:expr) => {
        Owners {
            handshake: &mut $connection.handshake,
            acks: &mut $connection.acks,
            requests: &mut $connection.requests,
            cids: &mut $connection.cids,
            streams: &mut $connection.streams,
            schedule: &mut $connection.schedule,
            datagrams: &mut $connection.datagrams,
            control: &mut $connection.control,
            events: &mut $connection.out.events,
        }
    };
}

/// Borrows from the path in use what recovery needs.
macro_rules! context {
    ($connection:expr, $now:expr, $conditions:expr) => {{
        let path = &mut $connection.paths.active;
        Context {
            now: $now,
            path: path.id,
            rtt: &mut path.rtt,
            sampler: &mut path.sampler,
            in_flight: &mut path.in_flight,
            conditions: $conditions,
        }
    }};
}

impl Connection {
    /// An ACK frame arrived.
    pub(super) fn on_ack(&mut self, space: Space, ack: &Ack<'_>, now: Timestamp) -> Result<(), Failure> {
        let exponent =
            if space == Space::Data { self.peer.ack_delay_exponent } else { DEFAULT_ACK_DELAY_EXPONENT };
        let delay = Duration::from_micros(ack.delay.saturating_mul(1 << exponent));
        let conditions = self.conditions();
        let numbers = self.newly_acked(space, ack);
        let mut owners = owners!(self);
        let mut context = context!(self, now, conditions);
        let result =
            self.recovery.on_ack(space, ack.ranges(), delay, &mut context, &mut |receipt, outcome| {
                owners.settle(receipt, outcome);
            })?;
        if !numbers.is_empty() {
            self.out.trace.emit(now, || TraceEvent::PacketsAcked { space, numbers: &numbers });
        }
        // RFC 9000 §13.4.2.1: the counts are checked only if the largest acknowledged number rose.
        let marks = AckedMarks { ect0: result.ect0, ect1: result.ect1 };
        // The counts cover all paths. If packets of other paths contributed, they tell nothing of the one in
        // use.
        let mixed = result.acked_elsewhere > 0;
        let path = &mut self.paths.active;
        let ce_delta = match (result.raised_largest_acked, mixed) {
            (true, false) => path.on_ecn_counts(now, space, marks, ack.ecn),
            (true, true) => path.on_mixed_ecn_counts(space, ack.ecn),
            (false, _) => 0,
        };
        if result.newly_acked > 0 && !mixed {
            self.paths.active.on_marks_settled(space, marks, result.loss.marked);
        }
        self.recovery.take_landed_elsewhere(|path, bytes| self.paths.on_landed(path, bytes));
        self.set_send_limit();
        self.charge_buffered();
        self.streams.wake_writers(&mut self.out.events);
        if let Some(spurious) = &result.spurious {
            self.paths.active.on_spurious_loss(now, spurious);
        }
        self.paths.active.on_congestion_event(now, self.recovery.just_lost(), |rtt, sampler| {
            CongestionEvent { ce_delta, ..congestion_event(now, &result, rtt, sampler) }
        });
        self.recovery.forget_lost();
        if let (Space::Data, Some(largest)) = (space, result.largest_newly_acked) {
            self.keyring.on_acked(largest);
            let path = &self.paths.active;
            self.requests.consider(path.window(), path.datagram_size(), path.rtt.smoothed());
        }
        self.on_size_evidence(
            now,
            &SizeEvidence {
                probe_acked: result.mtu_probe_acked,
                probe_lost: result.loss.mtu_probe,
                acked: result.largest_bytes,
                lost: result.loss.largest_bytes,
                lost_sent: result.loss.last_sent,
            },
        );
        self.trace_recovery(now, u64::from(result.loss.packets), result.loss.bytes);
        Ok(())
    }

    /// The recovery timer fired.
    pub(super) fn on_recovery_timeout(&mut self, now: Timestamp) {
        let conditions = self.conditions();
        let mut owners = owners!(self);
        let mut context = context!(self, now, conditions);
        let result =
            self.recovery.on_timeout(&mut context, &mut |receipt, outcome| owners.settle(receipt, outcome));
        self.recovery.take_landed_elsewhere(|path, bytes| self.paths.on_landed(path, bytes));
        if result.loss.packets > 0 {
            self.charge_buffered();
            let lost = self.recovery.just_lost();
            self.paths.active.on_congestion_event(now, lost, |rtt, _| timeout_event(now, &result, rtt));
            self.recovery.forget_lost();
        }
        let evidence = SizeEvidence {
            probe_lost: result.loss.mtu_probe,
            lost: result.loss.largest_bytes,
            lost_sent: result.loss.last_sent,
            ..SizeEvidence::default()
        };
        self.on_size_evidence(now, &evidence);
        if let Some(probe) = result.probe {
            self.paths.active.on_probe_timeout();
            self.prepare_probe(probe.space, probe.count);
        }
        self.trace_recovery(now, u64::from(result.loss.packets), result.loss.bytes);
    }

    /// Puts unacknowledged 1-RTT data into the probes that are due, unless there is other data to send (RFC
    /// 9002 §6.2.4). A lost request or response then arrives with the probe and not a round trip later.
    pub(super) fn repeat_oldest_data(&mut self) {
        if self.has_data() {
            return;
        }
        let mut owners = owners!(self);
        self.recovery.repeat_oldest(Space::Data, REPEATED, &mut |receipt| owners.repeat(receipt));
    }

    /// A Retry arrived: everything is sent again, and the path starts over (RFC 9002 §6.3).
    pub(super) fn restart_recovery(&mut self, now: Timestamp) {
        let mut owners = owners!(self);
        let paths = &mut self.paths;
        let landed = &mut |path, bytes| paths.on_landed(path, bytes);
        self.recovery.on_retry(landed, &mut |receipt, outcome| owners.settle(receipt, outcome));
        self.paths.active.reset_congestion(&self.config, now, self.entropy.next_u64());
    }

    /// The server has not accepted this client's 0-RTT: everything that it carried is sent again, under the
    /// limits that the server has now (RFC 9001 §4.6.2).
    pub(super) fn repeat_early_data(&mut self, limits: &PeerLimits, now: Timestamp) {
        self.give_up_early_data();
        self.streams.begin_again(*limits, &mut self.schedule);
        self.trace_recovery(now, 0, 0);
    }

    /// The 0-RTT packets of this client are of no use to the server.
    pub(super) fn give_up_early_data(&mut self) {
        let mut owners = owners!(self);
        let paths = &mut self.paths;
        let landed = &mut |path, bytes| paths.on_landed(path, bytes);
        self.recovery.abandon(Space::Data, landed, &mut |receipt, outcome| owners.settle(receipt, outcome));
    }

    /// The operating system refused to send a datagram of `size` bytes because of its size: the outgoing link
    /// carries less (`EMSGSIZE`). If the size was only a probe, it is not tried again for now. If the size
    /// was in use, datagrams shrink to 1200 bytes, and path MTU discovery searches again (RFC 8899 §4.4, RFC
    /// 9000 §14.3); [`Event::DatagramSizeChanged`] reports this. The caller reports single datagrams only,
    /// not trains.
    ///
    /// The packets in it count as lost when the peer's next acknowledgment shows it. A small packet asks for
    /// that acknowledgment at once.
    pub fn handle_datagram_refused(&mut self, now: Timestamp, size: usize) {
        let now = self.clock.read(now);
        if self.paths.active.on_size_refused(now, size) == SizeChange::Changed {
            self.out.events.push_back(Event::DatagramSizeChanged);
            if self.life.is_open() && self.keyring.has(Level::OneRtt) && self.handshake.is_confirmed() {
                self.prepare_probe(Space::Data, 1);
            }
        }
    }

    fn on_size_evidence(&mut self, now: Timestamp, evidence: &SizeEvidence) {
        match self.paths.active.on_size_evidence(now, evidence) {
            SizeChange::None => {}
            SizeChange::Changed => self.out.events.push_back(Event::DatagramSizeChanged),
            SizeChange::NotViable => self.leave_path(now),
        }
    }
}
