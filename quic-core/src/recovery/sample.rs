//! Round-trip time samples from acknowledgments (RFC 9002 §5.1, §5.3).

use std::time::Duration;

use super::{
    shared::Newest,
    types::{AckResult, Conditions, Context},
};
use crate::{
    base::Timestamp,
    ids::{PathId, Space},
};

/// RFC 9002 §5.1: a sample needs the largest acknowledged packet and an ack-eliciting one to be newly
/// acknowledged.
pub(super) fn sample(
    newest: Option<Newest>,
    largest: Option<u64>,
    result: &AckResult,
    now: Timestamp,
    path: PathId,
) -> Option<Duration> {
    let newest = newest.filter(|newest| Some(newest.pn) == largest && newest.path == path)?;
    result.newest_ack_eliciting.map(|_| now.saturating_since(newest.time))
}

/// Gives a sample to the estimate of the path's round-trip time (RFC 9002 §5.3).
pub(super) fn take_sample(latest: Duration, ack_delay: Duration, space: Space, context: &mut Context<'_>) {
    // RFC 9002 §5.3: Initial packets are acknowledged at once, so the reported delay is ignored.
    let ack_delay = if space == Space::Initial { Duration::ZERO } else { ack_delay };
    let Conditions { handshake_confirmed, max_ack_delay, .. } = context.conditions;
    context.rtt.on_sample(latest, ack_delay, handshake_confirmed, max_ack_delay, context.now);
}
