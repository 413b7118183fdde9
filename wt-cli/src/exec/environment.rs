//! The environment variables that describe a process's stream, with names of CGI (RFC 3875 §4.1) where CGI
//! has one.

use tokio::process::Command;
use wt_api::Request;

/// The names that are set or removed for a process. The server's own environment must not be mistaken for a
/// client's values.
pub(crate) const NAMES: [&str; 9] = [
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "PATH_INFO",
    "QUERY_STRING",
    "HTTP_HOST",
    "HTTP_ORIGIN",
    "SERVER_PROTOCOL",
    "WEBTRANSPORT_PROTOCOL",
    "WEBTRANSPORT_STREAM",
];

/// The part that all streams of a session share.
#[derive(Debug, Default)]
pub(crate) struct Environment(Vec<(&'static str, String)>);

impl Environment {
    /// The environment for a session of this request, with the negotiated application protocol.
    pub(crate) fn of(request: &Request, protocol: Option<&str>) -> Self {
        let remote = request.remote_address();
        let mut all = vec![
            ("REMOTE_ADDR", remote.ip().to_string()),
            ("REMOTE_PORT", remote.port().to_string()),
            ("PATH_INFO", request.path().to_owned()),
            ("QUERY_STRING", request.query().unwrap_or_default().to_owned()),
            ("HTTP_HOST", request.authority().to_owned()),
            ("SERVER_PROTOCOL", "HTTP/3".to_owned()),
        ];
        all.extend(request.origin().map(|origin| ("HTTP_ORIGIN", origin.to_owned())));
        all.extend(protocol.map(|protocol| ("WEBTRANSPORT_PROTOCOL", protocol.to_owned())));
        Self(all)
    }

    /// Whether a page has the session. Programs send no origin unless they want one.
    pub(super) fn is_of_a_page(&self) -> bool {
        self.0.iter().any(|(name, _)| *name == "HTTP_ORIGIN")
    }

    /// Sets the environment of a process that serves this stream.
    pub(super) fn apply(&self, command: &mut Command, stream: u64) {
        for name in NAMES {
            command.env_remove(name);
        }
        command.envs(self.0.iter().map(|(name, value)| (name, value)));
        command.env("WEBTRANSPORT_STREAM", stream.to_string());
    }
}
