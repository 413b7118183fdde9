//! `weft serve --root DIR`: the files of a directory over HTTP/3.
//!
//! Lowest first: [`names`] finds the file that a path names, [`kinds`] its type, [`conditions`] decides what of
//! it is sent. This file puts the response together.

mod conditions;
mod kinds;
mod names;

use std::{
    fs::{File, Metadata},
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{HeaderValue, Method, Request, StatusCode, header};
use wt_api::http3::{Body, IncomingBody, Response};

use crate::{
    content::Content,
    echo::status,
    exit::{Ended, Exit},
};
use conditions::{Part, Version, decide};
use names::Found;

/// A directory whose files are served.
#[derive(Clone, Debug)]
pub(crate) struct Root(Arc<PathBuf>);

impl Root {
    /// The directory that the command line names.
    pub(crate) fn new(directory: &Path) -> Result<Self, Ended> {
        let unusable = |why: &dyn std::fmt::Display| {
            Ended::new(Exit::Usage, format!("cannot serve files from {}: {why}", directory.display()))
        };
        let whole = directory.canonicalize().map_err(|error| unusable(&error))?;
        if !whole.is_dir() {
            return Err(unusable(&"it is not a directory"));
        }
        Ok(Self(Arc::new(whole)))
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, request: Request<IncomingBody>) -> Response {
        let head_only = request.method() == Method::HEAD;
        if !head_only && request.method() != Method::GET {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are possible here\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let (root, path) = (Arc::clone(&self.0), request.uri().path().to_owned());
        // Looking for files may wait for a disk.
        let found = tokio::task::spawn_blocking(move || find(&root, &path)).await;
        let mut response = match found {
            Ok(Ok(Answer::File { file, size, version, kind })) => {
                whole_or_part(&request, file, size, &version, kind)
            }
            Ok(Ok(Answer::Moved(place))) => moved(&place, request.uri().query()),
            Ok(Ok(Answer::Missing)) => text(StatusCode::NOT_FOUND, "there is no such file\n"),
            Ok(Err(error)) => {
                // Below the default level, because a client may repeat the request any number of times.
                tracing::debug!(%error, "a file cannot be read");
                text(StatusCode::NOT_FOUND, "there is no such file\n")
            }
            Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
        };
        if head_only {
            *response.body_mut() = Body::empty();
        }
        response
    }
}

/// What a path leads to.
enum Answer {
    File {
        file: File,
        size: u64,
        version: Version,
        kind: &'static str,
    },
    /// A directory, whose pages have relative links.
    Moved(String),
    Missing,
}

fn find(root: &Path, path: &str) -> std::io::Result<Answer> {
    let file = match names::find(root, path)? {
        Found::File(file) => file,
        Found::Directory => return Ok(Answer::Moved(format!("{path}/"))),
        Found::Nothing => return Ok(Answer::Missing),
    };
    let kind = kinds::of(&file);
    let file = File::open(&file)?;
    let about: Metadata = file.metadata()?;
    // What is not a file, such as a device, may never end.
    if !about.is_file() {
        return Ok(Answer::Missing);
    }
    Ok(Answer::File { size: about.len(), version: Version::of(&about), file, kind })
}

fn whole_or_part(
    request: &Request<IncomingBody>,
    file: File,
    size: u64,
    version: &Version,
    kind: &'static str,
) -> Response {
    let part = decide(request.method(), request.headers(), size, version);
    let (code, from, length) = match part {
        Part::Unchanged => (StatusCode::NOT_MODIFIED, 0, 0),
        Part::Refused => (StatusCode::PRECONDITION_FAILED, 0, 0),
        Part::Whole => (StatusCode::OK, 0, size),
        Part::Range { from, length } => (StatusCode::PARTIAL_CONTENT, from, length),
        Part::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
    };
    let body = if length > 0 { Body::new(Content::new(file, from, length)) } else { Body::empty() };
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let fields = response.headers_mut();
    fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    version.tell(fields);
    let range = match part {
        Part::Range { from, length } => Some(format!("bytes {from}-{}/{size}", from + length - 1)),
        Part::Beyond => Some(format!("bytes */{size}")),
        Part::Whole | Part::Unchanged | Part::Refused => None,
    };
    if let Some(range) = range.and_then(|range| HeaderValue::try_from(range).ok()) {
        fields.insert(header::CONTENT_RANGE, range);
    }
    if code.is_success() {
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        // A browser must not take a text for a script.
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    response
}

fn moved(place: &str, query: Option<&str>) -> Response {
    let mut response = text(StatusCode::MOVED_PERMANENTLY, "it is a directory\n");
    // A path that begins with two slashes would name another host.
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let place = format!("/{}{query}", place.trim_start_matches('/'));
    if let Ok(place) = HeaderValue::try_from(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

fn text(code: StatusCode, content: &'static str) -> Response {
    let mut response = Response::new(Body::from(content));
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
