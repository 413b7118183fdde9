//! The size of datagrams: packetization layer path MTU discovery (RFC 8899, RFC 9000 §14.3).
//!
//! Owns the size in use, the search for a larger one, and the suspicion that the path has shrunk. Never knows
//! packets, windows or addresses: it names sizes to try and is told what became of them. It ignores ICMP
//! messages of the network, so forged ones cannot harm. If this host reports that it cannot send a datagram
//! of some size, that counts at once.
//!
//! States: waiting for the confirmed handshake; searching, with one probe in flight at a time; complete,
//! until it is time to search again.

use std::time::Duration;

use crate::{base::Timestamp, packet::MIN_INITIAL_SIZE};

/// `BASE_PLPMTU`: the size that every QUIC path carries (RFC 9000 §14).
pub(super) const BASE: u16 = MIN_INITIAL_SIZE as u16;
/// The largest payload of a UDP datagram (RFC 9000 §18.2).
const LARGEST: u16 = 65_527;
/// `MAX_PROBES`: a size is given up after this many consecutive losses (RFC 8899 §5.1.2).
const MAX_PROBES: u8 = 3;
/// `PMTU_RAISE_TIMER`: how long the result of a search is used (RFC 8899 §5.1.1).
const RAISE_AFTER: Duration = Duration::from_secs(600);
/// The search ends when the largest size that passed and the smallest that did not are this close, in bytes.
const GRANULARITY: u16 = 8;
/// UDP payloads of common links, smallest first: Ethernet, jumbo frames and loopback, each under IPv6 and
/// IPv4. The search climbs these steps; where one fails, it halves the interval.
const STEPS: [u16; 6] = [1452, 1472, 8952, 8972, 65_487, 65_507];
/// This many consecutive losses of large packets, with none of their size arriving between them, are a black
/// hole (RFC 8899 §4.3).
const BLACK_HOLE_LOSSES: u8 = 3;
/// This many consecutive losses of packets of the base size, over so long a time, show that the path no
/// longer carries QUIC (RFC 9000 §14). The time rules out a nearly full queue, which also accepts small
/// packets and drops large ones.
const NO_PATH_LOSSES: u8 = 10;
const NO_PATH_AFTER: Duration = Duration::from_secs(15);
/// A packet that arrives proves the path for a lost packet that is larger by at most this, because few
/// packets are filled to the last byte.
const NEARLY: u16 = 100;

/// What evidence about sizes means for the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizeChange {
    /// Nothing changes.
    None,
    /// Datagrams have another size from now on.
    Changed,
    /// Datagrams of 1200 bytes do not pass, but smaller ones do.
    NotViable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No search before the handshake is confirmed.
    Waiting,
    Searching,
    /// No search before this time.
    Complete(Timestamp),
}

/// A size that is being tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    size: u16,
    lost: u8,
    under_way: bool,
}

/// Losses of large packets since the last one that arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Suspicion {
    losses: u8,
    /// The size of the smallest large packet that was lost.
    size: u16,
    /// When the first loss was counted.
    since: Option<Timestamp>,
    /// The send time of the last packet whose loss counted. Losses of packets sent before belong to it,
    /// however late they are declared.
    counted: Option<Timestamp>,
}

/// What an ACK frame or a timer showed about packets of certain sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SizeEvidence {
    /// The largest probe that was acknowledged.
    pub(crate) probe_acked: Option<u16>,
    /// The largest probe that was lost.
    pub(crate) probe_lost: Option<u16>,
    /// The largest packet acknowledged; 0 if there was none.
    pub(crate) acked: u16,
    /// The largest packet lost, not counting probes; 0 if there was none.
    pub(crate) lost: u16,
    /// When the last of the lost packets was sent.
    pub(crate) lost_sent: Option<Timestamp>,
}

/// The size of datagrams on one path.
#[derive(Debug)]
pub(super) struct MtuDiscovery {
    current: u16,
    /// `MAX_PLPMTU`: our own limit and the peer's.
    max: u16,
    /// The smallest size that is known not to pass.
    failed: Option<u16>,
    state: State,
    probe: Option<Probe>,
    suspicion: Suspicion,
    black_holes: u64,
}

impl MtuDiscovery {
    /// Starts with datagrams of `first` bytes; a search may raise this to at most `max`.
    pub(super) fn new(first: u16, max: u16) -> Self {
        let current = first.clamp(BASE, LARGEST);
        Self {
            current,
            max: max.clamp(current, LARGEST),
            failed: None,
            state: State::Waiting,
            probe: None,
            suspicion: Suspicion::default(),
            black_holes: 0,
        }
    }

    /// The size in use.
    pub(super) fn current(&self) -> u16 {
        self.current
    }

    /// How often the path was found to have shrunk.
    pub(super) fn black_holes(&self) -> u64 {
        self.black_holes
    }

    /// The peer accepts no larger datagrams (RFC 9000 §18.2).
    pub(super) fn limit(&mut self, limit: u16) {
        self.max = self.max.min(limit.max(BASE));
        self.current = self.current.min(self.max);
    }

    /// The handshake is confirmed: probes may be sent.
    pub(super) fn start(&mut self) {
        if self.state == State::Waiting {
            self.search();
        }
    }

    /// The size of the probe to send now, if one is due.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<u16> {
        if let State::Complete(until) = self.state
            && until <= now
            && self.current < self.max
        {
            self.search();
        }
        if self.state != State::Searching {
            return None;
        }
        if self.probe.is_none() {
            let Some(size) = self.next_size() else {
                self.state = State::Complete(now + RAISE_AFTER);
                return None;
            };
            self.probe = Some(Probe { size, lost: 0, under_way: false });
        }
        self.probe.filter(|probe| !probe.under_way).map(|probe| probe.size)
    }

    /// The due probe was sent.
    pub(super) fn on_probe_sent(&mut self) {
        if let Some(probe) = &mut self.probe {
            probe.under_way = true;
        }
    }

    /// This host cannot send datagrams of this size on the path: its own link carries less (RFC 8899 §4.4).
    /// The size is not tried again. If it was in use, the path starts again at the base size.
    pub(super) fn on_refused(&mut self, size: u16) -> SizeChange {
        if self.probe.is_some_and(|probe| probe.size == size) {
            self.probe = None;
            self.failed = Some(size);
        }
        if size <= BASE || size > self.current {
            return SizeChange::None;
        }
        let before = self.current;
        self.current = BASE;
        self.suspicion = Suspicion::default();
        if self.state != State::Waiting {
            self.search();
            self.failed = Some(size);
        }
        if before > BASE { SizeChange::Changed } else { SizeChange::None }
    }

    pub(super) fn on_evidence(&mut self, now: Timestamp, evidence: &SizeEvidence) -> SizeChange {
        let before = self.current;
        if let Some(size) = evidence.probe_acked {
            self.on_probe_acked(size);
        }
        if let Some(size) = evidence.probe_lost {
            self.on_probe_lost(size);
        }
        self.suspect(now, evidence);
        let for_long = self.suspicion.since.is_some_and(|since| now - since >= NO_PATH_AFTER);
        if self.suspicion.losses >= NO_PATH_LOSSES && for_long {
            SizeChange::NotViable
        } else if self.current != before {
            SizeChange::Changed
        } else {
            SizeChange::None
        }
    }

    fn search(&mut self) {
        self.state = State::Searching;
        self.failed = None;
        self.probe = None;
    }

    /// The next step of [`STEPS`], or the middle of the interval that is left.
    fn next_size(&self) -> Option<u16> {
        match self.failed {
            None if self.current >= self.max => None,
            None => {
                let step = STEPS.into_iter().find(|step| *step > self.current);
                Some(step.map_or(self.max, |step| step.min(self.max)))
            }
            Some(failed) => {
                let gap = failed.saturating_sub(self.current);
                // Between the two sizes of one kind of link there is no size worth finding.
                let neighbours = STEPS.windows(2).any(|pair| pair == [self.current, failed] && gap <= 20);
                (gap > GRANULARITY && !neighbours).then(|| self.current + gap / 2)
            }
        }
    }

    fn on_probe_acked(&mut self, size: u16) {
        // The answer to a probe that was given up proves nothing: the path may have shrunk since.
        if self.probe.is_some_and(|probe| probe.size == size) {
            self.probe = None;
            self.current = self.current.max(size).min(self.max);
            self.suspicion = Suspicion::default();
        }
    }

    fn on_probe_lost(&mut self, size: u16) {
        let Some(probe) = self.probe.as_mut().filter(|probe| probe.size == size) else { return };
        probe.lost += 1;
        probe.under_way = false;
        if probe.lost >= MAX_PROBES {
            self.failed = Some(size);
            self.probe = None;
        }
    }

    fn suspect(&mut self, now: Timestamp, evidence: &SizeEvidence) {
        // Below the base size there is no smaller size to fall back to, so this demands more evidence.
        let nearly = if self.current > BASE { 0 } else { NEARLY };
        let (acked, lost) = (evidence.acked.saturating_add(nearly), evidence.lost);
        if self.suspicion.losses > 0 && acked >= self.suspicion.size {
            self.suspicion = Suspicion::default();
        }
        // A larger packet arrived, so size was not the reason of the loss.
        if lost < BASE || acked >= lost {
            return;
        }
        // The losses of one burst may be detected packet by packet: they count once.
        if evidence.lost_sent.is_none_or(|sent| Some(sent) <= self.suspicion.counted) {
            return;
        }
        self.suspicion.counted = Some(now);
        // Above the base size, falling back to it is enough. At the base size, all lost packets must have
        // that size.
        let first = self.suspicion.losses == 0 || self.suspicion.size > self.current;
        self.suspicion.losses = if first { 1 } else { self.suspicion.losses.saturating_add(1) };
        if first {
            self.suspicion.since = Some(now);
        }
        self.suspicion.size = if first { evidence.lost } else { self.suspicion.size.min(evidence.lost) };
        if self.suspicion.losses >= BLACK_HOLE_LOSSES && self.current > BASE {
            self.black_holes += 1;
            self.current = BASE;
            self.suspicion = Suspicion::default();
            self.search();
        }
    }
}
