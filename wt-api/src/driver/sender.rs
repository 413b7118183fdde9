//! Sends datagrams through a shard's socket.
//!
//! Owns what the socket has not accepted yet. [`Trains`](crate::udp::Trains) decides what a refusal means for
//! the socket, and the connection decides what it means for itself.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
};

use quic_core::base::Timestamp;

use super::{
    outgoing::{LEAST, PARKED, RETRY, Sent, Stop, Waiting},
    panics::contain,
    shard::Shard,
    state::conn::Conn,
};
use crate::udp::SendTrouble;

impl Shard {
    /// Sends the packets of the connections with work. True: there is more, and the socket accepts more now.
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
        // A turn that ended with work left continues, unless it waits for the socket.
        match stop {
            Some(Stop::NoMemory(at)) => {
                self.sender.again_at = Some(at);
                at <= now
            }
            Some(Stop::Full) => {
                self.sender.retry_at = Some(now + RETRY);
                // A socket that cannot be watched, as in a process that has no more files, is tried again then.
                matches!(self.socket.poll_writable(cx), Poll::Ready(Ok(())))
            }
            None => !self.dirty.is_empty() || self.sender.is_busy(),
        }
    }

    /// Connections that wait for the socket still run their timers: their timeouts expire whether or not
    /// anything leaves.
    fn park(&mut self, now: Timestamp) {
        let trouble = self.sender.trouble(now);
        for position in 0..self.dirty.len() {
            let Some(&index) = self.dirty.get(position) else { break };
            let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else { continue };
            // A connection whose next timer is far away also learns why it waits.
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

    /// Sends what the socket did not accept before.
    fn send_waiting(&mut self, now: Timestamp) -> Result<(), Stop> {
        if let Some(mut waiting) = self.sender.waiting.take() {
            let Waiting { index, train, contents } = &mut waiting;
            match self.sender.trains.send(&*self.socket, train, contents).settle(now) {
                Ok(trouble) => {
                    let (index, remote) = (*index, train.transmit().remote);
                    // The slot may belong to another connection by now.
                    let same =
                        self.enter(index, now, |connection| connection.quic().remote_address() == remote);
                    if same == Some(true) && !trouble.is_none() {
                        self.on_send_trouble(index, trouble, now);
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
            Ok((sent, trouble)) => {
                self.enter(index, now, Conn::report_datagrams);
                if !trouble.is_none() {
                    self.on_send_trouble(index, trouble, now);
                }
                // Sending made room for waiting data above: that follows at once, and not only with the
                // peer's next packet.
                let follows = self.enter(index, now, |connection| connection.quic().has_events());
                if matches!(sent, Sent::All) && follows == Some(true) { Sent::Turn } else { sent }
            }
            Err(panicked) => {
                self.end_after_panic(index, &panicked, now);
                Sent::All
            }
        }
    }

    /// The socket accepted only a part of a batch.
    fn on_send_trouble(&mut self, index: usize, trouble: SendTrouble, now: Timestamp) {
        let SendTrouble { too_large, mut failed } = trouble;
        self.surveys.sockets.too_large += u64::from(too_large.is_some());
        self.surveys.sockets.send_errors += u64::from(failed.is_some());
        if let Some(size) = too_large {
            self.enter(index, now, |connection| connection.quic().handle_datagram_refused(now, size));
            // No smaller size can be tried.
            if size <= LEAST {
                failed.get_or_insert_with(|| io::Error::other("its link takes no datagrams of 1200 bytes"));
            }
        }
        // A refusal concerns an earlier datagram, perhaps of another connection; the report says which.
        if let Some(error) = failed.filter(|error| error.kind() != io::ErrorKind::ConnectionRefused) {
            self.enter(index, now, |connection| connection.on_unreachable(error));
        }
        self.enter(index, now, Conn::process);
        self.touch(index);
    }
}
