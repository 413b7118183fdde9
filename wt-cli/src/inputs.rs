//! Files that the command line names.

use std::{fs, path::Path};

use crate::exit::{Ended, Exit};

/// Reads a file that the command line names.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Ended> {
    fs::read(path)
        .map_err(|error| Ended::new(Exit::Usage, format!("cannot read {}: {error}", path.display())))
}
