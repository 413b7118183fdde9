//! What tells a program to stop: SIGINT and SIGTERM, on Windows Ctrl-C, Ctrl-Break, a closed console and a shutdown. The
//! first drains, a second one ends. SIGHUP: read files again, or, where there are none to read, that the terminal is gone.

use crate::exit::{Ended, Exit};

/// Listens from the moment it is made: a signal that comes before anybody waits is not lost.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: Option<tokio::signal::unix::Signal>,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
    #[cfg(windows)]
    stop: tokio::signal::windows::CtrlBreak,
    #[cfg(windows)]
    close: tokio::signal::windows::CtrlClose,
    #[cfg(windows)]
    shutdown: tokio::signal::windows::CtrlShutdown,
}

fn deaf(error: &std::io::Error) -> Ended {
    Ended::new(Exit::Failure, format!("cannot listen for signals: {error}"))
}

#[cfg(unix)]
impl Signals {
    /// SIGHUP stays what it is: [`Hangup`] may hear it.
    pub(crate) fn listen() -> Result<Self, Ended> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(|error| deaf(&error))?,
            terminate: signal(SignalKind::terminate()).map_err(|error| deaf(&error))?,
            hangup: None,
        })
    }

    /// SIGHUP is a signal to stop as well. Where it is ignored, as under `nohup`, it stays so, for whoever listens to a signal
    /// ends that; and so it does where nobody can say: by itself SIGHUP ends the process.
    pub(crate) fn with_hangup() -> Result<Self, Ended> {
        use tokio::signal::unix::{SignalKind, signal};
        let kind = SignalKind::hangup();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hangup = (ignores(&status, kind.as_raw_value()) == Some(false)).then(|| signal(kind)).transpose();
        Ok(Self { hangup: hangup.map_err(|error| deaf(&error))?, ..Self::listen()? })
    }

    /// Waits for the next signal to stop; what the command ends with if that cuts it short. Cancel safe.
    pub(crate) async fn stop(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            () = hung_up(self.hangup.as_mut()) => Exit::HungUp,
        }
    }
}

/// Waits for the next SIGHUP, if that is listened to.
#[cfg(unix)]
async fn hung_up(signal: Option<&mut tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether a process of Linux ignores a signal, by its `/proc/PID/status`; `None` if that does not say.
#[cfg(unix)]
fn ignores(status: &str, signal: i32) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask >> (signal - 1) & 1 == 1)
}

#[cfg(windows)]
impl Signals {
    pub(crate) fn listen() -> Result<Self, Ended> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        Ok(Self {
            interrupt: ctrl_c().map_err(|error| deaf(&error))?,
            stop: ctrl_break().map_err(|error| deaf(&error))?,
            close: ctrl_close().map_err(|error| deaf(&error))?,
            shutdown: ctrl_shutdown().map_err(|error| deaf(&error))?,
        })
    }

    /// A console that is closed is among them.
    pub(crate) fn with_hangup() -> Result<Self, Ended> {
        Self::listen()
    }

    /// Waits for the next signal to stop; what the command ends with if that cuts it short. Cancel safe.
    pub(crate) async fn stop(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.stop.recv() => Exit::Interrupted,
            _ = self.close.recv() => Exit::HungUp,
            _ = self.shutdown.recv() => Exit::Terminated,
        }
    }
}

/// Listens for SIGHUP from the moment it is made; without one, SIGHUP ends the process as it always does.
pub(crate) struct Hangup {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Hangup {
    pub(crate) fn listen() -> Result<Self, Ended> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { signal: signal(SignalKind::hangup()).map_err(|error| deaf(&error))? })
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        let _ = self.signal.recv().await;
    }
}

/// Where there is no such signal none ever comes.
#[cfg(not(unix))]
impl Hangup {
    pub(crate) fn listen() -> Result<Self, Ended> {
        Ok(Self {})
    }

    pub(crate) async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::ignores;

    #[test]
    fn a_process_says_what_it_ignores() {
        let status =
            "Name:\tweft\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";
        assert_eq!(
            [1, 2, 13, 64].map(|signal| ignores(status, signal)),
            [true, false, true, false].map(Some)
        );
        assert_eq!((ignores("", 1), ignores("SigIgn:\tx\n", 1)), (None, None));
    }
}
