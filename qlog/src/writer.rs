//! The thread that writes files, and what waits for it.
//!
//! Owns the bound on what waits and the counts. It never knows events.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

/// What became of the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QlogStats {
    /// Connections with a file.
    pub files: u64,
    /// Events written.
    pub events: u64,
    /// Events left out, because too much waited for the disk or it took no more.
    pub dropped: u64,
    /// Bytes written.
    pub bytes: u64,
    /// The first error of the disk, if there was one.
    pub error: Option<String>,
}

/// A block for a file.
struct Block {
    path: Arc<Path>,
    bytes: Vec<u8>,
    events: u64,
}

/// What connections and the thread share.
#[derive(Debug, Default)]
struct Shared {
    waiting: AtomicUsize,
    files: AtomicU64,
    events: AtomicU64,
    dropped: AtomicU64,
    bytes: AtomicU64,
    error: Mutex<Option<String>>,
    /// How many blocks were handed over and are done with.
    done: Mutex<[u64; 2]>,
    progress: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands blocks to the thread. The thread ends when the last clone is gone and everything is written.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    sender: Sender<Block>,
    shared: Arc<Shared>,
    most_waiting: usize,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system starts no thread.
    pub(crate) fn start(most_waiting: usize) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name("qlog".into()).spawn(move || run(&receiver, &of_thread))?;
        Ok(Self { sender, shared, most_waiting })
    }

    /// A connection has a file.
    pub(crate) fn count_file(&self) {
        self.shared.files.fetch_add(1, Relaxed);
    }

    /// Hands over a block, which is appended to the file at `path`. Returns false if too much waits already.
    pub(crate) fn write(&self, path: &Arc<Path>, bytes: Vec<u8>, events: u64) -> bool {
        let size = bytes.len();
        let before = self.shared.waiting.fetch_add(size, Relaxed);
        let taken = before + size <= self.most_waiting && {
            lock(&self.shared.done)[0] += 1;
            self.sender.send(Block { path: Arc::clone(path), bytes, events }).is_ok()
        };
        if !taken {
            self.shared.waiting.fetch_sub(size, Relaxed);
            self.shared.dropped.fetch_add(events, Relaxed);
        }
        taken
    }

    /// Waits until everything handed over so far is written, at most `limit`. Returns whether it is.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let done = lock(&self.shared.done);
        let wanted = done[0];
        let waited = self.shared.progress.wait_timeout_while(done, limit, |done| done[1] < wanted);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub(crate) fn stats(&self) -> QlogStats {
        let shared = &self.shared;
        QlogStats {
            files: shared.files.load(Relaxed),
            events: shared.events.load(Relaxed),
            dropped: shared.dropped.load(Relaxed),
            bytes: shared.bytes.load(Relaxed),
            error: lock(&shared.error).clone(),
        }
    }
}

/// Writes blocks until nobody can hand over any more.
fn run(receiver: &Receiver<Block>, shared: &Shared) {
    // A file whose end was not written has half a record: nothing more may follow it.
    let mut broken = Vec::<PathBuf>::new();
    while let Ok(Block { path, bytes, events }) = receiver.recv() {
        let written =
            if broken.iter().any(|known| **known == *path) { None } else { Some(append(&path, &bytes)) };
        match written {
            Some(Ok(())) => {
                shared.events.fetch_add(events, Relaxed);
                shared.bytes.fetch_add(bytes.len() as u64, Relaxed);
            }
            Some(Err(error)) => {
                lock(&shared.error).get_or_insert_with(|| format!("{}: {error}", path.display()));
                shared.dropped.fetch_add(events, Relaxed);
                // With very many files the disk as a whole is broken, and each of them fails by itself.
                if broken.len() < 1024 {
                    broken.push(path.to_path_buf());
                }
            }
            None => {
                shared.dropped.fetch_add(events, Relaxed);
            }
        }
        shared.waiting.fetch_sub(bytes.len(), Relaxed);
        lock(&shared.done)[1] += 1;
        shared.progress.notify_all();
    }
}

/// Files are not kept open: a server has more connections than a process may have open files.
fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_disk_that_takes_nothing_is_told_once_and_counted() {
        let writer = Writer::start(1 << 20).expect("a thread");
        let nowhere: Arc<Path> = Path::new("/proc/self/no such folder/a.sqlog").into();
        for _ in 0..3 {
            assert!(writer.write(&nowhere, vec![b'x'; 10], 2));
        }
        assert!(writer.flush(PATIENCE));
        let stats = writer.stats();
        assert_eq!((stats.dropped, stats.events, stats.bytes), (6, 0, 0));
        assert!(stats.error.is_some_and(|error| error.contains("a.sqlog")));
    }

    #[test]
    fn what_waits_is_bounded() {
        let (sender, receiver) = channel();
        let writer = Writer { sender, shared: Arc::default(), most_waiting: 100 };
        let path: Arc<Path> = Path::new("unused").into();
        assert!(writer.write(&path, vec![0; 60], 1));
        assert!(!writer.write(&path, vec![0; 60], 5), "beyond the bound");
        assert!(writer.write(&path, vec![0; 40], 1));
        assert_eq!((receiver.try_iter().count(), writer.stats().dropped), (2, 5));
    }
}
