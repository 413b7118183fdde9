//! What tells a program to stop: SIGINT and SIGTERM, on Windows Ctrl-C, Ctrl-Break, a closed console and a shutdown. The
//! first drains, a second one ends. SIGHUP: read files again.

use crate::exit::{Ended, Exit};

/// Listens from the moment it is made: a signal that comes before anybody waits is not lost.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
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
    pub(crate) fn listen() -> Result<Self, Ended> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(|error| deaf(&error))?,
            terminate: signal(SignalKind::terminate()).map_err(|error| deaf(&error))?,
        })
    }

    /// Waits for the next signal to stop; what the command ends with if that cuts it short. Cancel safe.
    pub(crate) async fn stop(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
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

    /// Waits for the next signal to stop; what the command ends with if that cuts it short. Cancel safe.
    pub(crate) async fn stop(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.stop.recv() => Exit::Interrupted,
            _ = self.close.recv() => Exit::Terminated,
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
