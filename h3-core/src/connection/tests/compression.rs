//! The dynamic table between two connections, and its streams in any order.

use http::{HeaderMap, HeaderValue, StatusCode};
use qpack::{EncoderOptions, Policy};

use super::*;

const COOKIE: &str = "session=0123456789abcdef0123456789abcdef; theme=dark";

fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse::<HeaderValue>().unwrap())).collect()
}

fn request() -> RequestHead {
    let mut head = request_head();
    head.headers = fields(&[
        ("cookie", COOKIE),
        ("user-agent", "an agent of some length/1.0"),
        ("x-client", "something that repeats"),
    ]);
    head
}

fn response() -> ResponseHead {
    let pairs = [("server", "a server of some length/1.0"), ("x-server", "something that repeats")];
    ResponseHead::new(StatusCode::OK).with_headers(fields(&pairs))
}

/// The streams of QPACK that `side` sends.
fn encoder_stream(side: Side) -> StreamId {
    StreamId::new(side, Dir::Uni, 1)
}

fn decoder_stream(side: Side) -> StreamId {
    StreamId::new(side, Dir::Uni, 2)
}

fn heads_of_requests(events: &[Event]) -> Vec<StreamId> {
    let requests = events.iter().filter_map(|event| match event {
        Event::Request { stream, head, .. } => {
            assert_eq!(head.headers, request().headers);
            Some(*stream)
        }
        _ => None,
    });
    requests.collect()
}

fn heads_of_responses(events: &[Event]) -> Vec<StreamId> {
    let responses = events.iter().filter_map(|event| match event {
        Event::Response { stream, head, .. } => {
            assert_eq!(head.headers, response().headers);
            Some(*stream)
        }
        _ => None,
    });
    responses.collect()
}

impl Two {
    fn send(&mut self) -> StreamId {
        self.client.send_request(&request(), true, &mut self.pair.client).unwrap()
    }

    fn answer(&mut self, id: StreamId) {
        self.server.send_response(id, &response(), true, &mut self.pair.server).unwrap();
    }

    /// A request and its response. Returns how many bytes each of them has on its stream.
    fn echo(&mut self) -> [u64; 2] {
        let id = self.send();
        let there = self.pair.client.bytes_written(id).unwrap();
        self.run();
        self.answer(id);
        let back = self.pair.server.bytes_written(id).unwrap();
        self.run();
        for (connection, end) in
            [(&mut self.server, &mut self.pair.server), (&mut self.client, &mut self.pair.client)]
        {
            while let Ok(Read::Data(_)) = connection.read_data(id, 1000, end) {}
        }
        self.run();
        [there, back]
    }

    fn assert_alive(&self) {
        assert_eq!((self.client.failure(), self.server.failure()), (None, None));
    }
}

#[test]
fn repeated_heads_take_one_byte_for_each_line() {
    for piece in [1, usize::MAX] {
        let mut two = Two::new(&plain_settings(), piece);
        let first = two.echo();
        let instructions = [
            two.pair.client.bytes_written(encoder_stream(Side::Client)).unwrap(),
            two.pair.server.bytes_written(encoder_stream(Side::Server)).unwrap(),
        ];
        assert!(
            first[0] + instructions[0] > 80 && first[1] + instructions[1] > 40,
            "{first:?} {instructions:?}"
        );
        for _ in 0..10 {
            // A frame head and a prefix of two bytes each. The request has four pseudo-header fields, the
            // response one.
            assert_eq!(two.echo(), [2 + 2 + 4 + 3, 2 + 2 + 1 + 2]);
        }
        assert_eq!(two.pair.client.bytes_written(encoder_stream(Side::Client)), Some(instructions[0]));
        assert_eq!(two.pair.server.bytes_written(encoder_stream(Side::Server)), Some(instructions[1]));
        // Each section was acknowledged.
        assert!(two.pair.client.bytes_written(decoder_stream(Side::Client)).unwrap() >= 11);
        assert_eq!(heads_of_requests(&two.server_events).len(), 11);
        assert_eq!(heads_of_responses(&two.client_events).len(), 11);
        two.assert_alive();
    }
}

#[test]
fn a_side_may_offer_no_table_or_use_none() {
    let table = Config::new(plain_settings());
    let mut without = table.clone();
    without.settings.qpack_max_table_capacity = 0;
    without.settings.qpack_blocked_streams = 0;
    let mut unused = table.clone();
    unused.encoder = EncoderOptions::new().policy(Policy::StaticOnly);
    for (client, server) in [(without.clone(), table.clone()), (table.clone(), without), (unused, table)] {
        let responses_shrink = client.settings.qpack_max_table_capacity > 0;
        let requests_shrink =
            server.settings.qpack_max_table_capacity > 0 && client.encoder.policy != Policy::StaticOnly;
        let mut two = Two::with_configs(client, server, usize::MAX);
        two.echo();
        let [request, response] = two.echo();
        assert_eq!((request < 20, response < 20), (requests_shrink, responses_shrink));
        let written = two.pair.client.bytes_written(encoder_stream(Side::Client)).unwrap();
        assert_eq!(written > 1, requests_shrink);
        two.assert_alive();
    }
}

/// The instructions arrive after the sections, in small pieces. The sections wait, and come in the order in
/// which their entries do.
#[test]
fn sections_wait_for_their_insertions() {
    for piece in [1, 7, usize::MAX] {
        let mut two = Two::new(&plain_settings(), piece);
        two.pair.client.stalled.insert(encoder_stream(Side::Client));
        let ids: Vec<StreamId> = (0..16).map(|_| two.send()).collect();
        two.run();
        assert_eq!(heads_of_requests(&two.server_events), []);
        // The seventeenth refers to nothing that the server may not have.
        let last = two.send();
        two.run();
        assert_eq!(heads_of_requests(&two.server_events), [last]);
        two.pair.client.stalled.clear();
        two.run();
        assert_eq!(heads_of_requests(&two.server_events), [&[last], &ids[..]].concat());
        // The same of responses.
        two.pair.server.stalled.insert(encoder_stream(Side::Server));
        ids.iter().for_each(|id| two.answer(*id));
        two.run();
        assert_eq!(heads_of_responses(&two.client_events), []);
        two.pair.server.stalled.clear();
        two.run();
        assert_eq!(heads_of_responses(&two.client_events), ids);
        // Then all is acknowledged, and the next ones are small.
        assert_eq!(two.echo(), [11, 7]);
        two.assert_alive();
    }
}

/// The acknowledgments are delayed: entries are referred to before they are known to be there.
#[test]
fn acknowledgments_may_come_late() {
    let mut two = Two::new(&plain_settings(), usize::MAX);
    two.pair.server.stalled.insert(decoder_stream(Side::Server));
    for _ in 0..40 {
        two.echo();
    }
    two.pair.server.stalled.clear();
    two.run();
    assert_eq!(two.echo(), [11, 7]);
    assert_eq!(heads_of_requests(&two.server_events).len(), 41);
    two.assert_alive();
}

#[test]
fn content_comes_before_trailers_that_wait() {
    let mut two = Two::new(&plain_settings(), usize::MAX);
    two.echo();
    let id = two.client.send_request(&request_head(), false, &mut two.pair.client).unwrap();
    two.pair.client.stalled.insert(encoder_stream(Side::Client));
    let mut data = Bytes::from_static(b"content");
    two.client.send_data(id, &mut data, &mut two.pair.client).unwrap();
    let before = two.pair.client.bytes_written(encoder_stream(Side::Client));
    let trailers = fields(&[
        ("x-trailer", "a value that is long enough to be worth an insertion"),
        ("x-client", "something that repeats"),
    ]);
    two.client.send_trailers(id, &trailers, &mut two.pair.client).unwrap();
    two.run();
    assert!(two.pair.client.bytes_written(encoder_stream(Side::Client)) > before, "there are new insertions");
    let ended = |events: &[Event]| {
        events.iter().any(|event| matches!(event, Event::Finished { stream } if *stream == id))
    };
    let read = two.server.read_data(id, 100, &mut two.pair.server);
    assert_eq!(read, Ok(Read::Data(Bytes::from_static(b"content"))));
    for _ in 0..2 {
        assert_eq!(two.server.read_data(id, 100, &mut two.pair.server), Ok(Read::Blocked));
        two.run();
    }
    assert!(!ended(&two.server_events));
    two.pair.client.stalled.clear();
    two.run();
    assert!(ended(&two.server_events));
    let came = two.server_events.iter().find_map(|event| match event {
        Event::Trailers { trailers, .. } => Some((**trailers).clone()),
        _ => None,
    });
    assert_eq!(came, Some(trailers));
    two.assert_alive();
}

/// RFC 9204 §2.2.2.2: a request that waits is reset by its client, and one is left unread by its server.
#[test]
fn streams_that_end_early_are_cancelled() {
    let mut two = Two::new(&plain_settings(), usize::MAX);
    two.pair.client.stalled.insert(encoder_stream(Side::Client));
    // They have no end yet, so that the client can reset them.
    let open = |two: &mut Two| two.client.send_request(&request(), false, &mut two.pair.client).unwrap();
    let ids: Vec<StreamId> = (0..16).map(|_| open(&mut two)).collect();
    two.run();
    let before = two.pair.server.bytes_written(decoder_stream(Side::Server)).unwrap();
    two.client.reset(ids[3], code::H3_REQUEST_CANCELLED, &mut two.pair.client);
    two.server.stop(ids[5], code::H3_REQUEST_CANCELLED, &mut two.pair.server);
    two.run();
    let after = two.pair.server.bytes_written(decoder_stream(Side::Server)).unwrap();
    assert_eq!(after - before, 2, "a Stream Cancellation for each");
    // Two more may wait in their place, and the cancelled ones never come.
    let more = [two.send(), two.send()];
    two.run();
    assert_eq!(heads_of_requests(&two.server_events), []);
    two.pair.client.stalled.clear();
    two.run();
    let expected: Vec<StreamId> =
        ids.iter().copied().filter(|id| ![ids[3], ids[5]].contains(id)).chain(more).collect();
    assert_eq!(heads_of_requests(&two.server_events), expected);
    assert_eq!(two.echo(), [11, 7]);
    two.assert_alive();
}

/// RFC 9204 §2.1.3: no instruction is begun that the peer's limit does not permit whole. The sections do not
/// depend on those that were not sent.
#[test]
fn instructions_keep_within_the_credit() {
    for limit in [0, 1, 2, 4, 5, 30, 60, 100] {
        let mut two = Two::new(&plain_settings(), usize::MAX);
        two.pair.client.stream_limit = limit;
        for _ in 0..3 {
            two.echo();
        }
        let written = two.pair.client.bytes_written(encoder_stream(Side::Client)).unwrap();
        assert!(written <= limit.max(1), "{written} bytes of {limit}");
        assert_eq!(heads_of_requests(&two.server_events).len(), 3);
        two.pair.client.stream_limit = u64::MAX;
        two.echo();
        assert_eq!(two.echo(), [11, 7]);
        two.assert_alive();
    }
}

/// A peer that gives no credit for answers and makes this side give many.
#[test]
fn answers_without_credit_are_bounded() {
    let (mut rig, _) = Rig::ready(Side::Server, plain_settings());
    rig.end().grants = [1 << 40, 100];
    rig.run();
    rig.end().window = 0;
    let measure = Measure::start();
    for round in 0..60_000 {
        if rig.connection.failure().is_some() {
            break;
        }
        if round % 500 == 0 {
            rig.later(Duration::from_secs(1));
        }
        let id = rig.request();
        rig.push(id, &get_with(&[]));
        rig.peer().reset(id, code::H3_REQUEST_CANCELLED, 0).unwrap();
        rig.run();
        rig.events.clear();
        let end = rig.pair.ends(Side::Server).0;
        rig.connection.reset(id, code::H3_REQUEST_CANCELLED, end);
        rig.run();
        rig.peer().pull(id);
        rig.end().forget_closed();
        rig.peer().forget_closed();
    }
    assert_eq!(rig.connection.failure().map(H3Error::code), Some(code::H3_EXCESSIVE_LOAD));
    assert!(measure.peak_growth() < 1 << 20, "{}", measure.peak_growth());
}
