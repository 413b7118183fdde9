//! Services of `tower` as the application that answers.

use std::{
    future::{Future, poll_fn},
    sync::Mutex,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower_service::Service;

use super::{body::Body, incoming::IncomingBody, service::HttpService};
use crate::{exchange_error::BoxError, waiters::lock};

/// A service of `tower`, of which each request gets a clone. The lock is held while it is cloned alone.
pub(crate) struct Tower<S>(Mutex<S>);

impl<S> Tower<S> {
    pub(crate) fn new(service: S) -> Self {
        Self(Mutex::new(service))
    }
}

impl<S, B> HttpService for Tower<S>
where
    S: Service<Request<IncomingBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = Body;

    fn call(&self, request: Request<IncomingBody>) -> impl Future<Output = Response<Body>> + Send {
        let mut service = lock(&self.0).clone();
        async move {
            let ready = poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into);
            let answered = match ready {
                Ok(()) => service.call(request).await.map_err(Into::into),
                Err(error) => Err::<_, BoxError>(error),
            };
            match answered {
                Ok(response) => response.map(Body::new),
                Err(error) => {
                    tracing::error!(%error, "the tower service failed; answered with 500");
                    let mut response = Response::new(Body::empty());
                    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                    response
                }
            }
        }
    }
}
