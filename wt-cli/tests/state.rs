//! `weft serve` that is killed and started again, as its clients see it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use wt_api::{CertificateHash, WebTransport, WebTransportOptions};

/// A server on an address; killed when dropped.
struct Server {
    child: Child,
    address: String,
    hash: CertificateHash,
}

impl Server {
    fn start(listen: &str, extra: &[&str]) -> Self {
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

    async fn connect(&self) -> WebTransport {
        let options = WebTransportOptions::new().server_certificate_hashes([self.hash]);
        let session = WebTransport::new(&format!("https://{}/echo", self.address), options).expect("a URL");
        session.ready().await.expect("a session");
        session
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    directory
}

#[tokio::test]
async fn clients_of_a_killed_server_hear_of_it_from_the_next_one() {
    let directory = directory("state");
    let state = ["--state", directory.to_str().expect("text")];
    let mut server = Server::start("127.0.0.1:0", &state);
    let session = server.connect().await;
    server.kill();
    let _next = Server::start(&server.address, &state);
    session.datagrams().writable.send("still there?".into()).await.expect("sent");
    let error = session.closed().await.expect_err("the server was killed");
    assert!(error.to_string().contains("reset"), "{error}");
    let secret = directory.join("server.secret");
    assert_eq!(fs::metadata(&secret).expect("kept").len(), 32);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&secret).expect("kept").permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_damaged_secret_is_told_with_what_helps() {
    let directory = directory("damaged");
    fs::create_dir_all(&directory).expect("made");
    fs::write(directory.join("server.secret"), b"short").expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
    let state = ["serve", "--listen", "127.0.0.1:0", "--state", directory.to_str().expect("text")];
    let output = command.args(state).output().expect("weft ends");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("5 bytes") && text.contains("remove the file"), "{text}");
}
