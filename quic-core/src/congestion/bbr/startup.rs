//! `Startup` (draft §5.3.1): the rate doubles until the path delivers no more, or loses too much.

use super::{
    bounds::{CERTAIN, exceeds},
    memory::LossyRound,
    model::{Sample, State},
    state::Bbr3,
};

/// In how many places of a round losses must occur. A single burst of losses says little about the path.
const LOSS_EVENTS: u32 = 6;

impl Bbr3 {
    pub(super) fn enter_startup(&mut self) {
        self.state = State::Startup;
    }

    /// `lossy_round` is the round that this acknowledgment has ended, if it had losses.
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

    /// Draft §5.3.1.3. The path has carried the volume that arrived within the round trip.
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
