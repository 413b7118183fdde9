//! What a file says.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::Path,
};

use super::{
    read::{Record, Records},
    trace::Trace,
};

/// The most unreadable records of a file whose place is told.
const MOST_BAD: usize = 10;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) trace: Trace,
    /// Records that could not be read.
    pub(super) bad: u64,
    /// Where the first of them are, and why.
    pub(super) bad_lines: Vec<(u64, String)>,
}

impl File {
    /// Reads a file to its end.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::gather(|| Ok(BufReader::with_capacity(1 << 16, fs::File::open(path)?)))
    }

    /// Reads to the end what `open` gives. A file in one piece is read twice, because its head, which says how times are
    /// counted, is known only at its end.
    pub(super) fn gather<R: BufRead>(open: impl Fn() -> io::Result<R>) -> io::Result<Self> {
        let (mut records, mut file) = (Records::new(open()?), Self::default());
        if records.is_contained()? {
            while let Some(record) = records.next()? {
                if let Record::Value(value) = record
                    && value.get("traces").is_some()
                {
                    file.trace.on_head(&value);
                }
            }
            records = Records::new(open()?);
        }
        while let Some(record) = records.next()? {
            match record {
                Record::Value(value) if value.get("name").is_some() || value.get("data").is_some() => {
                    file.trace.on_event(&value);
                }
                Record::Value(value) => file.trace.on_head(&value),
                Record::Bad { line, why } => file.on_bad(line, why),
            }
        }
        file.trace.finish();
        Ok(file)
    }

    fn on_bad(&mut self, line: u64, why: String) {
        self.bad += 1;
        if self.bad_lines.len() < MOST_BAD {
            self.bad_lines.push((line, why));
        }
    }
}
