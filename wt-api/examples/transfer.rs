//! Files from a server. Nothing is sent twice: when a session fails, the next one continues where it stopped.
//!
//! `cargo run -p wt-api --example transfer -- FOLDER` serves the files of a folder and prints a hash;
//! `cargo run -p wt-api --example transfer -- https://localhost:4433/ <hash> NAME` writes one of them into this folder.
//!
//! Each file has a bidirectional stream. The client sends the name and a line feed. The server answers with
//! the file's length and its modification time, 8 bytes each. The client sends the offset to start from, 8
//! bytes, and the server sends the rest.

use std::{
    error::Error,
    io::{self, ErrorKind},
    path::{Component, Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use http::StatusCode;
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufReader},
};
use wt_api::{
    AcceptOptions, BidirectionalStream, CertificateHash, CloseInfo, Identity, Request, SendStreamOptions,
    Server, WebTransport, WebTransportError, WebTransportOptions,
};

/// The longest name, in bytes.
const MAX_NAME: u64 = 255;
/// The reset code for a file that does not exist.
const NO_FILE: u32 = 1;
/// The reset code for a request that the server does not understand.
const BAD_REQUEST: u32 = 2;

/// Serves the files of `folder` until the server is shut down.
pub(crate) async fn serve(server: &Server, folder: &Path) {
    while let Some(request) = server.accept().await {
        tokio::spawn(answer(request, folder.to_owned()));
    }
}

async fn answer(request: Request, folder: PathBuf) {
    if request.path() != "/" {
        return request.reject(StatusCode::NOT_FOUND).await;
    }
    let Ok(session) = request.accept(AcceptOptions::new()).await else { return };
    while let Ok(stream) = session.accept_bidirectional_stream().await {
        let folder = folder.clone();
        tokio::spawn(async move {
            if let Err(error) = send(stream, &folder).await {
                println!("not sent: {error}");
            }
        });
    }
}

async fn send(mut stream: BidirectionalStream, folder: &Path) -> io::Result<()> {
    let mut reader = BufReader::new(&mut stream);
    let mut name = String::new();
    // A longer name is cut off, so it has no line feed and is rejected below.
    (&mut reader).take(MAX_NAME + 1).read_line(&mut name).await?;
    let file = match name.strip_suffix('\n').filter(|name| is_plain(name)) {
        Some(name) => File::open(folder.join(name)).await,
        None => Err(ErrorKind::InvalidInput.into()),
    };
    let mut file = match file {
        Ok(file) => file,
        Err(error) => {
            let known = error.kind() == ErrorKind::NotFound;
            stream.writable.reset(if known { NO_FILE } else { BAD_REQUEST });
            return Err(error);
        }
    };
    let about = file.metadata().await?;
    let changed = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let changed = u64::try_from(changed.as_nanos()).unwrap_or_default();
    reader.write_u64(about.len()).await?;
    reader.write_u64(changed).await?;
    let from = reader.read_u64().await?;
    if from > about.len() {
        stream.writable.reset(BAD_REQUEST);
        return Err(ErrorKind::InvalidInput.into());
    }
    file.seek(io::SeekFrom::Start(from)).await?;
    tokio::io::copy(&mut file.take(about.len() - from), &mut stream).await?;
    // Completes when the client has acknowledged all of it.
    Ok(stream.writable.finished().await?)
}

/// Whether this is a plain name in the folder, and not a path out of it.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}

/// Why a fetch failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The session or its stream failed; another session may succeed.
    Transport(WebTransportError),
    /// The local file system failed.
    File(io::Error),
}

impl From<WebTransportError> for Failure {
    fn from(error: WebTransportError) -> Self {
        Self::Transport(error)
    }
}

/// Reading a stream as a file gives `io::Error`s, which contain the stream's error.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.downcast::<WebTransportError>() {
            Ok(error) => Self::Transport(error),
            Err(error) => Self::File(error),
        }
    }
}

impl Failure {
    /// Whether the server has refused for good.
    fn is_final(&self) -> bool {
        match self {
            Self::Transport(error) => matches!(error.stream_error_code(), Some(NO_FILE | BAD_REQUEST)),
            Self::File(error) => error.kind() != ErrorKind::UnexpectedEof,
        }
    }
}

/// Fetches a file into `folder`, in as many sessions as that takes, and returns their number. Gives up after
/// `patience` without a session that brought anything.
pub(crate) async fn fetch(
    connect: impl Fn() -> WebTransport,
    name: &str,
    folder: &Path,
    patience: Duration,
) -> Result<usize, Failure> {
    let mut sessions = 0;
    let mut progress = tokio::time::Instant::now();
    loop {
        sessions += 1;
        let session = connect();
        let mut received = 0;
        match fetch_once(&session, name, folder, &mut received).await {
            Ok(()) => {
                session.close(CloseInfo::default());
                return Ok(sessions);
            }
            Err(error) if error.is_final() => return Err(error),
            Err(error) if received == 0 && progress.elapsed() > patience => return Err(error),
            Err(_) => {}
        }
        if received > 0 {
            progress = tokio::time::Instant::now();
        }
        tokio::time::sleep(patience.min(Duration::from_millis(50))).await;
    }
}

async fn fetch_once(
    session: &WebTransport,
    name: &str,
    folder: &Path,
    received: &mut u64,
) -> Result<(), Failure> {
    let mut stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    stream.writable.write_all(format!("{name}\n").as_bytes()).await?;
    let (length, changed) = (stream.read_u64().await?, stream.read_u64().await?);
    // A partial file from before the last change is of no use.
    let part = folder.join(format!("{name}.{changed}.part"));
    let mut file = OpenOptions::new().append(true).create(true).open(&part).await?;
    let begin = file.metadata().await?.len();
    stream.write_u64(begin).await?;
    stream.writable.finish()?;
    while let Some(chunk) = stream.readable.read_chunk(64 << 10).await? {
        file.write_all(&chunk).await?;
        // Dropping a file need not write it: keep what has arrived when the session fails.
        file.flush().await?;
        *received += chunk.len() as u64;
    }
    if begin + *received != length {
        return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
    }
    file.sync_all().await?;
    Ok(fs::rename(part, folder.join(name)).await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [url, hash, name] => {
            let options = WebTransportOptions::new();
            let options = options.server_certificate_hashes([hash.parse::<CertificateHash>()?]);
            // A bad URL is reported here, once.
            drop(WebTransport::new(url, options.clone())?);
            let connect = || WebTransport::new(url, options.clone()).expect("it was right before");
            let sessions = fetch(connect, name, Path::new("."), Duration::from_secs(30)).await;
            println!("{name}: {sessions:?} sessions");
            wt_api::wait_idle().await;
        }
        [folder] => {
            let server = Server::builder()
                .identity(Identity::self_signed(["localhost", "127.0.0.1", "::1"])?)
                .listen("127.0.0.1:4433".parse()?)
                .listen("[::1]:4433".parse()?)
                .build()?;
            println!("certificate hash {:?}", server.certificate_hash());
            serve(&server, Path::new(folder)).await;
        }
        _ => return Err("give a folder, or a URL, a hash and a name".into()),
    }
    Ok(())
}
