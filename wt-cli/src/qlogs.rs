//! The qlog files that a command writes (`--qlog`).

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use wt_api::{
    ObserverFactory,
    qlog::{QlogDirectory, directory},
};

use crate::exit::{Ended, Exit};

/// How long the command waits at its end until everything is written.
const PATIENCE: Duration = Duration::from_secs(5);

static LOGS: OnceLock<QlogDirectory> = OnceLock::new();

/// From now on connections get files in this directory, if the command line names one.
pub(crate) fn start(path: Option<&Path>) -> Result<(), Ended> {
    let Some(path) = path else { return Ok(()) };
    let unusable = |error| Ended::new(Exit::Usage, format!("--qlog {}: {error}", path.display()));
    let logs = directory(path, "weft").map_err(unusable)?;
    LOGS.get_or_init(|| logs);
    Ok(())
}

/// What observes connections.
pub(crate) fn observers() -> Option<Arc<dyn ObserverFactory>> {
    LOGS.get().map(|logs| Arc::new(logs.clone()) as Arc<dyn ObserverFactory>)
}

/// Waits until the files are written, and tells if they are not whole.
pub(crate) fn finish() {
    let Some(logs) = LOGS.get() else { return };
    let written = logs.flush(PATIENCE);
    let stats = logs.stats();
    if let Some(error) = &stats.error {
        tracing::warn!(error, dropped = stats.dropped, "the qlog files are not whole");
    } else if !written || stats.dropped > 0 {
        tracing::warn!(dropped = stats.dropped, "the qlog files are not whole: the disk is too slow");
    }
}
