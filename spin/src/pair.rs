//! The state that the two ends of a session share in this process.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::watch;
use wt_api::DatagramStats;

use crate::{
    book::lock,
    ledger::{Datagrams, Streams},
};

/// An end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// The phase of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// All tasks run.
    Live,
    /// Tasks with streams and senders of datagrams end; receivers stay.
    Winding,
    /// This end leaves.
    Leaving,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) number: u64,
    pub(crate) pooled: bool,
    pub(crate) streams: Streams,
    /// The datagrams from the client, and from the server.
    datagrams: [Datagrams; 2],
    winding: watch::Sender<bool>,
    /// How many tasks of both ends have streams.
    busy: AtomicUsize,
    /// How many ends were established.
    ends: AtomicUsize,
    /// The final datagram statistics of each end.
    told: Mutex<[Option<DatagramStats>; 2]>,
    /// How many ends have checked the balance.
    reckoned: watch::Sender<usize>,
}

impl Pair {
    pub(crate) fn new(number: u64, pooled: bool) -> Self {
        Self {
            number,
            pooled,
            streams: Streams::default(),
            datagrams: Default::default(),
            winding: watch::Sender::new(false),
            busy: AtomicUsize::new(0),
            ends: AtomicUsize::new(0),
            told: Mutex::default(),
            reckoned: watch::Sender::new(0),
        }
    }

    /// The datagrams that this end sends.
    pub(crate) fn sent_by(&self, role: Role) -> &Datagrams {
        &self.datagrams[role as usize]
    }

    /// The datagrams that this end receives.
    pub(crate) fn sent_to(&self, role: Role) -> &Datagrams {
        &self.datagrams[1 - role as usize]
    }

    pub(crate) fn wind_up(&self) {
        self.winding.send_replace(true);
    }

    pub(crate) fn winding(&self) -> watch::Receiver<bool> {
        self.winding.subscribe()
    }

    pub(crate) fn begin_stream_task(&self) {
        self.busy.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn end_stream_task(&self) {
        self.busy.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether no task of either end has streams.
    pub(crate) fn is_quiet(&self) -> bool {
        self.busy.load(Ordering::Acquire) == 0
    }

    pub(crate) fn established(&self) {
        self.ends.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn both_established(&self) -> bool {
        self.ends.load(Ordering::Acquire) == 2
    }

    pub(crate) fn tell_datagrams(&self, role: Role, stats: DatagramStats) {
        lock(&self.told)[role as usize] = Some(stats);
    }

    pub(crate) fn reckoned(&self) {
        self.reckoned.send_modify(|ends| *ends += 1);
    }

    /// Waits until both ends have checked the balance.
    pub(crate) async fn until_reckoned(&self) {
        let mut ends = self.reckoned.subscribe();
        let _ = ends.wait_for(|ends| *ends >= 2).await;
    }

    /// Checks, if nothing is lost and everything was sent and received, that each accepted datagram arrived
    /// or was counted as dropped.
    pub(crate) fn check_counts(&self) -> Result<(), String> {
        let told = lock(&self.told);
        let [Some(client), Some(server)] = &*told else { return Ok(()) };
        for (way, from, to) in [(0, client, server), (1, server, client)] {
            let [accepted, received] = self.datagrams[way].counts();
            let gone = from.expired_outgoing + from.lost_outgoing + to.dropped_incoming + to.expired_incoming;
            if accepted != received + gone {
                let who = ["client", "server"][way];
                return Err(format!(
                    "session {}: of {accepted} datagrams of the {who} {received} came; sender: {from:?}, receiver: {to:?}",
                    self.number
                ));
            }
        }
        Ok(())
    }

    /// Checks the invariants after both ends have left, in whatever way.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.datagrams.iter().try_for_each(Datagrams::check)
    }
}
