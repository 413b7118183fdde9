//! The command line of the examples: a URL, and optionally the hash of the server's certificate.

use std::error::Error;

use wt_api::{CertificateHash, WebTransportOptions};

/// Parses the command line. Without arguments the example connects to the echo service of a local server.
pub(crate) fn parse() -> Result<(String, WebTransportOptions), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "https://localhost:4433/echo".to_owned());
    let mut options = WebTransportOptions::new();
    if let Some(hash) = arguments.next() {
        options = options.server_certificate_hashes([hash.parse::<CertificateHash>()?]);
    }
    Ok((url, options))
}
