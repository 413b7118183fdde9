//! Plain HTTP: what the server answers, and what clients ask for.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use http::{Request, StatusCode};
use netsim::Random;
use wt_api::{
    Client, WebTransportOptions,
    http3::{self, Body, HttpError, IncomingBody, Informational, Response},
};

use crate::book::Book;

/// The size of a page, in bytes.
pub(crate) const PAGE: usize = 100_000;
const PIECES: usize = 10;

/// Pieces of a page.
struct Pieces(usize);

impl Stream for Pieces {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or(0);
        Poll::Ready(left.map(|_| Ok(Bytes::from(vec![b'p'; PAGE / PIECES]))))
    }
}

/// The service for plain requests.
pub(crate) async fn answer(book: Arc<Book>, request: Request<IncomingBody>) -> Response {
    match request.uri().path() {
        "/page" => Response::new(Body::from(vec![b'p'; PAGE])),
        "/pieces" => {
            book.count("Body::from_stream");
            if let Some(informational) = request.extensions().get::<Informational>() {
                book.count("Informational::send");
                let hints = http::Response::builder().status(103).body(());
                // The client may have gone.
                let _ = hints.map(|hints| informational.send(hints));
            }
            Response::new(Body::from_stream(Pieces(PIECES)))
        }
        "/echo" => {
            book.count("Body::new");
            Response::new(Body::new(request.into_body()))
        }
        _ => {
            book.count("Body::empty");
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

/// Asks for a page, and reads it; the status and the size.
pub(crate) async fn ask(
    book: &Book,
    random: &mut Random,
    client: Option<&Client>,
    url: &str,
    options: WebTransportOptions,
) -> Result<(StatusCode, usize), HttpError> {
    let Some(client) = client else {
        let response = http3::get(url, options).await?;
        let status = response.status();
        book.count("IncomingBody::read_to_end");
        return Ok((status, response.into_body().read_to_end(PAGE).await?.len()));
    };
    let response = client.get_with(url, options).await?;
    let (status, mut body) = (response.status(), response.into_body());
    let (mut size, gives_up) = (0, random.chance(0.1));
    book.count("IncomingBody::chunk");
    while let Some(piece) = body.chunk().await? {
        size += piece.len();
        if gives_up {
            return Ok((StatusCode::NOT_FOUND, 0));
        }
    }
    book.count("IncomingBody::trailers");
    if body.trailers().is_some() {
        book.fail("a page has trailers that nobody sent");
    }
    Ok((status, size))
}

/// Sends content that comes back, by a client that trusts every certificate.
pub(crate) async fn echo(book: &Book, client: &Client, base: &str) -> Result<(StatusCode, usize), HttpError> {
    book.count("Client::request");
    book.count("on_informational");
    let built = Request::post(format!("{base}/echo")).body(Body::from(vec![b'p'; PAGE]));
    let Ok(mut request) = built else { return Err(HttpError::Cancelled) };
    http3::on_informational(&mut request, |_| {});
    let response = client.request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().read_to_end(PAGE).await?.len()))
}
