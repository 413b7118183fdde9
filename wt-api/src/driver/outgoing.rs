//! What a shard's socket has not accepted yet. [`Trains`] decides what a refusal means for the socket.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use quic_core::{
    Connection, Response, Transmit,
    base::{Ecn, Timestamp},
};

use crate::{
    socket::DatagramSocket,
    udp::{Progress, SendTrouble, Train, Trains},
};

/// Batches that a connection sends before another one gets its turn.
pub(super) const TRAINS: usize = 8;
/// Stateless responses that wait for the socket.
pub(super) const RESPONSES: usize = 64;
/// A socket that accepts nothing is tried again after this time, even if the system never reports it as
/// writable.
pub(super) const RETRY: Duration = Duration::from_millis(100);
/// How often a connection's timers run while the socket accepts nothing: most of them only request a packet.
pub(super) const PARKED: Duration = Duration::from_millis(100);
/// A socket that has accepted nothing for this long is stuck: a task that only has last packets to send ends
/// without them.
pub(super) const STUCK: Duration = Duration::from_secs(1);
/// The smallest datagram size that a path has to carry (RFC 9000 §14).
pub(super) const LEAST: usize = 1200;

/// What the socket has not accepted.
pub(super) struct Sender {
    pub(super) trains: Trains,
    /// Where batches are written. The runtime's buffer, and empty unless the shard is being polled.
    pub(super) buffer: Vec<u8>,
    pub(super) waiting: Option<Waiting>,
    pub(super) responses: VecDeque<Response>,
    /// When to try again after the system had no memory.
    pub(super) again_at: Option<Timestamp>,
    /// When to try again after the socket was full.
    pub(super) retry_at: Option<Timestamp>,
    /// Since when the socket has accepted nothing.
    pub(super) refusing_since: Option<Timestamp>,
    /// Whether the log says that it is stuck.
    pub(super) told: bool,
}

/// A batch that the socket has only partly accepted.
pub(super) struct Waiting {
    /// The connection's slot in the shard.
    pub(super) index: usize,
    pub(super) train: Train,
    pub(super) contents: Vec<u8>,
}

/// Why sending stopped.
pub(super) enum Stop {
    /// The socket accepts nothing more.
    Full,
    /// The system has no memory before this time.
    NoMemory(Timestamp),
}

/// How far a connection got.
pub(super) enum Sent {
    All,
    /// There may be more; others have their turn first.
    Turn,
    Stopped(Stop),
}

impl Sender {
    pub(super) fn new(socket: &dyn DatagramSocket) -> Self {
        Self {
            trains: Trains::new(socket.max_gso_segments()),
            buffer: Vec::new(),
            waiting: None,
            responses: VecDeque::new(),
            again_at: None,
            retry_at: None,
            refusing_since: None,
            told: false,
        }
    }

    /// Queues a stateless response. False: it was dropped, because the queue is full.
    pub(super) fn queue(&mut self, response: Response) -> bool {
        let room = self.responses.len() < RESPONSES;
        if room {
            self.responses.push_back(response);
        }
        room
    }

    pub(super) fn is_busy(&self) -> bool {
        self.waiting.is_some() || !self.responses.is_empty()
    }

    /// When the shard needs a turn, because nothing wakes it.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.again_at.into_iter().chain(self.retry_at).min()
    }

    /// When the socket counts as stuck, if it accepts nothing until then.
    pub(super) fn stuck_at(&self) -> Option<Timestamp> {
        self.refusing_since.map(|since| since + STUCK)
    }

    pub(super) fn is_stuck(&self, now: Timestamp) -> bool {
        self.stuck_at().is_some_and(|at| at <= now)
    }

    /// Why nothing leaves, once that has lasted; reported once.
    pub(super) fn trouble(&mut self, now: Timestamp) -> Option<Arc<io::Error>> {
        if !self.is_stuck(now) {
            return None;
        }
        let error = self.trains.held_up()?;
        let error = io::Error::new(error.kind(), format!("the system takes no datagrams to send: {error}"));
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(%error, "nothing leaves this host");
        }
        Some(Arc::new(error))
    }

    /// Records the result of a try: whether it stopped early, and whether the socket accepted anything.
    pub(super) fn note(&mut self, now: Timestamp, stopped: bool, took: bool) {
        if !stopped {
            (self.refusing_since, self.told) = (None, false);
        } else if took {
            (self.refusing_since, self.told) = (Some(now), false);
        } else {
            self.refusing_since.get_or_insert(now);
        }
    }

    /// Sends some of a connection's packets.
    pub(super) fn send_trains(
        &mut self,
        index: usize,
        quic: &mut Connection,
        socket: &dyn DatagramSocket,
        now: Timestamp,
    ) -> (Sent, SendTrouble) {
        for _ in 0..TRAINS {
            let (size, remote) = (quic.datagram_size(), quic.remote_address());
            let train = size * self.trains.segments(size, &remote);
            let room = train.max(quic.next_datagram_size(now)).min(self.buffer.len());
            let Some(buffer) = self.buffer.get_mut(..room) else { break };
            let Some(transmit) = quic.poll_transmit(now, buffer) else {
                return (Sent::All, SendTrouble::default());
            };
            let mut train = Train::new(transmit);
            let contents = self.buffer.get(..transmit.size).unwrap_or_default();
            match self.trains.send(socket, &mut train, contents).settle(now) {
                Ok(trouble) if trouble.is_none() => {}
                Ok(trouble) => return (Sent::Turn, trouble),
                Err(stop) => {
                    let contents = self.buffer.get(..transmit.size).unwrap_or_default().to_vec();
                    self.waiting = Some(Waiting { index, train, contents });
                    return (Sent::Stopped(stop), SendTrouble::default());
                }
            }
        }
        (Sent::Turn, SendTrouble::default())
    }

    /// Sends the waiting stateless responses.
    pub(super) fn send_responses(&mut self, socket: &dyn DatagramSocket, now: Timestamp) -> Result<(), Stop> {
        while let Some(Response { remote, local_ip, bytes }) = self.responses.front() {
            let (size, segment_size) = (bytes.len(), bytes.len());
            let transmit =
                Transmit { remote: *remote, local_ip: *local_ip, ecn: Ecn::NotEct, size, segment_size };
            // No connection cares about a failed response: the peer asks again.
            self.trains.send(socket, &mut Train::new(transmit), bytes).settle(now)?;
            self.responses.pop_front();
        }
        Ok(())
    }
}

impl Progress {
    pub(super) fn settle(self, now: Timestamp) -> Result<SendTrouble, Stop> {
        match self {
            Self::Done(trouble) => Ok(trouble),
            Self::Blocked => Err(Stop::Full),
            Self::Later(wait) => Err(Stop::NoMemory(now + wait)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_answers_wait_for_the_socket_and_no_more() {
        let mut sender = Sender {
            trains: Trains::new(1),
            buffer: Vec::new(),
            waiting: None,
            responses: VecDeque::new(),
            again_at: None,
            retry_at: None,
            refusing_since: None,
            told: false,
        };
        for n in 0..1000 {
            let remote = ([192, 0, 2, 1], n).into();
            sender.queue(Response { remote, local_ip: None, bytes: vec![0; 42] });
        }
        let ports: Vec<u16> = sender.responses.iter().map(|response| response.remote.port()).collect();
        assert_eq!(ports, (0..64).collect::<Vec<_>>(), "the first ones wait");
    }
}
