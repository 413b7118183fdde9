//! How far a long transfer has come, for people at a terminal.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use tokio::time::Instant;

use crate::output;

/// Shorter transfers show nothing.
const LONG: Duration = Duration::from_secs(1);
const EACH: Duration = Duration::from_millis(200);
/// The width of the bar, in characters.
const WIDTH: u64 = 30;

/// A line that is written again and again.
pub(super) struct Progress {
    total: Option<u64>,
    began: Instant,
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// `wanted`: somebody may look at it, if standard error is a terminal.
    pub(super) fn new(total: Option<u64>, wanted: bool) -> Self {
        let began = Instant::now();
        let next = (wanted && io::stderr().is_terminal()).then(|| began + LONG);
        Self { total, began, next, shown: false }
    }

    /// So many bytes have come.
    pub(super) fn show(&mut self, bytes: u64) {
        let now = Instant::now();
        if self.next.is_some_and(|at| at <= now) {
            self.next = Some(now + EACH);
            self.shown = true;
            output::tell(&format!("\r\x1b[K{}", line(bytes, self.total, now - self.began)));
        }
    }

    /// The transfer is over: the line goes.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.shown) {
            output::tell("\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn line(bytes: u64, total: Option<u64>, took: Duration) -> String {
    let mega = |bytes: u64| bytes as f64 / 1e6;
    let rate = mega(bytes) * 8.0 / took.as_secs_f64().max(1e-3);
    match total.filter(|total| *total > 0) {
        Some(total) => {
            let full = usize::try_from(WIDTH * bytes.min(total) / total).unwrap_or_default();
            let empty = usize::try_from(WIDTH).unwrap_or_default() - full;
            format!(
                "[{}{}] {:3} % of {:.1} MB, {rate:.1} Mbit/s",
                "#".repeat(full),
                " ".repeat(empty),
                100 * bytes.min(total) / total,
                mega(total),
            )
        }
        None => format!("{:.1} MB, {rate:.1} Mbit/s", mega(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_part_size_and_rate() {
        let second = Duration::from_secs(1);
        assert_eq!(
            line(5_000_000, Some(10_000_000), second),
            format!("[{}{}]  50 % of 10.0 MB, 40.0 Mbit/s", "#".repeat(15), " ".repeat(15))
        );
        assert_eq!(line(5_000_000, None, second), "5.0 MB, 40.0 Mbit/s");
        assert!(line(11, Some(10), second).contains("100 %"));
    }
}
