//! The buffers that the sockets of a runtime share.
//!
//! Owns their distribution. A shard has a set while it is polled, and leaves no data in it. So there are as
//! many sets as shards are polled at the same time, and an idle socket needs none. The sets are freed with
//! the last shard.

use std::sync::Mutex;

use bytes::BytesMut;

use crate::waiters::lock;

/// How many messages one receive call takes.
pub(crate) const BATCH: usize = 4;
/// The longest train, in bytes.
const TRAIN: usize = 64 << 10;

/// A set of buffers.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The blocks for receiving, which are handed out in slices. Each has 256 KiB once it was used.
    pub(crate) blocks: [BytesMut; BATCH],
    /// The buffer in which a train is written.
    pub(crate) train: Vec<u8>,
}

/// The unused sets.
#[derive(Debug, Default)]
pub(crate) struct BufferPool(Mutex<Vec<Buffers>>);

impl BufferPool {
    /// Takes an unused set, or makes one.
    pub(crate) fn take(&self) -> Buffers {
        let free = lock(&self.0).pop();
        let mut buffers = free.unwrap_or_default();
        if buffers.train.is_empty() {
            buffers.train = vec![0; TRAIN];
        }
        buffers
    }

    /// Returns a set for the next user.
    pub(crate) fn give_back(&self, buffers: Buffers) {
        lock(&self.0).push(buffers);
    }
}
