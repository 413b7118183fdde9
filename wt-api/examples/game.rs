//! A game that a server runs sixty times a second. Old positions are worthless, so players steer, and see
//! everybody's position, with datagrams. A stream tells who joins and who leaves, because that must not be
//! lost.
//!
//! `cargo run -p wt-api --example game` starts the server; each player runs, with its hash,
//! `cargo run -p wt-api --example game -- https://localhost:4433/game <hash>`

mod arguments;

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::StatusCode;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use wt_api::{
    AcceptOptions, CloseInfo, DatagramError, Identity, ReceiveStream, Request, SendStream, SendStreamOptions,
    Server, WebTransport, WebTransportOptions,
};

const TICK: Duration = Duration::from_nanos(1_000_000_000 / 60);
/// The largest number of players in a game.
const PLAYERS: u8 = 32;
/// How many events the world queues between two ticks before their senders have to wait.
const WAITING: usize = 1024;

/// What sessions report to the world.
#[derive(Debug)]
enum Event {
    Joined(u8, WebTransport, SendStream),
    /// The input's sequence number, and the direction. An input older than the last one that arrived is
    /// ignored.
    Steered(u8, u32, [i8; 2]),
    Left(u8),
}

/// A player, as the world knows it.
#[derive(Debug)]
struct Player {
    session: WebTransport,
    news: SendStream,
    steered: u32,
    speed: [i8; 2],
    place: [i16; 2],
}

/// Runs games until the server is shut down.
pub(crate) async fn serve(server: &Server) {
    let (tell, events) = mpsc::channel(WAITING);
    let world = tokio::spawn(run(events));
    let places = Arc::new(tokio::sync::Mutex::new((0..PLAYERS).collect::<Vec<u8>>()));
    while let Some(request) = server.accept().await {
        let (tell, places) = (tell.clone(), Arc::clone(&places));
        tokio::spawn(async move {
            let Some(id) = places.lock().await.pop() else {
                return request.reject(StatusCode::SERVICE_UNAVAILABLE).await;
            };
            play(request, id, &tell).await;
            let _ = tell.send(Event::Left(id)).await;
            places.lock().await.push(id);
        });
    }
    drop(tell);
    let _ = world.await;
}

/// Serves a player's session, from the request to the end.
async fn play(request: Request, id: u8, tell: &mpsc::Sender<Event>) {
    if request.path() != "/game" {
        return request.reject(StatusCode::NOT_FOUND).await;
    }
    let Ok(session) = request.accept(AcceptOptions::new()).await else { return };
    let Ok(news) = session.create_unidirectional_stream(SendStreamOptions::new()).await else { return };
    // A position that is three ticks old is obsolete: it makes room for a newer one.
    session.datagrams().set_outgoing_max_age(Some(3 * TICK));
    if tell.send(Event::Joined(id, session.clone(), news)).await.is_err() {
        return;
    }
    while let Ok(mut datagram) = session.receive_datagram().await {
        if datagram.len() == 6 {
            let event = Event::Steered(id, datagram.get_u32(), [datagram.get_i8(), datagram.get_i8()]);
            // If the queue is full of inputs, newer ones will follow this one.
            let _ = tell.try_send(event);
        }
    }
}

async fn run(mut events: mpsc::Receiver<Event>) {
    let mut players = BTreeMap::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut tick = 0;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => happens(&mut players, event).await,
                None => return,
            },
            _ = ticks.tick() => {
                tick += 1;
                moves(&mut players, tick);
            }
        }
    }
}

async fn happens(players: &mut BTreeMap<u8, Player>, event: Event) {
    let news = match event {
        Event::Joined(id, session, news) => {
            let mut player = Player { session, news, steered: 0, speed: [0; 2], place: [0; 2] };
            let there = players.keys().map(|other| format!("+{other}\n")).collect::<String>();
            player.hears(&format!("you are {id}\n{there}")).await;
            players.insert(id, player);
            format!("+{id}\n")
        }
        Event::Steered(id, number, speed) => {
            let player = players.get_mut(&id).filter(|player| number > player.steered);
            return player.into_iter().for_each(|player| (player.steered, player.speed) = (number, speed));
        }
        Event::Left(id) => match players.remove(&id) {
            Some(_) => format!("-{id}\n"),
            None => return,
        },
    };
    for player in players.values_mut() {
        player.hears(&news).await;
    }
}

impl Player {
    /// Sends the whole line or nothing: the game does not wait for a player who reads so slowly that the line
    /// does not fit.
    async fn hears(&mut self, news: &str) {
        if self.news.atomic_write(Bytes::copy_from_slice(news.as_bytes())).await.is_err() {
            self.session.close(CloseInfo::new(1, "you do not read the news"));
        }
    }
}

/// One tick: every player moves, and learns every player's position.
fn moves(players: &mut BTreeMap<u8, Player>, tick: u32) {
    let mut seen = BytesMut::with_capacity(4 + 5 * players.len());
    seen.put_u32(tick);
    for (id, player) in players.iter_mut() {
        for (place, speed) in player.place.iter_mut().zip(player.speed) {
            *place = place.saturating_add(speed.into());
        }
        seen.put_u8(*id);
        player.place.iter().for_each(|place| seen.put_i16(*place));
    }
    let seen = seen.freeze();
    for player in players.values() {
        match player.session.try_send_datagram(seen.clone()) {
            // A full queue contains newer positions than the player has seen.
            Ok(()) | Err(DatagramError::Full) => {}
            Err(error) => println!("no positions to {:?}: {error}", player.session.remote_address()),
        }
    }
}

/// The game as a player sees it.
#[derive(Debug)]
pub(crate) struct Game {
    pub(crate) session: WebTransport,
    /// Who joins and who leaves, one line each.
    pub(crate) news: Lines<BufReader<ReceiveStream>>,
    inputs: u32,
    tick: u32,
}

impl Game {
    pub(crate) async fn join(url: &str, options: WebTransportOptions) -> Result<Self, Box<dyn Error>> {
        let session = WebTransport::new(url, options)?;
        session.ready().await?;
        let news = BufReader::new(session.accept_unidirectional_stream().await?).lines();
        Ok(Self { session, news, inputs: 0, tick: 0 })
    }

    /// Steers. The network may lose the datagram: a player who holds a key sends it again at each tick.
    pub(crate) async fn steer(&mut self, x: i8, y: i8) -> Result<(), DatagramError> {
        self.inputs += 1;
        let mut input = BytesMut::with_capacity(6);
        input.put_u32(self.inputs);
        input.put_i8(x);
        input.put_i8(y);
        self.session.send_datagram(input.freeze()).await
    }

    /// Everybody's position, from the next tick that arrives and is newer than the earlier ones.
    pub(crate) async fn look(&mut self) -> Result<BTreeMap<u8, [i16; 2]>, Box<dyn Error>> {
        loop {
            let mut seen = self.session.receive_datagram().await?;
            let tick = seen.try_get_u32()?;
            if tick <= self.tick {
                continue;
            }
            self.tick = tick;
            let mut places = BTreeMap::new();
            while seen.len() >= 5 {
                places.insert(seen.get_u8(), [seen.get_i16(), seen.get_i16()]);
            }
            return Ok(places);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().len() == 1 {
        let server = Server::builder()
            .identity(Identity::self_signed(["localhost", "127.0.0.1", "::1"])?)
            .listen("127.0.0.1:4433".parse()?)
            .listen("[::1]:4433".parse()?)
            .build()?;
        println!("certificate hash {:?}", server.certificate_hash());
        serve(&server).await;
        return Ok(());
    }
    let (url, options) = arguments::parse()?;
    let mut game = Game::join(&url, options).await?;
    while let Some(line) = game.news.next_line().await? {
        println!("{line}");
        if line.starts_with("you are") {
            break;
        }
    }
    // Around a square, five times.
    for step in 0..20 {
        let [x, y] = [[1, 0], [0, 1], [-1, 0], [0, -1]][step % 4];
        for _ in 0..60 {
            game.steer(x, y).await?;
            println!("{:?}", game.look().await?);
        }
    }
    game.session.close(CloseInfo::default());
    wt_api::wait_idle().await;
    Ok(())
}
