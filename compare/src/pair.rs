//! One session with our library at one end and another at the other.

use std::any::Any;

use http::StatusCode;
use wt_api::{
    AcceptOptions, ErrorCause, Identity, Request, Server, WebTransport, WebTransportError,
    WebTransportOptions,
};

use crate::{
    peer::{FORBIDDEN, Listener as _, PROTOCOL, Peer, Refused, SESSION},
    wait::within,
};

/// Which side connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Our client, to their server.
    OurClient,
    /// Their client, to our server.
    OurServer,
}

/// Both ends of a session.
pub struct Pair<P: Peer> {
    /// Our end.
    pub ours: WebTransport,
    /// The other end.
    pub theirs: P::Session,
    /// Something that must live as long as the session: a server.
    _server: Box<dyn Any + Send>,
}

/// The protocols that clients offer.
pub const OFFER: [&str; 2] = ["alpha", PROTOCOL];

fn identity() -> Identity {
    Identity::self_signed(["localhost", "127.0.0.1"]).expect("a certificate")
}

fn our_server() -> Server {
    let server = Server::builder().identity(identity()).listen(([127, 0, 0, 1], 0).into()).allow_any_origin();
    server.build().expect("a server")
}

/// Responds as the peers' listeners do.
async fn answer(request: Request) -> Option<WebTransport> {
    match request.path() {
        SESSION => {
            let offered = request.protocols().iter().any(|protocol| protocol == PROTOCOL);
            let options = AcceptOptions::new();
            let options = if offered { options.protocol(PROTOCOL) } else { options };
            return Some(request.accept(options).await.expect("the client waits"));
        }
        FORBIDDEN => request.reject(StatusCode::FORBIDDEN).await,
        _ => request.reject(StatusCode::NOT_FOUND).await,
    }
    None
}

/// The session of our client with the server on `port`.
///
/// # Errors
/// Why there is no session.
///
/// # Panics
/// If it takes too long.
pub async fn connect(
    port: u16,
    path: &str,
    identity: &Identity,
    protocols: &[&str],
) -> Result<WebTransport, WebTransportError> {
    let options = WebTransportOptions::new()
        .server_certificate_hashes([identity.certificate_hash()])
        .protocols(protocols.iter().copied());
    let session =
        WebTransport::new(&format!("https://127.0.0.1:{port}{path}"), options).expect("a valid URL");
    within("answer to our client", session.ready()).await?;
    Ok(session)
}

/// Establishes a session.
///
/// # Panics
/// If it fails.
pub async fn pair<P: Peer>(role: Role) -> Pair<P> {
    match role {
        Role::OurClient => {
            let identity = identity();
            let mut listener = P::listen(&identity).await;
            let (ours, theirs) = tokio::join!(
                connect(listener.port(), SESSION, &identity, &OFFER),
                within("request at their server", listener.answer())
            );
            let (ours, theirs) = (ours.expect("a session"), theirs.expect("a session"));
            Pair { ours, theirs, _server: Box::new(listener) }
        }
        Role::OurServer => {
            let server = our_server();
            let hash = server.certificate_hash().expect("one certificate");
            let url = format!("https://127.0.0.1:{}{SESSION}", server.local_addresses()[0].port());
            let accepted = async { answer(server.accept().await.expect("a request")).await };
            let (ours, theirs) = tokio::join!(
                within("request at our server", accepted),
                within("answer to their client", P::connect(&url, hash, &OFFER))
            );
            let (ours, theirs) = (ours.expect("accepted"), theirs.expect("a session"));
            Pair { ours, theirs, _server: Box::new(server) }
        }
    }
}

/// The error of our client at a path at which their server refuses.
///
/// # Panics
/// If there is a session.
pub async fn refused_by_theirs<P: Peer>(path: &str) -> ErrorCause {
    let identity = identity();
    let mut listener = P::listen(&identity).await;
    let (ours, theirs) = tokio::join!(
        connect(listener.port(), path, &identity, &[]),
        within("request at their server", listener.answer())
    );
    assert!(theirs.is_none(), "their server refuses {path}");
    ours.expect_err("no session").cause().clone()
}

/// The error of their client at a path at which our server refuses.
///
/// # Panics
/// If there is a session.
pub async fn refused_by_ours<P: Peer>(path: &str) -> Refused {
    let server = our_server();
    let hash = server.certificate_hash().expect("one certificate");
    let url = format!("https://127.0.0.1:{}{path}", server.local_addresses()[0].port());
    let refused = async { answer(server.accept().await.expect("a request")).await };
    let (ours, theirs) = tokio::join!(
        within("request at our server", refused),
        within("answer to their client", P::connect(&url, hash, &[]))
    );
    assert!(ours.is_none(), "our server refuses {path}");
    theirs.err().expect("no session")
}

/// Starts a server of theirs, for tests of one peer. Returns its identity too.
pub async fn listen<P: Peer>() -> (P::Listener, Identity) {
    let identity = identity();
    (P::listen(&identity).await, identity)
}
