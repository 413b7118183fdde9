//! `weft get`.
//!
//! Lowest first: [`progress`] shows how far a long transfer has come, [`sink`] writes content. This file sends
//! the requests and decides the exit status.

mod progress;
mod sink;

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::time::Instant;
use wt_api::{
    Client, Connection, WebTransportOptions,
    http3::{Body, HttpError, IncomingBody},
};

use crate::{
    args::Get,
    connect,
    content::{Content, Input},
    exit::{Ended, Exit},
    field, output, qlogs, texts,
};
use progress::Progress;
use sink::Sink;

pub(crate) async fn run(args: &Get, json: bool) -> Result<Exit, Ended> {
    if let Some(refused) = args.urls.iter().find_map(|url| texts::credentials(url)) {
        return Err(Ended::new(Exit::Usage, refused));
    }
    if args.output.len() > args.urls.len() {
        return Err(Ended::new(Exit::Usage, "--output is given more often than there are URLs"));
    }
    if args.urls.len() > 1 && args.upload.as_deref() == Some(Path::new("-")) {
        return Err(Ended::new(Exit::Usage, "standard input can be sent to one URL alone"));
    }
    if let Some(file) = named_twice(&args.output) {
        return Err(Ended::new(Exit::Usage, format!("--output names {} twice", file.display())));
    }
    let client = Client::builder().options(options(args)?).build();
    let client = client.map_err(|error| Ended::new(Exit::Failure, error))?;
    let apart = args.output.len() == args.urls.len() && args.output.iter().all(|file| file != Path::new("-"));
    let ended = if apart { at_once(&client, args, json).await } else { in_turn(&client, args, json).await };
    // The server hears that nobody will ask again, and logs are whole.
    drop(client);
    wt_api::wait_idle().await;
    ended
}

/// A file that two responses would write to. Several may go to standard output, or to a device.
fn named_twice(files: &[PathBuf]) -> Option<&PathBuf> {
    let whole = |file: &Path| std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let is_one =
        |file: &Path| file != Path::new("-") && file.metadata().map_or(true, |about| about.is_file());
    files.iter().enumerate().find_map(|(index, file)| {
        let again = files[..index].iter().any(|other| whole(other) == whole(file));
        (again && is_one(file)).then_some(file)
    })
}

/// One request after the other, so that what they write is in order.
async fn in_turn(client: &Client, args: &Get, json: bool) -> Result<Exit, Ended> {
    for index in 0..args.urls.len() {
        // A reader that has seen enough wants no more of them.
        if !one(client, args, index, json).await? {
            break;
        }
    }
    Ok(Exit::Success)
}

/// All requests at once. When all have ended, every error is told; the first one is the command's.
async fn at_once(client: &Client, args: &Get, json: bool) -> Result<Exit, Ended> {
    let mut all: Vec<_> =
        (0..args.urls.len()).map(|index| Box::pin(one(client, args, index, json))).collect();
    let mut errors = Vec::new();
    let mut left: Vec<bool> = vec![true; all.len()];
    std::future::poll_fn(|cx| {
        for (work, waits) in all.iter_mut().zip(&mut left) {
            if *waits && let std::task::Poll::Ready(result) = work.as_mut().poll(cx) {
                *waits = false;
                errors.extend(result.err());
            }
        }
        if left.contains(&true) { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    tell_all(errors, json)
}

/// Tells all errors but the first, which is returned. One that meets several requests, such as that there is no
/// connection, is told once.
fn tell_all(errors: Vec<Ended>, json: bool) -> Result<Exit, Ended> {
    let mut errors = errors.into_iter();
    let Some(first) = errors.next() else { return Ok(Exit::Success) };
    let mut told = vec![first.message.clone()];
    for error in errors {
        if !told.contains(&error.message) {
            output::tell(&if json { format!("{}\n", error.json()) } else { error.text() });
            told.push(error.message);
        }
    }
    Err(first)
}

/// Sends the request for one URL, and writes the response. False: nobody reads standard output any more.
async fn one(client: &Client, args: &Get, index: usize, json: bool) -> Result<bool, Ended> {
    let url = args.urls.get(index).map_or("", String::as_str);
    let began = Instant::now();
    let asked = request(args, url)?;
    let response = client.request(asked).await.map_err(|error| failed(&error, args, url))?;
    let (parts, body) = response.into_parts();
    if args.head && !json {
        output::say(&head_text(parts.status, &parts.headers));
    }
    let named = args.output.get(index).map(PathBuf::as_path);
    let mut sink = match has_content(args, parts.status) {
        true => Sink::open(named, json).await?,
        // A file that is there stays as it is.
        false => Sink::Nowhere,
    };
    let (size, read) = receive(body, &mut sink, json).await.map_err(|error| match error {
        Broken::Http(error) => failed(&error, args, url),
        Broken::Output(ended) => ended,
    })?;
    if !read {
        return Ok(false);
    }
    sink.finish().await?;
    let took = began.elapsed();
    if json {
        let fields = parts.headers.keys().map(|name| {
            let values = parts.headers.get_all(name).iter();
            let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            (name.to_string(), Value::from(values.join(", ")))
        });
        output::say_json(&json!({
            "url": url,
            "status": parts.status.as_u16(),
            "fields": fields.collect::<serde_json::Map<_, _>>(),
            "bytes": size,
            "seconds": took.as_secs_f64(),
        }));
    }
    if args.stats {
        tell_stats(url, size, took, parts.extensions.get::<Connection>()).await;
    }
    if parts.status.is_client_error() || parts.status.is_server_error() {
        let told = format!("{url}: the server answered with status {}", parts.status);
        return Err(Ended::new(Exit::Refused, told).with_cause("status"));
    }
    Ok(true)
}

/// Whether a response has content, be it empty (RFC 9110 §6.4.1, §15.3.6).
fn has_content(args: &Get, status: StatusCode) -> bool {
    let never = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
    !args.head && !never.contains(&status)
}

/// Why content did not get to its place.
enum Broken {
    Http(HttpError),
    Output(Ended),
}

/// Writes the content of a response; its size, and whether somebody reads it to its end.
async fn receive(mut body: IncomingBody, sink: &mut Sink, json: bool) -> Result<(u64, bool), Broken> {
    let total = http_body::Body::size_hint(&body).exact();
    let mut progress = Progress::new(total, !json && sink.leaves_the_terminal());
    let mut size = 0;
    while let Some(piece) = body.chunk().await.map_err(Broken::Http)? {
        size += piece.len() as u64;
        if !sink.write(&piece).await.map_err(Broken::Output)? {
            return Ok((size, false));
        }
        progress.show(size);
    }
    progress.end();
    Ok((size, true))
}

/// The request for a URL.
fn request(args: &Get, url: &str) -> Result<Request<Body>, Ended> {
    let usage = |error: &dyn std::fmt::Display| Ended::new(Exit::Usage, format!("{url}: {error}"));
    let uri: Uri = url.parse().map_err(|error| usage(&error))?;
    let (method, body) = match (&args.data, &args.upload) {
        (Some(text), _) => (Method::POST, Body::from(Bytes::copy_from_slice(text.as_bytes()))),
        (None, Some(file)) if file == Path::new("-") => {
            (Method::PUT, Body::new(Input::new(tokio::io::stdin())))
        }
        (None, Some(file)) => {
            let unread = |error| Ended::new(Exit::Usage, format!("cannot read {}: {error}", file.display()));
            let opened = File::open(file).map_err(unread)?;
            let about = opened.metadata().map_err(unread)?;
            if about.is_dir() {
                return Err(Ended::new(Exit::Usage, format!("{} is a directory", file.display())));
            }
            // Only a file of the disk knows its size: pipes and files of /proc say 0.
            let body = if about.is_file() && about.len() > 0 {
                Body::new(Content::new(opened, 0, about.len()))
            } else {
                Body::new(Input::new(tokio::fs::File::from_std(opened)))
            };
            (Method::PUT, body)
        }
        (None, None) if args.head => (Method::HEAD, Body::empty()),
        (None, None) => (Method::GET, Body::empty()),
    };
    Request::builder().method(method).uri(uri).body(body).map_err(|error| usage(&error))
}

fn options(args: &Get) -> Result<WebTransportOptions, Ended> {
    let mut options = WebTransportOptions::new()
        .key_log_file(true)
        .connect_timeout(Duration::from_secs_f64(args.timeout))
        .headers(field::map(&args.header));
    if let Some(observers) = qlogs::observers() {
        options = options.observers(observers);
    }
    connect::trusting(options, &args.asking(""))
}

/// The end of a command whose request failed.
fn failed(error: &HttpError, args: &Get, url: &str) -> Ended {
    let (exit, cause) = match error {
        HttpError::Options(error) => {
            return Ended::new(Exit::Usage, texts::options(error, &args.asking(url)));
        }
        HttpError::Connect(error) => return connect::unconnected(error.cause()),
        HttpError::Exchange(error) => {
            let told = texts::session(error.cause());
            return Ended::new(Exit::Session, told).with_cause(texts::word(error.cause()));
        }
        HttpError::Invalid(_) | HttpError::TooLarge { .. } => (Exit::Usage, "usage"),
        HttpError::Body(_) => (Exit::Failure, "failure"),
        HttpError::Rejected => (Exit::Refused, "refused"),
        HttpError::Reset { .. } => (Exit::Session, "stream-reset"),
        _ => (Exit::Session, "session"),
    };
    Ended::new(exit, format!("{url}: {error}")).with_cause(cause)
}

fn head_text(status: StatusCode, fields: &http::HeaderMap) -> String {
    let mut text = format!("HTTP/3 {status}\n");
    for (name, value) in fields {
        let value = String::from_utf8_lossy(value.as_bytes());
        text += &format!("{name}: {}\n", output::printable(&value));
    }
    text + "\n"
}

async fn tell_stats(url: &str, size: u64, took: Duration, connection: Option<&Connection>) {
    let seconds = took.as_secs_f64().max(1e-9);
    let rate = size as f64 * 8.0 / seconds / 1e6;
    let mut text = format!("{url}: {size} bytes in {seconds:.3} s, {rate:.1} Mbit/s");
    if let Some(connection) = connection
        && let Ok(stats) = connection.stats().await
    {
        text += &format!(
            "; connection {} to {}: round trip {:.1} ms, {} packets lost",
            connection.id(),
            connection.remote_address(),
            stats.smoothed_rtt.as_secs_f64() * 1e3,
            stats.packets_lost,
        );
    }
    output::tell(&format!("{text}\n"));
}
