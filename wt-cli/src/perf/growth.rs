//! The memory cost of idle connections: by how much they increase the resident memory of both processes.

use std::time::Duration;

use super::usage::Usage;
use crate::exit::Ended;

/// Asks the server's process for its resource usage; `None` if that is impossible.
pub(super) type AskServer<'a> = &'a mut dyn FnMut() -> Result<Option<Usage>, Ended>;

/// How many connections are made before the first measurement. One-time allocations happen with them.
pub(super) const WARM: usize = 50;
/// How long these are idle before the first measurement.
pub(super) const SETTLE: Duration = Duration::from_millis(500);
/// How long all connections are idle before the second measurement.
pub(super) const REST: Duration = Duration::from_millis(1500);

/// The resident memory of both processes, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resident {
    pub(super) server: Option<u64>,
    pub(super) client: u64,
}

impl Resident {
    /// Measures both.
    pub(super) fn now(ask: AskServer<'_>) -> Result<Self, Ended> {
        let server = ask()?.map(|usage| usage.resident);
        Ok(Self { server, client: Usage::now()?.resident })
    }

    /// The bytes that each of `connections` has added since `before`, at the server and at the client.
    pub(super) fn growth_each(self, before: Self, connections: usize) -> Growth {
        let each = |before: u64, after: u64| (after as f64 - before as f64) * 1024.0 / connections as f64;
        Growth {
            server: before.server.zip(self.server).map(|(before, after)| each(before, after)),
            client: each(before.client, self.client),
        }
    }
}

/// The bytes that a connection costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Growth {
    pub(super) server: Option<f64>,
    pub(super) client: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_its_part_of_the_growth() {
        let before = Resident { server: Some(1_000), client: 2_000 };
        let after = Resident { server: Some(1_100), client: 1_990 };
        let growth = after.growth_each(before, 10);
        assert_eq!(growth, Growth { server: Some(10_240.0), client: -1_024.0 });
        let alone = Resident { server: None, ..after }.growth_each(before, 10);
        assert_eq!(alone.server, None);
    }
}
