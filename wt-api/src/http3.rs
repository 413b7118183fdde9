//! A small HTTP/3 client that reuses the machinery of sessions: one request on one connection.

use std::sync::{Arc, Mutex};

use http::{HeaderValue, Method};
use tokio::sync::oneshot;

use crate::{
    connect::{Connector, Means, first_of},
    error::{ConnectOptionsError, ErrorCause, WebTransportError},
    jobs::{ClientJob, GetJob, Head},
    options::WebTransportOptions,
    reception::plain::HttpResponse,
    streams::ReceiveStream,
};

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The error was found before anything was sent.
    #[error(transparent)]
    Options(#[from] ConnectOptionsError),
    /// The connection or the exchange failed.
    #[error(transparent)]
    Exchange(#[from] WebTransportError),
}

/// Gets `url` over HTTP/3. The headers of the options are sent, and the connect timeout applies until the
/// head of the response. Cancel safe: dropping the future gives up the exchange.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut response = wt_api::http3::get("https://example.org/", wt_api::WebTransportOptions::new()).await?;
/// println!("{} and {} bytes", response.status, response.body.read_to_end(1 << 20).await?.len());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`WebTransport::new`](crate::WebTransport::new) and [`ready`](crate::WebTransport::ready). Redirects
/// are ordinary responses.
pub async fn get(url: &str, options: WebTransportOptions) -> Result<HttpResponse<ReceiveStream>, HttpError> {
    let means = Means::of_runtime().ok_or(ConnectOptionsError::NoRuntime)?;
    get_by(means, url, options).await
}

/// The same with a client of the application.
pub(crate) async fn get_by(
    means: Means,
    url: &str,
    options: WebTransportOptions,
) -> Result<HttpResponse<ReceiveStream>, HttpError> {
    let (reply, answer) = oneshot::channel();
    let connector = Connector::new(means, url, &options, |target| {
        let mut head = h3_core::RequestHead::new(Method::GET, target.authority.clone(), target.path.clone());
        head.headers.clone_from(&options.headers);
        head.headers.entry("user-agent").or_insert(HeaderValue::from_static("weft"));
        ClientJob::Get(Arc::new(GetJob { head, reply: Mutex::new(Some(reply)) }))
    })?;
    let runtime = Arc::clone(connector.runtime());
    let (mut asker, outcome) = oneshot::channel();
    // The task runs on the client's runtime. If that ends, the caller gets an error on any runtime.
    runtime.spawn(Box::pin(async move {
        let exchange = exchange(connector, answer);
        if let Some(result) = first_of(exchange, asker.closed()).await {
            drop(asker.send(result));
        }
    }));
    let gone = |_| WebTransportError::session(ErrorCause::RuntimeGone);
    let Head { status, headers, body } = outcome.await.map_err(gone)??;
    Ok(HttpResponse { status, headers, body })
}

type Answer = oneshot::Receiver<Result<Head, WebTransportError>>;

async fn exchange(connector: Connector, answer: Answer) -> Result<Head, WebTransportError> {
    let mut received = None;
    let answered = async { received = answer.await.ok() };
    connector.run(answered).await.map_err(WebTransportError::session)?;
    let lost =
        || WebTransportError::session(ErrorCause::Http("the connection ended without a response".into()));
    received.ok_or_else(lost)?
}
