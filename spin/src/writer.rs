//! A task that writes a stream in every possible way, and ends it in one of several.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_sink::Sink;
use wt_api::{ErrorCause, SendStream};

use crate::{actor::Actor, ask::ask, calls::CALLS, end::End, ledger::content, pair::Phase};

/// What the task may write next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next bytes of the content.
    Open,
    /// Nothing: a write was dropped, and it is unknown whether it was made.
    Unknown,
    /// Nothing: the stream is over.
    Over,
}

struct Writer {
    actor: Actor,
    stream: SendStream,
    salt: u64,
    state: State,
}

/// Starts a writer. Its stream is counted for as long as it lives.
pub(crate) fn start(end: &Arc<End>, stream: SendStream) {
    end.pair.begin_stream_task();
    let busy = Busy(Arc::clone(end));
    let salt = end.salt();
    let actor = Actor::new(end, Phase::Winding);
    end.start(|_| async move {
        Writer { actor, stream, salt, state: State::Open }.run().await;
        drop(busy);
    });
}

/// A task with a stream.
pub(crate) struct Busy(pub(crate) Arc<End>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.pair.end_stream_task();
    }
}

impl Writer {
    async fn run(mut self) {
        let steps = self.actor.random.below(12);
        for _ in 0..steps {
            if self.actor.leaves() || self.state != State::Open {
                break;
            }
            self.step().await;
        }
        self.end().await;
    }

    async fn step(&mut self) {
        match self.actor.random.below(12) {
            0..7 => self.write().await,
            7 => {
                let work = self.stream.get_stats();
                let stats = self.actor.drive("SendStream::get_stats", work).await;
                if let Some(stats) = stats
                    && !(stats.bytes_acknowledged <= stats.bytes_sent
                        && stats.bytes_sent <= stats.bytes_written)
                {
                    self.actor.check(Err(format!("counts of a stream contradict each other: {stats:?}")));
                }
            }
            8 => self.rank(),
            9 => {
                self.actor.did("SendStream::commit");
                let written = self.stream.bytes_written();
                self.stream.commit();
                self.actor.end.pair.streams.committed(self.salt, written);
            }
            10 => self.flush().await,
            _ => self.actor.pause().await,
        }
    }

    /// The next bytes; records them before they are written.
    fn next(&mut self) -> Bytes {
        self.actor.did("SendStream::bytes_written");
        let (offset, size) = (self.stream.bytes_written(), 1 << self.actor.random.below(16));
        let size = 1 + self.actor.random.below(size) as usize;
        self.actor.end.pair.streams.may_write(self.salt, offset + size as u64);
        content(self.salt, offset, size)
    }

    async fn write(&mut self) {
        let data = self.next();
        let Self { actor, stream, state, .. } = self;
        let result = match actor.random.below(7) {
            0 => actor.drive("SendStream::write", stream.write(&data)).await.map(|written| written.map(drop)),
            1 => actor.drive("SendStream::write_all", stream.write_all(&data)).await,
            2 => actor.drive("SendStream::write_chunk", stream.write_chunk(data)).await,
            3 => {
                let result = actor.drive("SendStream::atomic_write", stream.atomic_write(data)).await;
                if result.is_none() {
                    *state = State::Unknown;
                }
                match result {
                    Some(Err(error)) if matches!(error.cause(), ErrorCause::WouldBlock { .. }) => None,
                    result => result,
                }
            }
            4 => {
                let work = poll_fn(|cx| tokio::io::AsyncWrite::poll_write(Pin::new(&mut *stream), cx, &data));
                drop(actor.drive("SendStream as tokio::io::AsyncWrite", work).await);
                None
            }
            5 => {
                let work =
                    poll_fn(|cx| futures_io::AsyncWrite::poll_write(Pin::new(&mut *stream), cx, &data));
                drop(actor.drive("SendStream as futures_io::AsyncWrite", work).await);
                None
            }
            _ => {
                let work = poll_fn(|cx| Sink::poll_ready(Pin::new(&mut *stream), cx));
                match actor.drive("SendStream as Sink", work).await {
                    Some(Ok(())) => Some(Sink::start_send(Pin::new(stream), data)),
                    other => other,
                }
            }
        };
        if let Some(Err(error)) = result {
            ask(actor, &error);
            *state = State::Over;
        }
    }

    async fn flush(&mut self) {
        let Self { actor, stream, .. } = self;
        match actor.random.below(3) {
            0 => {
                let work = poll_fn(|cx| tokio::io::AsyncWrite::poll_flush(Pin::new(&mut *stream), cx));
                drop(actor.drive("SendStream as tokio::io::AsyncWrite", work).await);
            }
            1 => {
                let work = poll_fn(|cx| futures_io::AsyncWrite::poll_flush(Pin::new(&mut *stream), cx));
                drop(actor.drive("SendStream as futures_io::AsyncWrite", work).await);
            }
            _ => {
                let work = poll_fn(|cx| Sink::poll_flush(Pin::new(&mut *stream), cx));
                drop(actor.drive("SendStream as Sink", work).await);
            }
        }
    }

    fn rank(&mut self) {
        let Self { actor, stream, .. } = self;
        let order = actor.random.below(7) as i64 - 3;
        stream.set_send_order(order);
        if stream.send_order() != order {
            actor.check(Err(format!("the send order is {}, not {order}", stream.send_order())));
        }
        let group = stream.send_group();
        let _ = (stream.set_send_group(group.as_ref()), stream.id());
        for name in ["send_order", "set_send_order", "send_group", "set_send_group", "id"] {
            let names = CALLS.iter().filter(|call| call.strip_prefix("SendStream::") == Some(name));
            names.for_each(|call| actor.did(call));
        }
    }

    async fn end(mut self) {
        let streams = Arc::clone(&self.actor.end.pair);
        let written = self.stream.bytes_written();
        let Self { actor, stream, salt, .. } = &mut self;
        match actor.random.below(8) {
            0 => {
                actor.did("SendStream::reset");
                stream.reset(actor.random.next_u64() as u32);
            }
            1 => {
                drop(actor.drive_long("SendStream::stopped", stream.stopped()).await);
            }
            2..4 => {
                actor.did("SendStream::finish");
                streams.streams.finished(*salt, written);
                drop(stream.finish());
            }
            4 => {
                streams.streams.finished(*salt, written);
                let work = poll_fn(|cx| tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut *stream), cx));
                drop(actor.drive("SendStream as tokio::io::AsyncWrite", work).await);
            }
            5 => {
                streams.streams.finished(*salt, written);
                let work = poll_fn(|cx| Sink::poll_close(Pin::new(&mut *stream), cx));
                drop(actor.drive("SendStream as Sink", work).await);
            }
            6 => {
                streams.streams.finished(*salt, written);
                drop(actor.drive("SendStream::finished", stream.finished()).await);
            }
            _ => {}
        }
    }
}
