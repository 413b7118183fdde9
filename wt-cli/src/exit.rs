//! What the exit status of `weft` says.

use std::process::ExitCode;

/// The reasons `weft` ends, each with its exit status. `weft help` prints them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    /// A step did not give what it should, or something else went wrong.
    Failure,
    /// The command line, a file or an address cannot be used. Also what clap uses.
    Usage,
    /// No connection: name, address, timeout, TLS.
    Connect,
    /// The server's certificate is not acceptable.
    Certificate,
    /// There was a connection, but the server refused the session or does not speak WebTransport.
    Refused,
    /// The session ended with an error or with a code other than 0.
    Session,
    /// A second signal.
    Interrupted,
}

/// Shown below the help text.
pub(crate) const TABLE: &str = "\
Exit status:
  0    success
  1    a step failed
  2    the command line, a file or an address cannot be used
  3    no connection (name, address, timeout, TLS)
  4    the server's certificate was not accepted
  5    the server refused the session or does not speak WebTransport
  6    the session ended with an error or a close code other than 0
  130  interrupted by a second signal";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::Connect => 3,
            Exit::Certificate => 4,
            Exit::Refused => 5,
            Exit::Session => 6,
            Exit::Interrupted => 130,
        })
    }
}

/// An error with the exit status that it ends in.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl From<wt_cli::engine::EngineError> for Ended {
    fn from(error: wt_cli::engine::EngineError) -> Self {
        Self::new(Exit::Failure, error)
    }
}

impl Ended {
    #[expect(clippy::needless_pass_by_value, reason = "errors end here")]
    pub(crate) fn new(exit: Exit, message: impl ToString) -> Self {
        Self { exit, message: message.to_string() }
    }
}
