//! Texts for whoever reads them: nobody may, and that is no reason to panic.

use std::io::{self, Write as _};

/// Writes to standard output, at once.
///
/// # Errors
/// It cannot be written to, or nobody reads it any more.
pub fn say(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush())
}

/// Writes to standard error. If nobody reads it, there is nobody to tell.
pub fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
