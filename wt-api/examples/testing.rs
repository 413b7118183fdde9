//! Testing an application on a virtual network: a chat room keeps its order on a bad network, and its clients
//! learn that the server has gone. The application names neither the virtual network nor tokio, so it runs on
//! both.
//!
//! `cargo run -p wt-api --example testing --features testing`

use std::{sync::Arc, time::Duration};

use wt_api::{
    AcceptOptions, Server, WebTransport, WebTransportError, WebTransportOptions,
    testing::{LinkConfig, MILLISECOND, Network, for_seeds},
};

/// The application: it echoes each line that a client sends on a stream, in capitals.
async fn shout(server: Arc<Server>) -> Result<(), WebTransportError> {
    while let Some(request) = server.accept().await {
        let session = request.accept(AcceptOptions::new()).await?;
        let mut streams = session.incoming_bidirectional_streams();
        while let Some(Ok(mut stream)) = streams.next().await {
            let line = stream.readable.read_to_end(1 << 20).await?;
            stream.writable.write_all(&line.to_ascii_uppercase()).await?;
            stream.writable.finish()?;
        }
    }
    Ok(())
}

/// The application's client.
async fn ask(session: &WebTransport, line: &str) -> Result<String, WebTransportError> {
    let mut stream = session.create_bidirectional_stream(Default::default()).await?;
    stream.writable.write_all(line.as_bytes()).await?;
    stream.writable.finish()?;
    let answer = stream.readable.read_to_end(1 << 20).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// One run. The seed decides which datagrams the network loses.
pub(crate) fn test(seed: u64) -> Duration {
    let network = Network::new(seed);
    let (server_host, client_host) = (network.host("chat.example"), network.host("laptop"));
    let bad =
        LinkConfig::new().rate(2_000_000).delay(40 * MILLISECOND).jitter(10 * MILLISECOND).bernoulli(0.1);
    let link = network.link(&server_host, &client_host, &bad);

    let identity = network.identity(["chat.example"]);
    let hash = identity.certificate_hash();
    let server = server_host.enter(|| Server::builder().identity(identity).build()).expect("a server");
    drop(server_host.spawn(shout(Arc::new(server))));

    client_host.run(async {
        let options = WebTransportOptions::new().server_certificate_hashes([hash]);
        let session = WebTransport::new("https://chat.example/", options).expect("valid options");
        for line in ["one", "two", "three"] {
            assert_eq!(ask(&session, line).await.expect("an answer"), line.to_uppercase());
        }
        // An outage of three seconds does no harm.
        link.outage(Duration::from_secs(3));
        assert_eq!(ask(&session, "still there?").await.expect("an answer"), "STILL THERE?");
        // The server loses power. Its clients learn of it by the idle timeout, which is 30 s by default.
        server_host.vanish();
        let error = session.closed().await.expect_err("no close");
        println!("seed {seed}: {error} after {:?} of virtual time", network.now());
    });
    network.now()
}

fn main() {
    for_seeds(0..10, |seed| assert!(test(seed) < Duration::from_secs(120)));
}
