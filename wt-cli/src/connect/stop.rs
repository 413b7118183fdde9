//! Why an exchange stops.

use std::io;

use wt_api::{ErrorCause, WebTransportError};

use crate::exit::Exit;

/// Why no more goes back and forth, before all has.
pub(super) enum Stop {
    /// The session or a stream of it failed.
    Failed(WebTransportError),
    /// The peer does not want to read what is sent, and says so with this code.
    Stopped(Option<u32>),
    /// Standard input cannot be read.
    Input(io::Error),
    /// Nobody reads standard output any more, as with `| head`, or it cannot be written to.
    Output,
    /// A signal came before the end.
    Signal(Exit),
    /// So many lines were not sent as datagrams.
    Unsent(usize),
}

impl Stop {
    /// Whether it may say no more than that the session ends: its streams are reset then, and 0 is the code of those that an
    /// application leaves behind.
    pub(super) fn may_be_the_end(&self) -> bool {
        match self {
            Self::Failed(error) => {
                matches!(
                    error.cause(),
                    ErrorCause::StreamReset(None | Some(0)) | ErrorCause::StreamStopped(None | Some(0))
                )
            }
            Self::Stopped(code) => code.unwrap_or(0) == 0,
            Self::Input(_) | Self::Output | Self::Signal(_) | Self::Unsent(_) => false,
        }
    }
}

impl From<WebTransportError> for Stop {
    fn from(error: WebTransportError) -> Self {
        Self::Failed(error)
    }
}
