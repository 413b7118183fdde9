//! What goes back and forth in a session: one stream, a stream for each line, datagrams, streams of the server.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Split, Stdin},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use wt_api::{
    Datagrams, DatagramsReadable, DatagramsWritable, ErrorCause, ReceiveStream, SendStream,
    SendStreamOptions, WebTransport, WebTransportError,
};

use super::{
    Stop,
    sink::{Kind, Opener, Sink},
};
use crate::{args::Connect, discovery::Discovery, output, texts};

/// How long answers to the last datagrams are waited for.
const LAST_DATAGRAMS: Duration = Duration::from_secs(1);
/// How long an answer may take to begin whose server reads no more: if there is none, nothing would ever say so.
const LAST_ANSWER: Duration = Duration::from_secs(1);
/// Datagrams that wait for standard output: whoever reads it may pause for a moment. Their bytes are the library's to bound.
const BUFFERED: u32 = 1 << 16;
const CHUNK: usize = 64 * 1024;

/// What has to be so before anything is written: what comes meanwhile would find too little room.
pub(super) fn prepare(session: &WebTransport, args: &Connect) {
    if args.datagrams {
        session.datagrams().set_incoming_max_buffered_datagrams(BUFFERED);
    }
}

/// What has come until somebody said that it is enough.
pub(super) async fn rest(session: &WebTransport, args: &Connect, sink: &Sink) -> Result<(), Stop> {
    if args.datagrams { waiting(&mut session.datagrams().readable, sink).await } else { Ok(()) }
}

/// Everything that the command line asks for, to its end.
pub(super) async fn run(session: &WebTransport, args: &Connect, sink: &Arc<Sink>) -> Result<(), Stop> {
    let own = async {
        if args.datagrams {
            datagrams(session, args.listen, sink).await
        } else if args.lines && args.uni {
            lines_one_way(session, args.streams, sink).await
        } else if args.lines {
            lines(session, args.streams, sink).await
        } else if args.uni {
            unidirectional(session, args.listen, sink).await
        } else if args.listen {
            // Nothing is sent.
            Ok(())
        } else {
            bidirectional(session, sink).await
        }
    };
    if !args.listen {
        return own.await;
    }
    let own = async {
        match own.await {
            Err(stop) => stop.unless_over(session).await,
            done => done,
        }
    };
    both(own, listen(session, sink)).await.map(|_| ())
}

/// Both, to the end of each; the first failure ends both. That the session is over is none: each part hears of that by itself,
/// once it has all that came before.
async fn both<A, B>(
    one: impl Future<Output = Result<A, Stop>>,
    other: impl Future<Output = Result<B, Stop>>,
) -> Result<(A, B), Stop> {
    let (one, other) = tokio::try_join!(async { put_aside(one.await) }, async { put_aside(other.await) })?;
    Ok((one?, other?))
}

/// The end of the session as a value, which `?` does not pass on.
fn put_aside<T>(outcome: Result<T, Stop>) -> Result<Result<T, Stop>, Stop> {
    match outcome {
        Err(stop) if stop.is_of_the_session() => Ok(Err(stop)),
        outcome => outcome.map(Ok),
    }
}

/// Standard input to a stream, and what comes on it out. Each direction ends by itself.
async fn bidirectional(session: &WebTransport, sink: &Sink) -> Result<(), Stop> {
    let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    sink.opened(stream.id(), Kind::Bidirectional, Opener::Client).await?;
    let (readable, mut writable) = stream.split();
    // A peer that reads no more may still have something to say.
    let sending = async {
        match send(session, &mut writable, sink).await {
            Err(stopped @ Stop::Stopped(_)) => Ok(Some(stopped)),
            sent => sent.map(|_| None),
        }
    };
    let (stopped, _) = both(sending, receive(readable, sink)).await?;
    stopped.map_or(Ok(()), Err)
}

/// Standard input to a stream of this side's; the first one of the server is the answer, unless all of them are told.
async fn unidirectional(session: &WebTransport, told_elsewhere: bool, sink: &Sink) -> Result<(), Stop> {
    let mut writable = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
    sink.opened(writable.id(), Kind::Unidirectional, Opener::Client).await?;
    let answered = Notify::new();
    let sending = async {
        let (stopped, has_enough) = match send(session, &mut writable, sink).await {
            Ok(Sent::Whole) => (delivered(&writable, sink).await, true),
            Ok(Sent::Enough) if told_elsewhere => (Ok(()), true),
            Ok(Sent::Enough) => (Err(Stop::Stopped(Some(0))), true),
            Err(stop) => (Err(stop), false),
        };
        let Err(Stop::Stopped(code)) = stopped else { return stopped.map(|()| None) };
        let stopped = Stop::Stopped(code);
        // Who reads no more may still have something to say.
        match tokio::time::timeout(LAST_ANSWER, answered.notified()).await {
            Ok(()) => Ok(Some(stopped).filter(|_| !has_enough || code != Some(0))),
            Err(_) => Err(stopped),
        }
    };
    let answer = async {
        if told_elsewhere {
            return Ok(());
        }
        let readable = session.accept_unidirectional_stream().await?;
        answered.notify_one();
        sink.opened(readable.id(), Kind::Unidirectional, Opener::Server).await?;
        receive(readable, sink).await.map(|_| ())
    };
    let (stopped, ()) = both(sending, answer).await?;
    stopped.map_or(Ok(()), Err)
}

/// How standard input got to its end, or the stream to its own.
enum Sent {
    /// All of it is on its way, and the stream's end behind it. Or there is no session any more.
    Whole,
    /// The peer has all that it wants: it stopped the stream with code 0. When it is heard, between two pieces or while one is
    /// written, is chance.
    Enough,
}

/// Standard input to the stream, as long as there is a session: nobody has to end the input of one that is over.
async fn send(session: &WebTransport, writable: &mut SendStream, sink: &Sink) -> Result<Sent, Stop> {
    let mut input = tokio::io::stdin();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = tokio::select! {
            read = input.read(&mut buffer) => read.map_err(Stop::Input)?,
            Ok(code) = writable.stopped() => {
                sink.broken("stop", writable.id(), code).await?;
                return or_enough(Err(Stop::Stopped(code)));
            }
            _ = session.closed() => return Ok(Sent::Whole),
        };
        if read == 0 {
            return or_enough(finish(writable, sink).await);
        }
        match or_enough(write(writable, &buffer[..read], sink).await)? {
            Sent::Whole => {}
            Sent::Enough => return Ok(Sent::Enough),
        }
    }
}

/// A stop with code 0 is no error.
fn or_enough(sent: Result<(), Stop>) -> Result<Sent, Stop> {
    match sent {
        Err(Stop::Stopped(Some(0))) => Ok(Sent::Enough),
        sent => sent.map(|()| Sent::Whole),
    }
}

/// Waits until the peer has the stream to its end; if it stops the stream before, nobody else would say so.
async fn delivered(writable: &SendStream, sink: &Sink) -> Result<(), Stop> {
    let Ok(code) = writable.stopped().await else { return Ok(()) };
    sink.broken("stop", writable.id(), code).await?;
    Err(Stop::Stopped(code))
}

async fn write(writable: &mut SendStream, data: &[u8], sink: &Sink) -> Result<(), Stop> {
    match writable.write_all(data).await {
        Ok(()) => Ok(()),
        Err(error) => refused(writable, error, sink).await,
    }
}

async fn finish(writable: &mut SendStream, sink: &Sink) -> Result<(), Stop> {
    match writable.finish() {
        Ok(()) => Ok(()),
        Err(error) => refused(writable, error, sink).await,
    }
}

/// A stream takes no more: whether its peer stopped it, or worse.
async fn refused(writable: &SendStream, error: WebTransportError, sink: &Sink) -> Result<(), Stop> {
    match error.cause() {
        ErrorCause::StreamStopped(code) => {
            sink.broken("stop", writable.id(), *code).await?;
            Err(Stop::Stopped(*code))
        }
        _ => Err(error.into()),
    }
}

/// A stream out, to its end; its last byte.
async fn receive(mut readable: ReceiveStream, sink: &Sink) -> Result<Option<u8>, Stop> {
    let (id, mut last) = (readable.id(), None);
    loop {
        match readable.read_chunk(CHUNK).await {
            Ok(Some(chunk)) => {
                last = chunk.last().copied().or(last);
                sink.data(id, &chunk).await?;
            }
            Ok(None) => {
                sink.fin(id).await?;
                return Ok(last);
            }
            Err(error) => {
                if let ErrorCause::StreamReset(code) = error.cause() {
                    sink.broken("reset", id, *code).await?;
                }
                return Err(error.into());
            }
        }
    }
}

/// The next line of standard input without its end; `None` when there is no more, or no session.
async fn next_line(
    input: &mut Split<BufReader<Stdin>>,
    session: &WebTransport,
) -> Result<Option<Vec<u8>>, Stop> {
    tokio::select! {
        line = input.next_segment() => line.map_err(Stop::Input),
        _ = session.closed() => Ok(None),
    }
}

/// A unidirectional stream for each line of standard input, so many at once.
async fn lines_one_way(session: &WebTransport, streams: usize, sink: &Arc<Sink>) -> Result<(), Stop> {
    let mut input = BufReader::new(tokio::io::stdin()).split(b'\n');
    let mut sending = JoinSet::new();
    loop {
        let line = tokio::select! {
            line = next_line(&mut input, session), if sending.len() < streams => line?,
            Some(sent) = sending.join_next() => {
                // A task that panicked has said why.
                sent.unwrap_or(Ok(()))?;
                continue;
            }
        };
        let Some(line) = line else { break };
        let mut writable = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
        sink.opened(writable.id(), Kind::Unidirectional, Opener::Client).await?;
        let sink = Arc::clone(sink);
        sending.spawn(async move {
            send_line(&mut writable, &line, &sink).await?;
            delivered(&writable, &sink).await
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap_or(Ok(()))?;
    }
    Ok(())
}

async fn send_line(writable: &mut SendStream, line: &[u8], sink: &Sink) -> Result<(), Stop> {
    write(writable, line, sink).await?;
    finish(writable, sink).await
}

/// A line on its way, and where its answer comes.
struct Asked {
    readable: ReceiveStream,
    /// One task, which ends with this.
    sending: JoinSet<Result<(), Stop>>,
    _place: OwnedSemaphorePermit,
}

/// A stream for each line of standard input, so many at once. For people the answers come out in the order of the lines, for
/// programs as they come. One that is reset does not keep the others from coming.
async fn lines(session: &WebTransport, streams: usize, sink: &Arc<Sink>) -> Result<(), Stop> {
    let at_once = if sink.tells_programs() { streams } else { 1 };
    // No more wait in it than there are places.
    let (queue, mut asked) = mpsc::unbounded_channel::<Asked>();
    let asking = async move {
        let places = Arc::new(Semaphore::new(streams));
        let mut input = BufReader::new(tokio::io::stdin()).split(b'\n');
        while let Some(line) = next_line(&mut input, session).await? {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
            sink.opened(stream.id(), Kind::Bidirectional, Opener::Client).await?;
            let (readable, mut writable) = stream.split();
            // A server that answers while it reads goes on only if its answer is read.
            let (mut sending, sink) = (JoinSet::new(), Arc::clone(sink));
            sending.spawn(async move { send_line(&mut writable, &line, &sink).await });
            let _ = queue.send(Asked { readable, sending, _place: place });
        }
        Ok::<(), Stop>(())
    };
    let answering = async {
        let (mut failed, mut over) = (None, None);
        let mut receiving = JoinSet::<Result<Option<u8>, Stop>>::new();
        loop {
            tokio::select! {
                Some(received) = receiving.join_next() => match received.unwrap_or(Ok(None)) {
                    Ok(last) => sink.end_line(last).await?,
                    // Other answers were whole before.
                    Err(stop) if stop.is_of_the_session() => over = Some(stop),
                    Err(stop) => failed = Some(of_one_stream(stop, sink)?),
                },
                Some(asked) = asked.recv(), if receiving.len() < at_once => {
                    let sink = Arc::clone(sink);
                    receiving.spawn(async move { answer(asked, &sink).await });
                }
                else => break,
            }
        }
        over.or(failed.map(Stop::Failed)).map_or(Ok(()), Err)
    };
    both(asking, answering).await.map(|_| ())
}

/// The answer to a line out, to its end; its last byte.
async fn answer(mut asked: Asked, sink: &Sink) -> Result<Option<u8>, Stop> {
    let sent = async {
        match asked.sending.join_next().await {
            Some(Ok(Err(stop))) if !stop.is_of_the_session() && !matches!(stop, Stop::Stopped(_)) => {
                Err(stop)
            }
            // Who has read enough may answer all the same, or have answered before the session ended.
            _ => Ok(()),
        }
    };
    tokio::try_join!(receive(asked.readable, sink), sent).map(|(last, ())| last)
}

/// The error if one stream alone has it. People are told at once, for the others go on; programs were told.
fn of_one_stream(stop: Stop, sink: &Sink) -> Result<WebTransportError, Stop> {
    match stop {
        Stop::Failed(error) if matches!(error.cause(), ErrorCause::StreamReset(_)) => {
            if !sink.tells_programs() {
                output::tell(&format!("weft: {error}\n"));
            }
            Ok(error)
        }
        other => Err(other),
    }
}

/// What comes on streams that the server opens, as long as there is a session: all at once for programs, one stream after
/// the other for people. When one kind is over, streams of the other may still wait.
async fn listen(session: &WebTransport, sink: &Arc<Sink>) -> Result<(), Stop> {
    let mut receiving = JoinSet::new();
    let mut over: [Option<WebTransportError>; 2] = [None, None];
    loop {
        let (kind, readable) = tokio::select! {
            stream = session.accept_unidirectional_stream(), if over[0].is_none() => (Kind::Unidirectional, stream),
            stream = session.accept_bidirectional_stream(), if over[1].is_none() => {
                let readable = stream.map(|stream| {
                    let (readable, mut writable) = stream.split();
                    // Dropped, it would be reset. It cannot be finished once the server has stopped it, or the session is over.
                    let _ = writable.finish();
                    readable
                });
                (Kind::Bidirectional, readable)
            }
            Some(received) = receiving.join_next() => {
                // A task that panicked has said why.
                one_of_many(received.unwrap_or(Ok(None)), sink)?;
                continue;
            }
            else => break,
        };
        let readable = match readable {
            Ok(readable) => readable,
            Err(error) => {
                over[usize::from(kind == Kind::Bidirectional)] = Some(error);
                continue;
            }
        };
        sink.opened(readable.id(), kind, Opener::Server).await?;
        if sink.tells_programs() {
            let sink = Arc::clone(sink);
            receiving.spawn(async move { receive(readable, &sink).await });
        } else {
            one_of_many(receive(readable, sink).await, sink)?;
        }
    }
    let failed = |error: &WebTransportError| !matches!(error.cause(), ErrorCause::SessionClosed { .. });
    over.into_iter().flatten().find(failed).map_or(Ok(()), |error| Err(error.into()))
}

/// A stream of the server that was reset is told, and the others go on. So they do where the session ended before it did.
fn one_of_many(received: Result<Option<u8>, Stop>, sink: &Sink) -> Result<(), Stop> {
    match received.map(|_| ()) {
        Err(stop) if stop.is_of_the_session() => Ok(()),
        Err(stop) => of_one_stream(stop, sink).map(|_| ()),
        received => received,
    }
}

/// Lines to datagrams, datagrams to lines. What has come is written, however slowly standard output takes it.
async fn datagrams(session: &WebTransport, stay: bool, sink: &Sink) -> Result<(), Stop> {
    let Datagrams { readable, writable, .. } = &mut session.datagrams();
    let (over, ended) = watch::channel(false);
    let sending = async {
        let sent = send_lines(session, writable, sink).await;
        if stay {
            let _ = session.closed().await;
        }
        over.send_replace(true);
        // Whatever ended the input, answers may still come.
        Ok(sent)
    };
    let (sent, ()) = tokio::try_join!(sending, receive_datagrams(readable, ended, sink))?;
    sent
}

/// A datagram for each line of standard input, to its end. People are told of each that is not sent.
async fn send_lines(
    session: &WebTransport,
    writable: &mut DatagramsWritable,
    sink: &Sink,
) -> Result<(), Stop> {
    let mut discovery = Discovery::of(session);
    let mut input = BufReader::new(tokio::io::stdin()).split(b'\n');
    let mut number = 0_u64;
    while let Some(line) = next_line(&mut input, session).await? {
        number += 1;
        discovery.room(line.len()).await;
        if let Err(error) = writable.send(line.into()).await {
            output::tell(&format!("weft: line {number} not sent: {}\n", texts::datagram(&error)));
            sink.note_unsent();
        }
    }
    Ok(())
}

/// A line for each datagram, until answers had their time after the end of what is sent. That time counts only while none
/// waits to be written: an output that is slow takes nothing of it.
async fn receive_datagrams(
    readable: &mut DatagramsReadable,
    mut ended: watch::Receiver<bool>,
    sink: &Sink,
) -> Result<(), Stop> {
    let mut until = None;
    loop {
        let silence = async {
            let _ = ended.wait_for(|ended| *ended).await;
            sleep_until(*until.get_or_insert_with(|| Instant::now() + LAST_DATAGRAMS)).await;
        };
        let first = tokio::select! {
            first = readable.recv() => first?,
            () = silence => break,
        };
        let begun = Instant::now();
        // An error comes again with the next call.
        sink.datagrams(first, || readable.try_recv().ok().flatten()).await?;
        if let Some(until) = &mut until {
            *until += begun.elapsed();
        }
    }
    waiting(readable, sink).await
}

/// The datagrams that are there. A peer that goes on and on has no say in when this ends.
async fn waiting(readable: &mut DatagramsReadable, sink: &Sink) -> Result<(), Stop> {
    let mut waiting = (0..BUFFERED).map_while(|_| readable.try_recv().ok().flatten());
    while let Some(first) = waiting.next() {
        sink.datagrams(first, || waiting.next()).await?;
    }
    Ok(())
}
