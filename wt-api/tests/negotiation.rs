//! What both ends negotiate besides the draft: application protocols and keying material.

mod common;

use common::{options, pair_with, request, server, url, within};
use wt_api::{AcceptOptions, ConnectOptionsError, ExportError, WebTransport};

#[tokio::test]
async fn the_server_chooses_among_the_protocols_offered() {
    let server = server();
    for (choice, agreed) in [
        (Some("v1"), Some("v1")),
        (Some("with \"quotes\""), Some("with \"quotes\"")),
        (None, None),
        (Some("v3"), None),
    ] {
        let offer = ["v2", "v1", "with \"quotes\""];
        let client = WebTransport::new(&url(&server, "/"), options(&server).protocols(offer)).unwrap();
        assert_eq!(client.protocol(), None);
        let asked = request(&server).await;
        assert_eq!(asked.protocols(), offer);
        let answer = AcceptOptions::new();
        let answer = if let Some(choice) = choice { answer.protocol(choice) } else { answer };
        let accepted = asked.accept(answer).await.unwrap();
        within(client.ready()).await.unwrap();
        assert_eq!(client.protocol().as_deref(), agreed);
        assert_eq!(accepted.protocol().as_deref(), agreed);
    }
}

#[tokio::test]
async fn a_client_may_require_a_protocol() {
    let server = server();
    let required = || options(&server).require_protocol(true);
    for (offer, choice, made) in
        [(vec!["v2", "v1"], Some("v1"), true), (vec!["v2"], None, false), (vec![], None, true)]
    {
        let client = WebTransport::new(&url(&server, "/"), required().protocols(offer)).unwrap();
        let answer = choice.map_or(AcceptOptions::new(), |choice| AcceptOptions::new().protocol(choice));
        let accepted = request(&server).await.accept(answer).await.unwrap();
        match within(client.ready()).await {
            Ok(()) => assert!(made),
            Err(error) => {
                assert!(
                    !made && error.cause().to_string().contains("requires one"),
                    "{error}: {:?}",
                    error.cause()
                );
                assert!(within(accepted.closed()).await.is_err());
            }
        }
    }
}

#[tokio::test]
async fn protocols_that_cannot_be_offered_are_named() {
    let server = server();
    let long = "x".repeat(513);
    for (offer, named) in [
        (vec!["a", "b", "a"], "a"),
        (vec![""], ""),
        (vec![long.as_str()], &long),
        (vec!["caf\u{e9}"], "caf\u{e9}"),
    ] {
        let error = WebTransport::new(&url(&server, "/"), options(&server).protocols(offer)).unwrap_err();
        let ConnectOptionsError::InvalidProtocol { protocol, .. } = error else { panic!("{error}") };
        assert_eq!(protocol, named);
    }
    let longest = "x".repeat(512);
    assert!(WebTransport::new(&url(&server, "/"), options(&server).protocols([longest])).is_ok());
}

#[tokio::test]
async fn both_ends_derive_the_same_keying_material() {
    let server = server();
    let (client, accepted) = pair_with(&server, options(&server)).await;
    let mut seen = Vec::new();
    for (label, context) in [(&b"label"[..], &b"context"[..]), (b"label", b""), (b"", b"context"), (b"", b"")]
    {
        let (mut ours, mut theirs) = ([0; 48], [0; 48]);
        within(client.export_keying_material(label, context, &mut ours)).await.unwrap();
        within(accepted.export_keying_material(label, context, &mut theirs)).await.unwrap();
        assert_eq!(ours, theirs);
        assert!(!seen.contains(&ours), "each label and context has its own");
        seen.push(ours);
    }
    // Another session has other material.
    let (other, _accepted) = pair_with(&server, options(&server)).await;
    let mut material = [0; 48];
    within(other.export_keying_material(b"label", b"context", &mut material)).await.unwrap();
    assert!(!seen.contains(&material));
}

#[tokio::test]
async fn ranges_of_the_exporter() {
    let server = server();
    let (client, _accepted) = pair_with(&server, options(&server)).await;
    let mut out = vec![0; 4097];
    within(client.export_keying_material(&[7; 255], &[8; 255], &mut out[..4096])).await.unwrap();
    assert!(out[..4096].iter().any(|byte| *byte != 0));
    let refused = within(client.export_keying_material(&[7; 256], b"", &mut out[..1])).await;
    assert!(matches!(refused, Err(ExportError::LabelTooLong { size: 256 })));
    let refused = within(client.export_keying_material(b"", &[8; 256], &mut out[..1])).await;
    assert!(matches!(refused, Err(ExportError::ContextTooLong { size: 256 })));
    for size in [0, 4097] {
        let refused = within(client.export_keying_material(b"", b"", &mut out[..size])).await;
        assert!(matches!(refused, Err(ExportError::OutputSize { size: told }) if told == size));
    }
    client.close(wt_api::CloseInfo::default());
    let refused = within(client.export_keying_material(b"", b"", &mut out[..1])).await;
    assert!(matches!(refused, Err(ExportError::Session(_))));
}
