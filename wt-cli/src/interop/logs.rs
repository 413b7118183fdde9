//! The qlog files of all connections (`QLOGDIR`).

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use wt_api::{
    ObserverFactory,
    qlog::{QlogDirectory, directory},
};

use crate::tell::Failure;

static LOGS: OnceLock<QlogDirectory> = OnceLock::new();

/// From now on connections get files in this directory, if there is one.
pub(crate) fn start(path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let logs =
        directory(path, "weft-interop").map_err(|error| format!("QLOGDIR {}: {error}", path.display()))?;
    LOGS.get_or_init(|| logs);
    Ok(())
}

/// What observes connections.
pub(crate) fn observers() -> Option<Arc<dyn ObserverFactory>> {
    LOGS.get().map(|logs| Arc::new(logs.clone()) as Arc<dyn ObserverFactory>)
}

/// Waits until the files are written.
pub(crate) fn finish() {
    if let Some(logs) = LOGS.get() {
        logs.flush(Duration::from_secs(5));
    }
}
