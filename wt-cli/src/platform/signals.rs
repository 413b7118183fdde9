//! Signals that stop a program: SIGINT and SIGTERM; on Windows Ctrl-C, Ctrl-Break, a closed console and a
//! shutdown. The first drains, and a second one ends. SIGHUP means to read files again or, without files,
//! that the terminal is gone.

use crate::exit::{Ended, Exit};

/// Listens from its creation on, so no signal is lost before somebody waits.
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
    /// SIGHUP keeps its meaning; [`Hangup`] may listen for it.
    pub(crate) fn listen() -> Result<Self, Ended> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(|error| deaf(&error))?,
            terminate: signal(SignalKind::terminate()).map_err(|error| deaf(&error))?,
            hangup: None,
        })
    }

    /// Treats SIGHUP as a signal to stop, too. If SIGHUP is ignored, as under `nohup`, it stays ignored,
    /// because listening to a signal would end that. The same holds where this is unknown: without a listener
    /// SIGHUP ends the process.
    pub(crate) fn with_hangup() -> Result<Self, Ended> {
        use tokio::signal::unix::{SignalKind, signal};
        let kind = SignalKind::hangup();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hangup = (ignores(&status, kind.as_raw_value()) == Some(false)).then(|| signal(kind)).transpose();
        Ok(Self { hangup: hangup.map_err(|error| deaf(&error))?, ..Self::listen()? })
    }

    /// Waits for the next signal to stop. Returns how the command ends if the signal interrupts it. Cancel
    /// safe.
    pub(crate) async fn stop(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            () = hung_up(self.hangup.as_mut()) => Exit::HungUp,
        }
    }
}

/// Waits for the next SIGHUP, if there is a listener.
#[cfg(unix)]
async fn hung_up(signal: Option<&mut tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether a Linux process ignores a signal, from its `/proc/PID/status`; `None` if that does not tell.
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

    /// The signals already include a closed console.
    pub(crate) fn with_hangup() -> Result<Self, Ended> {
        Self::listen()
    }

    /// Waits for the next signal to stop. Returns how the command ends if the signal interrupts it. Cancel
    /// safe.
    pub(crate) async fn stop(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.stop.recv() => Exit::Interrupted,
            _ = self.close.recv() => Exit::HungUp,
            _ = self.shutdown.recv() => Exit::Terminated,
        }
    }
}

/// Listens for SIGHUP from its creation on. Without a listener, SIGHUP ends the process as usual.
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

    /// Waits for the next SIGHUP. Cancel safe.
    pub(crate) async fn next(&mut self) {
        let _ = self.signal.recv().await;
    }
}

/// On systems without this signal, none ever arrives.
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
    fn a_process_shows_which_signals_it_ignores() {
        let status =
            "Name:\tweft\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";
        assert_eq!(
            [1, 2, 13, 64].map(|signal| ignores(status, signal)),
            [true, false, true, false].map(Some)
        );
        assert_eq!((ignores("", 1), ignores("SigIgn:\tx\n", 1)), (None, None));
    }
}
