//! Datagrams into a shard's socket.
//!
//! Owns what the socket did not take yet. What a refusal means for the socket, [`Trains`] decides; what
//! it means for the connection, the connection.

use std::{collections::VecDeque, io, sync::Arc, task::Context, time::Duration};

use quic_core::{
    Connection, Response, Transmit,
    base::{Ecn, Timestamp},
};

use super::{DatagramSocket, Shard, panics::contain, state::conn::Conn};
use crate::udp::{News, Progress, Train, Trains};

/// Trains that a connection sends before another one has its turn.
const TRAINS: usize = 8;
/// Answers without a connection that wait for the socket.
const RESPONSES: usize = 64;
/// A socket that takes nothing is tried again after this time, be it never said to take more.
const RETRY: Duration = Duration::from_millis(100);
/// How often the clock of a connection may strike while the socket takes nothing: most of what clocks ask for is a packet.
const PARKED: Duration = Duration::from_millis(100);
/// A socket that has taken nothing for so long is stuck: a task that has only last words to say ends without them.
const STUCK: Duration = Duration::from_secs(1);
/// The least that a path has to carry (RFC 9000 §14).
const LEAST: usize = 1200;

/// What the socket did not take.
pub(super) struct Sender {
    trains: Trains,
    /// Where trains are written; the runtime's, and none unless the shard is being polled.
    pub(super) buffer: Vec<u8>,
    waiting: Option<Waiting>,
    responses: VecDeque<Response>,
    /// When the system is asked again that had no memory.
    again_at: Option<Timestamp>,
    /// When the socket is tried again that said it is full.
    retry_at: Option<Timestamp>,
    /// Since when the socket has taken nothing of what there is.
    refusing_since: Option<Timestamp>,
    /// That it is stuck was told.
    told: bool,
}

/// A train that the socket did not take all of.
struct Waiting {
    /// The connection's place in the shard.
    index: usize,
    train: Train,
    contents: Vec<u8>,
}

/// Why sending stopped.
enum Stop {
    /// The socket takes nothing more.
    Full,
    /// The system has no memory before this time.
    NoMemory(Timestamp),
}

/// How far a connection came.
enum Sent {
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

    /// Queues an answer that belongs to no connection; beyond a limit it is dropped (false).
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

    /// When the shard has to have a turn, for it is not woken.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.again_at.into_iter().chain(self.retry_at).min()
    }

    /// When the socket is stuck, if it goes on as it does.
    pub(super) fn stuck_at(&self) -> Option<Timestamp> {
        self.refusing_since.map(|since| since + STUCK)
    }

    pub(super) fn is_stuck(&self, now: Timestamp) -> bool {
        self.stuck_at().is_some_and(|at| at <= now)
    }

    /// Why nothing leaves, once that has lasted; told once.
    fn trouble(&mut self, now: Timestamp) -> Option<Arc<io::Error>> {
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

    /// What a try gave: whether the socket took all (`stopped`: not), and whether it took anything.
    fn note(&mut self, now: Timestamp, stopped: bool, took: bool) {
        if !stopped {
            (self.refusing_since, self.told) = (None, false);
        } else if took {
            (self.refusing_since, self.told) = (Some(now), false);
        } else {
            self.refusing_since.get_or_insert(now);
        }
    }

    /// Sends some of what a connection has to say.
    fn send_trains(
        &mut self,
        index: usize,
        quic: &mut Connection,
        socket: &dyn DatagramSocket,
        now: Timestamp,
    ) -> (Sent, News) {
        for _ in 0..TRAINS {
            let (size, remote) = (quic.datagram_size(), quic.remote_address());
            let train = size * self.trains.segments(size, &remote);
            let room = train.max(quic.next_datagram_size(now)).min(self.buffer.len());
            let Some(buffer) = self.buffer.get_mut(..room) else { break };
            let Some(transmit) = quic.poll_transmit(now, buffer) else { return (Sent::All, News::default()) };
            let mut train = Train::new(transmit);
            let contents = self.buffer.get(..transmit.size).unwrap_or_default();
            match self.trains.send(socket, &mut train, contents).settle(now) {
                Ok(news) if news.is_none() => {}
                Ok(news) => return (Sent::Turn, news),
                Err(stop) => {
                    let contents = self.buffer.get(..transmit.size).unwrap_or_default().to_vec();
                    self.waiting = Some(Waiting { index, train, contents });
                    return (Sent::Stopped(stop), News::default());
                }
            }
        }
        (Sent::Turn, News::default())
    }

    /// Sends what waits and belongs to no connection.
    fn send_responses(&mut self, socket: &dyn DatagramSocket, now: Timestamp) -> Result<(), Stop> {
        while let Some(Response { remote, local_ip, bytes }) = self.responses.front() {
            let (size, segment_size) = (bytes.len(), bytes.len());
            let transmit =
                Transmit { remote: *remote, local_ip: *local_ip, ecn: Ecn::NotEct, size, segment_size };
            // Nobody waits for news of an answer: who asked asks again.
            self.trains.send(socket, &mut Train::new(transmit), bytes).settle(now)?;
            self.responses.pop_front();
        }
        Ok(())
    }
}

impl Progress {
    fn settle(self, now: Timestamp) -> Result<News, Stop> {
        match self {
            Self::Done(news) => Ok(news),
            Self::Blocked => Err(Stop::Full),
            Self::Later(wait) => Err(Stop::NoMemory(now + wait)),
        }
    }
}

impl Shard {
    /// Sends what the connections with news have to say. True: there is more, and it can be sent now.
    pub(super) fn transmit(&mut self, cx: &mut Context<'_>, now: Timestamp) -> bool {
        if self.sender.again_at.is_some_and(|at| at > now) {
            self.park(now);
            return false;
        }
        (self.sender.again_at, self.sender.retry_at) = (None, None);
        let before = self.sender.trains.taken();
        let stop = self.send_waiting(now).and_then(|()| self.send_of_connections(now)).err();
        self.sender.note(now, stop.is_some(), self.sender.trains.taken() > before);
        if stop.is_some() {
            self.park(now);
        }
        // A turn that ended with news left over goes on, unless the socket is what it waits for.
        match stop {
            Some(Stop::NoMemory(at)) => {
                self.sender.again_at = Some(at);
                at <= now
            }
            Some(Stop::Full) => {
                self.sender.retry_at = Some(now + RETRY);
                self.socket.poll_writable(cx).is_ready()
            }
            None => !self.dirty.is_empty() || self.sender.is_busy(),
        }
    }

    /// Connections that wait for the socket have clocks all the same: their time ends, whether or not anything leaves.
    fn park(&mut self, now: Timestamp) {
        let trouble = self.sender.trouble(now);
        for position in 0..self.dirty.len() {
            let Some(&index) = self.dirty.get(position) else { break };
            let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else { continue };
            // One whose next clock is far away hears all the same why it waits.
            if let Some(trouble) = &trouble
                && !connection.is_stuck()
            {
                connection.on_stuck(Arc::clone(trouble));
            }
            if std::mem::replace(&mut connection.parked, true) {
                continue;
            }
            self.schedule(index, now, Some(now + PARKED));
        }
    }

    /// What the socket did not take before.
    fn send_waiting(&mut self, now: Timestamp) -> Result<(), Stop> {
        if let Some(mut waiting) = self.sender.waiting.take() {
            let Waiting { index, train, contents } = &mut waiting;
            match self.sender.trains.send(&*self.socket, train, contents).settle(now) {
                Ok(news) => {
                    let (index, remote) = (*index, train.transmit().remote);
                    // Its place may be another connection's by now.
                    let same =
                        self.enter(index, now, |connection| connection.quic().remote_address() == remote);
                    if same == Some(true) && !news.is_none() {
                        self.on_news(index, news, now);
                    }
                }
                Err(stop) => {
                    self.sender.waiting = Some(waiting);
                    return Err(stop);
                }
            }
        }
        self.sender.send_responses(&*self.socket, now)
    }

    fn send_of_connections(&mut self, now: Timestamp) -> Result<(), Stop> {
        let (mut again, mut stopped) = (Vec::new(), Ok(()));
        while let Some(index) = self.dirty.pop() {
            match self.transmit_one(index, now) {
                Sent::All => self.settle(index, now),
                Sent::Turn => again.push(index),
                Sent::Stopped(stop) => {
                    self.dirty.push(index);
                    stopped = Err(stop);
                    break;
                }
            }
        }
        self.dirty.append(&mut again);
        stopped
    }

    fn transmit_one(&mut self, index: usize, now: Timestamp) -> Sent {
        let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else {
            return Sent::All;
        };
        let (quic, sender, socket) = (connection.quic(), &mut self.sender, &*self.socket);
        match contain(|| sender.send_trains(index, quic, socket, now)) {
            Ok((sent, news)) => {
                self.enter(index, now, Conn::report_datagrams);
                if !news.is_none() {
                    self.on_news(index, news, now);
                }
                // Sending made room for what waits above: that follows at once, and not with the next packet of the peer.
                let follows = self.enter(index, now, |connection| connection.quic().has_events());
                if matches!(sent, Sent::All) && follows == Some(true) { Sent::Turn } else { sent }
            }
            Err(panicked) => {
                self.bury(index, &panicked, now);
                Sent::All
            }
        }
    }

    /// Not all of a train left.
    fn on_news(&mut self, index: usize, news: News, now: Timestamp) {
        let News { too_large, mut failed } = news;
        self.surveys.sockets.too_large += u64::from(too_large.is_some());
        self.surveys.sockets.send_errors += u64::from(failed.is_some());
        if let Some(size) = too_large {
            self.enter(index, now, |connection| connection.quic().handle_datagram_refused(now, size));
            // Nothing smaller can be tried.
            if size <= LEAST {
                failed.get_or_insert_with(|| io::Error::other("its link takes no datagrams of 1200 bytes"));
            }
        }
        if let Some(error) = failed {
            self.enter(index, now, |connection| connection.on_unreachable(error, now));
        }
        self.enter(index, now, |connection| connection.process(now));
        self.touch(index);
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
