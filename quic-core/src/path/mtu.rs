//! How large datagrams may be: packetization layer path MTU discovery (RFC 8899, RFC 9000 §14.3).
//!
//! Owns the size in use, the search for a larger one, and the suspicion that the path has shrunk. Must never know
//! packets, windows or addresses: it names sizes to try and is told what became of them. The network's own word
//! (ICMP) is not needed, and a forged one cannot harm. This host's own word, that no datagram of a size leaves it, is
//! taken at once.
//!
//! States: waiting for the confirmed handshake; searching, one probe under way at a time; complete, until it is time
//! to look again.

use std::time::Duration;

use crate::{base::Timestamp, packet::MIN_INITIAL_SIZE};

/// `BASE_PLPMTU`: what every QUIC path carries (RFC 9000 §14).
pub(super) const BASE: u16 = MIN_INITIAL_SIZE as u16;
/// No UDP datagram carries more (RFC 9000 §18.2).
const LARGEST: u16 = 65_527;
/// `MAX_PROBES`: a size is given up after this many losses in a row (RFC 8899 §5.1.2).
const MAX_PROBES: u8 = 3;
/// `PMTU_RAISE_TIMER`: how long a finished search holds (RFC 8899 §5.1.1).
const RAISE_AFTER: Duration = Duration::from_secs(600);
/// The search ends when the size that passed and the one that did not are this close, in bytes.
const GRANULARITY: u16 = 8;
/// Payloads of common links, smallest first: Ethernet, jumbo frames and loopback, each under IPv6 and IPv4. The
/// search climbs these steps and halves the interval where one breaks.
const STEPS: [u16; 6] = [1452, 1472, 8952, 8972, 65_487, 65_507];
/// As many losses of large packets in a row, with none of their size arriving between them, are a black hole
/// (RFC 8899 §4.3).
const BLACK_HOLE_LOSSES: u8 = 3;
/// As many, of packets of the base size, over so long a time, tell that the path carries no QUIC any more (RFC 9000 §14).
/// A queue that is nearly full also takes small packets and drops large ones: that must not be mistaken.
const NO_PATH_LOSSES: u8 = 10;
const NO_PATH_AFTER: Duration = Duration::from_secs(15);
/// A packet that is nearly as large as a lost one proves the same: few are filled to the last byte.
const NEARLY: u16 = 100;

/// What news of sizes mean for the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizeChange {
    /// Nothing.
    None,
    /// Datagrams have another size from now on.
    Changed,
    /// Datagrams of 1200 bytes do not pass, smaller ones do.
    NotViable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not before the handshake is confirmed.
    Waiting,
    Searching,
    /// Until then.
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
    /// The smallest of the large packets lost.
    size: u16,
    /// When the first loss was counted.
    since: Option<Timestamp>,
    /// When the latest loss was counted: packets sent before belong to it, however late they are declared lost.
    counted: Option<Timestamp>,
}

/// What became of packets, as far as their sizes tell: an ACK frame's or a timer's news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SizeNews {
    /// The largest probe that was acknowledged.
    pub(crate) probe_acked: Option<u16>,
    /// The largest probe that was lost.
    pub(crate) probe_lost: Option<u16>,
    /// The largest packet acknowledged; 0 if none was.
    pub(crate) acked: u16,
    /// The largest packet lost, probes aside; 0 if none was.
    pub(crate) lost: u16,
    /// When the last of the packets lost was sent.
    pub(crate) lost_sent: Option<Timestamp>,
}

/// The size of datagrams on one path.
#[derive(Debug)]
pub(super) struct MtuDiscovery {
    current: u16,
    /// `MAX_PLPMTU`: our own limit and the peer's.
    max: u16,
    /// The smallest size known not to pass.
    failed: Option<u16>,
    state: State,
    probe: Option<Probe>,
    suspicion: Suspicion,
    black_holes: u64,
}

impl MtuDiscovery {
    /// Datagrams of `first` bytes, at most `max` after a search.
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

    /// The peer takes no larger datagrams (RFC 9000 §18.2).
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

    /// The probe that was due left.
    pub(super) fn on_probe_sent(&mut self) {
        if let Some(probe) = &mut self.probe {
            probe.under_way = true;
        }
    }

    /// This host sends no datagrams of this size on the path: its own link carries less (RFC 8899 §4.4). The size needs
    /// no further try. If it was in use, the path begins anew at the base size.
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

    pub(super) fn on_news(&mut self, now: Timestamp, news: &SizeNews) -> SizeChange {
        let before = self.current;
        if let Some(size) = news.probe_acked {
            self.on_probe_acked(size);
        }
        if let Some(size) = news.probe_lost {
            self.on_probe_lost(size);
        }
        self.suspect(now, news);
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

    /// The next step of the stairs, or the middle of what is left.
    fn next_size(&self) -> Option<u16> {
        match self.failed {
            None if self.current >= self.max => None,
            None => {
                let step = STEPS.into_iter().find(|step| *step > self.current);
                Some(step.map_or(self.max, |step| step.min(self.max)))
            }
            Some(failed) => {
                let gap = failed.saturating_sub(self.current);
                // The two sizes of one kind of link have nothing worth finding between them.
                let neighbours = STEPS.windows(2).any(|pair| pair == [self.current, failed] && gap <= 20);
                (gap > GRANULARITY && !neighbours).then(|| self.current + gap / 2)
            }
        }
    }

    fn on_probe_acked(&mut self, size: u16) {
        // One that was given up meanwhile proves nothing: the path may have shrunk since.
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

    fn suspect(&mut self, now: Timestamp, news: &SizeNews) {
        // Below the base size there is nothing to go back to: more is asked of the evidence.
        let nearly = if self.current > BASE { 0 } else { NEARLY };
        let (acked, lost) = (news.acked.saturating_add(nearly), news.lost);
        if self.suspicion.losses > 0 && acked >= self.suspicion.size {
            self.suspicion = Suspicion::default();
        }
        // A larger packet that arrived tells that size was not the reason.
        if lost < BASE || acked >= lost {
            return;
        }
        // A burst that was lost in one go may come to light packet by packet: it counts once.
        if news.lost_sent.is_none_or(|sent| Some(sent) <= self.suspicion.counted) {
            return;
        }
        self.suspicion.counted = Some(now);
        // Above the base size it is enough to go back to that; there, all packets lost have to be of that size.
        let first = self.suspicion.losses == 0 || self.suspicion.size > self.current;
        self.suspicion.losses = if first { 1 } else { self.suspicion.losses.saturating_add(1) };
        if first {
            self.suspicion.since = Some(now);
        }
        self.suspicion.size = if first { news.lost } else { self.suspicion.size.min(news.lost) };
        if self.suspicion.losses >= BLACK_HOLE_LOSSES && self.current > BASE {
            self.black_holes += 1;
            self.current = BASE;
            self.suspicion = Suspicion::default();
            self.search();
        }
    }
}
