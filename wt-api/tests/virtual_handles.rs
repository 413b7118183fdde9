//! Common ways to use the API: accepting in `select!`, streams that move whole into a task, streams as
//! readers and writers.

mod virtual_common;

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use virtual_common::{pattern, seconds};
use wt_api::{
    CloseInfo, ErrorCause, SendStreamOptions, WebTransport, WebTransportError,
    testing::{self, LinkConfig, Pair},
};

/// A task that names only one half of a stream also owns the other half: nothing is reset or stopped before
/// the task ends.
#[test]
fn a_task_that_names_one_half_takes_the_whole_stream() {
    let Pair { network, client, server, .. } = testing::pair(1);
    network.run(async {
        let mut stream = client.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
        stream.writable.write_all(b"question").await.unwrap();
        let reading = network.spawn(async move { stream.readable.read(&mut [0; 100]).await });
        let mut other = server.accept_bidirectional_stream().await.unwrap();
        assert_eq!(other.readable.read_chunk(100).await.unwrap().unwrap(), b"question"[..]);
        // Long enough for a reset or a stop to arrive.
        network.sleep(seconds(1)).await;
        assert!(network.within(Duration::from_millis(1), other.readable.read_chunk(100)).await.is_none());
        other.writable.write_all(b"answer").await.unwrap();
        assert_eq!(reading.await.unwrap(), 6);
        // The stream ends with the task.
        let error = other.readable.read_chunk(100).await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::StreamReset(Some(0))), "{error}");
    });
}

/// Accepts everything in a loop that drops each future whenever another one is ready. Returns the counts and
/// the session's end.
async fn take_all(session: &WebTransport) -> ([usize; 3], WebTransportError) {
    let mut counts = [0; 3];
    loop {
        let result = tokio::select! {
            stream = session.accept_bidirectional_stream() => stream.map(|_| 0),
            stream = session.accept_unidirectional_stream() => stream.map(|_| 1),
            datagram = session.receive_datagram() => datagram.map(|_| 2),
        };
        match result {
            Ok(kind) => counts[kind] += 1,
            Err(error) => return (counts, error),
        }
    }
}

#[test]
fn a_select_loop_loses_nothing_and_learns_how_the_session_ended() {
    for client_closes in [true, false] {
        let Pair { network, client, server, link, .. } = testing::pair(2);
        network.run(async {
            let (closer, taker) = if client_closes { (client, server) } else { (server, client) };
            let taken = network.spawn({
                let taker = taker.clone();
                async move { take_all(&taker).await }
            });
            for round in 0..50_u8 {
                let options = SendStreamOptions::new;
                let stream = closer.create_bidirectional_stream(options()).await.unwrap();
                stream.split().1.finish().unwrap();
                closer.create_unidirectional_stream(options()).await.unwrap().finish().unwrap();
                closer.send_datagram(Bytes::from(vec![round])).await.unwrap();
                network.sleep(Duration::from_millis(u64::from(round))).await;
            }
            network.sleep(seconds(1)).await;
            closer.close(CloseInfo::new(7, "done"));
            let (counts, error) = taken.await;
            assert_eq!(counts, [50; 3]);
            assert!(matches!(error.cause(), ErrorCause::SessionClosed { .. }), "{error}");
            // A later call gets the same error, whichever call it is.
            for _ in 0..2 {
                let ends = [
                    taker.accept_bidirectional_stream().await.unwrap_err(),
                    taker.accept_unidirectional_stream().await.unwrap_err(),
                    taker.receive_datagram().await.unwrap_err(),
                    taker.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap_err(),
                    taker.create_send_group().unwrap_err(),
                ];
                ends.iter().for_each(|end| assert_eq!(end.to_string(), error.to_string()));
            }
            drop(link);
        });
    }
}

#[test]
fn every_way_of_accepting_reports_a_lost_connection() {
    let Pair { network, client, server, link, .. } = testing::pair(3);
    network.run(async {
        network.sleep(seconds(1)).await;
        link.change(|config: &mut LinkConfig| *config = config.clone().bernoulli(1.0));
        let (counts, error) = take_all(&server).await;
        assert_eq!(counts, [0; 3]);
        assert!(matches!(error.cause(), ErrorCause::Connection(_)), "{error}");
        for end in [
            server.accept_bidirectional_stream().await.unwrap_err(),
            server.accept_unidirectional_stream().await.unwrap_err(),
            server.receive_datagram().await.unwrap_err(),
        ] {
            assert_eq!(end.to_string(), error.to_string());
        }
        drop(client);
    });
}

/// A read fills the given buffer with what has arrived: fewer calls for the same bytes.
#[test]
fn reads_fill_the_buffer_and_a_whole_stream_reads_and_writes() {
    let Pair { network, client, server, .. } = testing::pair(4);
    network.run(async {
        let data = pattern(5, 200_000);
        let mut stream = client.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
        let echo = network.spawn(async move {
            let stream = server.accept_bidirectional_stream().await.unwrap();
            let (mut from, mut to) = tokio::io::split(stream);
            let copied = tokio::io::copy(&mut from, &mut to).await.unwrap();
            to.shutdown().await.unwrap();
            // When the client has closed, the echo has arrived.
            server.closed().await.unwrap();
            copied
        });
        let (mut readable, writable) = stream.split_mut();
        tokio::try_join!(writable.write_all(&data), async {
            // Lets everything arrive.
            network.sleep(seconds(2)).await;
            let mut buffer = vec![0; 64 << 10];
            let size = AsyncReadExt::read(&mut readable, &mut buffer).await.unwrap();
            assert_eq!(size, buffer.len(), "more than that has arrived");
            assert_eq!(buffer, data[..size]);
            Ok(())
        })
        .unwrap();
        AsyncWriteExt::shutdown(&mut stream).await.unwrap();
        let mut rest = Vec::new();
        AsyncReadExt::read_to_end(&mut stream, &mut rest).await.unwrap();
        assert_eq!(rest, data[64 << 10..]);
        client.close(CloseInfo::default());
        assert_eq!(echo.await, data.len() as u64);
    });
}

/// A program that depends on this crate alone can name all types that it passes and gets.
#[test]
fn errors_and_options_are_named_through_this_crate() {
    use wt_api::{
        TransportConfig, WebTransportOptions,
        http::{HeaderMap, StatusCode},
        protocol::{CloseReason, ConnectionError, Dialect, congestion},
    };
    fn code_of(error: &WebTransportError) -> Option<u64> {
        match error.cause() {
            ErrorCause::ConnectionClosed { code, .. }
            | ErrorCause::Connection(ConnectionError::PeerClosed(CloseReason::Application {
                code, ..
            })) => Some(*code),
            _ => None,
        }
    }
    let cubic = congestion::CongestionConfig::new(congestion::Algorithm::Cubic);
    let transport = TransportConfig::new().congestion(cubic);
    let options = WebTransportOptions::new().transport(transport).headers(HeaderMap::new());
    drop(options.only_dialect(Dialect::Draft16));
    let Pair { network, client, server, .. } = testing::pair(5);
    network.run(async {
        server.close(CloseInfo::default());
        client.closed().await.unwrap();
        let error = client.accept_bidirectional_stream().await.unwrap_err();
        assert_eq!((code_of(&error), StatusCode::OK.as_u16()), (None, 200));
    });
}

/// A controller in an application, with every method of the trait; it names no crate but this one.
mod own_controller {
    use wt_api::protocol::{
        Ecn, Rate, Timestamp,
        congestion::{
            CongestionEvent, Controller, ControllerFactory, Estimate, NewPath, NewReno, SentPacket, Snapshot,
            SpuriousLoss,
        },
    };

    #[derive(Debug)]
    struct Own(NewReno);

    impl Controller for Own {
        fn on_sent(&mut self, now: Timestamp, packet: &SentPacket) {
            self.0.on_sent(now, packet);
        }

        fn on_congestion_event(&mut self, event: &CongestionEvent<'_>) {
            self.0.on_congestion_event(event);
        }

        fn on_ecn_ce(&mut self, event: &CongestionEvent<'_>) {
            self.0.on_ecn_ce(event);
        }

        fn on_marks_void(&mut self, now: Timestamp) {
            self.0.on_marks_void(now);
        }

        fn on_loss(&mut self, event: &CongestionEvent<'_>) {
            self.0.on_loss(event);
        }

        fn on_ack(&mut self, event: &CongestionEvent<'_>) {
            self.0.on_ack(event);
        }

        fn on_spurious_loss(&mut self, now: Timestamp, spurious: &SpuriousLoss) {
            self.0.on_spurious_loss(now, spurious);
        }

        fn on_app_limited(&mut self, now: Timestamp) {
            self.0.on_app_limited(now);
        }

        fn on_mtu_changed(&mut self, mtu: u16) {
            self.0.on_mtu_changed(mtu);
        }

        fn on_timeout(&mut self, now: Timestamp) {
            self.0.on_timeout(now);
        }

        fn window(&self) -> u64 {
            self.0.window()
        }

        fn pacing_rate(&self) -> Option<Rate> {
            self.0.pacing_rate()
        }

        fn send_quantum(&self) -> Option<u64> {
            self.0.send_quantum()
        }

        fn ecn(&self) -> Ecn {
            Ecn::NotEct
        }

        fn estimate(&self) -> Estimate {
            self.0.estimate()
        }

        fn deadline(&self) -> Option<Timestamp> {
            self.0.deadline()
        }

        fn snapshot(&self) -> Snapshot {
            let mut snapshot = self.0.snapshot();
            snapshot.name = "own";
            snapshot
        }
    }

    #[derive(Debug)]
    pub(super) struct Factory;

    impl ControllerFactory for Factory {
        fn build(&self, path: &NewPath) -> Box<dyn Controller> {
            Box::new(Own(NewReno::new(path.mtu)))
        }

        fn name(&self) -> &str {
            "own"
        }
    }
}

#[test]
fn a_controller_is_written_against_this_crate_alone() {
    use std::sync::Arc;
    use wt_api::{
        TransportConfig,
        protocol::{
            Ecn, Timestamp,
            congestion::{Algorithm, CongestionConfig, ControllerFactory, NewPath, kit},
        },
    };
    kit::check_controller(&own_controller::Factory, 1);
    let path = NewPath::new(Timestamp::from_nanos(1), 1_200);
    assert_eq!(own_controller::Factory.build(&path).ecn(), Ecn::NotEct);
    let own = Algorithm::Custom(Arc::new(own_controller::Factory));
    let transport = TransportConfig::new().congestion(CongestionConfig::new(own));
    drop(transport);
    // The test has to try a method that the trait gains.
    let methods = |text: &str| {
        let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn ")?.split_once('('));
        names.map(|(name, _)| name.to_owned()).collect::<std::collections::BTreeSet<String>>()
    };
    let traits = include_str!("../../quic-core/src/congestion/controller.rs");
    let (_, traits) = traits.split_once("pub trait Controller:").unwrap();
    let of_traits = methods(traits);
    assert!(of_traits.contains("ecn") && of_traits.contains("build"), "{of_traits:?}");
    let (_, own) = include_str!("virtual_handles.rs").split_once("mod own_controller {").unwrap();
    assert_eq!(of_traits.difference(&methods(own)).collect::<Vec<_>>(), [] as [&String; 0]);
}
