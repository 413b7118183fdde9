//! A client, at the level that is asked for.

use super::{growth::AskServer, quic, report::Outcome, wt};
use crate::{
    args::{Perf, PerfLevel},
    exit::Ended,
};

/// `ask`: what the server uses, if anybody can say.
pub(super) async fn client(options: &Perf, ask: AskServer<'_>) -> Result<Outcome, Ended> {
    match options.level {
        PerfLevel::Quic => quic::client(options, ask).await,
        PerfLevel::Wt => wt::client(options, ask).await,
    }
}
