//! The controller's state: the model of the path, and what each mechanism remembers. The files above contain
//! its steps, one file for each mechanism, and have no state of their own.

use super::{
    control::Control,
    memory::{Aggregation, Cycle, FullPipe, LossRound, MinRtt, ProbeRtt, Queue, Undo},
    model::{Rates, State, Volumes},
    rounds::Rounds,
};

/// The `BBRv3` controller.
#[derive(Clone, Debug)]
pub struct Bbr3 {
    pub(super) mtu: u16,
    pub(super) state: State,
    pub(super) rounds: Rounds,
    pub(super) rates: Rates,
    pub(super) volumes: Volumes,
    pub(super) loss: LossRound,
    pub(super) full_pipe: FullPipe,
    pub(super) drain_start_round: u64,
    pub(super) cycle: Cycle,
    pub(super) min_rtt: MinRtt,
    pub(super) queue: Queue,
    pub(super) probe_rtt: ProbeRtt,
    pub(super) aggregation: Aggregation,
    pub(super) control: Control,
    pub(super) undo: Undo,
    /// Whether the path was idle, and the first packets after that are not acknowledged yet.
    pub(super) idle_restart: bool,
    pub(super) app_limited: bool,
}

impl Bbr3 {
    /// Sets the rate that the model gives now: the lesser of what the path has delivered and what congestion
    /// has left of it.
    pub(super) fn bound_bw(&mut self) {
        self.rates.bw = self.rates.max.get().min(self.rates.shortterm);
    }
}
