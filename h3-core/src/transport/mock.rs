//! A connection with both ends in memory, for tests and fuzzing: ordered streams, credit, resets, datagrams.
//!
//! Only [`Pair::deliver`] moves data between the ends, and nothing is lost or reordered.

mod beyond;
mod end;

use quic_core::{Dir, Event, Side, StreamId};

pub use end::End;

/// Both ends.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pair {
    /// The client's end.
    pub client: End,
    /// The server's end.
    pub server: End,
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

impl Pair {
    /// A connection whose handshake is complete; each end has the event of that.
    #[must_use]
    pub fn new() -> Self {
        let mut pair = Self { client: End::new(Side::Client), server: End::new(Side::Server) };
        for end in [&mut pair.client, &mut pair.server] {
            end.events.push_back(Event::HandshakeComplete);
        }
        pair
    }

    /// Both ends, that of `side` first.
    pub fn ends(&mut self, side: Side) -> (&mut End, &mut End) {
        match side {
            Side::Client => (&mut self.client, &mut self.server),
            Side::Server => (&mut self.server, &mut self.client),
        }
    }

    /// Delivers everything to the other end, at most `max` bytes of each stream, and queues events. True if
    /// anything moved.
    pub fn deliver(&mut self, max: usize) -> bool {
        let there = carry(&mut self.client, &mut self.server, max);
        let back = carry(&mut self.server, &mut self.client, max);
        there | back
    }
}

fn carry(from: &mut End, to: &mut End, max: usize) -> bool {
    let mut moved = false;
    for dir in [Dir::Bidi, Dir::Uni] {
        let granted = to.grants[dir as usize];
        if from.limits[dir as usize] != granted {
            from.limits[dir as usize] = granted;
            from.events.push_back(Event::StreamsAvailable(dir));
            moved = true;
        }
    }
    let ids: Vec<StreamId> = from.streams.keys().copied().collect();
    for id in ids {
        moved |= carry_stream(from, to, id, max);
        moved |= carry_stop(from, to, id);
    }
    if !from.datagrams_out.is_empty() {
        to.datagrams_in.append(&mut from.datagrams_out);
        to.events.push_back(Event::DatagramReadable);
        moved = true;
    }
    moved
}

fn carry_stream(from: &mut End, to: &mut End, id: StreamId, max: usize) -> bool {
    let (limit, held) = (from.stream_limit, from.is_held(id));
    if from.stalled.contains(&id) {
        return false;
    }
    let Some(send) = from.stream(id).send.as_mut() else { return false };
    if std::mem::take(&mut send.answering) {
        return true;
    }
    if held && send.reset.is_some() {
        return false;
    }
    let part = send.queue.split_to(max.min(send.queue.len()));
    send.delivered += part.len() as u64;
    let ended = send.queue.is_empty() && (send.finished || send.reset.is_some()) && !send.end_delivered;
    if part.is_empty() && !ended {
        return false;
    }
    send.end_delivered |= ended;
    let reset = send.reset.map(|(code, _)| code).filter(|_| ended);
    if send.blocked && !part.is_empty() && !ended && send.written < limit {
        send.blocked = false;
        from.notify(id, Event::StreamWritable);
    }
    if ended {
        from.notify(id, Event::StreamSent);
    }
    to.announce(id);
    let Some(recv) = to.stream(id).recv.as_mut() else { return true };
    recv.received += part.len() as u64;
    if recv.closed {
        let told = ended && recv.stop.is_some() && !std::mem::replace(&mut recv.over, true);
        let (final_size, tag) = (recv.received, to.stream(id).tag);
        to.dropped += part.len() as u64;
        if told {
            to.events.push_back(Event::StreamDiscarded(id, tag, final_size));
        }
        return true;
    }
    if reset.is_some() {
        recv.reset = reset;
    } else {
        recv.finished |= ended;
    }
    recv.queue.extend_from_slice(&part);
    to.notify(id, Event::StreamReadable);
    true
}

fn carry_stop(from: &mut End, to: &mut End, id: StreamId) -> bool {
    let held = from.is_held(id);
    let Some(recv) = from.stream(id).recv.as_mut().filter(|_| !held) else { return false };
    let (Some(code), false) = (recv.stop, recv.stop_delivered) else { return false };
    recv.stop_delivered = true;
    to.announce(id);
    let stream = to.stream(id);
    let tag = stream.tag;
    if let Some(send) = stream.send.as_mut()
        && !send.end_delivered
        && send.stopped.is_none()
    {
        send.stopped = Some(code);
        // RFC 9000 §3.5: a reset answers STOP_SENDING.
        send.queue.clear();
        send.reset.get_or_insert((code, 0));
        send.answering = true;
        to.events.push_back(Event::StreamStopped(id, tag, code));
    }
    true
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use quic_core::{StreamTag, error::call::Read};

    use super::*;
    use crate::transport::Transport;

    fn received_end(pair: &mut Pair, id: StreamId) -> Option<u64> {
        pair.deliver(usize::MAX);
        pair.server.received_end(id)
    }

    #[test]
    fn sent_end_counts_sent_bytes_and_after_a_reset_the_final_size() {
        let mut pair = Pair::new();
        let id = pair.client.open(Dir::Uni).unwrap();
        pair.client.push(id, b"abcdef");
        assert_eq!((pair.client.sent_end(id), pair.client.bytes_written(id)), (Some(0), Some(6)));
        pair.deliver(2);
        assert_eq!(pair.client.sent_end(id), Some(2));
        pair.client.reset(id, 1, 3).unwrap();
        assert_eq!(pair.client.sent_end(id), Some(3));
        pair.deliver(usize::MAX);
        assert_eq!((pair.client.sent_end(id), pair.server.received_end(id)), (None, Some(3)));
    }

    #[test]
    fn received_end_counts_until_the_receiving_side_is_gone() {
        let mut pair = Pair::new();
        let [read, stopped, later] = [0; 3].map(|_| pair.client.open(Dir::Uni).unwrap());
        assert_eq!(received_end(&mut pair, read), None);
        pair.client.push(read, b"four");
        assert_eq!(received_end(&mut pair, read), Some(4));
        assert_eq!(pair.client.received_end(read), None, "the stream has no receiving side here");
        pair.client.finish(read).unwrap();
        assert_eq!(received_end(&mut pair, read), Some(4));
        assert_eq!((pair.server.pull(read), pair.server.received_end(read)), (b"four".to_vec(), None));
        for id in [stopped, later] {
            pair.client.push(id, b"two");
            assert_eq!(received_end(&mut pair, id), Some(3));
        }
        pair.client.push(stopped, b"more");
        pair.server.stop_sending(stopped, 1).unwrap();
        assert!(pair.deliver(usize::MAX), "the bytes and the stop are delivered");
        assert_eq!(pair.server.received_end(stopped), Some(7));
        assert_eq!(pair.client.sent_end(stopped), Some(7), "the reset that answers has not left");
        pair.deliver(usize::MAX);
        assert_eq!(received_end(&mut pair, stopped), None, "the answering reset arrived");
        assert_eq!(pair.server.events.pop_back(), Some(Event::StreamDiscarded(stopped, StreamTag(0), 7)));
        pair.client.reset(later, 1, 0).unwrap();
        assert_eq!(received_end(&mut pair, later), Some(3));
        assert_eq!(pair.server.read(later, 1), Ok(Read::Data(Bytes::from_static(b"t"))));
    }
}
