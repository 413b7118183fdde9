//! When the peer learns of a stream: at once, even if it carries nothing; and no stream that credit permits
//! is refused.

mod virtual_common;

use virtual_common::{options, seconds, serve, session};
use wt_api::{
    AcceptOptions, SendStreamOptions, TransportConfig, WebTransport,
    testing::{LinkConfig, Loss, MILLISECOND, Network},
};

#[test]
fn a_stream_without_data_is_announced_to_the_peer() {
    for seed in 0..8 {
        let network = Network::new(seed);
        network.run(async {
            let link = LinkConfig::new().delay(10 * MILLISECOND);
            let (host, client) = (network.host("server"), network.host("client"));
            network.link(&host, &client, &link);
            let (listening, hash) = serve(&network, &host, TransportConfig::default());
            let (client, server) = session(&listening, &client, options(hash)).await;
            for (from, to) in [(&client, &server), (&server, &client)] {
                let bidi = from.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
                let uni = from.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
                let came = to.incoming_bidirectional_streams().next().await;
                let mut answer = came.expect("the session is open").expect("a stream that says nothing");
                let came = to.incoming_unidirectional_streams().next().await;
                let mut said = came.expect("the session is open").expect("a stream that says nothing");
                // Both directions work.
                answer.writable.write(b"hello").await.unwrap();
                let (mut readable, _writable) = bidi.split();
                assert_eq!(readable.read_chunk(9).await.unwrap().unwrap(), "hello");
                drop(uni);
                let _ = said.read_chunk(9).await;
            }
        });
    }
}

/// A limit of 5,000 streams, and one for the session, really permits 5,000 streams: an application that
/// accepts none of them for a while gets all of them.
#[test]
fn all_streams_within_the_limit_reach_the_application() {
    let network = Network::new(3);
    network.run(async {
        let transport = TransportConfig::new().max_streams_bidi(5_001);
        let link = LinkConfig::new().delay(MILLISECOND);
        let (host, client) = (network.host("server"), network.host("client"));
        network.link(&host, &client, &link);
        let (listening, hash) = serve(&network, &host, transport);
        let (client, server) = session(&listening, &client, options(hash)).await;
        let mut open = Vec::new();
        for index in 0..5_000_u32 {
            let options = SendStreamOptions::new().wait_until_available(true);
            let stream = client.create_bidirectional_stream(options).await.unwrap();
            let (readable, mut writable) = stream.split();
            writable.write(&index.to_be_bytes()).await.unwrap();
            open.push((readable, writable));
        }
        network.sleep(seconds(1)).await;
        let mut incoming = server.incoming_bidirectional_streams();
        let mut seen = vec![false; 5_000];
        for _ in 0..5_000 {
            let (mut readable, _writable) = incoming.next().await.unwrap().unwrap().split();
            let index = readable.read_chunk(4).await.expect("no stream is reset").unwrap();
            seen[u32::from_be_bytes(index[..].try_into().unwrap()) as usize] = true;
        }
        assert!(seen.into_iter().all(|seen| seen));
    });
}

/// A server opens many streams right after its response, and the packet with the response is lost: the
/// streams wait for it.
#[test]
fn streams_that_overtake_the_response_wait_for_it() {
    for seed in 0..40 {
        let network = Network::new(seed);
        network.run(async {
            let (host, client) = (network.host("server"), network.host("client"));
            let link = LinkConfig::new().delay(10 * MILLISECOND).loss(Loss::Bernoulli(0.2));
            network.link(&host, &client, &link);
            let (listening, hash) = serve(&network, &host, TransportConfig::default());
            let sending = host.spawn(async move {
                let session = listening.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap();
                for _ in 0..200 {
                    let options = SendStreamOptions::new();
                    let mut stream = session.create_unidirectional_stream(options).await.unwrap();
                    stream.write_all(b"early").await.unwrap();
                    stream.finish().unwrap();
                }
                (session, listening)
            });
            let client = client.enter(|| WebTransport::new("https://server/", options(hash)).unwrap());
            client.ready().await.unwrap();
            let mut incoming = client.incoming_unidirectional_streams();
            for _ in 0..200 {
                let mut stream = incoming.next().await.unwrap().unwrap();
                assert_eq!(stream.read_to_end(9).await.expect("no stream is reset"), "early", "seed {seed}");
            }
            drop(sending.await);
        });
    }
}
