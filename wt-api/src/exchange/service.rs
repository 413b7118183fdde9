//! The application that answers a server's requests.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::Request;

use super::{body::Body, incoming::IncomingBody};
use crate::exchange_error::BoxError;

/// A response whose content has one type.
pub type Response<B = Body> = http::Response<B>;

/// Answers the requests of a server ([`ServerBuilder::http_service`](crate::ServerBuilder::http_service)).
///
/// Every closure `Fn(Request<IncomingBody>) -> impl Future<Output = Response<B>>` is one, and so is an
/// `async fn`. With the feature `tower`, `ServerBuilder::tower_service` takes services of that kind.
///
/// ```
/// use http::{Request, Response};
/// use wt_api::http3::{HttpService, IncomingBody};
///
/// async fn hello(request: Request<IncomingBody>) -> Response<String> {
///     Response::new(format!("hello, {}\n", request.uri().path()))
/// }
/// fn is_service(_: impl HttpService) {}
/// is_service(hello);
/// is_service(async |_: Request<IncomingBody>| Response::new("hello".to_owned()));
/// ```
pub trait HttpService: Send + Sync + 'static {
    /// The content of its responses.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Answers a request. The future runs in a task of the server's runtime. It is dropped when the client
    /// does not want the response any more, or its connection ends.
    fn call(&self, request: Request<IncomingBody>) -> impl Future<Output = Response<Self::Body>> + Send;
}

impl<F, R, B> HttpService for F
where
    F: Fn(Request<IncomingBody>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;

    fn call(&self, request: Request<IncomingBody>) -> impl Future<Output = Response<B>> + Send {
        self(request)
    }
}

/// A service of any type.
pub(crate) trait Erased: Send + Sync {
    fn call(
        self: Arc<Self>,
        request: Request<IncomingBody>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
}

/// A service of any type, as a server keeps it.
pub(crate) type ArcService = Arc<dyn Erased>;

struct Own<S>(S);

impl<S: HttpService> Erased for Own<S> {
    fn call(
        self: Arc<Self>,
        request: Request<IncomingBody>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(async move { self.0.call(request).await.map(Body::new) })
    }
}

/// Hides the type of a service.
pub(crate) fn erase(service: impl HttpService) -> ArcService {
    Arc::new(Own(service))
}
