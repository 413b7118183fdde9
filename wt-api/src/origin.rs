//! Origins as browsers write them (RFC 6454 §6.2): what is no origin is told instead of never being equal to one.
//!
//! Owns the check. Must never know which origins a server permits.

use url::Url;

/// A text that is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin:?} is no origin: {problem}")]
#[non_exhaustive]
pub struct InvalidOrigin {
    /// The text.
    pub origin: String,
    /// What is wrong with it, and what to write instead.
    pub problem: String,
}

/// Checks that a text is an origin as browsers send it: scheme, host, and port unless it is the scheme's own, in lower case and
/// with nothing behind them, or `null`.
///
/// ```
/// use wt_api::check_origin;
/// assert!(check_origin("https://example.org").is_ok());
/// let error = check_origin("https://example.org/").unwrap_err();
/// assert!(error.problem.contains("write https://example.org"));
/// ```
///
/// # Errors
/// What is wrong with it.
pub fn check_origin(text: &str) -> Result<(), InvalidOrigin> {
    problem(text).map_or(Ok(()), |problem| Err(InvalidOrigin { origin: text.to_owned(), problem }))
}

fn problem(text: &str) -> Option<String> {
    if text == "null" {
        return None;
    }
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Some("it has a line break, a space or another control character in it".to_owned());
    }
    if text.contains('*') {
        return Some("there are no wildcards: name each origin, or permit them all".to_owned());
    }
    let shape = "write scheme, host and port as browsers do, for example https://example.org";
    let Some(url) = Url::parse(text).ok().filter(Url::has_host) else {
        return Some(format!("it is no URL; {shape}"));
    };
    let origin = url.origin();
    // Pages of applications and extensions have schemes of their own, whose origins are texts to everybody else.
    let written = if origin.is_tuple() {
        origin.ascii_serialization()
    } else {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
    };
    (written != text).then(|| format!("an origin is scheme, host and port alone; write {written}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_send_is_an_origin() {
        for text in [
            "https://example.org",
            "http://localhost:8080",
            "https://[::1]:4433",
            "https://xn--bcher-kva.example",
            "chrome-extension://abcdefghijklmnop",
            "tauri://localhost",
            "null",
        ] {
            assert_eq!(check_origin(text), Ok(()));
        }
    }

    #[test]
    fn what_is_no_origin_is_told_with_what_to_write() {
        for (text, words) in [
            ("https://example.org/", "write https://example.org"),
            ("https://example.org/app?x", "write https://example.org"),
            ("https://Example.org:443", "write https://example.org"),
            ("https://user@example.org", "write https://example.org"),
            ("https://bücher.example", "write https://xn--bcher-kva.example"),
            ("https://a.example\r\nx: y", "line break"),
            ("https://a.example ", "space"),
            ("example.org", "no URL"),
            ("localhost:8080", "no URL"),
            ("*", "no wildcards"),
            ("https://*.example.org", "no wildcards"),
            ("", "no URL"),
        ] {
            let error = check_origin(text).expect_err(text);
            assert!(error.problem.contains(words), "{error}");
            assert!(!error.to_string().contains(['\r', '\n']), "{error}");
        }
    }
}
