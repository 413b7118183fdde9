//! A shard: one UDP socket, its connections, one task, one ordered set of deadlines.
//!
//! Each turn drains the socket, then runs the connections with work, then sends their packets. There is no
//! channel per datagram and no task per connection.
//!
//! Owns the loop. It must never know frames or streams.

mod arrivals;
mod claims;
mod close;
mod commands;
mod connection;
mod contain;
mod http;
mod io;
mod messages;
mod moving;
mod outgoing;
mod panics;
mod parting;
mod receiver;
mod responses;
mod sender;
mod sending;
mod session;
mod shard;
mod sharing;
mod siblings;
mod state;
mod streams;
mod survey;
mod surveys;
#[cfg(test)]
mod tests;
mod trouble;
mod watched;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use quic_core::base::Timestamp;

use crate::{
    buffers::Buffers,
    error::ErrorCause,
    jobs::{Attempt, Connect, ShardCommand, ended_with_server},
    socket::fit,
};
pub(crate) use panics::contain;
use panics::quietly;
pub(crate) use shard::Shard;
pub(crate) use siblings::Siblings;
use state::conn::{Conn, Role};

/// Turns in one poll before other tasks of the runtime run. With few turns, what arrived is still in the
/// processor's cache when its readers run on the same core. With sixteen turns and a hundred streams, 68 MB
/// were no longer in the cache when they were read.
const TURNS: usize = 4;

impl Shard {
    /// Runs one turn. Returns whether there is more to do now. If not, the next event wakes the task.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.runtime.now();
        self.inbox.take(&mut self.commands, &mut self.woken, cx);
        self.woken.append(&mut self.unfinished);
        for index in std::mem::take(&mut self.woken) {
            self.touch(index);
        }
        for command in std::mem::take(&mut self.commands) {
            self.on_command(command, now);
        }
        self.receive_forwarded(now);
        let mut more = self.receive(cx, now);
        self.expire(now);
        self.process(now);
        more |= self.transmit(cx, now);
        more |= self.survey();
        more || !self.unfinished.is_empty()
    }

    /// Adds a connection to the list of those with work.
    fn touch(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else { return };
        connection.parked = false;
        if !std::mem::replace(&mut connection.dirty, true) {
            self.dirty.push(index);
        }
    }

    fn on_command(&mut self, command: ShardCommand, now: Timestamp) {
        match command {
            ShardCommand::Connect(connect) => self.connect(*connect, now),
            ShardCommand::Join(attempt, job) => match self.place_of(&attempt) {
                Some(index) => {
                    self.touch(index);
                    self.enter(index, now, |connection| connection.join(&job));
                }
                None => quietly(|| job.hand_back()),
            },
            ShardCommand::Exchange(attempt, job) => match self.place_of(&attempt) {
                Some(index) => {
                    self.touch(index);
                    self.enter(index, now, |connection| connection.send_exchange(*job));
                }
                None => quietly(|| job.hand_back()),
            },
            ShardCommand::GiveUp(attempt) => {
                if let Some(index) = self.place_of(&attempt) {
                    self.touch(index);
                    self.enter(index, now, Conn::cut_off);
                }
            }
            ShardCommand::Rebind(socket) => self.rebind(socket, now),
            ShardCommand::Release(_presence) => {
                self.kept = false;
                for index in 0..self.connections.len() {
                    self.touch(index);
                    self.enter(index, now, Conn::release);
                }
            }
            ShardCommand::Stats(reply) => self.surveys.ask(reply),
            ShardCommand::Connections(reply) => {
                let entry = self.accepted().filter(|connection| !connection.is_over());
                // A caller that gave up does not learn of it.
                let _ = reply.send(entry.map(Conn::handle).collect());
            }
            ShardCommand::GoAway => {
                self.going_away = true;
                self.closing = true;
                let accepted: Vec<usize> =
                    (0..self.connections.len()).filter(|at| self.is_accepted(*at)).collect();
                for index in accepted {
                    self.touch(index);
                    self.enter(index, now, Conn::go_away);
                }
            }
            ShardCommand::CloseSessions(info) => {
                // Wakes each one as if its handle had closed it.
                self.accepted().for_each(|connection| connection.close_sessions(&info));
            }
            ShardCommand::CloseAll => {
                self.cut_off = true;
                self.going_away = true;
                self.closing = true;
                for index in 0..self.connections.len() {
                    self.touch(index);
                    self.enter(index, now, Conn::cut_off);
                }
            }
        }
    }

    /// Whether the connection in this slot is one that a server accepted rather than made.
    fn is_accepted(&self, index: usize) -> bool {
        self.connections.get(index).and_then(Option::as_ref).is_some_and(|connection| connection.is_server())
    }

    fn accepted(&self) -> impl Iterator<Item = &Conn> {
        self.connections
            .iter()
            .flatten()
            .map(|connection| &**connection)
            .filter(|connection| connection.is_server())
    }

    /// The slot of the connection that an attempt reached, if it still exists.
    fn place_of(&self, attempt: &Arc<Attempt>) -> Option<usize> {
        let index = *attempt.place.get()?;
        let connection = self.connections.get(index)?.as_ref()?;
        connection.is_of(attempt).then_some(index)
    }

    fn connect(&mut self, connect: Connect, now: Timestamp) {
        let Connect { mut config, server_name, congestion, attempt, race, verdict, job } = connect;
        let remote = attempt.remote;
        if self.cut_off {
            return quietly(|| race.fail(remote, ended_with_server()));
        }
        let Some(reached) = self.socket.reach(remote) else {
            return quietly(|| race.fail(remote, ErrorCause::NoSocket { remote }));
        };
        if self.server.is_some() {
            // A server's client does not need reports: the peers of the server's connections are known to
            // exist.
            self.socket.want_reports();
        }
        if self.socket.may_fragment() {
            fit(Arc::make_mut(&mut config.transport), &*self.socket);
        }
        let cause = match contain(|| self.endpoint.connect(now, &config, &server_name, reached)) {
            Ok(Ok((handle, quic))) => {
                let _ = attempt.place.set(handle.0);
                let role = Role::Client { job, race, verdict, attempt };
                let conn = Conn::new(quic, role, congestion, Arc::clone(&self.runtime));
                self.connecting.push(handle.0);
                return self.insert(handle.0, conn);
            }
            Ok(Err(error)) => ErrorCause::Tls { alert: error.alert, message: error.message },
            Err(panicked) => panicked.cause(),
        };
        quietly(|| race.fail(remote, cause));
    }

    fn insert(&mut self, index: usize, mut conn: Conn) {
        conn.bound = self.bound;
        conn.boxes().about().set_addresses(conn.addresses());
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        let driver = Arc::clone(&self.inbox) as Arc<dyn crate::mailbox::WakeDriver>;
        conn.boxes().attach(driver, index);
        if let Some(slot) = self.connections.get_mut(index) {
            *slot = Some(Box::new(conn));
        }
        self.touch(index);
    }

    /// Wakes the connections whose deadline has passed.
    fn expire(&mut self, now: Timestamp) {
        while let Some((at, index)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, index));
            if let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) {
                connection.deadline = None;
            }
            self.enter(index, now, Conn::handle_timeout);
            self.touch(index);
        }
    }

    /// Runs the connections with work.
    fn process(&mut self, now: Timestamp) {
        for position in 0..self.dirty.len() {
            let Some(&index) = self.dirty.get(position) else { break };
            if self.enter(index, now, Conn::process) == Some(true) {
                self.unfinished.push(index);
            }
            let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else { continue };
            if connection.has_unannounced() {
                self.unannounced.insert(index);
            }
            while let Some(change) = connection.quic().poll_cid_change() {
                self.endpoint.handle_cid_change(quic_core::ConnectionHandle(index), change);
            }
        }
    }

    /// Updates a connection's deadline after it has sent what it could, or ends it.
    fn settle(&mut self, index: usize, now: Timestamp) {
        let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else { return };
        (connection.dirty, connection.parked) = (false, false);
        connection.on_all_sent();
        connection.on_leaving();
        self.schedule(index, now, None);
    }

    /// Registers a connection's deadline with the shard, no earlier than `not_before`; or ends it if it is
    /// drained.
    fn schedule(&mut self, index: usize, now: Timestamp, not_before: Option<Timestamp>) {
        let Some(next) = self.enter(index, now, |connection| connection.poll_timeout()) else { return };
        let next = next.map(|next| not_before.map_or(next, |least| next.max(least)));
        let Some(slot) = self.connections.get_mut(index) else { return };
        let Some(connection) = slot else { return };
        if next != connection.deadline || connection.quic().is_drained() {
            if let Some(old) = connection.deadline {
                self.deadlines.remove(&(old, index));
            }
            connection.deadline = next;
            if let Some(next) = next {
                self.deadlines.insert((next, index));
            }
        }
        if connection.quic().is_drained() {
            if let Some(at) = connection.deadline {
                self.deadlines.remove(&(at, index));
            }
            // Also if the socket accepted none of it.
            connection.on_all_sent();
            let connection = slot.take();
            connection.iter().for_each(|connection| self.retire(index, connection));
            Self::release(connection);
            self.endpoint.forget(quic_core::ConnectionHandle(index));
        }
    }

    /// Whether the task ends at this time if nothing else happens.
    fn is_done(&self, at: Timestamp) -> bool {
        // A server that is cut off does not stay to repeat its last packets: its port has to become free.
        let (finished, stays) = match self.server {
            Some(_) => (self.closing, !self.cut_off),
            None => (!self.kept, true),
        };
        // The task does not wait for last packets that cannot leave.
        let stuck = self.sender.is_stuck(at);
        let mut connections = self.connections.iter().flatten();
        finished
            && (stuck || !self.sender.is_busy())
            && connections.all(|connection| !stays && (stuck || connection.has_said_all()))
    }

    /// When the task needs a turn although nothing arrives.
    fn next_deadline(&self) -> Option<Timestamp> {
        let connections = self.deadlines.first().map(|(at, _)| *at);
        let end = self.sender.stuck_at().filter(|at| self.is_done(*at));
        [connections, self.sender.deadline(), self.receiver.deadline(), end].into_iter().flatten().min()
    }
}

impl Future for Shard {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shard = &mut *self;
        let mut buffers = shard.pool.take();
        shard.swap(&mut buffers);
        shard.announce();
        let polled = shard.poll_turns(cx);
        if !shard.unannounced.is_empty() {
            cx.waker().wake_by_ref();
        }
        shard.swap(&mut buffers);
        shard.pool.give_back(buffers);
        polled
    }
}

impl Shard {
    /// Exchanges the runtime's buffers for the shard's empty ones.
    fn swap(&mut self, buffers: &mut Buffers) {
        std::mem::swap(&mut self.receiver.buffers, &mut buffers.blocks);
        std::mem::swap(&mut self.sender.buffer, &mut buffers.train);
    }

    /// Announces streams that were opened before their tasks ran: with the data that these have written, or
    /// alone.
    fn announce(&mut self) {
        if self.unannounced.is_empty() {
            return;
        }
        let now = self.runtime.now();
        for index in std::mem::take(&mut self.unannounced) {
            self.touch(index);
            // Written data goes first, in the same packet.
            self.enter(index, now, Conn::process);
            self.enter(index, now, Conn::announce);
        }
    }

    /// Runs some turns. Ready when the task has ended.
    fn poll_turns(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let shard = self;
        shard.receiver.begin();
        for _ in 0..TURNS {
            let mut more = shard.turn(cx);
            // A connection that was requested meanwhile is still made here.
            if shard.is_done(shard.runtime.now()) && (shard.server.is_some() || shard.inbox.close_if_idle()) {
                return Poll::Ready(());
            }
            // Readers of datagrams read before more are received.
            if shard.receiver.is_sated() {
                break;
            }
            if let Some(at) = shard.next_deadline() {
                more |= shard.timer.as_mut().poll_until(cx, at).is_ready();
            }
            if !more {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Shard {
    /// The task ends, or its runtime does: sessions that still wanted to join use another connection.
    fn drop(&mut self) {
        for command in self.inbox.close() {
            match command {
                ShardCommand::Join(_, job) => quietly(|| job.hand_back()),
                ShardCommand::Exchange(_, job) => quietly(|| job.hand_back()),
                ShardCommand::Connect(connect) => {
                    let cause = self.server.as_ref().map_or(ErrorCause::RuntimeGone, |_| ended_with_server());
                    quietly(|| connect.race.fail(connect.attempt.remote, cause));
                }
                ShardCommand::GiveUp(_) | ShardCommand::Rebind(_) | ShardCommand::Release(_) => {}
                // Callers that wait for a reply learn that there is none.
                ShardCommand::GoAway | ShardCommand::CloseSessions(_) | ShardCommand::CloseAll => {}
                ShardCommand::Connections(_) | ShardCommand::Stats(_) => {}
            }
        }
        if self.server.is_some() {
            let _ = self.bequest.set(self.last_counts());
        }
        self.connections.drain(..).for_each(Self::release);
    }
}
