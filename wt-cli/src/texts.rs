//! The command line's texts for errors of the library. The library's remedies name methods; these name
//! options.

use std::{io, net::SocketAddr, sync::Arc};

use wt_api::{CertificateError, ConnectOptionsError, DatagramError, ErrorCause};

use crate::{
    args::{Asking, CONNECT_TIMEOUT, Connect},
    output::printable,
};

/// Why a server's certificate was not accepted.
pub(crate) fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::HashMismatch { actual } => format!(
            "the server's certificate has SHA-256 {actual}, which no --cert-hash has; copy the server's current hash"
        ),
        CertificateError::UnknownIssuer => {
            "the issuer of the server's certificate is not trusted; give its CA with --ca, or the certificate's hash with --cert-hash"
                .to_owned()
        }
        CertificateError::IsAuthority => {
            "the server shows the certificate of a CA (CA:TRUE, as `openssl req -x509` makes by default); show one that this CA issued, make it with -addext basicConstraints=critical,CA:FALSE, or accept it with --cert-hash"
                .to_owned()
        }
        error => error.to_string(),
    }
}

/// Why this host cannot send to an address, and what to change. Uses the library's words where there are no
/// better ones.
pub(crate) fn unreachable(remote: SocketAddr, error: &Arc<io::Error>) -> (String, String) {
    let told = ErrorCause::Unreachable { remote, error: Arc::clone(error) }.to_string();
    // The system's part may have any form, so the last separator counts: the remedy comes last.
    let (fact, remedy) = told.rsplit_once("; ").unwrap_or((&told, "check this host's network"));
    let remedy = match error.kind() {
        io::ErrorKind::AddrNotAvailable if remote.is_ipv6() => {
            "this host has no IPv6 address to send from: switch IPv6 on, and see that the MTU of its link is 1280 bytes or more, without which it has none (`ip -6 address` and `ip link` show both); or use an IPv4 address"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this host has no IPv4 address to send from: see that its network is up and has one (`ip address` shows it); or use an IPv6 address"
        }
        _ => remedy,
    };
    (fact.to_owned(), remedy.to_owned())
}

/// Why there is no session, or none any more.
pub(crate) fn session(cause: &ErrorCause) -> String {
    // The cause may contain texts of the peer.
    printable(&match cause {
        ErrorCause::Certificate(error) => certificate(error),
        ErrorCause::Status { status: status @ (401 | 407) } => format!(
            "the server answered with status {status}: credentials are missing; give them with --header 'authorization: ...'"
        ),
        ErrorCause::Status { status: 403 } => {
            "the server answered with status 403: it does not permit this origin or client; permit the origin there (weft serve --origin), or give one that is permitted with --origin".to_owned()
        }
        ErrorCause::Unreachable { remote, error } => {
            let (fact, remedy) = unreachable(*remote, error);
            format!("{fact}; {remedy}")
        }
        _ => cause.to_string(),
    })
}

/// The cause for programs, as a word.
pub(crate) const fn word(cause: &ErrorCause) -> &'static str {
    match cause {
        ErrorCause::Options(_) => "usage",
        ErrorCause::NameResolution { .. } => "name",
        ErrorCause::ConnectionRefused { .. } => "port-closed",
        ErrorCause::ServerBusy { .. } => "server-busy",
        ErrorCause::Unreachable { .. } => "unreachable",
        ErrorCause::Socket(_) => "socket",
        ErrorCause::Timeout { .. } => "timeout",
        ErrorCause::NoHttp3 { .. } => "no-http3",
        ErrorCause::Certificate(_) => "certificate",
        ErrorCause::Tls { .. } => "tls",
        ErrorCause::Refused(_) => "refused",
        ErrorCause::Status { .. } => "status",
        ErrorCause::Connection(_) | ErrorCause::Http3(_) => "connection",
        ErrorCause::StreamReset(_) => "stream-reset",
        ErrorCause::StreamStopped(_) => "stream-stopped",
        _ => "session",
    }
}

/// What is wrong with a URL that cannot be used, and what to write instead. `message` is the library's error.
pub(crate) fn url(url: &str, message: &str) -> (String, String) {
    let (what, remedy) = match url::Url::parse(url) {
        Err(url::ParseError::InvalidPort) => ("its port is invalid", A_PORT),
        Ok(parsed) if parsed.port() == Some(0) => ("its port is invalid", A_PORT),
        _ => message.rsplit_once("; ").unwrap_or((message, "write it as https://HOST:PORT/PATH")),
    };
    (format!("{url:?} is not the URL of a session: {what}"), remedy.to_owned())
}

const A_PORT: &str = "write the server's UDP port, a number from 1 to 65535";

/// Why the options could not be used.
pub(crate) fn options(error: &ConnectOptionsError, args: &Asking) -> String {
    match (error, &args.ca) {
        (ConnectOptionsError::InvalidUrl { url: text, message }, _) => {
            let (fact, remedy) = url(text, message);
            format!("{fact}; {remedy}")
        }
        (ConnectOptionsError::TrustedCertificate { position, problem }, Some(ca)) => {
            format!("certificate {position} of --ca {} cannot be used: {problem}", ca.display())
        }
        (ConnectOptionsError::InvalidOrigin(error), _) => format!("--origin: {error}"),
        (ConnectOptionsError::SystemTrust(problem), _) => format!(
            "the CAs that this system trusts cannot be used: {problem}; install them (often a package ca-certificates), or say whom to trust with --ca or --cert-hash"
        ),
        (ConnectOptionsError::InvalidProtocol { protocol, problem }, _) => {
            format!("--protocol: {protocol:?} cannot be offered: {problem}")
        }
        _ => error.to_string(),
    }
}

/// Why a line was not sent as a datagram.
pub(crate) fn datagram(error: &DatagramError) -> String {
    match error {
        DatagramError::TooLarge { max: 0, .. } => "the server takes no datagrams; use --lines".to_owned(),
        DatagramError::TooLarge { size, max } => format!(
            "it has {size} bytes, and at most {max} fit in a datagram on this path; make it shorter, or use --lines, a stream for each line"
        ),
        error => error.to_string(),
    }
}

/// How many datagrams arrived and were not written.
pub(crate) fn dropped(count: u64) -> String {
    let datagrams = if count == 1 { "1 datagram was".to_owned() } else { format!("{count} datagrams were") };
    format!("weft: {datagrams} dropped: they came faster than standard output took them\n")
}

/// Why a URL with a user name or password is refused: they would not be sent.
pub(crate) fn credentials(url: &str) -> Option<&'static str> {
    let url = url::Url::parse(url).ok()?;
    let has_some = !url.username().is_empty() || url.password().is_some();
    has_some.then_some(
        "a user name or a password in the URL is not sent: leave it out, and give --header 'authorization: Basic ...' (base64 of NAME:PASSWORD) or what else the server wants",
    )
}

/// The command that explains more, with the options that were given.
pub(crate) fn more_about(args: &Connect) -> String {
    let Connect { asking, timeout, .. } = args;
    let mut words = vec!["weft doctor".to_owned(), quoted(&asking.url)];
    let mut add = |option: &str, value: &str| words.extend([option.to_owned(), quoted(value)]);
    asking.cert_hash.iter().for_each(|hash| add("--cert-hash", hash));
    asking.ca.iter().for_each(|ca| add("--ca", &ca.display().to_string()));
    asking.origin.iter().for_each(|origin| add("--origin", origin));
    asking.protocol.iter().for_each(|protocol| add("--protocol", protocol));
    asking.header.iter().for_each(|field| add("--header", &field.shown()));
    if (timeout - CONNECT_TIMEOUT).abs() > f64::EPSILON {
        add("--timeout", &timeout.to_string());
    }
    format!("more about it: {}", words.join(" "))
}

/// A word, quoted for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn connect(words: &[&str]) -> Connect {
        let words = [&["weft", "connect"], words].concat();
        match Cli::try_parse_from(words).expect("a command line").command {
            Command::Connect(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_that_explains_more_repeats_the_options() {
        for (words, told) in [
            (&["https://a/?b=c&d"][..], "weft doctor 'https://a/?b=c&d'"),
            (
                &["https://a/", "--cert-hash", "00", "--cert-hash", "11"],
                "weft doctor https://a/ --cert-hash 00 --cert-hash 11",
            ),
            (&["https://a/", "--ca", "my ca's.pem"], r"weft doctor https://a/ --ca 'my ca'\''s.pem'"),
            (
                &["https://a/", "--origin", "https://b", "--protocol", "c", "--timeout", "60", "--uni"],
                "weft doctor https://a/ --origin https://b --protocol c --timeout 60",
            ),
            (
                &["https://a/", "--header", "x-a: b", "--header", "Cookie: secret"],
                "weft doctor https://a/ --header 'x-a: b' --header 'cookie: ...'",
            ),
        ] {
            assert_eq!(more_about(&connect(words)), format!("more about it: {told}"));
        }
    }

    #[test]
    fn each_send_error_has_its_own_remedy() {
        use io::ErrorKind::{
            AddrNotAvailable, HostUnreachable, InvalidInput, NetworkUnreachable, PermissionDenied,
        };
        let (v4, v6): (SocketAddr, SocketAddr) =
            ("192.0.2.1:443".parse().unwrap(), "[2001:db8::1]:443".parse().unwrap());
        for (remote, kind, told) in [
            (v4, PermissionDenied, "a firewall or another policy of this host"),
            (v6, PermissionDenied, "a firewall or another policy of this host"),
            (v4, NetworkUnreachable, "has a route to the address"),
            (v6, HostUnreachable, "has a route to the address"),
            (v4, HostUnreachable, "a firewall on the way forbids it"),
            (v6, AddrNotAvailable, "the MTU of its link is 1280 bytes or more"),
            (v4, AddrNotAvailable, "no IPv4 address to send from"),
            (v4, InvalidInput, "carry UDP datagrams of 1200 bytes"),
        ] {
            let error = Arc::new(io::Error::new(kind, "so; it says"));
            let (fact, remedy) = unreachable(remote, &error);
            assert_eq!(fact, format!("{remote} cannot be reached from here: so; it says"));
            assert!(remedy.contains(told), "{kind:?}: {remedy}");
            // A session that fails because of it says the same.
            let cause = ErrorCause::Unreachable { remote, error };
            assert_eq!(session(&cause), format!("{fact}; {remedy}"));
        }
    }

    #[test]
    fn remedies_name_options_and_no_methods() {
        for error in [
            CertificateError::HashMismatch { actual: "00".to_owned() },
            CertificateError::UnknownIssuer,
            CertificateError::IsAuthority,
            CertificateError::Expired,
            CertificateError::RsaKey,
        ] {
            let told = certificate(&error);
            assert!(!told.contains('_'), "{told}");
        }
        let error = ConnectOptionsError::TrustedCertificate { position: 1, problem: "broken".to_owned() };
        let told = options(&error, &connect(&["https://a/", "--ca", "ca.pem"]).asking);
        assert_eq!(told, "certificate 1 of --ca ca.pem cannot be used: broken");
    }
}
