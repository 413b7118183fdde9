//! The page of the demonstration, over plain HTTP on localhost, which browsers treat as a secure context.
//!
//! It is a single document without further resources.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;
use wt_api::Server;

use crate::http1::{self, Answer};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
/// The page's script, in order: each part uses the parts before it.
const SCRIPT: &str = concat!(
    include_str!("page/base.js"),
    include_str!("page/session.js"),
    include_str!("page/datagrams.js"),
    include_str!("page/modes.js"),
    include_str!("page/tasks.js"),
);

/// The values that the page needs.
pub(crate) struct Shown {
    /// The URL of its session.
    pub(crate) url: String,
    /// The URL of the sessions that show the kinds of congestion control.
    pub(crate) modes: String,
    /// The link that these sessions cross.
    pub(crate) link: String,
    pub(crate) server: Arc<Server>,
}

impl Shown {
    /// The page, with the server's current certificates.
    pub(crate) fn page(&self) -> String {
        let hashes: Vec<String> = self.server.certificate_hashes().iter().map(ToString::to_string).collect();
        PAGE.replace("{{STYLE}}", STYLE)
            .replace("{{SCRIPT}}", SCRIPT)
            .replace("{{URL}}", &self.url)
            .replace("{{MODES}}", &self.modes)
            .replace("{{LINK}}", &self.link)
            .replace("{{HASHES}}", &hashes.join(" "))
    }
}

/// A listener for the page on the given port of 127.0.0.1; 0 picks a free one.
pub(crate) async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await
}

/// Serves the page until the task is dropped. Each request gets a fresh one.
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
