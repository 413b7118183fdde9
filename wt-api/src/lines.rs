//! Limits the log lines that a peer can cause: a few per minute, and short ones.

use std::{sync::Mutex, time::Duration};

use quic_core::base::Timestamp;

use crate::mailbox::lock;

/// How many lines of one kind are written in a [`PERIOD`].
const LINES: u32 = 8;
const PERIOD: Duration = Duration::from_secs(60);
/// The most of a peer's text that a line repeats, in bytes.
const TEXT: usize = 100;

/// Lets a few lines of a kind through and counts the others.
#[derive(Debug, Default)]
pub(crate) struct LineLimit(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    since: Option<Timestamp>,
    written: u32,
    withheld: u64,
}

impl LineLimit {
    /// Whether a line may be written now. Returns how many lines were suppressed since the last one.
    pub(crate) fn permit(&self, now: Timestamp) -> Option<u64> {
        let mut lines = lock(&self.0);
        if lines.since.is_none_or(|since| now.saturating_since(since) >= PERIOD) {
            (lines.since, lines.written) = (Some(now), 0);
        }
        if lines.written == LINES {
            lines.withheld += 1;
            return None;
        }
        lines.written += 1;
        Some(std::mem::take(&mut lines.withheld))
    }
}

/// The beginning of a peer's text, cut at a character boundary.
pub(crate) fn brief(text: &str) -> &str {
    let end = (0..=text.len().min(TEXT)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_a_minute_and_the_others_are_counted() {
        let limit = LineLimit::default();
        let start = Timestamp::ORIGIN + PERIOD;
        let written: Vec<_> =
            (0..1000).filter_map(|n| limit.permit(start + Duration::from_millis(n))).collect();
        assert_eq!(written, [0; 8]);
        assert_eq!(limit.permit(start + PERIOD), Some(992));
        assert_eq!(limit.permit(start + PERIOD), Some(0));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(brief("https://a.test"), "https://a.test");
        assert_eq!(brief(&"x".repeat(800)).len(), 100);
        assert_eq!(brief(&format!("{}\u{1f30a}", "x".repeat(98))), "x".repeat(98));
    }
}
