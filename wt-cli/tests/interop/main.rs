//! `weft-interop` as the interop runner starts it: both roles as processes, and files compared byte by byte.

mod aioquic;
mod proxy;
mod quic;
mod run;
mod webtransport;

use run::{Role, Run};

#[test]
fn unsupported_cases_are_reported() {
    let run = Run::new("unsupported");
    for case in ["connectionmigration", "rebind-port", "rebind-addr", "versionnegotiation", "x", ""] {
        for role in [Role::Client, Role::Server] {
            assert_eq!(run.ends(role, case, "https://127.0.0.1:1/a", "").code, Some(127), "{case}");
        }
    }
    // Several sessions, which would have to share a connection.
}

#[test]
fn a_missing_file_fails_the_client() {
    for (case, name) in [("transfer", "hq"), ("http3", "h3")] {
        let run = Run::new(&format!("missing-{name}"));
        let server = run.server(case, "", "");
        let url = format!("https://127.0.0.1:{}/nowhere", server.port);
        let ended = run.ends(Role::Client, case, &url, "");
        assert_eq!(ended.code, Some(1), "{}", ended.output);
        assert!(ended.output.contains("/nowhere"), "{}", ended.output);
    }
}

#[test]
fn an_unknown_role_is_an_error() {
    let run = Run::new("role");
    let mut command = run.command(Role::Client, "transfer", "", "");
    let ended = run::finish(command.env("ROLE", "proxy"));
    assert_eq!(ended.code, Some(1));
    assert!(ended.output.contains("ROLE"), "{}", ended.output);
}
