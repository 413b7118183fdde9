//! What connections that rest cost: how much resident memory of both processes grows with them.

use std::time::Duration;

use super::usage::Usage;
use crate::exit::Ended;

/// Asks the server's process what it uses; `None` where nobody can.
pub(super) type AskServer<'a> = &'a mut dyn FnMut() -> Result<Option<Usage>, Ended>;

/// Connections before the first look: what is made once is made with them.
pub(super) const WARM: usize = 50;
/// How long these rest before it.
pub(super) const SETTLE: Duration = Duration::from_millis(500);
/// How long all rest before the second look.
pub(super) const REST: Duration = Duration::from_millis(1500);

/// What both processes have in memory, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resident {
    pub(super) server: Option<u64>,
    pub(super) client: u64,
}

impl Resident {
    /// Looks.
    pub(super) fn now(ask: AskServer<'_>) -> Result<Self, Ended> {
        let server = ask()?.map(|usage| usage.resident);
        Ok(Self { server, client: Usage::now()?.resident })
    }

    /// What each of so many connections added since `before`, in bytes: at the server, and at the client.
    pub(super) fn growth_each(self, before: Self, connections: usize) -> Growth {
        let each = |before: u64, after: u64| (after as f64 - before as f64) * 1024.0 / connections as f64;
        Growth {
            server: before.server.zip(self.server).map(|(before, after)| each(before, after)),
            client: each(before.client, self.client),
        }
    }
}

/// Bytes that a connection costs.
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
