//! HTTP/3 without WebTransport: requests of a client, and the types of messages at both ends.
//!
//! A server answers with a service ([`ServerBuilder::http_service`](crate::ServerBuilder::http_service)). A
//! client sends requests ([`Client::request`](crate::Client::request)). The messages are those of the crates
//! `http` and `http_body`. Content is streamed in both directions, at the pace of who reads it, and has
//! trailers.

use std::sync::Arc;

use bytes::Bytes;
use h3_core::{RequestHead, ResponseHead, error::code};
use http::{HeaderMap, HeaderValue, Method, Request, Version, header};
use tokio::sync::oneshot;

use crate::{
    connect::{Connector, Means, first_of, pool_key},
    connection::Connection,
    error::{ConnectOptionsError, ConnectStage, ErrorCause, WebTransportError},
    exchange::{Contained, Problem, write_content},
    jobs::{ClientJob, ExchangeJob, Link, PoolKey},
    mailbox::{Answered, ExchangeBox, ExchangeQueue, Next, Part, wait},
    options::{Target, WebTransportOptions, check_headers},
    pool::{self, LinkMaker},
    reception::plain::declared,
    runtime::{self, MissingDriver},
};
pub use crate::{
    exchange::{Body, HttpService, IncomingBody, Informational, OnInformational, Response, on_informational},
    exchange_error::{BoxError, HttpError},
};

/// How many connections a request is tried on that was never sent.
const TRIES: usize = 4;

/// Gets `url` over HTTP/3, on a connection for this request alone. The headers of the options are sent, and
/// the connect timeout applies until the head of the response. Cancel safe: dropping the future gives up the
/// exchange. A [`Client`](crate::Client) uses a connection for several requests.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let response = wt_api::http3::get("https://example.org/", wt_api::WebTransportOptions::new()).await?;
/// println!("{} and {} bytes", response.status(), response.into_body().read_to_end(1 << 20).await?.len());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Why there is no response. Redirects are ordinary responses.
pub async fn get(url: &str, options: WebTransportOptions) -> Result<Response<IncomingBody>, HttpError> {
    let means = Means::of_runtime().ok_or(ConnectOptionsError::NoRuntime)?;
    get_by(means, url, &options, false).await
}

/// The same with a client of the application. `kept`: the connection serves other requests as well.
pub(crate) async fn get_by(
    means: Means,
    url: &str,
    options: &WebTransportOptions,
    kept: bool,
) -> Result<Response<IncomingBody>, HttpError> {
    check(&means)?;
    let runtime = Arc::clone(&means.runtime);
    let after = options.connect_timeout;
    let outgoing = Outgoing { url, method: Method::GET, headers: HeaderMap::new(), body: Body::empty() };
    let late = runtime::sleep_until(&runtime, runtime.now() + after);
    let exchange = exchange(means, options, outgoing, None, kept);
    first_of(exchange, late).await.unwrap_or_else(|| {
        let cause = ErrorCause::Timeout { after, stage: ConnectStage::Answer };
        Err(HttpError::Exchange(WebTransportError::session(cause)))
    })
}

/// Whether the runtime has the drivers that timers and sockets need.
fn check(means: &Means) -> Result<(), HttpError> {
    means.runtime.check().map_err(|MissingDriver(missing)| {
        HttpError::Connect(WebTransportError::session(ErrorCause::RuntimeDriver { missing }))
    })
}

/// A request to send.
struct Outgoing<'a, B> {
    url: &'a str,
    method: Method,
    headers: HeaderMap,
    body: B,
}

/// Sends a request.
pub(crate) async fn send<B>(
    means: Means,
    options: &WebTransportOptions,
    request: Request<B>,
    kept: bool,
) -> Result<Response<IncomingBody>, HttpError>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (parts, body) = request.into_parts();
    let told = parts.extensions.get::<OnInformational>().cloned();
    let url = parts.uri.to_string();
    let outgoing = Outgoing { url: &url, method: parts.method, headers: parts.headers, body };
    exchange(means, options, outgoing, told, kept).await
}

/// Gives the exchange up, unless its response has been taken.
struct Asking(Option<Arc<ExchangeBox>>);

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(exchange) = &self.0 {
            exchange.give_up();
        }
    }
}

async fn exchange<B>(
    means: Means,
    options: &WebTransportOptions,
    outgoing: Outgoing<'_, B>,
    told: Option<OnInformational>,
    kept: bool,
) -> Result<Response<IncomingBody>, HttpError>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let Outgoing { url, method, headers, body } = outgoing;
    let target = Target::parse(url)?;
    check(&means)?;
    check_headers(&options.headers)?;
    if method == Method::CONNECT {
        return Err(HttpError::Invalid(
            "CONNECT opens no exchange; see WebTransport::new for sessions".into(),
        ));
    }
    let shared = ExchangeBox::new();
    let mut asking = Asking(Some(Arc::clone(&shared)));
    let (end, size) = (body.is_end_stream(), body.size_hint().exact());
    let head = head(&target, options, method, headers, size.filter(|_| !end));
    check_length(&head.headers, if end { Some(0) } else { size })?;
    let job = ExchangeJob { head: Arc::new(head), end, shared: Arc::clone(&shared) };
    if !end {
        means.runtime.spawn(Box::pin(write(Arc::clone(&shared), body, size)));
    }
    let key = pool_key(&means, &target, options);
    for _ in 0..TRIES {
        // If this future is dropped, the attempt to connect is given up.
        let _asker = ask(&means, url, options, &key, kept, &job)?;
        loop {
            match wait(&*shared, ExchangeQueue::Reader, ExchangeBox::poll_next).await {
                Next::Head(Answered { head, body: Some(recv) }) => {
                    let length = length(&head.headers);
                    asking.0 = None;
                    let connection = shared.connection().map(Connection::new);
                    let mut response = response(head, IncomingBody::new(recv, shared, length));
                    if let Some(connection) = connection {
                        response.extensions_mut().insert(connection);
                    }
                    return Ok(response);
                }
                Next::Head(Answered { head, body: None }) => {
                    if let Some(told) = &told {
                        told.call(response(head, ()));
                    }
                }
                Next::Failed(error) => return Err(error),
                Next::HandedBack => break,
            }
        }
    }
    Err(HttpError::Rejected)
}

/// Passes a request to a connection, and establishes that if there is none. The attempt is given up when the
/// result is dropped before.
fn ask(
    means: &Means,
    url: &str,
    options: &WebTransportOptions,
    key: &PoolKey,
    kept: bool,
    job: &ExchangeJob,
) -> Result<Option<oneshot::Receiver<()>>, HttpError> {
    let make = || Link::new(key.clone(), kept, options.keep_alive);
    let (link, new) = if kept { pool::link(key, make) } else { (Arc::new(make()), true) };
    link.send(job.clone());
    if !new {
        return Ok(None);
    }
    let maker = LinkMaker(Arc::clone(&link));
    let connector = Connector::new(means.clone(), url, options, |_| ClientJob::Http(Arc::clone(&link)))?;
    let (mut asker, asked) = oneshot::channel();
    // The task runs on the client's runtime. If that ends, the caller gets an error on any runtime.
    means.runtime.spawn(Box::pin(async move {
        let LinkMaker(link) = &maker;
        if let Some(Err(cause)) = first_of(connector.run(std::future::ready(())), asker.closed()).await {
            link.fail(&WebTransportError::session(cause));
        }
    }));
    Ok(Some(asked))
}

/// A `content-length` of the application's own has to be that of the content, where its size is known.
fn check_length(fields: &HeaderMap, size: Option<u64>) -> Result<(), HttpError> {
    let told = declared(fields).map_err(|why| HttpError::Invalid(why.into()))?;
    match (told, size) {
        (Some(told), Some(size)) if told != size => Err(HttpError::Invalid(
            format!("the field content-length tells {told} bytes, and the content has {size}").into(),
        )),
        _ => Ok(()),
    }
}

/// The head of a request: its own fields, and those of the options that it does not have.
fn head(
    target: &Target,
    options: &WebTransportOptions,
    method: Method,
    mut headers: HeaderMap,
    length: Option<u64>,
) -> RequestHead {
    let own: Vec<_> = headers.keys().cloned().collect();
    for name in options.headers.keys().filter(|name| !own.contains(name)) {
        options.headers.get_all(name).iter().for_each(|value| {
            headers.append(name.clone(), value.clone());
        });
    }
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static("weft"));
    if let Some(length) = length {
        headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    let mut head = RequestHead::new(method, target.authority.clone(), target.path.clone());
    head.headers = headers;
    head
}

/// Writes the content of a request.
async fn write<B>(exchange: Arc<ExchangeBox>, body: B, declared: Option<u64>)
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let problem = match Contained::new(write_content(&exchange, body, declared)).await {
        Ok(Ok(())) => return,
        Ok(Err(Problem::Body(error))) => HttpError::Body(Arc::from(error)),
        Ok(Err(Problem::TooMuch | Problem::TooLittle)) => {
            // The head has left, so the server may have processed the request.
            HttpError::Body(Arc::from(BoxError::from("it does not have the size that its size_hint tells")))
        }
        Err(_) => HttpError::Body(Arc::from(BoxError::from("it panicked"))),
    };
    // The reason comes first: with the reset the exchange ends.
    exchange.end_with(&problem);
    exchange.push(Part::Reset(code::H3_REQUEST_CANCELLED));
}

fn response<B>(head: ResponseHead, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.version_mut() = Version::HTTP_3;
    *response.headers_mut() = head.headers;
    response
}

/// The declared length of a response, which HTTP/3 has checked.
fn length(fields: &HeaderMap) -> Option<u64> {
    fields.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
