//! The page of the demonstration, over plain HTTP on localhost: browsers treat it as a secure context.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;
use wt_api::CertificateHash;

use crate::http1::{self, Answer};

const PAGE: &str = include_str!("page.html");

/// Fills in where the session goes and which certificates it may meet.
pub(crate) fn page(url: &str, hashes: &[CertificateHash]) -> String {
    let hashes: Vec<String> = hashes.iter().map(ToString::to_string).collect();
    PAGE.replace("{{URL}}", url).replace("{{HASHES}}", &hashes.join(" "))
}

/// A listener for the page on a free (or the given) port of 127.0.0.1.
pub(crate) async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await
}

/// Serves the page, made anew each time, until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, page: impl Fn() -> String + Send + Sync + 'static) {
    let answer = move |path: String| {
        let answer = match path.as_str() {
            "/" => Answer::ok("text/html; charset=utf-8", page()),
            _ => Answer::not_found(),
        };
        std::future::ready(answer)
    };
    http1::serve(listener, answer).await;
}
