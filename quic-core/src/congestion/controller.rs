//! The interface between a path and the algorithm that decides how much the path may send.

use std::{fmt, time::Duration};

use super::{LimitedBy, PacketRate, RateSample, Rtt};
use crate::base::{Ecn, Rate, Timestamp};

/// A packet that was sent, as a controller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentPacket {
    /// Bytes of the packet.
    pub bytes: u64,
    /// Bytes that were in flight before it.
    pub in_flight: u64,
    /// What kept the path from sending more when it last stopped.
    pub limited_by: LimitedBy,
}

impl SentPacket {
    /// A packet of `bytes` bytes, sent when `in_flight` bytes were in flight.
    #[must_use]
    pub const fn new(bytes: u64, in_flight: u64, limited_by: LimitedBy) -> Self {
        Self { bytes, in_flight, limited_by }
    }
}

/// A packet that was declared lost, as it was when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostPacket {
    /// Bytes of the packet.
    pub bytes: u64,
    /// When it was sent.
    pub sent: Timestamp,
    /// The delivery state when it was sent: what was in flight then, and whether the application limited the
    /// path.
    pub rate: PacketRate,
}

impl LostPacket {
    /// A packet of `bytes`, sent at `sent` with the delivery state `rate`.
    #[must_use]
    pub const fn new(bytes: u64, sent: Timestamp, rate: PacketRate) -> Self {
        Self { bytes, sent, rate }
    }
}

/// What a path's previous controller passes on to the next one
/// ([`Connection::set_congestion`](crate::Connection::set_congestion)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Predecessor {
    /// Its window in bytes. The path may have this much in flight.
    pub window: u64,
    /// Its estimate of the path's rate, if it had one.
    pub rate: Option<Rate>,
    /// Whether it was still searching for the path's capacity, for example by doubling its window each round
    /// trip.
    pub in_slow_start: bool,
    /// The lowest round-trip time of the path so far; `None` before the first sample.
    pub min_rtt: Option<Duration>,
}

impl Predecessor {
    /// What `controller` passes on, on a path with these round-trip times.
    #[must_use]
    pub fn of(controller: &(impl Controller + ?Sized), rtt: &Rtt) -> Self {
        let phase = controller.snapshot().phase;
        Self {
            window: controller.window(),
            rate: controller.estimate().rate,
            in_slow_start: matches!(phase, Phase::SlowStart | Phase::ConservativeSlowStart),
            min_rtt: rtt.first_sample().map(|_| rtt.min()),
        }
    }
}

/// A path that a controller is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewPath {
    /// The time now.
    pub now: Timestamp,
    /// The most bytes in a datagram.
    pub mtu: u16,
    /// The controller's only source of randomness: the same seed and the same calls give the same answers.
    pub seed: u64,
    /// On a path that is in use, what the previous controller knew. The path stays as full as it is if the
    /// new controller starts with that window. With the initial window it sends less until the window has
    /// grown.
    pub predecessor: Option<Predecessor>,
}

impl NewPath {
    /// A path whose datagrams have up to `mtu` bytes, with the seed 0.
    #[must_use]
    pub const fn new(now: Timestamp, mtu: u16) -> Self {
        Self { now, mtu, seed: 0, predecessor: None }
    }

    /// The same path with this seed.
    #[must_use]
    pub const fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same path, which `predecessor` has controlled so far.
    #[must_use]
    pub const fn with_predecessor(self, predecessor: Predecessor) -> Self {
        Self { predecessor: Some(predecessor), ..self }
    }
}

/// All that one ACK frame, or one firing of the loss timer, tells about a path.
///
/// Acknowledged and lost packets come together because they are one observation. Build one with
/// [`Self::new`]: later versions may add signals.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CongestionEvent<'a> {
    /// The time of the event.
    pub now: Timestamp,
    /// Round-trip times, this event's sample included.
    pub rtt: &'a Rtt,
    /// The round-trip sample of this event, if it gave one.
    pub rtt_sample: Option<Duration>,
    /// Bytes newly acknowledged, of packets that were in flight.
    pub bytes_acked: u64,
    /// Bytes newly declared lost; probes for a larger MTU never count (RFC 9000 §14.4).
    pub bytes_lost: u64,
    /// The number of packets that `bytes_lost` counts.
    pub packets_lost: u32,
    /// These packets, in the order in which they were sent within a packet number space. Code that drives a
    /// controller by hand may leave it empty.
    pub lost: &'a [LostPacket],
    /// When the newest of the newly acknowledged packets was sent.
    pub newest_acked_sent: Option<Timestamp>,
    /// When the newest of the newly lost packets was sent.
    pub newest_lost_sent: Option<Timestamp>,
    /// The largest packet number that was newly acknowledged.
    pub largest_acked: Option<u64>,
    /// The delivery rate over the newly acknowledged packets.
    pub rate: Option<RateSample>,
    /// By how many packets the peer's count of Congestion Experienced marks rose, if the counts pass ECN
    /// validation.
    pub ce_delta: u64,
    /// How many newly acknowledged packets were sent with an ECN codepoint. `ce_delta` says how many of them
    /// were marked.
    pub ecn_acked: u64,
    /// Bytes in flight before the event.
    pub prior_in_flight: u64,
    /// Bytes in flight after it.
    pub in_flight: u64,
    /// What kept the path from sending more when it last stopped. In any case a window must not grow much
    /// beyond what is used of it (RFC 9002 §7.8). [`FlightPeak`](super::FlightPeak) tells how far it may
    /// grow.
    pub limited_by: LimitedBy,
    /// Whether the losses amount to persistent congestion (RFC 9002 §7.6).
    pub persistent: bool,
}

impl<'a> CongestionEvent<'a> {
    /// An event with nothing acknowledged, lost or marked.
    #[must_use]
    pub fn new(now: Timestamp, rtt: &'a Rtt) -> Self {
        Self {
            now,
            rtt,
            rtt_sample: None,
            bytes_acked: 0,
            bytes_lost: 0,
            packets_lost: 0,
            lost: &[],
            newest_acked_sent: None,
            newest_lost_sent: None,
            largest_acked: None,
            rate: None,
            ce_delta: 0,
            ecn_acked: 0,
            prior_in_flight: 0,
            in_flight: 0,
            limited_by: LimitedBy::Window,
            persistent: false,
        }
    }
}

/// Packets declared lost that were acknowledged after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpuriousLoss {
    /// How many packets.
    pub packets: u32,
    /// Their size in bytes.
    pub bytes: u64,
    /// When the first of them was declared lost.
    pub oldest_lost_at: Timestamp,
}

impl SpuriousLoss {
    /// `packets` packets of `bytes` bytes in total. The first of them was declared lost at `oldest_lost_at`.
    #[must_use]
    pub const fn new(packets: u32, bytes: u64, oldest_lost_at: Timestamp) -> Self {
        Self { packets, bytes, oldest_lost_at }
    }
}

/// A controller's estimate of what the path can carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// The rate at which the controller would send now; `None` before the first round trip.
    pub rate: Option<Rate>,
    /// False while the application sends less than it may, because then the rate is not tested.
    pub at_capacity: bool,
}

impl Estimate {
    /// An estimate of `rate`; `at_capacity` tells whether sending tests it.
    #[must_use]
    pub const fn new(rate: Option<Rate>, at_capacity: bool) -> Self {
        Self { rate, at_capacity }
    }
}

/// What a controller is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The window doubles every round trip (RFC 9002 §7.3.1), or grows in a similar way.
    SlowStart,
    /// The window grows carefully because the delay rises (RFC 9406).
    ConservativeSlowStart,
    /// The controller waits for the end of the round trip in which the window was reduced (RFC 9002 §7.3.2).
    Recovery,
    /// The controller probes slowly for more (RFC 9002 §7.3.3), or in a similar way.
    CongestionAvoidance,
    /// The controller sends less than the path delivers until the queue of startup is empty
    /// (draft-ietf-ccwg-bbr §5.3.2).
    Drain,
    /// The controller sends little for a moment to measure the round-trip time without a queue
    /// (draft-ietf-ccwg-bbr §5.3.4).
    ProbeRtt,
}

/// A controller's state for statistics and qlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The controller's name.
    pub name: &'static str,
    /// Bytes that may be in flight.
    pub window: u64,
    /// The slow start threshold in bytes; `None` if there is none (yet).
    pub ssthresh: Option<u64>,
    /// What the controller is doing.
    pub phase: Phase,
    /// How often the window was reduced.
    pub reductions: u64,
    /// How many of the reductions were undone.
    pub undone: u64,
}

impl Snapshot {
    /// A snapshot of the controller `name`.
    #[must_use]
    pub fn new(name: &'static str, window: u64, phase: Phase) -> Self {
        Self { name, window, ssthresh: None, phase, reductions: 0, undone: 0 }
    }
}

/// Decides how many bytes may be in flight on one path, and how fast they leave.
///
/// The path owns the bytes in flight, the MTU, ECN validation, round-trip times and rate samples. A
/// controller is a function of the numbers it is given. It sees no clock but `now`, and everything it does
/// must follow from its calls. [`super::kit`] checks that a controller keeps the invariants.
///
/// A panic leaves the connection unusable. The caller may catch the panic, call
/// [`Connection::farewell`](crate::Connection::farewell) and drop the connection. The driver of `wt-api` does
/// so.
pub trait Controller: Send + fmt::Debug {
    /// A packet was sent.
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket) {
        let _ = (now, packet);
    }

    /// Handles one ACK frame, or one firing of the loss timer. The default body calls [`Self::on_loss`],
    /// [`Self::on_ecn_ce`] and [`Self::on_ack`], in this order, as far as they apply. Where marks and losses
    /// come together, the controller must react at least as strongly as to the loss alone.
    fn on_congestion_event(&mut self, event: &CongestionEvent<'_>) {
        if event.bytes_lost > 0 || event.persistent {
            self.on_loss(event);
        }
        // Persistent congestion leaves nothing that a mark could reduce.
        if event.ce_delta > 0 && !event.persistent {
            self.on_ecn_ce(event);
        }
        if event.bytes_acked > 0 {
            self.on_ack(event);
        }
    }

    /// The network marked packets.
    fn on_ecn_ce(&mut self, event: &CongestionEvent<'_>) {
        let _ = event;
    }

    /// The path turned out to mark every packet, even when so little is sent that it cannot cause congestion.
    /// The marks so far were no congestion, and no more will be reported.
    fn on_marks_void(&mut self, now: Timestamp) {
        let _ = now;
    }

    /// Packets were declared lost.
    fn on_loss(&mut self, event: &CongestionEvent<'_>) {
        let _ = event;
    }

    /// Packets were acknowledged.
    fn on_ack(&mut self, event: &CongestionEvent<'_>) {
        let _ = event;
    }

    /// Packets that were declared lost were acknowledged late.
    fn on_spurious_loss(&mut self, now: Timestamp, spurious: &SpuriousLoss) {
        let _ = (now, spurious);
    }

    /// The application has nothing to send although the window is open.
    fn on_app_limited(&mut self, now: Timestamp) {
        let _ = now;
    }

    /// Datagrams may have up to `mtu` bytes from now on. A larger MTU must not enlarge a window that has
    /// grown.
    fn on_mtu_changed(&mut self, mtu: u16);

    /// The time [`Self::deadline`] has come.
    fn on_timeout(&mut self, now: Timestamp) {
        let _ = now;
    }

    /// How many bytes may be in flight. The path grants at least two datagrams (RFC 9002 §7.2).
    fn window(&self) -> u64;

    /// The rate at which packets should leave; the pacer raises it to at least one datagram a second. With
    /// `None` the pacer derives the rate from the window.
    fn pacing_rate(&self) -> Option<Rate> {
        None
    }

    /// How many bytes may leave at once; with `None` the pacer derives it from the rate.
    fn send_quantum(&self) -> Option<u64> {
        None
    }

    /// The ECN codepoint that packets carry while ECN works on the path.
    fn ecn(&self) -> Ecn {
        Ecn::Ect0
    }

    /// The controller's estimate of what the path can carry.
    fn estimate(&self) -> Estimate {
        Estimate::default()
    }

    /// When the controller wants [`Self::on_timeout`] to be called. The path calls it at most once a
    /// millisecond.
    fn deadline(&self) -> Option<Timestamp> {
        None
    }

    /// The state for statistics and qlog.
    fn snapshot(&self) -> Snapshot;
}

/// Makes controllers, one for each path. This is how a user's controller gets into a connection. A panic in
/// it is treated like a panic in a [`Controller`].
pub trait ControllerFactory: Send + Sync + fmt::Debug {
    /// A controller for a new path.
    fn build(&self, path: &NewPath) -> Box<dyn Controller>;

    /// The name for logs.
    fn name(&self) -> &str {
        "custom"
    }
}
