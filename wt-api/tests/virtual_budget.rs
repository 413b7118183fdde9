//! Data that applications leave unread: the windows bound it, and none of it is lost when they read at last.

mod virtual_common;

use virtual_common::{connect, options, pattern, seconds, serve};
use wt_api::testing::{LinkConfig, MILLISECOND, Network};

#[test]
fn unread_data_is_bounded_by_the_windows_and_complete_when_read_late() {
    let network = Network::new(12);
    let (server_host, client) = (network.host("server"), network.host("client"));
    network.link(&server_host, &client, &LinkConfig::new().rate(100_000_000).delay(5 * MILLISECOND));
    let (server, hash) = serve(&network, &server_host, Default::default());
    let late = server_host.spawn({
        let (network, host) = (network.clone(), server_host.clone());
        async move {
            let session = server.accept().await.unwrap().accept(Default::default()).await.unwrap();
            // An application that reads nothing for half a minute.
            network.sleep(seconds(30)).await;
            let mut streams = session.incoming_unidirectional_streams();
            let mut readers = Vec::new();
            for _ in 0..100 {
                let mut stream = streams.next().await.unwrap().unwrap();
                readers.push(host.spawn(async move { stream.read_to_end(1 << 20).await.unwrap().len() }));
            }
            let mut sizes = Vec::new();
            for reader in readers {
                sizes.push(reader.await);
            }
            session.closed().await.unwrap();
            sizes
        }
    });
    let sent = client.run(async {
        let session = connect("server", options(hash)).await.unwrap();
        let mut writers = Vec::new();
        for _ in 0..100 {
            let mut stream = session.create_unidirectional_stream(Default::default()).await.unwrap();
            writers.push(client.spawn(async move {
                stream.write_chunk(pattern(3, 400_000)).await.unwrap();
                stream.finish().unwrap();
                stream.finished().await.unwrap();
            }));
        }
        network.sleep(seconds(29)).await;
        let sent = session.get_stats().await.unwrap().bytes_sent.unwrap();
        for writer in writers {
            writer.await;
        }
        session.close(Default::default());
        sent
    });
    let sizes = network.run(late);
    assert_eq!(sizes, [400_000; 100]);
    // The peer had 40 MB to send. It could send the connection's largest window, and some retransmissions.
    assert!((12_000_000..26_500_000).contains(&sent), "{sent} bytes went out while nobody read");
}
