//! Files of what connections did, in the form that qvis and `weft qlog` read (draft-ietf-quic-qlog-main-schema-13).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use wt_api::{Identity, Server};
//! let logs = wt_api::qlog::directory("/var/log/qlog", "my server")?;
//! let identity = Identity::self_signed(["localhost"])?;
//! let server = Server::builder().identity(identity).observers(Arc::new(logs.clone())).build()?;
//! # drop(server);
//! # Ok(())
//! # }
//! ```

use std::{io, path::PathBuf, time::SystemTime};

pub use ::qlog::{QlogDirectory, QlogStats};

use crate::runtime;

/// Gives each connection a file in the folder `path`, which is made if it is not there; `name` stands in all of them.
/// A thread writes the files, so that a slow disk holds up no connection. Dates come from the runtime around the
/// call; without one the files have none.
///
/// # Errors
/// The folder cannot be made, or the system starts no thread.
pub fn directory(path: impl Into<PathBuf>, name: impl Into<String>) -> io::Result<QlogDirectory> {
    let origin = runtime::current().map(|runtime| {
        let unix = runtime.wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        unix.saturating_sub(std::time::Duration::from_nanos(runtime.now().as_nanos()))
    });
    QlogDirectory::create(path, ::qlog::Settings::new(name).unix_time_of_origin(origin))
}
