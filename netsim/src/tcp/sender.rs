//! The sending end.

use std::{collections::VecDeque, net::SocketAddr};

use crate::{
    endpoint::{Datagram, Endpoint},
    histogram::Histogram,
    random::Random,
    units::{MILLISECOND, SECOND},
};

use super::{
    Demand,
    window::{Flavour, Window},
    wire::{Ack, Segment},
};

/// A segment is lost when this many that were sent later have arrived.
const REORDERED: u64 = 3;
/// The least difference between the retransmission timer and the round trip, as in Linux. Without it, if
/// round trips hardly vary, the timer would expire during the first recovery.
const LEAST_TIMER: u64 = 200 * MILLISECOND;
/// The longest retransmission timer.
const MOST_TIMER: u64 = 60 * SECOND;

/// The configuration of a modelled flow.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TcpConfig {
    /// The congestion control algorithm.
    pub flavour: Flavour,
    /// The data to send.
    pub demand: Demand,
}

impl TcpConfig {
    /// A flow with this congestion control and this data to send.
    #[must_use]
    pub const fn new(flavour: Flavour, demand: Demand) -> Self {
        Self { flavour, demand }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InFlight,
    Lost,
    Arrived,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    state: State,
    /// Its position in the order of sending, when it was last sent.
    order: u64,
}

/// The estimate of the round trip, in nanoseconds (RFC 6298).
#[derive(Clone, Copy, Debug, Default)]
struct RoundTrip {
    smoothed: u64,
    variation: u64,
}

impl RoundTrip {
    fn on_sample(&mut self, sample: u64) {
        if self.smoothed == 0 {
            *self = Self { smoothed: sample.max(1), variation: sample / 2 };
        } else {
            self.variation = (self.variation * 3 + self.smoothed.abs_diff(sample)) / 4;
            self.smoothed = ((self.smoothed * 7 + sample) / 8).max(1);
        }
    }

    fn timer(&self) -> u64 {
        if self.smoothed == 0 { SECOND } else { self.smoothed + (4 * self.variation).max(LEAST_TIMER) }
    }
}

/// Proportional rate reduction (RFC 9937): limits what may be sent after a loss, in proportion to what
/// arrives.
#[derive(Clone, Copy, Debug, Default)]
struct Reduction {
    /// How many segments were in flight when the loss was detected.
    flight: u64,
    /// How many segments arrived since, and how many were sent since.
    arrived: u64,
    sent: u64,
    /// How many segments may be sent now.
    allowed: u64,
}

impl Reduction {
    fn on_arrived(&mut self, arrived: u64, in_flight: u64, window: u64) {
        self.arrived += arrived;
        self.allowed = if in_flight > window {
            (self.arrived * window).div_ceil(self.flight.max(1)).saturating_sub(self.sent)
        } else {
            let more = self.arrived.saturating_sub(self.sent).max(arrived) + 1;
            more.min(window - in_flight)
        };
        // The first retransmission is allowed at once.
        if self.sent == 0 {
            self.allowed = self.allowed.max(1);
        }
    }
}

/// A connection.
#[derive(Debug)]
struct Connection {
    number: u32,
    began: u64,
    window: Window,
    /// How many segments it has in total.
    total: u64,
    /// The first segment that is not acknowledged; `flights` has all segments from there on that were sent.
    first: u64,
    flights: VecDeque<Flight>,
    in_flight: u64,
    lost: u64,
    /// How many segments were sent, retransmissions included, and the latest of them that arrived.
    order: u64,
    latest: u64,
    /// The congestion window already reflects losses of segments below this one.
    recovery: u64,
    reduction: Reduction,
    /// Whether only the window kept the sender from sending more.
    is_full: bool,
    round_trip: RoundTrip,
    backoff: u32,
    timer: u64,
}

impl Connection {
    fn new(number: u32, began: u64, flavour: Flavour, total: u64) -> Self {
        Self {
            number,
            began,
            window: Window::new(flavour),
            total,
            first: 0,
            flights: VecDeque::new(),
            in_flight: 0,
            lost: 0,
            order: 0,
            latest: 0,
            recovery: 0,
            reduction: Reduction::default(),
            is_full: false,
            round_trip: RoundTrip::default(),
            backoff: 0,
            timer: began,
        }
    }

    fn next(&self) -> u64 {
        self.first + self.flights.len() as u64
    }

    fn set_timer(&mut self, now: u64) {
        self.timer = now + (self.round_trip.timer() << self.backoff).min(MOST_TIMER);
    }

    /// The number of the segment to send now, if one may be sent.
    fn send(&mut self, now: u64) -> Option<u64> {
        // Only the first segment may be sent until the other end has answered.
        let limit = if self.first == 0 { 1 } else { self.window.segments().max(1) };
        let in_recovery = self.first < self.recovery;
        self.is_full = if in_recovery { self.reduction.allowed == 0 } else { self.in_flight >= limit };
        if self.is_full {
            return None;
        }
        if self.flights.is_empty() {
            self.set_timer(now);
        }
        let number = self.put()?;
        if in_recovery {
            self.reduction.allowed -= 1;
            self.reduction.sent += 1;
        }
        Some(number)
    }

    /// Records the next segment as sent: the first lost one, or a new one.
    fn put(&mut self) -> Option<u64> {
        let order = self.order + 1;
        let flight = Flight { state: State::InFlight, order };
        if self.lost > 0
            && let Some(at) = self.flights.iter().position(|flight| flight.state == State::Lost)
        {
            self.flights[at] = flight;
            self.lost -= 1;
            self.in_flight += 1;
            self.order = order;
            return Some(self.first + at as u64);
        }
        if self.next() >= self.total {
            return None;
        }
        self.flights.push_back(flight);
        self.in_flight += 1;
        self.order = order;
        Some(self.next() - 1)
    }

    fn on_ack(&mut self, now: u64, ack: &Ack) {
        let was_full = self.is_full;
        let sample = now.saturating_sub(ack.echo);
        self.round_trip.on_sample(sample);
        let mut arrived = 0;
        while self.first < ack.next
            && let Some(flight) = self.flights.pop_front()
        {
            arrived += self.arrive(flight);
            self.first += 1;
            self.backoff = 0;
            self.set_timer(now);
        }
        for (from, to) in &ack.blocks {
            for number in (*from).max(self.first)..(*to).min(self.next()) {
                let at = (number - self.first) as usize;
                let flight = self.flights[at];
                arrived += self.arrive(flight);
                self.flights[at].state = State::Arrived;
            }
        }
        self.window.on_round_trip(sample, self.first, self.next());
        let in_recovery = self.first < self.recovery;
        if was_full && !in_recovery {
            self.window.on_acked(now, arrived, self.round_trip.smoothed);
        }
        // Without a gap there is no loss.
        if in_recovery || !ack.blocks.is_empty() {
            self.detect();
        }
        if self.first < self.recovery {
            self.reduction.on_arrived(arrived, self.in_flight, self.window.segments());
        }
    }

    /// Records an arrived segment; returns 1 if it was not known to have arrived.
    fn arrive(&mut self, flight: Flight) -> u64 {
        match flight.state {
            State::Arrived => return 0,
            State::InFlight => self.in_flight -= 1,
            State::Lost => self.lost -= 1,
        }
        self.latest = self.latest.max(flight.order);
        1
    }

    /// Detects lost segments: enough segments that were sent later have arrived.
    fn detect(&mut self) {
        let (mut found, latest) = (None, self.latest);
        for (at, flight) in self.flights.iter_mut().enumerate() {
            if flight.state == State::InFlight && flight.order + REORDERED <= latest {
                flight.state = State::Lost;
                self.in_flight -= 1;
                self.lost += 1;
                found = Some(self.first + at as u64);
            }
        }
        // Losses of segments sent before the reduction belong to the same loss event.
        if found.is_some() && self.first >= self.recovery {
            self.recovery = self.next();
            self.reduction = Reduction { flight: self.in_flight + self.lost, ..Reduction::default() };
            self.window.on_loss();
        }
    }

    fn on_timeout(&mut self, now: u64) {
        for flight in self.flights.iter_mut().filter(|flight| flight.state == State::InFlight) {
            flight.state = State::Lost;
        }
        self.lost += std::mem::take(&mut self.in_flight);
        // Slow start begins here, although the segments were already sent.
        self.recovery = self.first;
        self.window.on_timeout(self.backoff == 0);
        self.backoff = (self.backoff + 1).min(6);
        self.set_timer(now);
    }
}

/// The sending end of a modelled TCP flow. It is silent until [`Self::start`].
#[derive(Debug)]
pub struct TcpSender {
    own: SocketAddr,
    config: TcpConfig,
    random: Random,
    peer: Option<SocketAddr>,
    connection: Connection,
    /// When the next connection begins, during a pause.
    due: Option<u64>,
    segments: u64,
    retransmitted: u64,
    bursts: Histogram,
}

impl TcpSender {
    /// A sender at `own`; `seed` decides its bursts.
    #[must_use]
    pub fn new(own: SocketAddr, config: TcpConfig, seed: u64) -> Self {
        let connection = Connection::new(0, 0, config.flavour, 0);
        let (random, bursts) = (Random::new(seed), Histogram::default());
        Self { own, config, random, peer: None, connection, due: None, segments: 0, retransmitted: 0, bursts }
    }

    /// Begins to send to a [`TcpReceiver`](super::TcpReceiver) at `peer`.
    pub fn start(&mut self, now: u64, peer: SocketAddr) {
        self.peer = Some(peer);
        self.open(now);
    }

    /// How many segments may be in flight, and how many are.
    #[must_use]
    pub fn window(&self) -> (u64, u64) {
        (self.connection.window.segments(), self.connection.in_flight)
    }

    /// The smoothed round trip, in nanoseconds; 0 before the first.
    #[must_use]
    pub fn round_trip(&self) -> u64 {
        self.connection.round_trip.smoothed
    }

    /// How many segments were sent, and how many of them were retransmissions.
    #[must_use]
    pub fn segments(&self) -> (u64, u64) {
        (self.segments, self.retransmitted)
    }

    /// How long bursts took from the opening of the connection to the last acknowledgment, in nanoseconds.
    #[must_use]
    pub fn bursts(&self) -> &Histogram {
        &self.bursts
    }

    fn open(&mut self, now: u64) {
        let total = self.config.demand.segments(&mut self.random);
        let number = self.connection.number + 1;
        self.connection = Connection::new(number, now, self.config.flavour, total);
        self.due = None;
    }
}

impl Endpoint for TcpSender {
    fn handle_datagram(&mut self, now: u64, _from: SocketAddr, _to: SocketAddr, _ecn: u8, data: &[u8]) {
        let Some(ack) = Ack::read(data).filter(|ack| ack.connection == self.connection.number) else {
            return;
        };
        self.connection.on_ack(now, &ack);
        if self.connection.first >= self.connection.total && self.due.is_none() {
            self.bursts.record(now - self.connection.began);
            self.due = Some(now + self.config.demand.pause(&mut self.random));
        }
    }

    fn handle_timeout(&mut self, now: u64) {
        if self.due.is_some_and(|due| due <= now) {
            self.open(now);
        } else if !self.connection.flights.is_empty() && self.connection.timer <= now {
            self.connection.on_timeout(now);
        }
    }

    fn poll_transmit(&mut self, now: u64) -> Option<Datagram> {
        let to = self.peer?;
        let sent_before = self.connection.next();
        let number = self.connection.send(now)?;
        self.segments += 1;
        self.retransmitted += u64::from(number < sent_before);
        let segment = Segment { connection: self.connection.number, number, sent: now };
        Some(Datagram { from: self.own, to, ecn: 0, payload: segment.write() })
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.due.or_else(|| (!self.connection.flights.is_empty()).then_some(self.connection.timer))
    }
}
