//! The URL, parsed as in the W3C constructor.

use http::uri::{Authority, PathAndQuery};
use url::{Host, Url};

use super::step::Step;
use crate::texts;

pub(super) const NAME: &str = "URL";

/// Where the session goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The name or address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) authority: Authority,
    pub(super) path: PathAndQuery,
}

/// The target and its step, or the step that says what is wrong.
pub(super) fn parse(text: &str) -> Result<(Target, Step), Step> {
    let failed = |fact: String, remedy: &str| Step::failed(NAME, fact, remedy);
    let url = Url::parse(text)
        .map_err(|error| failed(format!("{text:?}: {error}"), "write it as https://HOST:PORT/PATH"))?;
    if url.scheme() != "https" {
        let fact = format!("the scheme is {}", url.scheme());
        return Err(failed(fact, "WebTransport exists for https alone: begin with https://"));
    }
    if let Some(remedy) = texts::credentials(text) {
        return Err(failed("there is a user name or a password in it".to_owned(), remedy));
    }
    if url.fragment().is_some() {
        return Err(failed("there is a fragment".to_owned(), "leave out what begins with #"));
    }
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err(failed("there is no host".to_owned(), "write it as https://HOST:PORT/PATH")),
    };
    let written = url.host_str().unwrap_or_default();
    let authority = url.port().map_or(written.to_owned(), |port| format!("{written}:{port}"));
    let path = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let (Ok(authority), Ok(path)) = (authority.parse(), path.parse()) else {
        return Err(failed(
            "host or path cannot be sent".to_owned(),
            "use printable ASCII, the rest escaped",
        ));
    };
    let target = Target { host, port: url.port().unwrap_or(443), authority, path };
    let fact = format!("host {}, UDP port {}, path {}", target.host, target.port, target.path);
    let step = Step::ok(NAME, fact);
    Ok((target, step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Verdict;

    #[test]
    fn what_is_no_url_for_sessions_is_told_with_its_remedy() {
        for (text, fact, remedy) in [
            ("example.org", "relative URL", "https://HOST"),
            ("http://example.org/", "scheme is http", "https"),
            ("https://example.org/#part", "fragment", "#"),
            ("https://", "empty host", "https://HOST"),
        ] {
            let step = parse(text).unwrap_err();
            assert_eq!(step.verdict, Verdict::Failed);
            assert!(step.fact.contains(fact) && step.remedy.as_ref().unwrap().contains(remedy), "{step:?}");
        }
    }

    #[test]
    fn a_url_is_taken_apart() {
        let (target, step) = parse("https://[::1]:4433/a?b").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 4433));
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("[::1]:4433", "/a?b"));
        assert_eq!(step.fact, "host ::1, UDP port 4433, path /a?b");
        assert_eq!(parse("https://example.org").unwrap().0.port, 443);
    }
}
