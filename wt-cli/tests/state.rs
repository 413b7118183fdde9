//! `weft serve` that is killed and started again, as its clients see it.

mod serving;

use std::{fs, path::PathBuf, process::Command};

use serving::Server;

fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    directory
}

#[tokio::test]
async fn the_next_server_tells_clients_of_a_killed_one() {
    let directory = directory("state");
    let state = ["--state", directory.to_str().expect("text")];
    let mut server = Server::start("127.0.0.1:0", &state);
    let session = server.connect().await;
    server.child.kill().expect("it runs");
    server.child.wait().expect("it ends");
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
fn a_damaged_secret_is_reported_with_a_remedy() {
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
