//! What the server answers to plain requests.

use std::{
    convert::Infallible,
    fmt::Write as _,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use wt_api::http3::{Body, IncomingBody, Response};

/// The largest number of MiB that are given at once.
const LARGEST: u8 = 200;

/// Answers a request.
pub(super) async fn answer(request: Request<IncomingBody>) -> Response {
    let path = request.uri().path();
    let number = |prefix: &str| path.strip_prefix(prefix).and_then(|size| size.parse::<usize>().ok());
    let mebibytes =
        number("/large/").and_then(|size| u8::try_from(size).ok()).filter(|size| *size <= LARGEST);
    match (path, number("/bytes/"), mebibytes) {
        ("/", ..) => Response::new(Body::from("weft says hello\n")),
        ("/echo", ..) => Response::new(Body::new(request.into_body())),
        ("/sha256", ..) => sum_of(request.into_body()).await,
        (_, Some(size @ ..10_000_000), _) => Response::new(Body::from(vec![b'x'; size])),
        (.., Some(mebibytes)) => Response::new(Body::new(Large { next: 0, end: mebibytes })),
        _ => status(StatusCode::NOT_FOUND),
    }
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The SHA-256 of what comes, in hexadecimal digits.
async fn sum_of(mut body: IncomingBody) -> Response {
    let mut sum = ring::digest::Context::new(&ring::digest::SHA256);
    loop {
        match body.chunk().await {
            Ok(Some(piece)) => sum.update(&piece),
            Ok(None) => return Response::new(Body::from(hexadecimal(sum.finish().as_ref()))),
            Err(_) => return status(StatusCode::BAD_REQUEST),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// MiB that differ from each other.
struct Large {
    next: u8,
    end: u8,
}

fn mebibyte(number: u8) -> Vec<u8> {
    (0..1_u32 << 20).map(|at| (at % 251) as u8 ^ number).collect()
}

impl http_body::Body for Large {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        if self.next == self.end {
            return Poll::Ready(None);
        }
        self.next += 1;
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from(mebibyte(self.next))))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(u64::from(self.end - self.next) << 20)
    }
}

/// The SHA-256 of `/large/N`, in hexadecimal digits.
#[must_use]
pub fn large_sum(mebibytes: u8) -> String {
    let mut sum = ring::digest::Context::new(&ring::digest::SHA256);
    (1..=mebibytes).for_each(|number| sum.update(&mebibyte(number)));
    hexadecimal(sum.finish().as_ref())
}
