//! A task that reads a stream in every possible way.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_core::Stream;
use wt_api::{ErrorCause, ReceiveStream, WebTransportError};

use crate::{actor::Actor, ask::ask, end::End, ledger::Seen, pair::Phase, writer::Busy};

/// The result of a read.
enum Read {
    Data(Bytes),
    End,
    Failed(WebTransportError),
    /// An error of a trait that does not say which.
    FailedUnseen,
    /// The call was dropped; nothing was read.
    Nothing,
    /// The call was dropped, and the bytes it had read are lost.
    Lost,
}

struct Reader {
    actor: Actor,
    stream: ReceiveStream,
    seen: Seen,
    stopped: bool,
}

/// Starts a reader. Its stream is counted for as long as it lives.
pub(crate) fn start(end: &Arc<End>, stream: ReceiveStream) {
    end.pair.begin_stream_task();
    let busy = Busy(Arc::clone(end));
    let actor = Actor::new(end, Phase::Winding);
    end.start(|_| async move {
        Reader { actor, stream, seen: Seen::default(), stopped: false }.run().await;
        drop(busy);
    });
}

impl Reader {
    async fn run(mut self) {
        // Most tasks read to the end.
        let steps = if self.actor.random.chance(0.7) { u64::MAX } else { self.actor.random.below(6) };
        for _ in 0..steps {
            if self.actor.leaves() || !self.step().await {
                return;
            }
        }
    }

    /// Whether there is more to do.
    async fn step(&mut self) -> bool {
        match self.actor.random.below(40) {
            0 => {
                self.actor.did("ReceiveStream::stop");
                self.stopped = true;
                self.stream.stop(self.actor.random.next_u64() as u32);
                true
            }
            1 => {
                self.actor.did("ReceiveStream::id");
                let _ = self.stream.id();
                let stats = self.actor.drive("ReceiveStream::get_stats", self.stream.get_stats()).await;
                if let Some(stats) = stats
                    && (stats.bytes_read > stats.bytes_received || stats.bytes_read < self.seen.offset())
                {
                    let read = self.seen.offset();
                    self.actor.check(Err(format!("{read} bytes were read, the counts say {stats:?}")));
                }
                true
            }
            2 => {
                self.actor.pause().await;
                true
            }
            _ => {
                let read = self.read().await;
                self.judge(read)
            }
        }
    }

    async fn read(&mut self) -> Read {
        let Self { actor, stream, .. } = self;
        let size = 1 + actor.random.below(20_000) as usize;
        let mut buffer = vec![0; size];
        match actor.random.below(12) {
            0..4 => {
                let read = actor.drive("ReceiveStream::read", stream.read(&mut buffer)).await;
                sized(read.map(|read| read.map_err(Some)), &buffer)
            }
            4..8 => {
                let read = actor.drive("ReceiveStream::read_chunk", stream.read_chunk(size)).await;
                chunk(read)
            }
            8 => {
                let mut target = tokio::io::ReadBuf::new(&mut buffer);
                let work =
                    poll_fn(|cx| tokio::io::AsyncRead::poll_read(Pin::new(&mut *stream), cx, &mut target));
                let read = actor.drive("ReceiveStream as tokio::io::AsyncRead", work).await;
                let filled = target.filled().len();
                sized(read.map(|read| read.map(|()| filled).map_err(|_| None)), &buffer)
            }
            9 => {
                let work =
                    poll_fn(|cx| futures_io::AsyncRead::poll_read(Pin::new(&mut *stream), cx, &mut buffer));
                let read = actor.drive("ReceiveStream as futures_io::AsyncRead", work).await;
                sized(read.map(|read| read.map_err(|_| None)), &buffer)
            }
            10 => {
                let work = poll_fn(|cx| Stream::poll_next(Pin::new(&mut *stream), cx));
                let read = actor.drive("ReceiveStream as Stream", work).await;
                chunk(read.map(Option::transpose))
            }
            _ => {
                let limit = 1 << actor.random.below(20);
                let work = stream.read_to_end(limit);
                match actor.drive("ReceiveStream::read_to_end", work).await {
                    None => Read::Lost,
                    Some(Ok(data)) => {
                        self.judge(Read::Data(data));
                        Read::End
                    }
                    // It had read some bytes.
                    Some(Err(error)) => {
                        ask(&self.actor, &error);
                        Read::Lost
                    }
                }
            }
        }
    }

    fn judge(&mut self, read: Read) -> bool {
        let Self { actor, seen, stopped, .. } = self;
        let streams = &actor.end.pair.streams;
        match read {
            Read::Nothing => true,
            Read::Data(data) => {
                let taken = seen.take(&data, streams);
                actor.check(taken);
                true
            }
            Read::End => {
                if !*stopped {
                    actor.check(seen.end(streams));
                }
                false
            }
            Read::Failed(error) => {
                ask(actor, &error);
                if matches!(error.cause(), ErrorCause::StreamReset(_)) && !*stopped {
                    actor.check(seen.reset(streams));
                }
                false
            }
            Read::FailedUnseen | Read::Lost => false,
        }
    }
}

fn sized(read: Option<Result<usize, Option<WebTransportError>>>, buffer: &[u8]) -> Read {
    match read {
        None => Read::Nothing,
        Some(Ok(0)) => Read::End,
        Some(Ok(size)) => Read::Data(Bytes::copy_from_slice(&buffer[..size])),
        Some(Err(Some(error))) => Read::Failed(error),
        Some(Err(None)) => Read::FailedUnseen,
    }
}

fn chunk(read: Option<Result<Option<Bytes>, WebTransportError>>) -> Read {
    match read {
        None => Read::Nothing,
        Some(Ok(Some(data))) => Read::Data(data),
        Some(Ok(None)) => Read::End,
        Some(Err(error)) => Read::Failed(error),
    }
}
