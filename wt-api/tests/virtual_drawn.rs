//! Applications at both ends of randomly drawn networks. All bytes arrive unchanged or the session ends by
//! the idle timeout, within a limit of virtual time, and the memory use returns to where it was.

mod virtual_common;

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use heap_meter::{HeapMeter, Measure};
use quic_core::error::ConnectionError;
use virtual_common::{
    STOP_CODE, STOP_ME, connect, echo, is_idle_timeout, options, pattern, round_trip, seconds, serve,
};
use wt_api::{
    AcceptOptions, CloseInfo, ConnectionCloser, DatagramError, ErrorCause, TransportConfig, WebTransport,
    WebTransportError,
    testing::{self, Host, Link, LinkConfig, MILLISECOND, Network, Random, Reorder, SECOND},
};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

/// The virtual time in which every run must end. The slowest of 3000 runs took 240 s.
const BOUND: Duration = Duration::from_secs(600);

/// What a seed decides.
#[derive(Debug)]
struct Plan {
    links: [LinkConfig; 2],
    transports: [TransportConfig; 2],
    bidi: Vec<usize>,
    uni: usize,
    datagrams: usize,
    client_closes: bool,
    server_drains: bool,
    /// When the path's MTU changes, and to what.
    mtu_step: Option<(Duration, usize)>,
    /// When the client's NAT forgets its mappings.
    rebinding: Option<Duration>,
    close: CloseInfo,
}

fn between(random: &mut Random, range: Range<u64>) -> u64 {
    range.start + random.below(range.end - range.start)
}

/// Each fault occurs in about half of the runs.
fn some(random: &mut Random, most: f64) -> f64 {
    let (is_there, share) = (random.chance(0.5), random.unit());
    if is_there { share * most } else { 0.0 }
}

fn draw_link(random: &mut Random) -> LinkConfig {
    let mut config = LinkConfig::new().delay(between(random, 0..100 * MILLISECOND));
    if random.chance(0.7) {
        let rate = 500_000 << random.below(8);
        config = config.rate(rate).queue(between(random, 10_000..200_000));
    }
    if random.chance(0.5) {
        config.mtu = draw_mtu(random);
    }
    config.jitter = (some(random, 50.0) * 1e6) as u64;
    config = config.bernoulli(some(random, 0.3));
    config.duplicate = some(random, 0.2);
    config.corrupt = some(random, 0.1);
    let held = Reorder::new(some(random, 0.3), between(random, 0..100 * MILLISECOND));
    config.reorder = Some(held);
    if random.chance(0.3) {
        config = config.bleach();
    } else if random.chance(0.3) {
        config = config.mark_above(20_000);
    }
    config
}

/// QUIC needs 1200 bytes; Ethernet and jumbo frames permit more.
fn draw_mtu(random: &mut Random) -> usize {
    [1200, 1252, 1400, 1472, 8972][random.below(5) as usize]
}

fn draw_time(random: &mut Random) -> Duration {
    Duration::from_millis(between(random, 0..5000))
}

/// Limits down to the minimum that HTTP/3 and one stream of each kind need, windows down to one packet.
fn draw_transport(random: &mut Random) -> TransportConfig {
    let mut config = TransportConfig::default();
    if random.chance(0.5) {
        config.stream_receive_window = between(random, 1000..300_000);
        config.receive_window = between(random, 2000..1_000_000);
        config.max_stream_receive_window = config.stream_receive_window * (1 + random.below(8));
        config.max_receive_window = config.receive_window * (1 + random.below(8));
    }
    if random.chance(0.5) {
        config.max_streams_bidi = between(random, 2..20);
        config.max_streams_uni = between(random, 4..20);
    }
    if random.chance(0.3) {
        config.send_buffer = between(random, 1000..100_000) as usize;
        config.datagram_send_buffer = between(random, 2000..100_000) as usize;
    }
    if random.chance(0.2) {
        config.keep_alive = Some(draw_time(random) + seconds(1));
    }
    config.ecn = random.chance(0.8);
    config
}

fn draw(seed: u64) -> Plan {
    let random = &mut Random::derived(seed, u64::MAX);
    let mut links = [draw_link(random), draw_link(random)];
    if random.chance(0.3) {
        let (begin, length) = (between(random, 0..10 * SECOND), between(random, 0..5 * SECOND));
        links.iter_mut().for_each(|link| link.outages.push(begin..begin + length));
    }
    let transports = [draw_transport(random), draw_transport(random)];
    let size = |random: &mut Random| (1 << random.below(21)) + random.below(1000) as usize;
    Plan {
        links,
        transports,
        bidi: (0..1 + random.below(3)).map(|_| size(random).min(1 << 20)).collect(),
        uni: if random.chance(0.3) { 100 } else { random.below(10) as usize },
        datagrams: random.below(50) as usize,
        client_closes: random.chance(0.5),
        server_drains: random.chance(0.3),
        mtu_step: random.chance(0.4).then(|| (draw_time(random), draw_mtu(random))),
        rebinding: random.chance(0.03).then(|| draw_time(random)),
        close: CloseInfo::new(random.next_u64() as u32, "r".repeat(random.below(100) as usize)),
    }
}

/// The result of a run.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Everything arrived, and the close with its code and reason.
    Whole,
    /// Everything arrived. Of the close only its effect did: the session ended without its code and reason.
    CloseLost,
    /// The session was not established, or it was lost: the network was too bad.
    Lost,
}

async fn streams(session: &WebTransport, seed: u64, plan: &Plan) -> Result<(), WebTransportError> {
    for (index, size) in plan.bidi.iter().enumerate() {
        let data = pattern(seed ^ index as u64, *size);
        assert!(round_trip(session, data.clone()).await? == data, "bytes of stream {index} differ");
    }
    Ok(())
}

/// Small streams, all at once. The server echoes them on its own streams, in any order.
async fn small_streams(session: &WebTransport, count: usize) -> Result<(), WebTransportError> {
    let send = async {
        for index in 0..count {
            let mut stream = session.create_unidirectional_stream(Default::default()).await?;
            stream.write_chunk(pattern(index as u64, 1 + index * 7)).await?;
            stream.finish()?;
        }
        Ok::<_, WebTransportError>(())
    };
    let receive = async {
        let mut lengths = Vec::new();
        let mut incoming = session.incoming_unidirectional_streams();
        while lengths.len() < count {
            let mut stream = incoming.next().await.expect("nobody closes yet")?;
            let data = stream.read_to_end(10_000).await?;
            assert_eq!(data, pattern((data.len() as u64 - 1) / 7, data.len()));
            lengths.push(data.len());
        }
        lengths.sort_unstable();
        assert!(lengths.iter().copied().eq((0..count).map(|index| 1 + index * 7)), "{lengths:?}");
        Ok(())
    };
    tokio::try_join!(send, receive).map(|_| ())
}

/// Datagrams may be lost, and must neither change nor arrive twice.
async fn datagrams(network: &Network, session: &WebTransport, count: usize) -> Result<(), WebTransportError> {
    let datagrams = session.datagrams();
    for index in 0..count {
        match datagrams.writable.send(pattern(index as u64, 20 * index)).await {
            Err(DatagramError::Session(error)) => return Err(error),
            sent => sent.expect("it fits"),
        }
    }
    let mut readable = datagrams.readable;
    let mut seen = vec![false; count];
    while let Some(datagram) = network.within(seconds(3), readable.recv()).await {
        let (datagram, index) = datagram.map(|datagram| (datagram.clone(), datagram.len() / 20))?;
        assert_eq!(datagram, pattern(index as u64, 20 * index));
        assert!(!std::mem::replace(&mut seen[index], true), "QUIC delivers a packet once");
    }
    Ok(())
}

/// The server's application stops a stream and resets its own half: both codes arrive.
async fn codes(session: &WebTransport) -> Result<(), WebTransportError> {
    let mut stream = session.create_bidirectional_stream(Default::default()).await?;
    stream.writable.write_chunk(Bytes::from_static(&[STOP_ME])).await?;
    match stream.readable.read_to_end(10).await {
        Err(error) if error.stream_error_code() == Some(STOP_CODE + 1) => {}
        Err(error) => return Err(error),
        Ok(data) => panic!("the server does not answer such streams: {data:?}"),
    }
    match stream.writable.stopped().await {
        Ok(code) => assert_eq!(code, Some(STOP_CODE)),
        Err(error) => return Err(error),
    }
    let mut stream = session.create_unidirectional_stream(Default::default()).await?;
    stream.write_chunk(pattern(1, 5000)).await?;
    stream.reset(5);
    Ok(())
}

async fn exchange(
    network: &Network,
    session: &WebTransport,
    seed: u64,
    plan: &Plan,
) -> Result<(), WebTransportError> {
    tokio::try_join!(streams(session, seed, plan), small_streams(session, plan.uni))?;
    datagrams(network, session, plan.datagrams).await?;
    codes(session).await
}

/// Whether the idle timeout ended the session: this side's, or the peer's, which then has no state left and
/// sends a stateless reset (RFC 9000 §10.3).
fn is_loss(network: &Network, error: &WebTransportError) -> bool {
    let forgotten = matches!(error.cause(), ErrorCause::Connection(ConnectionError::StatelessReset));
    (is_idle_timeout(error) || forgotten) && network.now() >= seconds(30)
}

/// If the network drops the close's capsule for two seconds, the connection ends without it.
fn is_end_without_capsule(network: &Network, error: &WebTransportError) -> bool {
    match error.cause() {
        ErrorCause::ConnectionClosed { by: ConnectionCloser::Peer, code, .. } => *code == 0x100,
        _ => is_loss(network, error),
    }
}

/// Changes the network while it is in use.
fn spoil(network: &Network, client: &Host, link: &Link, plan: &Plan) {
    if let Some((at, mtu)) = plan.mtu_step {
        let (time, link) = (network.sleep(at), link.clone());
        drop(network.spawn(async move {
            time.await;
            link.change(|config| config.mtu = mtu);
        }));
    }
    if let Some(at) = plan.rebinding {
        let (time, client) = (network.sleep(at), client.clone());
        drop(network.spawn(async move {
            time.await;
            client.rebind();
        }));
    }
}

fn run(seed: u64) -> Outcome {
    let plan = draw(seed);
    let network = Network::new(seed);
    network.set_limit(BOUND);
    let (server_host, client_host) = (network.host("server"), network.host("client"));
    let link = network.link(&server_host, &client_host, &LinkConfig::new());
    link.change_from(&server_host, |config| *config = plan.links[0].clone());
    link.change_from(&client_host, |config| *config = plan.links[1].clone());
    let (server, hash) = serve(&network, &server_host, plan.transports[0].clone());
    spoil(&network, &client_host, &link, &plan);
    let host = server_host.clone();
    let accepted = server_host.spawn(async move {
        let session = server.accept().await?.accept(AcceptOptions::new()).await.ok()?;
        drop(host.spawn(echo(host.clone(), session.clone())));
        Some((server, session))
    });
    client_host.run(async {
        let options = options(hash).connect_timeout(seconds(120)).transport(plan.transports[1].clone());
        let session = match connect("server", options).await {
            Ok(session) => session,
            Err(error) => {
                let expected =
                    is_loss(&network, &error) || matches!(error.cause(), ErrorCause::Timeout { .. });
                assert!(expected, "{error}");
                return Outcome::Lost;
            }
        };
        if let Err(error) = exchange(&network, &session, seed, &plan).await {
            assert!(is_loss(&network, &error), "{error:?}");
            return Outcome::Lost;
        }
        let (server, accepted) = accepted.await.expect("the client's session stands");
        if plan.server_drains {
            let done = server_host.spawn(async move { server.shutdown(seconds(600)).await });
            session.draining().await;
            end(&network, &session, &accepted, &plan, done).await
        } else {
            end(&network, &session, &accepted, &plan, async {}).await
        }
    })
}

async fn end(
    network: &Network,
    client: &WebTransport,
    server: &WebTransport,
    plan: &Plan,
    done: impl Future<Output = ()>,
) -> Outcome {
    let (one, other) = if plan.client_closes { (client, server) } else { (server, client) };
    one.close(plan.close.clone());
    let begin = network.now();
    let (own, seen, ()) = tokio::join!(one.closed(), other.closed(), done);
    assert!(network.now() - begin <= seconds(100), "the end took {:?}", network.now() - begin);
    match (own, seen) {
        (Ok(own), Ok(seen)) => {
            assert!(own == plan.close && seen == plan.close);
            Outcome::Whole
        }
        (own, seen) => {
            for error in [own.err(), seen.err()].into_iter().flatten() {
                assert!(is_end_without_capsule(network, &error), "{error:?}");
            }
            Outcome::CloseLost
        }
    }
}

#[test]
fn bytes_arrive_or_the_session_ends_and_memory_is_freed() {
    // This creates what stays for good: TLS providers, tables of the libraries.
    run(0);
    let (mut runs, mut whole) = (0, 0);
    testing::for_seeds(0..200, |seed| {
        let measure = Measure::start();
        let outcome = run(seed);
        assert_eq!(measure.growth(), 0, "bytes are left after {outcome:?}");
        runs += 1;
        whole += u32::from(outcome == Outcome::Whole);
    });
    // Otherwise the networks are so bad that the test proves nothing.
    assert!(whole * 10 >= runs * 7 || runs < 10, "{whole} of {runs} went to the end");
}
