//! A folder with a file for each connection.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use quic_core::{ConnectionStart, Observer, ObserverFactory};

use crate::{
    header::{Settings, vantage},
    observer::{Output, Qlog},
    writer::{QlogStats, Writer},
};

/// Gives each connection a file of a folder: `<ODCID>_client.sqlog` or `<ODCID>_server.sqlog`, as the main schema
/// advises. A file of this name that is there already is continued. Clones share the folder, the thread that writes,
/// and the counts.
#[derive(Clone, Debug)]
pub struct QlogDirectory {
    path: PathBuf,
    settings: Settings,
    writer: Writer,
}

impl QlogDirectory {
    /// Makes the folder if it is not there, and starts the thread that writes. The thread ends with the last
    /// connection and the last clone.
    ///
    /// # Errors
    /// The folder cannot be made, or the system starts no thread.
    pub fn create(path: impl Into<PathBuf>, settings: Settings) -> io::Result<Self> {
        let path = path.into();
        fs::create_dir_all(&path)?;
        let writer = Writer::start(settings.most_waiting)?;
        Ok(Self { path, settings, writer })
    }

    /// Waits until everything that connections have handed over is written, at most `limit`; returns whether it is.
    /// A connection hands over what it has about once a second, and when it ends. This blocks the thread.
    pub fn flush(&self, limit: Duration) -> bool {
        self.writer.flush(limit)
    }

    /// What became of the events so far.
    #[must_use]
    pub fn stats(&self) -> QlogStats {
        self.writer.stats()
    }
}

impl ObserverFactory for QlogDirectory {
    fn observer(&self, start: &ConnectionStart) -> Option<Box<dyn Observer>> {
        self.writer.count_file();
        let name = format!("{}_{}.sqlog", start.original_destination, vantage(start));
        let file = File { path: self.path.join(name).into(), writer: self.writer.clone() };
        Some(Box::new(Qlog::new(self.settings.clone(), Box::new(file))))
    }
}

/// The file of a connection.
struct File {
    path: Arc<Path>,
    writer: Writer,
}

impl Output for File {
    fn write(&mut self, block: Vec<u8>, events: u64) -> bool {
        self.writer.write(&self.path, block, events)
    }
}
