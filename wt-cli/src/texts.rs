//! What errors of the library say on a command line: the library's remedies name methods, these name options.

use wt_api::{CertificateError, ConnectOptionsError, ErrorCause, WebTransportError};

use crate::args::Connect;

/// Why a server's certificate was not accepted.
pub(crate) fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::HashMismatch { actual } => format!(
            "the server's certificate has SHA-256 {actual}, which is none that --cert-hash gave; copy the server's current hash"
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

/// Why there is no session, or none any more.
pub(crate) fn session(error: &WebTransportError) -> String {
    match error.cause() {
        ErrorCause::Certificate(error) => certificate(error),
        _ => error.to_string(),
    }
}

/// Why it was not even tried.
pub(crate) fn options(error: &ConnectOptionsError, args: &Connect) -> String {
    match (error, &args.ca) {
        (ConnectOptionsError::TrustedCertificate { position, problem }, Some(ca)) => {
            format!("certificate {position} of --ca {} cannot be used: {problem}", ca.display())
        }
        _ => error.to_string(),
    }
}

/// The command that explains more, with the options that were given.
pub(crate) fn more_about(args: &Connect) -> String {
    let hashes = args.cert_hash.iter().flat_map(|hash| ["--cert-hash".to_owned(), quoted(hash)]);
    let ca = args.ca.iter().flat_map(|ca| ["--ca".to_owned(), quoted(&ca.display().to_string())]);
    let words = ["weft doctor".to_owned(), quoted(&args.url)].into_iter().chain(hashes).chain(ca);
    format!("more about it: {}", words.collect::<Vec<_>>().join(" "))
}

/// A word as shells take it.
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
        ] {
            assert_eq!(more_about(&connect(words)), format!("more about it: {told}"));
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
        let told = options(&error, &connect(&["https://a/", "--ca", "ca.pem"]));
        assert_eq!(told, "certificate 1 of --ca ca.pem cannot be used: broken");
    }
}
