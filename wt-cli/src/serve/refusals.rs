//! Reports what the server's limits refuse, by the option that sets the limit: at most one line per limit and
//! minute.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use wt_api::{Server, ServerStats};

/// How often the server is asked.
const EACH: Duration = Duration::from_secs(1);
/// The least time between two reports about a limit.
const SILENCE: Duration = Duration::from_secs(60);

/// A limit: the refused thing, the option, and how many were refused.
type Limit = (&'static str, &'static str, fn(&ServerStats) -> u64);

const LIMITS: [Limit; 6] = [
    ("--max-connections", "clients", |stats| stats.admission.refused_connections),
    ("--memory", "clients", |stats| stats.admission.refused_memory),
    ("--address-connections", "clients", |stats| stats.admission.refused_address_connections),
    ("--address-handshakes", "clients", |stats| stats.admission.refused_address_handshakes),
    ("--address-rate", "clients", |stats| stats.admission.refused_address_rate),
    ("--max-sessions", "sessions", |stats| stats.requests.refused_busy),
];

/// What was reported about a limit.
#[derive(Clone, Copy, Default)]
struct Told {
    refused: u64,
    at: Option<Instant>,
}

impl Told {
    /// How many more it has refused, if that is to be reported now.
    fn more(&mut self, refused: u64, now: Instant) -> Option<u64> {
        let is_due = self.at.is_none_or(|at| now.duration_since(at) >= SILENCE);
        if refused == self.refused || !is_due {
            return None;
        }
        self.at = Some(now);
        Some(refused - std::mem::replace(&mut self.refused, refused))
    }
}

/// Reports without end.
pub(super) async fn tell(server: &Arc<Server>) {
    let mut told = [Told::default(); LIMITS.len()];
    let mut each = tokio::time::interval(EACH);
    each.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        each.tick().await;
        let stats = server.stats().await;
        for ((option, what, refused), told) in LIMITS.iter().zip(&mut told) {
            if let Some(refused) = told.more(refused(&stats), Instant::now()) {
                tracing::warn!(refused, "{what} are refused by {option}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_reported_once_a_minute_with_everything_it_refused() {
        let (mut told, start) = (Told::default(), Instant::now());
        assert_eq!(told.more(0, start), None);
        assert_eq!(told.more(3, start), Some(3));
        assert_eq!(told.more(10, start + SILENCE / 2), None);
        assert_eq!(told.more(10, start + SILENCE), Some(7));
        assert_eq!(told.more(10, start + SILENCE * 2), None);
    }
}
