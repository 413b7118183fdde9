//! Why an exchange stops.

use std::{io, time::Duration};

use wt_api::{ErrorCause, WebTransport, WebTransportError, WebTransportErrorSource};

use crate::exit::Exit;

/// How long the end of a session is waited for that seems to be there, and an output that takes nothing.
pub(super) const END: Duration = Duration::from_secs(1);

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
    fn may_be_the_end(&self) -> bool {
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

    /// Whether the session is over, which all that goes on in it hears.
    pub(super) fn is_of_the_session(&self) -> bool {
        let Self::Failed(error) = self else { return false };
        // A session goes on that may not open one more stream.
        error.error_source() == WebTransportErrorSource::Session
            && !matches!(error.cause(), ErrorCause::QuotaExceeded)
    }

    /// What comes of its streams when a session ends may be heard before that it ends: nothing, if it does now.
    pub(super) async fn unless_over(self, session: &WebTransport) -> Result<(), Self> {
        if self.may_be_the_end() && tokio::time::timeout(END, session.closed()).await.is_ok() {
            return Ok(());
        }
        Err(self)
    }
}

impl From<WebTransportError> for Stop {
    fn from(error: WebTransportError) -> Self {
        Self::Failed(error)
    }
}
