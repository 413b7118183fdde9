//! A client at the chosen level.

use super::{growth::AskServer, quic, report::Outcome, wt};
use crate::{
    args::{Perf, PerfLevel},
    exit::Ended,
};

/// `ask` returns the resource usage of the server, if it is known.
pub(super) async fn client(options: &Perf, ask: AskServer<'_>) -> Result<Outcome, Ended> {
    match options.level {
        PerfLevel::Quic => quic::client(options, ask).await,
        PerfLevel::Wt => wt::client(options, ask).await,
    }
}
