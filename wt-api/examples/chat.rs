//! A chat. A client that connects to `/chat/ROOM?name=NAME` writes its lines to a stream of its own, and
//! reads everybody's lines from it.
//!
//! `cargo run -p wt-api --example chat` starts the server; each participant runs, with its hash,
//! `cargo run -p wt-api --example chat -- 'https://localhost:4433/chat/lobby?name=ann' <hash>`

mod arguments;

use std::{
    collections::HashMap,
    error::Error,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    sync::broadcast::{self, error::RecvError},
};
use wt_api::{
    AcceptOptions, CloseInfo, Identity, ReceiveStream, Request, SendStream, SendStreamOptions, Server,
    WebTransport, WebTransportError, WebTransportOptions,
};

/// The longest line, in bytes, including its line ending.
pub(crate) const MAX_LINE: usize = 1024;
/// How many lines a room keeps for slow readers. A reader that falls further behind is told how many it
/// missed.
const BACKLOG: usize = 64;
/// The close code for a session that sent a longer line.
pub(crate) const TOO_LONG: u32 = 1;

type Room = broadcast::Sender<Arc<str>>;

/// The rooms that have participants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rooms(Arc<Mutex<HashMap<String, Room>>>);

impl Rooms {
    fn enter(&self, name: &str) -> (Room, broadcast::Receiver<Arc<str>>) {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms.entry(name.to_owned()).or_insert_with(|| broadcast::channel(BACKLOG).0);
        (room.clone(), room.subscribe())
    }

    fn leave(&self, name: &str) {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.retain(|of, room| of != name || room.receiver_count() > 0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Accepts every session until the server shuts down.
pub(crate) async fn serve(server: &Server, rooms: &Rooms) {
    while let Some(request) = server.accept().await {
        tokio::spawn(answer(request, rooms.clone()));
    }
}

async fn answer(request: Request, rooms: Rooms) {
    let room = request.path().strip_prefix("/chat/").filter(|room| !room.is_empty()).map(str::to_owned);
    let Some(room) = room else { return request.reject(StatusCode::NOT_FOUND).await };
    let name = request.query().and_then(|query| query.strip_prefix("name=")).map(str::to_owned);
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return request.reject(StatusCode::BAD_REQUEST).await;
    };
    let Ok(session) = request.accept(AcceptOptions::new()).await else { return };
    let (everybody, heard) = rooms.enter(&room);
    let _ = everybody.send(format!("* {name} is here\n").into());
    match attend(&session, &name, &everybody, heard).await {
        Ok(()) => session.close(CloseInfo::new(0, "goodbye")),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            session.close(CloseInfo::new(TOO_LONG, error.to_string()));
        }
        // The session is over.
        Err(error) => println!("{name}: {error}"),
    }
    let _ = everybody.send(format!("* {name} has left\n").into());
    rooms.leave(&room);
}

/// Serves one participant from arrival to departure.
async fn attend(
    session: &WebTransport,
    name: &str,
    everybody: &Room,
    mut heard: broadcast::Receiver<Arc<str>>,
) -> io::Result<()> {
    let (readable, mut writable) = session.accept_bidirectional_stream().await?.split();
    let mut reader = BufReader::new(readable);
    let mut line = Vec::new();
    loop {
        tokio::select! {
            // If another branch wins in the middle of a line, `line` keeps what was read of it.
            more = read_line(&mut reader, &mut line) => {
                if !more? {
                    return Ok(writable.finish()?);
                }
                let text = String::from_utf8_lossy(&line);
                let _ = everybody.send(format!("{name}: {}\n", text.trim_end()).into());
                line.clear();
            }
            words = heard.recv() => match words {
                Ok(words) => writable.write_all(words.as_bytes()).await?,
                Err(RecvError::Lagged(count)) => {
                    writable.write_all(format!("* {count} lines were missed\n").as_bytes()).await?;
                }
                Err(RecvError::Closed) => return Ok(writable.finish()?),
            },
        }
    }
}

/// Reads to the end of a line. Returns false at the end of the stream. Cancel safe if the next call gets the
/// same `line`.
async fn read_line(reader: &mut BufReader<ReceiveStream>, line: &mut Vec<u8>) -> io::Result<bool> {
    let left = MAX_LINE - line.len();
    reader.take(left as u64).read_until(b'\n', line).await?;
    if line.len() >= MAX_LINE && !line.ends_with(b"\n") {
        let problem = format!("a line has at most {MAX_LINE} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(!line.is_empty())
}

/// A participant.
pub(crate) struct Guest {
    pub(crate) session: WebTransport,
    /// The room's lines; ends with the session.
    pub(crate) hears: Lines<BufReader<ReceiveStream>>,
    pub(crate) says: SendStream,
}

impl Guest {
    pub(crate) async fn enter(url: &str, options: WebTransportOptions) -> Result<Self, Box<dyn Error>> {
        let session = WebTransport::new(url, options)?;
        session.ready().await?;
        let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
        let (readable, says) = stream.split();
        Ok(Self { session, hears: BufReader::new(readable).lines(), says })
    }

    pub(crate) async fn say(&mut self, line: &str) -> Result<(), WebTransportError> {
        self.says.write_all(format!("{line}\n").as_bytes()).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().len() > 1 {
        return take_part().await;
    }
    let server = Server::builder()
        .identity(Identity::self_signed(["localhost", "127.0.0.1", "::1"])?)
        .listen("127.0.0.1:4433".parse()?)
        .listen("[::1]:4433".parse()?)
        .build()?;
    println!(
        "certificate hash {}",
        server.certificate_hash().map(|hash| hash.to_string()).unwrap_or_default()
    );
    let rooms = Rooms::default();
    tokio::select! {
        () = serve(&server, &rooms) => {}
        signal = tokio::signal::ctrl_c() => signal?,
    }
    if !rooms.is_empty() {
        println!("asking the participants to leave");
    }
    server.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

async fn take_part() -> Result<(), Box<dyn Error>> {
    let (url, options) = arguments::parse()?;
    let mut guest = Guest::enter(&url, options).await?;
    let mut typed = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = typed.next_line() => match line? {
                Some(line) => guest.say(&line).await?,
                None => break,
            },
            line = guest.hears.next_line() => match line? {
                Some(line) => println!("{line}"),
                None => break,
            },
        }
    }
    guest.says.finish()?;
    println!("{:?}", guest.session.closed().await?);
    wt_api::wait_idle().await;
    Ok(())
}
