//! Interim responses (1xx), at both ends.

use std::{fmt, sync::Arc};

use h3_core::ResponseHead;
use http::{Request, Response, StatusCode};

use crate::{exchange_error::HttpError, mailbox::ExchangeBox};

/// Sends interim responses (RFC 9110 §15.2) before the final one. A server's service finds it in the
/// extensions of its request. 100 (Continue) is sent by itself when the content of a request that
/// [expects](https://www.rfc-editor.org/rfc/rfc9110#name-expect) it is first read.
///
/// ```
/// use wt_api::http3::{Body, Informational, IncomingBody};
/// async fn page(request: http::Request<IncomingBody>) -> http::Response<Body> {
///     if let Some(informational) = request.extensions().get::<Informational>() {
///         let hints = http::Response::builder().status(103).header("link", "</style.css>; rel=preload");
///         // It is a hint: the page comes without it as well.
///         let _ = informational.send(hints.body(()).expect("these are valid fields"));
///     }
///     http::Response::new(Body::from("<link rel=stylesheet href=/style.css>"))
/// }
/// # let _ = page;
/// ```
#[derive(Clone)]
pub struct Informational(Arc<ExchangeBox>);

impl Informational {
    pub(crate) fn new(exchange: Arc<ExchangeBox>) -> Self {
        Self(exchange)
    }

    /// Sends an interim response, such as 103 (Early Hints, RFC 8297). Returns at once. Fields that HTTP/3
    /// forbids, or that are too large for the client, make it go unsent, since the final response does
    /// without it.
    ///
    /// # Errors
    /// [`HttpError::Invalid`]: the status is none of 100 to 199, or is 101 (RFC 9114 §4.5).
    /// [`HttpError::Cancelled`]: the final response was given, the exchange is over, or 16 interim ones wait.
    pub fn send(&self, response: Response<()>) -> Result<(), HttpError> {
        let (parts, ()) = response.into_parts();
        if !parts.status.is_informational() || parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(HttpError::Invalid(
                "the status is none of an interim response, 100 and 102 to 199".into(),
            ));
        }
        let head = ResponseHead::new(parts.status).with_headers(parts.headers);
        if self.0.push_interim(head) { Ok(()) } else { Err(HttpError::Cancelled) }
    }
}

impl fmt::Debug for Informational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Informational").finish_non_exhaustive()
    }
}

/// A client's callback for interim responses; see [`on_informational`].
#[derive(Clone)]
pub struct OnInformational(Arc<dyn Fn(Response<()>) + Send + Sync>);

impl OnInformational {
    pub(crate) fn call(&self, response: Response<()>) {
        (self.0)(response);
    }
}

impl fmt::Debug for OnInformational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnInformational").finish_non_exhaustive()
    }
}

/// Calls `callback` for each interim response (1xx) to this request, in the task that waits for the final
/// one. At most 16 wait until that task runs; further ones are dropped.
///
/// ```
/// let mut request = http::Request::get("https://example.org/").body(String::new()).unwrap();
/// wt_api::http3::on_informational(&mut request, |hints| println!("{} {:?}", hints.status(), hints.headers()));
/// ```
pub fn on_informational<B>(
    request: &mut Request<B>,
    callback: impl Fn(Response<()>) + Send + Sync + 'static,
) {
    request.extensions_mut().insert(OnInformational(Arc::new(callback)));
}
