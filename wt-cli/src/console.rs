//! Writing to standard output and standard error without a panic if nobody reads.

use std::io::{self, Write as _};

/// Writes to standard output, unbuffered.
///
/// # Errors
/// It cannot be written to, or its reader is gone.
pub fn say(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush())
}

/// Writes to standard error. A failure is ignored, because it could not be reported anywhere.
pub fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
