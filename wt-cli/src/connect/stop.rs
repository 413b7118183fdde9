//! Why an exchange stops.

use std::{io, time::Duration};

use wt_api::{ErrorCause, WebTransport, WebTransportError, WebTransportErrorSource};

use crate::exit::Exit;

/// How long to wait for the end of a session that seems to have ended, and for a blocked output.
pub(super) const END: Duration = Duration::from_secs(1);

/// Why an exchange stops before it is complete.
pub(super) enum Stop {
    /// The session or a stream of it failed.
    Failed(WebTransportError),
    /// The peer does not want to read what is sent, and stopped the stream with this code.
    Stopped(Option<u32>),
    /// Standard input cannot be read.
    Input(io::Error),
    /// Nobody reads standard output any more, as with `| head`, or it cannot be written to.
    Output,
    /// A signal arrived before the end.
    Signal(Exit),
    /// This many lines were not sent as datagrams.
    Unsent(usize),
}

impl Stop {
    /// Whether the cause may be the end of the session. Its streams are reset then, and 0 is the code of
    /// streams that an application abandons.
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

    /// Whether the session is over, which every part of the exchange notices.
    pub(super) fn is_of_the_session(&self) -> bool {
        let Self::Failed(error) = self else { return false };
        // A session that may not open another stream continues.
        error.error_source() == WebTransportErrorSource::Session
            && !matches!(error.cause(), ErrorCause::QuotaExceeded)
    }

    /// The streams of an ending session may fail before the session is known to end. Returns `Ok` if it ends
    /// now.
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
