//! The page of the demonstration, over plain HTTP on localhost: browsers treat it as a secure context.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use wt_api::CertificateHash;

const PAGE: &str = include_str!("page.html");
/// A request head larger than this is not one of a browser that loads this page.
const MAX_HEAD: usize = 16 * 1024;

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
pub(crate) async fn serve(listener: TcpListener, page: impl Fn() -> String) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(answer(stream, page()));
            }
            Err(error) => tracing::debug!(%error, "no connection for the page"),
        }
    }
}

async fn answer(mut stream: TcpStream, page: String) {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(size) => head.extend_from_slice(&buffer[..size]),
        }
        if head.len() > MAX_HEAD {
            return;
        }
    }
    let (status, body) = match head.split(|byte| *byte == b' ').nth(1) {
        Some(b"/") => ("200 OK", &*page),
        _ => ("404 Not Found", "not here"),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
