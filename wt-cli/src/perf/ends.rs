//! A client, at the level that is asked for.

use super::{quic, report::Outcome, wt};
use crate::{
    args::{Perf, PerfLevel},
    exit::Ended,
};

pub(super) async fn client(options: &Perf) -> Result<Outcome, Ended> {
    match options.level {
        PerfLevel::Quic => quic::client(options).await,
        PerfLevel::Wt => wt::client(options).await,
    }
}
