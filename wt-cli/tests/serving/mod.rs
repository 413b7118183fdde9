//! `weft serve` as a process, and sessions with it.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use wt_api::{CertificateHash, WebTransport, WebTransportOptions};

/// A server on an address. Dropping it kills it.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    hash: CertificateHash,
}

impl Server {
    pub(crate) fn start(listen: &str, extra: &[&str]) -> Self {
        let arguments = [&["serve", "--json", "--listen", listen], extra].concat();
        let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
        command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1").stdout(Stdio::piped());
        let mut child = command.spawn().expect("weft starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        let announced: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let address = announced["listening"][0].as_str().expect("an address").to_owned();
        let hash = announced["certificateHash"].as_str().expect("a hash").parse().expect("a hash");
        Self { child, address, hash }
    }

    pub(crate) async fn connect(&self) -> WebTransport {
        let options = WebTransportOptions::new().server_certificate_hashes([self.hash]);
        let session = WebTransport::new(&format!("https://{}/echo", self.address), options).expect("a URL");
        session.ready().await.expect("a session");
        session
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
