//! What the runner tells an endpoint.

use std::path::PathBuf;

use crate::tell::Failure;

/// Which end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// The environment variables. rustls reads `SSLKEYLOGFILE`.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// `ROLE`.
    pub(crate) role: Role,
    /// `TESTCASE`.
    pub(crate) case: String,
    /// `REQUESTS`: a client's URLs, a server's paths.
    pub(crate) requests: Vec<String>,
    /// `PROTOCOLS`: what to negotiate in a WebTransport session. The runner sets it for WebTransport alone.
    pub(crate) protocols: Vec<String>,
    /// `WWW`, else `/www`: files to send.
    pub(crate) www: PathBuf,
    /// `DOWNLOADS`, else `/downloads`: where received files go.
    pub(crate) downloads: PathBuf,
    /// `CERTS`, else `/certs`: the server's `cert.pem` and `priv.key`.
    pub(crate) certs: PathBuf,
    /// `QLOGDIR`: where the qlog files of connections go, if anywhere.
    pub(crate) qlog: Option<PathBuf>,
    /// `PORT`, else 443: where a server listens, for tests.
    pub(crate) port: u16,
}

impl Environment {
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let role = match get("ROLE").as_deref() {
            Some("client") => Role::Client,
            Some("server") => Role::Server,
            other => return Err(format!("ROLE has to be client or server, not {other:?}")),
        };
        let words = |name: &str| -> Vec<String> {
            let text = get(name).unwrap_or_default();
            // Some shells keep the quotes of the runner's command.
            text.trim_matches('"').split_whitespace().map(str::to_owned).collect()
        };
        let folder =
            |name: &str, default: &str| PathBuf::from(get(name).unwrap_or_else(|| default.to_owned()));
        let port = match get("PORT") {
            Some(port) => port.parse().map_err(|_| format!("PORT is not a port number: {port}"))?,
            None => 443,
        };
        Ok(Self {
            role,
            case: get("TESTCASE").unwrap_or_default(),
            requests: words("REQUESTS"),
            protocols: words("PROTOCOLS"),
            www: folder("WWW", "/www"),
            downloads: folder("DOWNLOADS", "/downloads"),
            certs: folder("CERTS", "/certs"),
            qlog: get("QLOGDIR").filter(|path| !path.is_empty()).map(PathBuf::from),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, Failure> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
        Environment::read(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn unset_variables_have_the_runners_defaults() {
        let environment = read(&[("ROLE", "server"), ("TESTCASE", "transfer")]).unwrap();
        assert_eq!((environment.role, environment.port), (Role::Server, 443));
        assert_eq!(environment.www, PathBuf::from("/www"));
        assert_eq!(environment.downloads, PathBuf::from("/downloads"));
        assert_eq!(environment.certs, PathBuf::from("/certs"));
        assert!(environment.requests.is_empty() && environment.protocols.is_empty());
        assert_eq!(environment.qlog, None);
        let variables = [("ROLE", "client"), ("QLOGDIR", "/logs/qlog/")];
        assert_eq!(read(&variables).unwrap().qlog, Some(PathBuf::from("/logs/qlog/")));
    }

    #[test]
    fn lists_are_words() {
        let requests = "https://server/a  https://server/b";
        let environment =
            read(&[("ROLE", "client"), ("REQUESTS", requests), ("PROTOCOLS", "\"x y\"")]).unwrap();
        assert_eq!(environment.requests, ["https://server/a", "https://server/b"]);
        assert_eq!(environment.protocols, ["x", "y"]);
    }

    #[test]
    fn a_role_is_required() {
        assert!(read(&[("ROLE", "proxy")]).is_err());
        assert!(read(&[]).is_err());
        assert!(read(&[("ROLE", "server"), ("PORT", "70000")]).is_err());
    }
}
