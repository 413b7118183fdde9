//! Child processes: each has its own process group, so that everything it starts can be ended with it. Also
//! converts their exit status.

use std::process::ExitStatus;

use tokio::process::{Child, Command};

/// Puts the process and all that it starts into its own group, which a terminal's signals do not reach.
/// Systems other than Unix have no such groups.
pub(crate) fn in_group_of_its_own(command: &mut Command) {
    #[cfg(unix)]
    command.process_group(0);
    #[cfg(not(unix))]
    let _ = command;
}

/// Kills a process that has not been reaped, with its group where there is one.
pub(crate) fn kill(child: &mut Child) {
    #[cfg(unix)]
    {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(group) = id {
            // There is no process left in the group that may be killed, so the process itself is tried.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
    let _ = child.start_kill();
}

/// The exit status as in shells: 128 plus the signal's number for a process that a signal ended.
pub(crate) fn code_of(status: ExitStatus) -> u32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal.unsigned_abs();
    }
    // Windows has statuses of 32 bits, whose sign means nothing.
    status.code().map_or(1, i32::cast_unsigned)
}
