//! Limits how much clients can add to the log. In each minute it logs a limited number of sessions and of
//! processes that did not start, and counts the others.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How many sessions are logged in a minute.
const SESSIONS: u32 = 60;
/// The longest part of a client's text that a line repeats, in characters.
const TEXT: usize = 100;

struct Minute {
    since: Instant,
    told: u32,
    withheld: u64,
}

/// Whether the log has room for one more session.
pub(crate) fn permit() -> bool {
    static MINUTE: Mutex<Option<Minute>> = Mutex::new(None);
    let mut minute = MINUTE.lock().unwrap_or_else(PoisonError::into_inner);
    let (permitted, withheld) = count(&mut minute, Instant::now());
    drop(minute);
    if withheld > 0 {
        tracing::info!(withheld, "further sessions were not logged");
    }
    permitted
}

/// Whether this minute has room; at the start of a new minute, also how many found none in the last one.
fn count(minute: &mut Option<Minute>, now: Instant) -> (bool, u64) {
    let current = minute.get_or_insert(Minute { since: now, told: 0, withheld: 0 });
    let mut withheld = 0;
    if now.duration_since(current.since) >= Duration::from_secs(60) {
        withheld = current.withheld;
        *current = Minute { since: now, told: 0, withheld: 0 };
    }
    let permitted = current.told < SESSIONS;
    current.told += u32::from(permitted);
    current.withheld += u64::from(!permitted);
    (permitted, withheld)
}

/// The beginning of a client's text.
pub(crate) fn brief(text: &str) -> String {
    text.chars().take(TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_logs_so_many_sessions_and_counts_the_others() {
        let (mut minute, start) = (None, Instant::now());
        let told = (0..1000).filter(|n| count(&mut minute, start + Duration::from_millis(*n)).0).count();
        assert_eq!(told, 60);
        assert_eq!(count(&mut minute, start + Duration::from_secs(60)), (true, 940));
        assert_eq!(count(&mut minute, start + Duration::from_secs(61)), (true, 0));
        assert_eq!(brief(&"\u{1f30a}".repeat(800)).chars().count(), 100);
    }
}
