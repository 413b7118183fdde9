//! A server with self-signed identities that it renews itself, over weeks of virtual time.

mod virtual_common;

use std::{collections::VecDeque, sync::Arc};

use virtual_common::{connect, echo_all, seconds};
use wt_api::{
    CertificateError, CertificateHash, ErrorCause, Identity, SelfSigned, Server, WebTransportOptions,
    testing::{Host, Network},
};

const DAY: u64 = 86_400;

fn options(hashes: &[CertificateHash]) -> WebTransportOptions {
    WebTransportOptions::new().server_certificate_hashes(hashes.iter().copied())
}

fn start(network: &Network) -> (Host, Host, Arc<Server>) {
    network.set_limit(seconds(40 * DAY));
    let (server_host, client) = (network.host("server"), network.host("client"));
    let server = server_host.enter(|| {
        let identities = SelfSigned::new(["server"]).unwrap();
        Server::builder().renew_self_signed(identities).build().unwrap()
    });
    (server_host, client, Arc::new(server))
}

#[test]
fn a_page_that_knows_both_hashes_connects_for_six_days_more_at_any_time() {
    let network = Network::new(3);
    let (server_host, client, server) = start(&network);
    drop(server_host.spawn(echo_all(server_host.clone(), Arc::clone(&server))));
    client.run(async {
        // The hashes that pages got in the last six days, the oldest first.
        let mut told = VecDeque::from([server.certificate_hashes()]);
        let first = told[0].clone();
        let mut shown = Vec::new();
        for _ in 0..40 {
            network.sleep(seconds(DAY / 2)).await;
            let now = server.certificate_hashes();
            assert_eq!((now.len(), Some(now[0])), (2, server.certificate_hash()));
            shown.push(now[0]);
            // The client judges the validity and its length by its calendar, which is the virtual one.
            drop(connect("server", options(&now[..1])).await.unwrap());
            if told.len() == 12 {
                drop(connect("server", options(&told.pop_front().unwrap())).await.unwrap());
            }
            told.push_back(now);
        }
        shown.dedup();
        assert_eq!(shown.len(), 4, "20 days have four turns of six");
        assert_eq!(shown[..2], first[..]);
        let error = connect("server", options(&first)).await.unwrap_err();
        let unknown = |cause: &ErrorCause| {
            matches!(cause, ErrorCause::Certificate(CertificateError::HashMismatch { .. }))
        };
        assert!(unknown(error.cause()), "{error}");
    });
}

#[test]
fn an_identity_set_by_the_application_ends_the_renewal() {
    let network = Network::new(4);
    let (server_host, _, server) = start(&network);
    let own = server_host.enter(|| Identity::self_signed(["server"])).unwrap();
    network.run(network.sleep(seconds(DAY)));
    server.set_identity(own.clone()).unwrap();
    network.run(network.sleep(seconds(20 * DAY)));
    assert_eq!(server.certificate_hashes(), [own.certificate_hash()]);
}

#[test]
fn the_task_ends_with_the_server() {
    let network = Network::new(5);
    let (_server_host, _, server) = start(&network);
    drop(server);
    network.run(network.sleep(seconds(DAY)));
    // If the task were still alive, it would be a pending event, up to the limit.
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        network.run(std::future::pending::<()>());
    }));
    let told = ended.unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(told.starts_with("nothing is left to happen"), "{told}");
}
