//! HTTP/3 without WebTransport, on virtual networks: content in both directions, trailers, interim responses,
//! and how exchanges end.

mod virtual_common;

use std::{
    collections::BTreeSet,
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::{Body as _, Frame};
use netsim::{Loss, Random, for_seeds};
use virtual_common::{
    pattern, seconds,
    world::{World, trusting},
};
use wt_api::{
    Client, Connection, TransportConfig,
    http3::{self, Body, HttpError, IncomingBody, Informational, Response},
    testing::{Host, LinkConfig, MILLISECOND, Network},
};

/// Pieces of content, and trailers after them.
struct Parts {
    pieces: std::vec::IntoIter<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Parts {
    fn new(pieces: Vec<Bytes>, trailers: Option<HeaderMap>) -> Self {
        Self { pieces: pieces.into_iter(), trailers }
    }
}

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(piece) = self.pieces.next() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

/// Content without an end, and how much of it was made.
struct Endless(Arc<AtomicUsize>);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.fetch_add(1, Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 10_000])))))
    }
}

/// Content that never comes.
struct Never;

impl http_body::Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// Counts when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn trailers(value: &str) -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().unwrap(), value.parse().unwrap())])
}

fn post<B>(path: &str, body: B) -> Request<B> {
    Request::post(format!("https://server{path}")).body(body).unwrap()
}

fn status(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A client that trusts every certificate.
fn client_of(host: &Host) -> Client {
    host.enter(|| Client::builder().options(trusting()).build().unwrap())
}

/// Reads content and trailers.
async fn read(mut body: IncomingBody) -> Result<(Bytes, Option<HeaderMap>), HttpError> {
    let mut all = BytesMut::new();
    while let Some(piece) = body.chunk().await? {
        assert!(!piece.is_empty());
        all.extend_from_slice(&piece);
    }
    Ok((all.freeze(), body.trailers().cloned()))
}

async fn echo(request: Request<IncomingBody>) -> http::Response<IncomingBody> {
    http::Response::new(request.into_body())
}

#[test]
fn content_and_trailers_travel_both_ways() {
    let world = World::new(1, |builder| builder.http_service(echo));
    let client = client_of(&world.client);
    world.network.run(async {
        let sent = pattern(3, 1 << 20);
        let pieces = sent.chunks(40_000).map(Bytes::copy_from_slice).collect();
        let response = client.request(post("/", Parts::new(pieces, Some(trailers("7"))))).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.version(), http::Version::HTTP_3);
        let (received, told) = read(response.into_body()).await.unwrap();
        assert_eq!(received, sent);
        assert_eq!(told, Some(trailers("7")));
        // A body of a known size has a length in its fields, and is one piece.
        let response = client.request(post("/", Body::from("hello"))).await.unwrap();
        assert_eq!(response.into_body().read_to_end(5).await.unwrap(), "hello");
        let response = client.request(post("/", Body::from("hello"))).await.unwrap();
        let error = response.into_body().read_to_end(4).await.unwrap_err();
        assert!(matches!(error, HttpError::ReadLimit { limit: 4 }), "{error}");
    });
}

#[test]
fn a_response_tells_the_size_of_content_that_is_known() {
    let world = World::new(2, |builder| {
        builder.http_service(async |request: Request<IncomingBody>| {
            let asked = (request.method().clone(), request.headers().get("content-length").cloned());
            assert_eq!(request.body().size_hint().exact(), Some(3));
            assert_eq!(asked, (Method::PUT, Some("3".parse().unwrap())));
            Response::new(Body::from("four"))
        })
    });
    let client = client_of(&world.client);
    world.network.run(async {
        let request = Request::put("https://server/").body("abc".to_owned()).unwrap();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.headers()["content-length"], "4");
        assert_eq!(response.body().size_hint().exact(), Some(4));
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
        assert_eq!(body.to_bytes(), "four");
    });
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let world = World::new(3, |builder| {
        builder.http_service(async |request: Request<IncomingBody>| {
            let informational = request.extensions().get::<Informational>().unwrap().clone();
            let hints = http::Response::builder().status(103).header("link", "</style.css>");
            informational.send(hints.body(()).unwrap()).unwrap();
            let early = http::Response::builder().status(200).body(()).unwrap();
            assert!(matches!(informational.send(early), Err(HttpError::Invalid(_))));
            let upgrade = http::Response::builder().status(101).body(()).unwrap();
            assert!(matches!(informational.send(upgrade), Err(HttpError::Invalid(_))));
            let read = request.into_body().read_to_end(100).await.unwrap();
            Response::new(Body::from(read))
        })
    });
    let client = client_of(&world.client);
    for (expects, statuses) in [(false, &[103][..]), (true, &[103, 100])] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut request = post("/", "content".to_owned());
        if expects {
            request.headers_mut().insert("expect", "100-continue".parse().unwrap());
        }
        let seen = Arc::clone(&told);
        http3::on_informational(&mut request, move |response| {
            if response.status() == 103 {
                assert_eq!(response.headers()["link"], "</style.css>");
            }
            seen.lock().unwrap().push(response.status().as_u16());
        });
        world.network.run(async {
            let response = client.request(request).await.unwrap();
            assert_eq!(*told.lock().unwrap(), statuses);
            assert_eq!(response.into_body().read_to_end(100).await.unwrap(), "content");
        });
    }
}

#[test]
fn a_request_that_is_given_up_drops_its_service_and_its_content() {
    let (dropped, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (gone, count) = (Arc::clone(&dropped), Arc::clone(&made));
    let world = World::new(4, |builder| {
        builder.http_service(move |request: Request<IncomingBody>| {
            let (gone, count) = (Dropped(Arc::clone(&gone)), Arc::clone(&count));
            async move {
                if request.uri().path() == "/endless" {
                    return Response::new(Body::new(Endless(count)));
                }
                std::future::pending::<()>().await;
                drop(gone);
                status(200)
            }
        })
    });
    let client = client_of(&world.client);
    world.network.run(async {
        let get = client.get("https://server/never");
        let given_up = tokio::select! {
            _ = get => false,
            () = world.network.sleep(seconds(1)) => true,
        };
        assert!(given_up);
        world.network.sleep(seconds(1)).await;
        assert_eq!(dropped.load(Relaxed), 1, "the service's future");
        // Content is made as it is read, and no more.
        let mut body = client.get("https://server/endless").await.unwrap().into_body();
        world.network.sleep(seconds(2)).await;
        let unread = made.load(Relaxed);
        assert!((10..2000).contains(&unread), "{unread} pieces are made for a reader that does not read");
        world.network.sleep(seconds(2)).await;
        assert_eq!(made.load(Relaxed), unread);
        body.chunk().await.unwrap().unwrap();
        drop(body);
        world.network.sleep(seconds(1)).await;
        let last = made.load(Relaxed);
        world.network.sleep(seconds(1)).await;
        assert_eq!(made.load(Relaxed), last, "nothing more is made");
        let text = client.get("https://server/endless").await;
        assert!(text.is_ok(), "the connection goes on");
    });
}

#[test]
fn requests_share_a_connection_that_rests_after_them() {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let ids = Arc::clone(&seen);
    let world = World::new(5, |builder| {
        builder.http_service(move |request: Request<IncomingBody>| {
            let connection = request.extensions().get::<Connection>().unwrap();
            ids.lock().unwrap().insert(connection.id());
            std::future::ready(status(200))
        })
    });
    let client = client_of(&world.client);
    world.network.run(async {
        let all = [(); 20].map(|()| client.get("https://server/"));
        for get in all {
            assert_eq!(get.await.unwrap().status(), 200);
        }
        let (one, two) = tokio::join!(client.get("https://server/"), client.get("https://server/"));
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(seen.lock().unwrap().len(), 1);
        world.network.sleep(seconds(4)).await;
        assert!(client.get("https://server/").await.is_ok());
        assert_eq!(seen.lock().unwrap().len(), 1);
        world.network.sleep(seconds(6)).await;
        assert!(client.get("https://server/").await.is_ok());
        assert_eq!(seen.lock().unwrap().len(), 2, "it has closed");
    });
}

/// The server hears at once that nobody will ask again, and the program may end.
#[test]
fn a_client_that_is_dropped_closes_its_connections() {
    let world = World::new(15, |builder| builder.http_service(echo));
    let client = client_of(&world.client);
    world.network.run(async {
        let request = post("/", "content".to_owned());
        let response = client.request(request).await.unwrap();
        let server = Arc::clone(&world.server);
        let connection = server.connections().await.pop().unwrap();
        drop(client);
        let waits = world.client.spawn(wt_api::wait_idle());
        assert_eq!(read(response.into_body()).await.unwrap().0, "content", "what was asked for arrives");
        let before = world.network.now();
        waits.await;
        let error = connection.closed().await;
        assert!(error.to_string().contains("0x100") || error.to_string().contains("256"), "{error}");
        assert!(world.network.now() - before < seconds(1), "it does not rest");
        assert!(server.connections().await.is_empty());
    });
}

#[test]
fn trailers_of_empty_content_arrive() {
    let world = World::new(16, |builder| {
        builder.http_service(async |_| {
            let body = http_body_util::Empty::<Bytes>::new();
            let later = async { Some(Ok::<_, Infallible>(trailers("told"))) };
            Response::new(http_body_util::BodyExt::with_trailers(body, later))
        })
    });
    let client = client_of(&world.client);
    world.network.run(async {
        let response = client.get("https://server/").await.unwrap();
        let (content, last) = read(response.into_body()).await.unwrap();
        assert!(content.is_empty());
        assert_eq!(last, Some(trailers("told")));
    });
}

/// A body that tells a size which it does not have.
struct Liar(Parts);

impl http_body::Body for Liar {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(107)
    }
}

#[test]
fn a_size_that_is_not_that_of_the_content_is_a_fault_of_the_service() {
    let world = World::new(17, |builder| {
        builder.http_service(async |_| Response::new(Liar(Parts::new(vec![pattern(1, 100)], None))))
    });
    let client = client_of(&world.client);
    world.network.run(async {
        let error = match client.get("https://server/").await {
            Ok(response) => read(response.into_body()).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, HttpError::Reset { .. }), "{error:?}");
        let mut request = post("/", String::new());
        request.headers_mut().insert("content-length", "5".parse().unwrap());
        let error = client.request(request).await.unwrap_err();
        assert!(matches!(error, HttpError::Invalid(_)), "{error:?}");
    });
}

/// A hint before each of many small responses is no flood.
#[test]
fn many_requests_with_interim_responses_are_answered() {
    let world = World::new(18, |builder| {
        builder.http_service(async |request: Request<IncomingBody>| {
            let hints = request.extensions().get::<Informational>().unwrap();
            let mut hint = http::Response::new(());
            *hint.status_mut() = StatusCode::EARLY_HINTS;
            hints.send(hint).unwrap();
            status(204)
        })
    });
    let client = client_of(&world.client);
    world.network.run(async {
        for _ in 0..2_000 {
            assert_eq!(client.get("https://server/").await.unwrap().status(), 204);
        }
    });
}

#[test]
fn requests_beyond_the_streams_of_a_server_wait_for_one() {
    let world = World::new(6, |builder| {
        builder.transport(TransportConfig::new().max_streams_bidi(3)).http_service(echo)
    });
    let client = client_of(&world.client);
    world.network.run(async {
        let mut tasks = Vec::new();
        for n in 0..50_u8 {
            let client = client.clone();
            tasks.push(world.client.spawn(async move {
                let response = client.request(post("/", Body::from(vec![n; 1000]))).await.unwrap();
                response.into_body().read_to_end(1000).await.unwrap() == vec![n; 1000]
            }));
        }
        for task in tasks {
            assert!(task.await);
        }
    });
}

#[test]
fn content_that_stands_still_ends_in_its_time() {
    let world = World::new(7, |builder| {
        builder.body_timeout(Some(seconds(10))).http_service(async |request: Request<IncomingBody>| {
            match request.into_body().read_to_end(1 << 20).await {
                Ok(_) => status(200),
                Err(HttpError::Timeout) => status(408),
                Err(error) => panic!("{error}"),
            }
        })
    });
    let client = client_of(&world.client);
    world.network.run(async {
        let before = world.network.now();
        let response = client.request(post("/", Never)).await.unwrap();
        let waited = world.network.now() - before;
        assert_eq!(response.status(), 408);
        assert!((seconds(10)..seconds(21)).contains(&waited), "{waited:?}");
    });
}

#[test]
fn content_that_no_service_reads_is_bounded_and_dropped_in_its_time() {
    let world = World::new(8, |builder| {
        builder.body_timeout(Some(seconds(10))).http_service(async |request: Request<IncomingBody>| {
            let body = request.into_body();
            std::future::pending::<()>().await;
            drop(body);
            status(200)
        })
    });
    let client = client_of(&world.client);
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    world.network.run(async {
        let request = client.request(post("/", Endless(count)));
        let sleep = world.network.sleep(seconds(9));
        tokio::pin!(request, sleep);
        tokio::select! { _ = &mut request => panic!("there is no response"), () = &mut sleep => {} }
        let held = made.load(Relaxed);
        assert!(held < 1000, "{held} pieces of 10 kB");
        tokio::select! { _ = &mut request => panic!("there is no response"), () = world.network.sleep(seconds(30)) => {} }
        assert!(made.load(Relaxed) > 2 * held, "it is dropped as it arrives");
    });
}

#[test]
fn a_panic_costs_its_own_exchange_alone() {
    let world = World::new(9, |builder| {
        builder.http_service(async |request: Request<IncomingBody>| match request.uri().path() {
            "/panic" => panic!("as the test wants it"),
            "/late" => {
                let stream = PanicsLate(2);
                Response::new(Body::new(stream))
            }
            _ => Response::new(Body::from("fine")),
        })
    });
    let client = client_of(&world.client);
    world.network.run(async {
        assert_eq!(client.get("https://server/panic").await.unwrap().status(), 500);
        let late = client.get("https://server/late").await;
        let error = match late {
            Ok(response) => read(response.into_body()).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, HttpError::Reset { code: 0x102 }), "{error}");
        assert!(!error.may_be_repeated());
        let fine = client.get("https://server/").await.unwrap();
        assert_eq!(read(fine.into_body()).await.unwrap().0, "fine");
    });
}

/// Content that panics after some pieces.
struct PanicsLate(u32);

impl http_body::Body for PanicsLate {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0 = self.0.checked_sub(1).expect("as the test wants it");
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 20_000])))))
    }
}

#[test]
fn a_body_that_fails_gives_the_request_up() {
    let world = World::new(10, |builder| {
        builder.http_service(async |request: Request<IncomingBody>| {
            let error = request.into_body().read_to_end(1 << 20).await.unwrap_err();
            assert!(matches!(error, HttpError::Reset { code: 0x10c }), "{error}");
            status(200)
        })
    });
    let client = client_of(&world.client);
    world.network.run(async {
        let error = client.request(post("/", Fails(1))).await.unwrap_err();
        assert!(matches!(&error, HttpError::Body(_)), "{error}");
        assert!(error.to_string().contains("the disk is gone"), "{error}");
    });
}

/// Content that fails after some pieces.
struct Fails(u32);

impl http_body::Body for Fails {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let left = self.0.checked_sub(1).ok_or_else(|| std::io::Error::other("the disk is gone"));
        Poll::Ready(Some(left.map(|left| {
            self.0 = left;
            Frame::data(Bytes::from_static(b"some"))
        })))
    }
}

#[test]
fn a_server_that_shuts_down_finishes_what_it_has_begun() {
    let (network, gate) = (Network::new(11), Arc::new(tokio::sync::Notify::new()));
    let (host, client) = (network.host("server"), network.host("client"));
    let wait = Arc::clone(&gate);
    let builder = wt_api::Server::builder().identity(network.identity(["server"]));
    let service = move |_| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            Response::new(Body::from(vec![7; 100_000]))
        }
    };
    let server = Arc::new(host.enter(|| builder.http_service(service).build().unwrap()));
    let client_host = client.clone();
    let client = client_of(&client);
    network.run(async {
        let asking = client.clone();
        let get =
            client_host.spawn(async move { read(asking.get("https://server/").await?.into_body()).await });
        network.sleep(seconds(1)).await;
        let closing = Arc::clone(&server);
        let down = host.spawn(async move { closing.shutdown(seconds(30)).await });
        network.sleep(seconds(1)).await;
        gate.notify_one();
        let (content, _) = get.await.unwrap();
        assert_eq!(content.len(), 100_000);
        let before = network.now();
        down.await;
        assert!(network.now() - before < seconds(10), "it does not wait for the deadline");
        let error = client.get("https://server/").await.unwrap_err();
        assert!(matches!(error, HttpError::Connect(_) | HttpError::Exchange(_)), "{error}");
    });
}

#[test]
fn an_urgent_response_overtakes_a_large_one() {
    let world = World::new(12, |builder| {
        builder.http_service(async |request: Request<IncomingBody>| {
            let size = request.uri().path()[1..].parse().unwrap();
            Response::new(Body::from(vec![7; size]))
        })
    });
    let client = client_of(&world.client);
    let get = |size: usize, priority: &str| {
        let request = Request::get(format!("https://server/{size}")).header("priority", priority);
        client.request(request.body(Body::empty()).unwrap())
    };
    world.network.run(async {
        let large = get(3_000_000, "u=7").await.unwrap();
        let large = world.client.spawn(read(large.into_body()));
        world.network.sleep(seconds(1) / 2).await;
        let before = world.network.now();
        let small = get(10_000, "u=1").await.unwrap();
        assert_eq!(read(small.into_body()).await.unwrap().0.len(), 10_000);
        let took = world.network.now() - before;
        assert!(took < Duration::from_millis(300), "{took:?} beside a download of 2.4 s");
        assert_eq!(large.await.unwrap().0.len(), 3_000_000);
    });
}

#[test]
fn requests_that_cannot_be_sent_say_why() {
    let world = World::new(13, |builder| builder.http_service(echo));
    let client = client_of(&world.client);
    world.network.run(async {
        let mut request = post("/", Body::empty());
        request.headers_mut().insert("connection", "close".parse().unwrap());
        let error = client.request(request).await.unwrap_err();
        assert!(matches!(error, HttpError::Invalid(_)) && error.may_be_repeated(), "{error}");
        // Once the server's limit is known.
        assert!(client.get("https://server/").await.is_ok());
        let mut request = post("/", Body::empty());
        request.headers_mut().insert("x-large", "v".repeat(70_000).parse().unwrap());
        let error = client.request(request).await.unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { limit: 65_536, .. }), "{error}");
        let error = client.get("http://server/").await.unwrap_err();
        assert!(matches!(error, HttpError::Options(_)), "{error}");
        let error = client.get("https://nobody/").await.unwrap_err();
        assert!(matches!(error, HttpError::Connect(_)), "{error}");
    });
}

/// What one exchange sends: the sizes of its pieces, and whether trailers follow.
fn draw_parts(random: &mut Random, salt: u64) -> (Vec<Bytes>, Option<HeaderMap>) {
    let most = 1 << random.below(17);
    let pieces = (0..random.below(9)).map(|n| pattern(salt + n, random.below(most) as usize)).collect();
    let told = random.chance(0.4).then(|| trailers(&salt.to_string()));
    (pieces, told)
}

/// Exchanges of drawn contents on a lossy link: each byte arrives once and in order, with the trailers.
fn draw(seed: u64) {
    let random = &mut Random::new(seed);
    let network = Network::new(seed);
    let (host, client_host) = (network.host("server"), network.host("client"));
    let loss = [0.0, 0.01, 0.05][random.below(3) as usize];
    let config = LinkConfig::new()
        .rate(20_000_000)
        .delay((1 + random.below(30)) * MILLISECOND)
        .loss(Loss::Bernoulli(loss));
    drop(network.link(&host, &client_host, &config));
    let builder = wt_api::Server::builder().identity(network.identity(["server"]));
    let transport = TransportConfig::new().max_streams_bidi([2, 100][random.below(2) as usize]);
    let service = async |request: Request<IncomingBody>| match request.method() {
        &Method::HEAD => Response::new(Body::from("not sent")),
        _ => Response::new(Body::new(request.into_body())),
    };
    let server = host.enter(|| builder.transport(transport).http_service(service).build().unwrap());
    let client = client_of(&client_host);
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let (pieces, told) = draw_parts(random, 100 * n);
            let (expected, client) = (pieces.concat(), client.clone());
            let head = random.chance(0.1);
            let method = if head { Method::HEAD } else { Method::POST };
            let request = Request::builder().method(method).uri("https://server/");
            let give_up = random.chance(0.1);
            client_host.spawn(async move {
                let sent = told.clone();
                let response = client.request(request.body(Parts::new(pieces, sent)).unwrap()).await.unwrap();
                if give_up {
                    return;
                }
                let (content, received) = read(response.into_body()).await.unwrap();
                if head {
                    assert!(content.is_empty());
                } else {
                    assert!(content == expected, "{} bytes of {}", content.len(), expected.len());
                    assert_eq!(received, told);
                }
            })
        })
        .collect();
    network.run(async {
        for task in tasks {
            task.await;
        }
        server.shutdown(seconds(20)).await;
    });
}

#[test]
fn exchanges_drawn_at_random_arrive_whole_and_in_order() {
    for_seeds(0..12, draw);
}
