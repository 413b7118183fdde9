//! The server's metrics for a collector, in Prometheus' text format.

use std::{net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;
use wt_api::Server;

use crate::{
    exit::{Ended, Exit},
    http1::{self, Answer},
};

/// The path of the metrics.
const PATH: &str = "/metrics";
/// The format and its version.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A listener at the address that the command line names.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Ended> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| {
        Ended::new(Exit::Usage, format!("cannot listen on --metrics {address} (TCP): {error}"))
    })
}

/// Serves metrics without end, if they are wanted.
pub(super) async fn serve(listener: Option<TcpListener>, server: &Arc<Server>) {
    let Some(listener) = listener else { return std::future::pending().await };
    let server = Arc::clone(server);
    let answer = move |path: String| {
        let server = Arc::clone(&server);
        async move {
            if path == PATH {
                Answer::ok(CONTENT_TYPE, server.stats().await.to_prometheus())
            } else {
                Answer::not_found()
            }
        }
    };
    http1::serve(listener, answer).await;
}
