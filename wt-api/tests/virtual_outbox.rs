//! Data that the application writes to streams while the peer takes none: one limit applies to all of it, and
//! nothing is lost.

mod virtual_common;

use bytes::Bytes;
use heap_meter::{HeapMeter, Measure};
use virtual_common::{options, seconds, serve, session};
use wt_api::{
    TransportConfig,
    testing::{LinkConfig, MILLISECOND, Network},
};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

const STREAMS: usize = 250;
/// How much the test writes to each stream, in pieces.
const SIZE: usize = 160 << 10;
const PIECE: usize = 16 << 10;

#[test]
fn streams_that_the_peer_does_not_read_share_one_limit() {
    let network = Network::new(1);
    let (host, client) = (network.host("server"), network.host("client"));
    let config = LinkConfig::new().delay(5 * MILLISECOND);
    let link = network.link(&host, &client, &config);
    let (server, hash) = serve(&network, &host, TransportConfig::default());
    network.run(async {
        let (reader, writer) = session(&server, &client, options(hash)).await;
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            streams.push(writer.create_unidirectional_stream(Default::default()).await.unwrap());
        }
        network.sleep(seconds(1)).await;
        // From here on no datagram arrives.
        link.outage(seconds(5));
        let heap = Measure::start();
        let mut writers = Vec::new();
        for mut stream in streams {
            writers.push(host.spawn(async move {
                for _ in 0..SIZE / PIECE {
                    stream.write_chunk(Bytes::from(vec![7; PIECE])).await.unwrap();
                }
                stream.finish().unwrap();
                stream.finished().await.unwrap();
            }));
        }
        network.sleep(seconds(5)).await;
        // The mailbox may hold 4 MiB, and 16 KiB a stream; QUIC may hold 1 MiB, and 4 KiB a stream. Each
        // writer also holds a piece.
        let bound = (5 << 20) + STREAMS * (16 + 4 + 16 + 4) * 1024;
        let growth = heap.peak_growth();
        assert!(growth <= bound as isize, "{growth} bytes of heap, and {bound} are permitted");
        // The outage ends.

        let mut incoming = reader.incoming_unidirectional_streams();
        let mut readers = Vec::new();
        for _ in 0..STREAMS {
            let mut stream = incoming.next().await.unwrap().unwrap();
            readers.push(client.spawn(async move {
                let mut size = 0;
                while let Some(chunk) = stream.read_chunk(1 << 20).await.unwrap() {
                    size += chunk.len();
                }
                size
            }));
        }
        for reader in readers {
            assert_eq!(reader.await, SIZE);
        }
        for writer in writers {
            writer.await;
        }
    });
}
