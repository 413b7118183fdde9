//! `Startup` (draft §5.3.1): the rate doubles until the path does not deliver more, or loses too much.

use super::{
    Bbr3, Sample, State,
    bounds::{CERTAIN, exceeds},
};

/// What counts as growth from one round to the next.
const GROWTH: f64 = 1.25;
/// So many rounds without growth fill the pipe: a window of the receiver that grows may hold one back.
const FLAT_ROUNDS: u32 = 3;
/// Losses of a round must be scattered over so many places: a single burst says little about the path.
const LOSS_EVENTS: u32 = 6;

/// Looks for the plateau of the delivery rate that tells that the path is full (draft §5.3.1.2).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FullPipe {
    baseline: f64,
    flat_rounds: u32,
    /// Full since the search began.
    pub(super) now: bool,
    /// Full once in the life of the path.
    pub(super) reached: bool,
}

impl FullPipe {
    /// The search begins again, from `baseline` bytes per second.
    pub(super) fn restart(&mut self, baseline: f64) {
        *self = Self { baseline, reached: self.reached, ..Self::default() };
    }

    pub(super) fn on_ack(&mut self, sample: &Sample, round_started: bool) {
        if self.now || !round_started || sample.is_app_limited || sample.rate <= 0.0 {
            return;
        }
        if sample.rate >= self.baseline * GROWTH {
            return self.restart(sample.rate);
        }
        self.flat_rounds += 1;
        if self.flat_rounds >= FLAT_ROUNDS {
            self.fill();
        }
    }

    pub(super) fn fill(&mut self) {
        self.now = true;
        self.reached = true;
    }

    #[cfg(test)]
    pub(super) fn flat_rounds(&self) -> u32 {
        self.flat_rounds
    }
}

impl Bbr3 {
    pub(super) fn enter_startup(&mut self) {
        self.state = State::Startup;
    }

    /// `lossy_round`: a round that had losses has ended with this acknowledgment.
    pub(super) fn check_startup_done(&mut self, sample: &Sample, lossy_round: Option<LossyRound>) {
        if self.state != State::Startup {
            return;
        }
        if let Some(round) = lossy_round {
            self.check_startup_loss(sample, round);
        }
        if self.full_pipe.reached {
            self.enter_drain();
        }
    }

    /// Draft §5.3.1.3. What arrived within the round trip is a volume that the path bears.
    fn check_startup_loss(&mut self, sample: &Sample, round: LossyRound) {
        let lost = sample.lost.saturating_add(round.marked);
        if round.events < LOSS_EVENTS || !exceeds(lost, sample.tx_in_flight, self.mtu, CERTAIN) {
            return;
        }
        self.undo.left(State::Startup);
        self.full_pipe.fill();
        self.volumes.longterm = self.bdp().max(self.volumes.latest);
    }
}

/// What a round with losses or marks had of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LossyRound {
    /// Acknowledgments that brought losses or marks: places at which packets were lost.
    pub(super) events: u32,
    /// Bytes of packets that were marked.
    pub(super) marked: u64,
}
