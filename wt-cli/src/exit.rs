//! The exit statuses of `weft`.

use std::process::ExitCode;

use serde_json::{Value, json};

/// The reasons `weft` ends, each with its exit status. `weft help` prints them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    /// A step did not give the expected result, or something else went wrong.
    Failure,
    /// The command line, a file or an address cannot be used. clap uses this status too.
    Usage,
    /// No connection: name, address, timeout, TLS.
    Connect,
    /// The server's certificate is not acceptable.
    Certificate,
    /// There was a connection, but the server refused the session or does not speak WebTransport.
    Refused,
    /// The session ended with an error or with a code other than 0.
    Session,
    /// SIGINT arrived before the end, or as a second signal.
    Interrupted,
    /// The same for SIGTERM.
    Terminated,
    /// The same for SIGHUP.
    HungUp,
}

/// Shown below the help text.
pub(crate) const TABLE: &str = "\
Exit status:
  0    success, also when whoever reads standard output has seen enough
  1    a step failed
  2    the command line, a file or an address cannot be used
  3    no connection (name, address, timeout, TLS)
  4    the server's certificate was not accepted
  5    the server refused the session or does not speak WebTransport
  6    the session ended with an error or a close code other than 0
  129  its terminal was gone (SIGHUP) before the end
  130  interrupted (SIGINT, Ctrl-C) before the end; of a server, by a second signal
  143  the same by SIGTERM

With --json a status other than 0 comes with an object as the last line of standard error:
  {\"error\": {\"cause\": WORD, \"message\": TEXT, \"exit\": STATUS}}";

impl Exit {
    pub(crate) const fn status(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Connect => 3,
            Self::Certificate => 4,
            Self::Refused => 5,
            Self::Session => 6,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::HungUp => 129,
        }
    }

    /// The cause for programs and the message, if nothing more specific is known.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Success => ("none", "success"),
            Self::Failure => ("failure", "a step failed"),
            Self::Usage => ("usage", "the command line, a file or an address cannot be used"),
            Self::Connect => ("connect", "no connection"),
            Self::Certificate => ("certificate", "the server's certificate was not accepted"),
            Self::Refused => ("refused", "the server refused the session or does not speak WebTransport"),
            Self::Session => ("session", "the session ended with an error or a close code other than 0"),
            Self::Interrupted => ("interrupted", "interrupted by SIGINT before the end"),
            Self::Terminated => ("interrupted", "interrupted by SIGTERM before the end"),
            Self::HungUp => ("interrupted", "interrupted by SIGHUP before the end"),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

/// An error with the exit status that it ends in.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    /// The cause for programs: a word that stays the same when the message changes.
    pub(crate) cause: &'static str,
    pub(crate) message: String,
    /// Where people find more information.
    pub(crate) hint: Option<String>,
}

impl From<wt_cli::engine::EngineError> for Ended {
    fn from(error: wt_cli::engine::EngineError) -> Self {
        Self::new(Exit::Failure, error)
    }
}

impl Ended {
    #[expect(clippy::needless_pass_by_value, reason = "errors end here")]
    pub(crate) fn new(exit: Exit, message: impl ToString) -> Self {
        Self { exit, cause: exit.words().0, message: message.to_string(), hint: None }
    }

    /// Adds where people find more information.
    pub(crate) fn with_hint(self, hint: String) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// Sets a more specific cause.
    pub(crate) fn with_cause(self, cause: &'static str) -> Self {
        Self { cause, ..self }
    }

    /// An end about which everything else was already printed.
    pub(crate) fn told(exit: Exit) -> Self {
        Self::new(exit, exit.words().1)
    }

    /// The error for people: a line, and another one if there is a hint.
    pub(crate) fn text(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("weft: {hint}\n")).unwrap_or_default();
        format!("weft: {}\n{hint}", self.message)
    }

    /// The error for programs.
    pub(crate) fn json(&self) -> Value {
        json!({ "error": { "cause": self.cause, "message": self.message, "exit": self.exit.status() } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_status() {
        for exit in [
            Exit::Success,
            Exit::Failure,
            Exit::Usage,
            Exit::Connect,
            Exit::Certificate,
            Exit::Refused,
            Exit::Session,
            Exit::Interrupted,
            Exit::Terminated,
            Exit::HungUp,
        ] {
            assert!(TABLE.contains(&format!("\n  {} ", exit.status())), "{exit:?}");
        }
    }

    #[test]
    fn an_error_for_programs_has_a_cause_a_message_and_the_status() {
        let ended = Ended::new(Exit::Connect, "no route").with_cause("unreachable");
        let told = serde_json::json!({ "cause": "unreachable", "message": "no route", "exit": 3 });
        assert_eq!(ended.json()["error"], told);
    }
}
