//! Clients that request a connection: which are admitted, have to prove their address, are refused or
//! ignored.
//!
//! Owns the order of the decisions: the server's limits, the application's hook, the limits again.

use std::{net::SocketAddr, sync::Arc};

use quic_core::{AcceptError, Admission, AdmissionLimit, Caller, Incoming, Response, base::Timestamp};

use super::{
    panics::{Panicked, contain},
    shard::Shard,
    state::conn::{Conn, Role},
};
use crate::{
    lines::brief,
    reception::{
        ServerShared,
        admission::{Admission as Verdict, ConnectionAttempt},
        stats::Count,
    },
};

impl Shard {
    /// A client requests a connection (RFC 9000 §5.2.2, §8.1.2).
    pub(super) fn accept(&mut self, incoming: Incoming, now: Timestamp) {
        let Some(server) = self.server.clone() else { return };
        if self.going_away {
            return self.refuse(&server, Count::RefusedShutdown, &incoming);
        }
        let admission = if server.is_full() {
            Admission::Refuse(AdmissionLimit::Connections)
        } else {
            self.endpoint.admission(now, &incoming)
        };
        if let Admission::Refuse(limit) = admission {
            return self.refuse(&server, Count::of_limit(limit), &incoming);
        }
        match self.consult(&server, &incoming, now) {
            Some(Verdict::Accept) if admission == Admission::Retry => return self.retry(&incoming, now),
            Some(Verdict::Accept) => {}
            // A client that has proved its address cannot get another Retry (RFC 9000 §17.2.5.2).
            Some(Verdict::Retry) if incoming.is_validated() => {}
            Some(Verdict::Retry) => return self.retry(&incoming, now),
            Some(Verdict::Refuse) => return self.refuse(&server, Count::RefusedHook, &incoming),
            Some(Verdict::Ignore) => return server.count(Count::IgnoredHook),
            None => return,
        }
        let (remote, caller) = (incoming.remote_address(), incoming.caller());
        match contain(|| self.endpoint.accept(now, incoming)) {
            Ok(Ok((handle, quic))) => {
                let congestion = server.congestion().clone();
                let conn = Conn::new(quic, Role::Server(server), congestion, Arc::clone(&self.runtime));
                self.insert(handle.0, conn);
                // The answer is not to wait for those of others, which take as long.
                self.receiver.connection_first = true;
            }
            Ok(Err(error)) => {
                let memory = matches!(error, AcceptError::Memory);
                server.count(if memory { Count::RefusedMemory } else { Count::RefusedMalformed });
                tracing::debug!(%remote, %error, "connection not accepted");
            }
            Err(panicked) => self.fail(&server, &caller, &panicked, now),
        }
    }

    /// Returns the verdict of the application's hook, which is called if no limit refuses the client. `None`:
    /// it panicked, and the client has been told that this end failed.
    fn consult(&mut self, server: &ServerShared, incoming: &Incoming, now: Timestamp) -> Option<Verdict> {
        let Some(hook) = server.hook() else { return Some(Verdict::Accept) };
        let bound = self.socket.local_address().ok();
        let local = bound.map(|bound| {
            let ip = incoming.local_ip().unwrap_or(bound.ip());
            SocketAddr::new(ip.to_canonical(), bound.port())
        });
        let attempt = ConnectionAttempt::new(incoming, local, server.load(self.endpoint.budget()));
        contain(|| hook(&attempt))
            .map_err(|panicked| self.fail(server, &incoming.caller(), &panicked, now))
            .ok()
    }

    /// The application's code panicked for a client that has no connection yet.
    fn fail(&mut self, server: &ServerShared, caller: &Caller, panicked: &Panicked, now: Timestamp) {
        server.count(Count::RefusedPanic);
        if let Some(withheld) = self.lines().permit(now) {
            let (remote, error) = (caller.remote_address(), panicked.cause().to_string());
            tracing::error!(%remote, error = brief(&error), withheld, "connection not accepted");
        }
        let answer = self.endpoint.fail(caller);
        self.answer(answer);
    }

    fn retry(&mut self, incoming: &Incoming, now: Timestamp) {
        if let Some(answer) = self.endpoint.retry(now, incoming) {
            self.answer(answer);
        }
    }

    fn refuse(&mut self, server: &ServerShared, why: Count, incoming: &Incoming) {
        server.count(why);
        let answer = self.endpoint.refuse(incoming);
        self.answer(answer);
    }

    /// Queues a stateless response, if there is room.
    pub(super) fn answer(&mut self, answer: Response) {
        if !self.sender.queue(answer) {
            self.surveys.sockets.answers_dropped += 1;
        }
    }
}
