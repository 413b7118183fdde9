//! The system's calendar.

use std::time::SystemTime;

#[allow(clippy::disallowed_methods, reason = "the runtime is where the clock is read")]
pub(crate) fn system_time() -> SystemTime {
    SystemTime::now()
}
