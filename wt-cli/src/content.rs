//! The content of a file, or of a part of it, read as it is sent over HTTP.

use std::{
    fs::File,
    future::Future as _,
    io::{self, Read as _, Seek as _, SeekFrom},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, ReadBuf},
    task::JoinHandle,
};

/// How much is read at once, in bytes.
const PIECE: u64 = 64 << 10;

/// A part of a file.
pub(crate) struct Content {
    state: State,
    /// Where the next piece begins.
    from: u64,
    left: u64,
}

enum State {
    Idle(File),
    Reading(JoinHandle<io::Result<(File, Bytes)>>),
    Over,
}

impl Content {
    /// `length` bytes of a file, the first of which is at `from`.
    pub(crate) fn new(file: File, from: u64, length: u64) -> Self {
        Self { state: State::Idle(file), from, left: length }
    }
}

fn read(mut file: File, from: u64, size: u64) -> io::Result<(File, Bytes)> {
    file.seek(SeekFrom::Start(from))?;
    let mut piece = BytesMut::zeroed(usize::try_from(size).unwrap_or(usize::MAX));
    // A file that has become shorter has no more of this version.
    file.read_exact(&mut piece)?;
    Ok((file, piece.freeze()))
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Idle(file) => {
                    let (from, size) = (self.from, self.left.min(PIECE));
                    self.state = State::Reading(tokio::task::spawn_blocking(move || read(file, from, size)));
                }
                State::Reading(mut reading) => {
                    let polled = Pin::new(&mut reading).poll(cx);
                    if polled.is_pending() {
                        self.state = State::Reading(reading);
                    }
                    let read = ready!(polled).map_err(io::Error::other).and_then(|read| read);
                    return Poll::Ready(Some(read.map(|(file, piece)| {
                        self.state = State::Idle(file);
                        self.from += piece.len() as u64;
                        self.left -= piece.len() as u64;
                        Frame::data(piece)
                    })));
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// What an input gives, as it comes.
pub(crate) struct Input<R> {
    from: R,
    over: bool,
}

impl<R> Input<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, over: false }
    }
}

impl<R: AsyncRead + Unpin> Body for Input<R> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; PIECE as usize];
        let mut buffer = ReadBuf::new(&mut piece);
        let read = ready!(Pin::new(&mut self.from).poll_read(cx, &mut buffer));
        let size = buffer.filled().len();
        piece.truncate(size);
        self.over = size == 0 || read.is_err();
        Poll::Ready(match read {
            Ok(()) if size == 0 => None,
            Ok(()) => Some(Ok(Frame::data(Bytes::from(piece)))),
            Err(error) => Some(Err(error)),
        })
    }
}
