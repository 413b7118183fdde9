//! ECN validation: whether a path carries ECN marks (RFC 9000 §13.4.2, Appendix A.4).

use crate::{base::Ecn, frame::EcnCounts, ids::Space, stats::EcnState};

/// How many packets are marked before one of them is acknowledged.
const TESTING_PACKETS: u64 = 10;
/// After this many consecutive losses of marked packets, with none of a later one acknowledged, the path is
/// taken to drop marked packets.
const MAX_LOST: u64 = 10;
/// After this many consecutive probe timeouts that an unmarked packet ended, with no marked one acknowledged
/// between them, validation fails.
const MAX_TIMEOUTS: u32 = 3;
/// After this many consecutive packets with CE while the window is minimal, validation fails: such marks do
/// not tell of a queue that this sender could shorten.
const MAX_MARKED: u64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Testing,
    Capable,
    Failed,
}

/// Newly acknowledged packets by the mark that they were sent with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AckedMarks {
    pub(crate) ect0: u64,
    pub(crate) ect1: u64,
}

impl AckedMarks {
    fn any(self) -> bool {
        self.ect0 > 0 || self.ect1 > 0
    }
}

/// Validation of ECN on one path.
#[derive(Debug)]
pub(super) struct EcnValidation {
    state: State,
    /// Packets sent with ECT(0) and with ECT(1).
    sent: [u64; 2],
    /// Packets with these marks that were sent on other paths.
    sent_elsewhere: [u64; 2],
    /// The last counts that the peer reported, per space.
    last: [EcnCounts; 3],
    /// Whether a probe timeout has fired. Packets stay unmarked until an acknowledgment arrives.
    silent: bool,
    timeouts: u32,
    lost: u64,
    /// Consecutive packets with CE, counted while the window is minimal.
    marked: u64,
}

impl EcnValidation {
    pub(super) fn new(enabled: bool) -> Self {
        Self {
            state: if enabled { State::Testing } else { State::Failed },
            sent: [0; 2],
            sent_elsewhere: [0; 2],
            last: [EcnCounts::default(); 3],
            silent: false,
            timeouts: 0,
            lost: 0,
            marked: 0,
        }
    }

    /// What is known of the path.
    pub(super) fn state(&self) -> EcnState {
        match self.state {
            State::Testing if self.sent.iter().sum::<u64>() < TESTING_PACKETS => EcnState::Testing,
            State::Testing => EcnState::Unknown,
            State::Capable => EcnState::Capable,
            State::Failed => EcnState::Failed,
        }
    }

    /// How many packets the peer says that it received with CE, in all spaces.
    pub(super) fn ce(&self) -> u64 {
        self.last.iter().map(|counts| counts.ce).fold(0, u64::saturating_add)
    }

    /// Whether packets are to be marked.
    pub(super) fn may_mark(&self) -> bool {
        match self.state {
            _ if self.silent => false,
            State::Testing => self.sent.iter().sum::<u64>() < TESTING_PACKETS,
            State::Capable => true,
            State::Failed => false,
        }
    }

    pub(super) fn on_sent(&mut self, ecn: Ecn) {
        match ecn {
            Ecn::Ect0 => self.sent[0] += 1,
            Ecn::Ect1 => self.sent[1] += 1,
            Ecn::NotEct | Ecn::Ce => {}
        }
    }

    fn sent_in_all(&self) -> [u64; 2] {
        std::array::from_fn(|mark| self.sent[mark] + self.sent_elsewhere[mark])
    }

    /// Marks are sent on this path from now on, and no longer on `other`. The peer's counts cover all paths,
    /// so they go on.
    pub(super) fn take_over(&mut self, other: &Self) {
        self.last = other.last;
        let all = other.sent_in_all();
        self.sent_elsewhere = std::array::from_fn(|mark| all[mark].saturating_sub(self.sent[mark]));
    }

    /// The peer's counts changed, but packets of other paths contributed to them.
    pub(super) fn on_mixed(&mut self, space: Space, counts: Option<EcnCounts>) {
        if let Some(counts) = counts {
            self.last[space as usize] = counts;
        }
    }

    /// A probe timeout fired. Marks may be why nothing comes back, so the probes go without.
    pub(super) fn on_probe_timeout(&mut self) {
        self.silent = true;
    }

    /// An ACK frame newly acknowledged packets of `space`, with or without marks. `lost` marked packets were
    /// declared lost that were sent after every marked packet that arrived. A path that drops marked packets
    /// gets no more of them (RFC 9000 §13.4.2).
    pub(super) fn on_progress(&mut self, space: Space, acked: AckedMarks, lost: u64) {
        if acked.any() {
            self.silent = false;
            self.timeouts = 0;
            self.lost = 0;
        } else if self.silent && (self.state == State::Capable || space == Space::Data) {
            // The rest of the test waits for the end of the handshake, because it would delay the handshake.
            self.silent = false;
            self.timeouts += 1;
        }
        self.lost += lost;
        if self.lost >= MAX_LOST || self.timeouts >= MAX_TIMEOUTS {
            self.state = State::Failed;
        }
    }

    /// An ACK frame raised the largest acknowledged number and newly acknowledged the marked packets `acked`.
    /// Returns how many more packets carry CE, or 0 if validation fails.
    pub(super) fn on_ack(&mut self, space: Space, acked: AckedMarks, counts: Option<EcnCounts>) -> u64 {
        let last = self.last[space as usize];
        let Some(counts) = counts else {
            // The marks are not reported back: the path or the peer removes them.
            if acked.any() {
                self.state = State::Failed;
            }
            return 0;
        };
        self.last[space as usize] = counts;
        if self.state == State::Failed {
            return 0;
        }
        match self.check(acked, last, counts) {
            Some(ce) => {
                if acked.any() {
                    self.state = State::Capable;
                }
                self.marked += ce;
                if counts.ect0 > last.ect0 || counts.ect1 > last.ect1 {
                    self.marked = 0;
                }
                ce
            }
            None => {
                self.state = State::Failed;
                0
            }
        }
    }

    /// The caller asks after [`on_ack`](Self::on_ack): whether every packet is marked even though the window
    /// is minimal (`least`). Returns true only once. The path is then used without marks, so that losses tell
    /// of congestion.
    pub(super) fn marks_everything(&mut self, least: bool) -> bool {
        if !least {
            self.marked = 0;
        }
        let void = self.marked >= MAX_MARKED && self.state == State::Capable;
        if void {
            self.state = State::Failed;
        }
        void
    }

    /// Checks the rules of RFC 9000 §13.4.2.1: counts do not decrease; every packet sent with a mark is
    /// reported with that mark or with CE; no mark is reported more often than it was sent. Returns how many
    /// more packets carry CE, or `None` if a rule is broken.
    fn check(&self, acked: AckedMarks, last: EcnCounts, counts: EcnCounts) -> Option<u64> {
        let ect0 = counts.ect0.checked_sub(last.ect0)?;
        let ect1 = counts.ect1.checked_sub(last.ect1)?;
        let ce = counts.ce.checked_sub(last.ce)?;
        // A packet with CE accounts for one packet of either mark, but not for one of each.
        let changed = acked.ect0.saturating_sub(ect0).saturating_add(acked.ect1.saturating_sub(ect1));
        let total = |count: fn(&EcnCounts) -> u64| self.last.iter().map(count).fold(0, u64::saturating_add);
        let (ect0, ect1, all_ce) = (total(|c| c.ect0), total(|c| c.ect1), total(|c| c.ce));
        let [sent0, sent1] = self.sent_in_all();
        let plausible = changed <= ce
            && ect0 <= sent0
            && ect1 <= sent1
            && ect0.saturating_add(ect1).saturating_add(all_ce) <= sent0.saturating_add(sent1);
        plausible.then_some(ce)
    }
}
