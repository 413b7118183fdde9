//! Bounded waits.

use std::{future::Future, time::Duration};

/// The longest that any single step may take.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Waits for `future`, at most [`LIMIT`].
///
/// # Panics
/// When the time is over; `what` says what was awaited.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("no {what} within {LIMIT:?}"),
    }
}
