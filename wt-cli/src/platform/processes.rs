//! Processes of a server's own: a group for each, so that all it starts can be ended with it, and what their status says.

use std::process::ExitStatus;

use tokio::process::{Child, Command};

/// The process and all that it starts are one group, which a terminal's signals do not reach. Elsewhere than on Unix there
/// are no such groups.
pub(crate) fn in_group_of_its_own(command: &mut Command) {
    #[cfg(unix)]
    command.process_group(0);
    #[cfg(not(unix))]
    let _ = command;
}

/// Kills a process that was not waited for to its end, with its group where there is one.
pub(crate) fn kill(child: &mut Child) {
    #[cfg(unix)]
    {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(group) = id {
            // Nobody is left, or nobody that may be killed: then the process itself is tried.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
    let _ = child.start_kill();
}

/// The status as shells tell it: 128 and the signal's number for a process that a signal ended.
pub(crate) fn code_of(status: ExitStatus) -> u32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal.unsigned_abs();
    }
    // Windows has statuses of 32 bits, whose sign means nothing.
    status.code().map_or(1, i32::cast_unsigned)
}
