//! The environment of tasks: a host of the virtual network, or tokio.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use wt_api::testing::{Host, Network};

/// A machine. Clones refer to the same one.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Virtual { network: Network, host: Host },
    Real { start: Instant },
}

impl Place {
    /// The real machine.
    #[allow(clippy::disallowed_methods, reason = "a program's own clock")]
    pub(crate) fn real() -> Self {
        Self::Real { start: Instant::now() }
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual { .. })
    }

    /// The time since the run began.
    pub(crate) fn now(&self) -> Duration {
        match self {
            Self::Virtual { network, .. } => network.now(),
            Self::Real { start } => start.elapsed(),
        }
    }

    /// Starts a task.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Virtual { host, .. } => drop(host.spawn(work)),
            Self::Real { .. } => drop(tokio::spawn(work)),
        }
    }

    /// Sleeps for a duration.
    pub(crate) async fn sleep(&self, duration: Duration) {
        match self {
            Self::Virtual { network, .. } => network.sleep(duration).await,
            Self::Real { .. } => tokio::time::sleep(duration).await,
        }
    }

    /// The output of `work` unless it takes longer than `limit`.
    pub(crate) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            output = work => Some(output),
            () = self.sleep(limit) => None,
        }
    }
}
