//! One end of a session: its identity, its phase, and its tasks.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

use crate::{
    pair::{Pair, Phase, Role},
    place::Place,
    spin::Spin,
};

/// An end of a session.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) spin: Arc<Spin>,
    pub(crate) pair: Arc<Pair>,
    pub(crate) role: Role,
    pub(crate) place: Place,
    pub(crate) number: u64,
    phase: watch::Sender<Phase>,
    salts: AtomicU64,
}

impl End {
    pub(crate) fn new(spin: &Arc<Spin>, pair: Arc<Pair>, role: Role, place: Place) -> Arc<Self> {
        let number = 2 * pair.number + role as u64;
        let phase = watch::Sender::new(Phase::Live);
        Arc::new(Self { spin: Arc::clone(spin), pair, role, place, number, phase, salts: AtomicU64::new(0) })
    }

    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// A new stream name, unique in the run.
    pub(crate) fn salt(&self) -> u64 {
        (self.number << 32) | self.salts.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts a task that is counted.
    pub(crate) fn start<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) {
        let running = self.spin.book.running();
        let work = work(Arc::clone(self));
        self.place.spawn(async move {
            work.await;
            drop(running);
        });
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_modify(|now| *now = phase.max(*now));
    }
}
