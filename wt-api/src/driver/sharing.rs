//! A client's connection that sessions or requests share: how sessions join, what happens if it does not
//! answer, and its idle time.

use std::{sync::Arc, time::Duration};

use super::state::{
    conn::{Conn, Role},
    patience::{Doubt, three_probes},
    stack::Layers,
};
use crate::jobs::{ClientJob, Link, Pooled, SessionJob};

/// How long a shared connection without sessions or requests stays open for the next one.
const REST: Duration = Duration::from_secs(5);
/// The minimum time that the peer has to answer, however short the path.
const LEAST_DOUBT: Duration = Duration::from_millis(300);

impl Conn {
    /// Adds a session to a connection that can be shared.
    pub(super) fn join(&mut self, job: &SessionJob) {
        let now = self.stack.now;
        // An application may have selected another congestion controller.
        if !self.started || self.stack.quic.is_closed() || self.congestion.kind() != job.congestion {
            return job.hand_back();
        }
        // Given up while it waited for the connection.
        if job.shared.is_over() {
            return;
        }
        self.rest_until = None;
        self.ask(&job.shared, job.request.clone(), true);
        self.rest();
        let packets = self.stack.quic.stats().packets_received;
        // An earlier request without any answer already has its deadline.
        if self.doubts.back().is_none_or(|doubt| doubt.packets != packets) {
            let until = now + three_probes(&self.stack.quic).max(LEAST_DOUBT);
            self.doubts.push_back(Doubt { until, packets });
        }
    }

    /// The deadline of a doubt has passed. If the peer sent nothing in that time, not even an acknowledgment
    /// of three probes, the connection gets no further sessions, and waiting ones may try another connection.
    /// A slow application does no harm: QUIC acknowledges the request.
    pub(super) fn end_doubts(&mut self) {
        let now = self.stack.now;
        while self.doubts.front().is_some_and(|doubt| doubt.until <= now)
            && let Some(doubt) = self.doubts.pop_front()
        {
            if self.stack.quic.stats().packets_received == doubt.packets {
                self.leave_pool();
                let asking = self.table.iter().filter(|entry| entry.request.is_some());
                asking.for_each(|entry| entry.shared.set_unanswered());
            }
        }
    }

    /// The session tries another connection, unless the response has arrived by now.
    pub(super) fn retract(&mut self, key: u32) {
        let Some(request) = self.table.get(key).and_then(|entry| entry.request) else { return };
        let Layers { sessions, h3, mut transport } = self.stack.layers();
        sessions.cancel_connect(request, h3, &mut transport);
        if let Some(entry) = self.table.remove(key) {
            entry.hand_back();
        }
        self.rest();
    }

    /// The connection's entry in the pool, if sessions may share it.
    pub(super) fn pooled(&self) -> Option<&Arc<Pooled>> {
        match &self.role {
            Role::Client { job: ClientJob::Session(job), .. } => job.pooled.as_ref(),
            _ => None,
        }
    }

    /// The way to the connection for HTTP requests, if it is made for these.
    pub(super) fn link(&self) -> Option<&Arc<Link>> {
        match &self.role {
            Role::Client { job: ClientJob::Http(link), .. } => Some(link),
            _ => None,
        }
    }

    /// No further session or request may share the connection.
    pub(super) fn leave_pool(&self) {
        if let Some(pooled) = self.pooled() {
            pooled.close();
        }
        if let Some(link) = self.link() {
            link.close();
        }
    }

    /// Whether a client's connection has neither sessions nor requests.
    fn is_resting(&self) -> bool {
        self.table.is_empty() && self.http.all.is_empty() && self.http.unopened.is_empty()
    }

    /// A shared connection has no session or request left: it waits for the next one.
    pub(super) fn rest(&mut self) {
        let now = self.stack.now;
        if !self.is_resting() {
            return;
        }
        if self.released {
            self.part_unused();
        } else {
            self.rest_until = Some(now + REST);
        }
    }

    /// The client is gone: nobody can join a shared connection any more, so it ends with what is on it.
    pub(super) fn release(&mut self) {
        let shared = self.pooled().is_some() || self.link().is_some();
        if !shared || self.said_all {
            return;
        }
        self.released = true;
        self.presence.get_or_insert_with(|| self.runtime.tally().enter());
        if self.started {
            self.leave_pool();
            self.rest();
        }
    }

    /// Neither came.
    pub(super) fn end_rest(&mut self) {
        if self.is_resting() {
            self.leave_pool();
            self.part_unused();
        }
    }
}
