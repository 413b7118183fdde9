//! Origins as browsers write them (RFC 6454 §6.2). An invalid one is an error, because it would never equal a
//! browser's origin.
//!
//! Owns the check. It must never know which origins a server permits.

use url::Url;

/// The error for a text that is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin:?} is no origin: {problem}")]
#[non_exhaustive]
pub struct InvalidOrigin {
    /// The text.
    pub origin: String,
    /// What is wrong with it, and what to write instead.
    pub problem: String,
}

/// Checks that a text is an origin as browsers send it. It consists of scheme and host, and of the port
/// unless that is the scheme's default, in lower case and without anything after them. `null` is an origin
/// too.
///
/// ```
/// use wt_api::check_origin;
/// assert!(check_origin("https://example.org").is_ok());
/// let error = check_origin("https://example.org/").unwrap_err();
/// assert!(error.problem.contains("write https://example.org"));
/// ```
///
/// # Errors
/// What is wrong with the text.
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
    // Applications and browser extensions use their own schemes for pages. Such an origin is compared as
    // text.
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
    fn invalid_origins_are_reported_with_a_correction() {
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
